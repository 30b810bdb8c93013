"""A Postgres with a streaming standby that has every acknowledged commit, and its promotion."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ddpm.devstack import EmbeddedPostgres
from ddpm.devstack.ports import HOST
from ddpm.engine.progress import Progress
from harness.waiting import eventually

_COPIER, _NAME = "copier", "standby"
# What is copied is a test's: its role needs no password, and reads nothing else.
_ACCESS = f"host replication {_COPIER} {HOST}/32 trust\n"


class Standby(EmbeddedPostgres):
    """A copy of a running `EmbeddedPostgres`, which follows it until it is promoted; it takes the same passwords."""

    def __init__(self, data_dir: Path, primary: EmbeddedPostgres, progress: Progress) -> None:
        super().__init__(data_dir, progress=progress)
        self._primary = primary

    def promote(self) -> None:
        """Make it take rows; returns when it does."""
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            assert admin.execute("select pg_promote()").fetchone() == (True,)

    def _initialise(self) -> None:
        where = f"host={HOST} port={self._primary.port} user={_COPIER}"
        self.data.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(self.data, self._account.uid, self._account.gid)
        copy: list[str | Path] = [self._program("pg_basebackup"), "-D", self.data, "-d", where]
        self._run([*copy, "--checkpoint=fast", "--write-recovery-conf"])
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{where} application_name={_NAME}'\n")
        self.passfile.write_text(self._primary.passfile.read_text())
        self.passfile.chmod(0o600)


@dataclass(frozen=True)
class Pair:
    """The two servers; `primary` takes rows, and commits wait for `standby`."""

    primary: EmbeddedPostgres
    standby: Standby


@contextmanager
def standby_pair(folder: Path, progress: Progress) -> Iterator[Pair]:
    """Run both while the block runs; commits wait until they are on the standby's disk as well."""
    with ExitStack() as stack:
        primary = stack.enter_context(EmbeddedPostgres(folder / "primary", progress=progress))
        with psycopg.connect(primary.dsn, autocommit=True) as admin:
            admin.execute(f"create role {_COPIER} login replication")
            with (primary.data / "pg_hba.conf").open("a") as access:
                access.write(_ACCESS)
            admin.execute("select pg_reload_conf()")
            standby = stack.enter_context(Standby(folder / "standby", primary, progress))
            eventually(lambda: _states(admin) == ["streaming"], "the standby follows")
            admin.execute(f"alter system set synchronous_standby_names = '{_NAME}'")
            admin.execute("select pg_reload_conf()")
            eventually(lambda: _states(admin, "sync") == ["streaming"], "commits wait for the standby")
        yield Pair(primary, standby)


def _states(admin: "psycopg.Connection[tuple[object, ...]]", kind: str = "%") -> list[object]:
    query = "select state from pg_stat_replication where application_name = %s and sync_state like %s"
    return [state for (state,) in admin.execute(query, [_NAME, kind])]
