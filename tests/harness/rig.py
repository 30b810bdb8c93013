"""A pipeline under traffic on servers that may be broken, and what is checked of it when a fault is over."""

import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import httpx2 as httpx
import psycopg
from psycopg import sql

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from harness.audit import Books, audit
from harness.cluster import Cluster
from harness.process import Ddpm
from harness.proxy import Proxy
from harness.standby import Standby
from harness.traffic import COLUMNS, POISON_EVERY, Traffic, expected
from harness.waiting import eventually
from harness.world import World

# Fewer records while the fault lasts, and nothing would have been shown.
DURING_FAULT = 1_000
DRAIN_SECONDS = 90.0


@dataclass(frozen=True)
class Servers:
    """Servers that may be broken; each fault leaves them corrected."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    engine: Path
    # A copy of the Postgres, which has all that was committed.
    standby: Standby | None = None
    # Three brokers, where one is not enough; `kafka` is unused then.
    cluster: Cluster | None = None
    # No superuser: rights can be taken from it.
    role: str = field(default_factory=lambda: f"loader_{secrets.token_hex(4)}")
    password: str = field(default_factory=lambda: secrets.token_hex(12), repr=False)

    def admit(self) -> Self:
        """Make the user that ddpm is."""
        with psycopg.connect(self.postgres.dsn, autocommit=True) as admin:
            admin.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(self.role), self.password))
            admin.execute(sql.SQL("grant create on schema public to {}").format(sql.Identifier(self.role)))
        return self


@dataclass
class Result:
    """One round of a fault: how many records, rows, dead letters, and how many records came while it lasted."""

    produced: int
    rows: int
    dead: int
    during: int

    def numbers(self) -> list[int]:
        """As a line of the table has them: records, those during the fault, rows, dead letters."""
        return [self.produced, self.during, self.rows, self.dead]


@dataclass
class Rig:
    """One pipeline of its own user, through a proxy, with traffic.

    Attributes:
        servers: The servers.
        folder: Where ddpm runs.
        times: How often a fault that repeats itself does so.
        disk: A small disk for the table.
        sections: What the configuration says besides the usual.
        rotates: Whether the password stands in a file, `secret`, and others take its place.
        listed: Whether the address names the standby and the primary, in this order, without the proxy; in which form.

    """

    servers: Servers
    folder: Path
    times: int
    disk: Path | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)
    listed: Literal["keywords", "url"] | None = None
    rotates: bool = False
    passwords: list[str] = field(default_factory=list, repr=False)

    def __enter__(self) -> Self:
        admin = urlsplit(self.servers.postgres.dsn)
        self.proxy = Proxy("127.0.0.1", self.servers.postgres.port).__enter__()
        brokers = self.servers.cluster or self.servers.kafka
        self.world = World(
            brokers.bootstrap, self.servers.postgres.dsn, self.servers.engine, replicas=3 if self.servers.cluster else 1
        )
        if self.disk is not None:
            space = sql.Identifier(f"small_{self.world.tag}")
            self.admin(
                sql.SQL("create tablespace {} location {}").format(space, str(self.disk)),
                sql.SQL("grant create on tablespace {} to {}").format(space, self.loader),
                sql.SQL("alter role {} set default_tablespace to {}").format(self.loader, space),
            )
        self.passwords.append(self.servers.password)
        if self.rotates:
            self.secret.write_text(self.servers.password)
        password = f"${{file:{self.secret}}}" if self.rotates else self.servers.password
        address = f"{self.servers.role}:{password}@127.0.0.1:{self.proxy.port}"
        self.dsn = urlunsplit(admin._replace(netloc=address))
        if self.listed:
            self.dsn = self._list(admin.path[1:])
        return self

    def _list(self, database: str) -> str:
        assert self.servers.standby is not None
        role, password = self.servers.role, self.servers.password
        ports = self.servers.standby.port, self.servers.postgres.port
        if self.listed == "url":
            hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
            return f"postgresql://{role}:{password}@{hosts}/{database}?target_session_attrs=primary"
        return (
            f"host=127.0.0.1,127.0.0.1 port={ports[0]},{ports[1]} user={role} password={password} dbname={database} "
            "target_session_attrs=read-write"
        )

    @property
    def secret(self) -> Path:
        """The file with the password, where it is in one."""
        return self.folder / "secret"

    def rotate(self, password: str) -> None:
        """Give ddpm's user another password, first in Postgres and then in the file."""
        self.passwords.append(password)
        self.admin(sql.SQL("alter role {} password {}").format(self.loader, password))
        self.secret.write_text(password)

    def switched(self) -> None:
        """From now on the standby is the server that rows are looked for on."""
        assert self.servers.standby is not None
        self.servers = replace(self.servers, postgres=self.servers.standby, standby=None)
        self.world = replace(self.world, dsn=self.servers.postgres.dsn)

    def __exit__(self, *_: object) -> None:
        self.proxy.__exit__()
        if self.disk is not None:
            space = sql.Identifier(f"small_{self.world.tag}")
            self.admin(
                sql.SQL("alter role {} reset default_tablespace").format(self.loader),
                sql.SQL("drop table {}").format(self.table),
                # The first pipeline made ddpm's own tables, wherever that stood.
                sql.SQL("alter table all in tablespace {} set tablespace pg_default").format(space),
                sql.SQL("alter index all in tablespace {} set tablespace pg_default").format(space),
                sql.SQL("drop tablespace {}").format(space),
            )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run ddpm in the block; at its end it is stopped and must say that all went well."""
        self.world.create_topic()
        postgres = {"url": self.dsn, "columns": COLUMNS, "write_timeout": "5s"} | self.sections.get("postgres", {})
        rest = {name: section for name, section in self.sections.items() if name != "postgres"}
        config = self.world.config(postgres=postgres, batching={"count": 500}, **rest)
        with Ddpm(config, self.folder) as self.ddpm:
            self.ddpm.wait_healthy()
            yield
            # Nobody helps: what the fault has left is caught up with alone.
            self.world.wait_consumed(timeout=DRAIN_SECONDS)
            eventually(lambda: self.ddpm.health()[0] == httpx.codes.OK, "ddpm is healthy at the end", DRAIN_SECONDS)
            assert self.ddpm.stop() == 0

    def suffer(self, fault: Callable[["Rig"], None]) -> Result:
        """Have a fault happen and be over under traffic, let everything arrive, and audit all invariants."""
        with self.running(), Traffic(self.world) as self.traffic:
            self.traffic.wait_for(DURING_FAULT)
            before = self.traffic.produced
            fault(self)
            eventually(lambda: self.ddpm.health()[0] == httpx.codes.OK, "ddpm is healthy again", DRAIN_SECONDS)
            during = self.traffic.produced - before
            assert during >= DURING_FAULT, f"only {during} records while the fault lasted"
            self.traffic.wait_for(DURING_FAULT)
            produced = self.traffic.finish()
        books = self.audit()
        assert books.produced == produced, "the topic holds what the producer was told"
        return Result(produced, books.rows, books.dead, during)

    def audit(self) -> Books:
        """Every record in exactly one place, once, exact; only poison dead; no secret told."""
        books = audit(self.world, expected, crashed=True)
        assert books.dead == -(-books.produced // POISON_EVERY)
        false = [line for line in self.ddpm.log.splitlines() if '"event": "audit:' in line]
        assert not false, f"the audit took what was explained for a loss: {false}"
        self.look_for_secrets()
        return books

    def look_for_secrets(self) -> None:
        """Passwords stand in the configuration or its file, and in no file that ddpm wrote, those of before neither."""
        for file in self.folder.rglob("*"):
            if file.is_file() and file not in (self.ddpm.config_path, self.secret):
                content = file.read_bytes()
                assert not any(each.encode() in content for each in self.passwords), f"{file} holds a password"

    def admin(self, *statements: sql.Composed) -> None:
        """Run statements as the superuser, past the proxy."""
        with self.superuser() as connection:
            for statement in statements:
                connection.execute(statement)

    def superuser(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the superuser, past the proxy."""
        return psycopg.connect(self.servers.postgres.dsn, autocommit=True)

    @property
    def table(self) -> sql.Identifier:
        """The table that rows go to."""
        return sql.Identifier(self.world.table)

    @property
    def loader(self) -> sql.Identifier:
        """The user that ddpm is."""
        return sql.Identifier(self.servers.role)

    def status(self) -> dict[str, Any]:
        """The pipeline, as the API tells it."""
        body: dict[str, Any] = httpx.get(f"{self.ddpm.url}/v1/pipelines/pipeline", timeout=10, trust_env=False).json()
        return body

    def told(self, *words: str, timeout: float = 60.0) -> None:
        """Wait until the health names a culprit with one of these words."""

        def named() -> bool:
            culprits = " ".join(self.ddpm.health()[1].get("culprits", [])).lower()
            return any(word in culprits for word in words)

        eventually(named, f"the health says {' or '.join(words)}", timeout)

    def scale(self, replicas: int) -> None:
        """Ask for so many replicas."""
        self._ask("scale", {"replicas": replicas})

    def restart(self) -> None:
        """Ask for a restart, as an operator does who does not want to wait."""
        self._ask("restart", {})

    def pause(self) -> None:
        """Ask for a pause, and wait until it is reached."""
        self._ask("pause", {})
        eventually(lambda: self.status()["state"] == "paused", "the pipeline is paused")

    def resume(self) -> None:
        """Ask for an end of the pause."""
        self._ask("resume", {})

    def _ask(self, what: str, body: dict[str, Any]) -> None:
        url = f"{self.ddpm.url}/v1/pipelines/pipeline/{what}"
        httpx.post(url, json=body, timeout=10, trust_env=False).raise_for_status()

    def wait(self, seconds: float) -> None:
        """Let a fault last for so many seconds' worth of traffic."""
        self.traffic.wait_for(int(seconds * self.traffic.per_second))


def scratch() -> Path:
    """A folder that the server's own user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="ddpm-test-"))
    folder.chmod(0o755)
    return folder
