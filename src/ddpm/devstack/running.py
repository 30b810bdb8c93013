"""Where the embedded servers of another ddpm answer, for commands that talk to them."""

from pathlib import Path

from ddpm.devstack import kafka, postgres
from ddpm.errors import MissingToolError

_START = "start it with `ddpm run`"
_ADVERTISED = "advertised.listeners=PLAINTEXT://"


def running_bootstrap(data_dir: Path, hint: str = _START) -> str:
    """The address, `host:port`, of the embedded Kafka that runs on this data folder.

    Raises:
        MissingToolError: None runs.

    """
    folder = data_dir.resolve() / "kafka"
    if kafka.running_on(folder):
        for line in (folder / "server.properties").read_text(encoding="utf-8").splitlines():
            if line.startswith(_ADVERTISED):
                return line.removeprefix(_ADVERTISED).partition(",")[0]
    msg = f"no embedded Kafka runs on {folder}"
    raise MissingToolError(msg, hint=hint)


def running_dsn(data_dir: Path) -> str:
    """The address of the embedded Postgres that runs on this data folder, with its password: not for the screen.

    Raises:
        MissingToolError: None runs.

    """
    folder = data_dir.resolve() / "postgres"
    server = postgres.EmbeddedPostgres(folder)
    if postgres.running_on(folder) and server.find():
        return server.dsn
    msg = f"no embedded PostgreSQL runs on {folder}"
    raise MissingToolError(msg, hint=_START)
