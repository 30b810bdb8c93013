"""A real Postgres that encrypts, and lets a role in only with a certificate that names it; the authorities are ours."""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import trustme
from psycopg import sql

from ddpm.devstack.embedded import EmbeddedServer
from ddpm.devstack.identity import account_for_server
from ddpm.devstack.processes import ServerCommand, clean_environment
from ddpm.engine.progress import Progress
from harness.tools import POSTGRES, require

# The name in its certificate, which resolves to where it listens.
HOST = "localhost"
ROLE, PASSWORD = "certified", "se-cret-word"
_ADMIN, _DATABASE = "ddpm", "shop"
_ACCESS = f"""\
host    all {_ADMIN}   127.0.0.1/32 scram-sha-256
hostssl all {ROLE} 127.0.0.1/32 scram-sha-256 clientcert=verify-full
"""


@dataclass(frozen=True)
class Certificates:
    """Files of a client: a certificate and its private key."""

    cert: Path
    key: Path

    @property
    def options(self) -> str:
        """What a URL says to send it."""
        return f"sslcert={self.cert}&sslkey={self.key}"


class SecuredPostgres(EmbeddedServer):
    """Debian's server with TLS, which the embedded one was built without; `dsn` is the superuser's, without TLS.

    Attributes:
        authority: Signs the server's certificate, and those of clients that it trusts.
        other: Signs what nobody trusts.

    """

    def __init__(self, data_dir: Path, progress: Progress) -> None:
        super().__init__("the secured PostgreSQL", data_dir, "postgres.log", None, progress)
        self.authority, self.other = trustme.CA(), trustme.CA()
        self._account = account_for_server()
        self._user = None if self._account is None else (self._account.uid, self._account.gid)
        self._programs = require(POSTGRES).resolve().parent
        self._password = secrets.token_urlsafe(24)
        self.data = self.data_dir / "data"

    @property
    def dsn(self) -> str:
        """The superuser's address."""
        return f"postgresql://{_ADMIN}:{self._password}@127.0.0.1:{self.port}/{_DATABASE}?sslmode=disable"

    def roots(self, folder: Path, authority: trustme.CA | None = None) -> Path:
        """A file in `folder` with the certificate of an authority, else of the server's own."""
        file = folder / "roots.pem"
        (authority or self.authority).cert_pem.write_to_path(file)
        return file

    def client(self, folder: Path, name: str = ROLE, *, by: trustme.CA | None = None, days: int = 1) -> Certificates:
        """A certificate for a client of this name, valid for so many days, in `folder`."""
        issued = _issued(by or self.authority, f"{name}.invalid", common_name=name, days=days)
        made = Certificates(folder / f"{name}.crt", folder / f"{name}.key")
        _write(issued, made.cert, made.key)
        return made

    def certify(self, *names: str, by: trustme.CA | None = None, days: int = 1) -> None:
        """Give the server another certificate, which connections that begin from now on get."""
        issued = _issued(by or self.authority, *(names or (HOST,)), days=days)
        cert, key = self.data / "server.crt", self.data / "server.key"
        _write(issued, cert, key)
        self._give(cert, key)
        if self.pid is not None:
            # A new connection may come before the signal of pg_reload_conf() is handled: two of them are in order.
            with psycopg.connect(self.dsn, autocommit=True) as admin:
                before = admin.execute("select pg_conf_load_time()").fetchone()
                admin.execute("select pg_reload_conf()")
            while True:
                with psycopg.connect(self.dsn, autocommit=True) as admin:
                    if admin.execute("select pg_conf_load_time()").fetchone() != before:
                        break

    def url(self, *options: str, host: str = HOST) -> str:
        """The address for the role that needs a certificate."""
        return f"postgresql://{ROLE}:{PASSWORD}@{host}:{self.port}/{_DATABASE}?{'&'.join(options)}"

    def _prepare(self) -> None:
        if self.data.exists():
            return
        self.data.mkdir(mode=0o700)
        self._give(self.data)
        command: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            self.data,
            "--username",
            _ADMIN,
            "--auth",
            "reject",
        ]
        self._run([*command, "--encoding", "UTF8", "--locale", "C"])
        # On standard input: the password must be in no list of processes.
        statements = f"ALTER ROLE {_ADMIN} PASSWORD '{self._password}'\nCREATE DATABASE {_DATABASE}\n"
        self._run([self._programs / "postgres", "--single", "-D", self.data, "postgres"], statements)
        (self.data / "pg_hba.conf").write_text(_ACCESS, encoding="ascii")
        self.roots(self.data).rename(self.data / "clients.pem")
        self.certify()

    def _command(self, port: int) -> ServerCommand:
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_ca_file": "clients.pem",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return ServerCommand(
            title=self.title,
            argv=(str(self._programs / "postgres"), "-D", str(self.data), *options),
            cwd=self.data,
            log=self.log,
            env=clean_environment("PG"),
            stop_signal=signal.SIGINT,
            user=self._user,
        )

    def _answers(self, port: int) -> bool:
        asks: list[str | Path] = [
            self._programs / "pg_isready",
            "--quiet",
            "--timeout=2",
            "--host=127.0.0.1",
            f"--port={port}",
        ]
        return subprocess.run(asks, env=clean_environment("PG"), check=False).returncode == 0

    def _run(self, command: Sequence[str | Path], text: str = "") -> None:
        user, group = self._user or (None, None)
        extra: list[int] | None = None if self._user is None else []
        environment = clean_environment("PG")
        ran = subprocess.run(
            command, input=text, text=True, capture_output=True, cwd="/", env=environment, check=False,
            user=user, group=group, extra_groups=extra,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def _give(self, *files: Path) -> None:
        for file in files:
            if self._user is not None:
                os.chown(file, *self._user)


@contextmanager
def secured_postgres(data_dir: Path, progress: Progress) -> Iterator[SecuredPostgres]:
    """Run one while the block runs, with the role that needs a certificate."""
    with SecuredPostgres(data_dir, progress) as server:
        role = sql.Identifier(ROLE)
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute(sql.SQL("create role {} login password {}").format(role, PASSWORD))
            admin.execute(sql.SQL("grant create on schema public to {}").format(role))
        yield server


def _issued(by: trustme.CA, *names: str, common_name: str | None = None, days: int = 1) -> trustme.LeafCert:
    ends = datetime.now(UTC) + timedelta(days=days)
    begins = ends - timedelta(days=abs(days) + 1)
    return by.issue_cert(*names, common_name=common_name, not_before=begins, not_after=ends)


def _write(issued: trustme.LeafCert, cert: Path, key: Path) -> None:
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(key)
