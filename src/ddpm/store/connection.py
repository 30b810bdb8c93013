"""How ddpm reaches Postgres: one connection at a time, its errors translated, its password in no message.

Knows nothing of tables. Whatever leaves this package is an error of ddpm, never one of psycopg.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from ddpm.config.model import masked_url, url_passwords
from ddpm.errors import ConfigError, DdpmError, ServiceError

Connection = psycopg.Connection[tuple[Any, ...]]

_CONNECT_SECONDS = 10
_LOCK_TIMEOUT = "30s"
_HINT_URL = "check app.postgres.url"

# libpq hands on no SQLSTATE of a refused connection, only the server's text.
_REFUSED_FOR_CONFIGURATION = re.compile(
    r"authentication failed|no password supplied|role \".*\" does not exist|no pg_hba.conf entry|"
    r"is not permitted to log in|server does not support SSL|certificate|invalid .*option|invalid .*value",
    re.IGNORECASE,
)
_REASON = re.compile(r"^.*\b(?:failed|bad): (?:FATAL: +)?(.+)$", re.MULTILINE)


def reachable(url: str, timeout: float = 3.0) -> None:
    """Return when the database behind `url` answered a query just now; `timeout` is seconds, at least 2 for each host.

    Raises:
        ServiceError: It cannot be reached or does not let anybody in at the moment.
        ConfigError: It refuses this user, password or kind of connection.

    """
    with connect(url, connect_timeout=max(2, round(timeout))) as connection:
        connection.execute("SELECT 1")


@contextmanager
def connect(url: str, connect_timeout: int = _CONNECT_SECONDS) -> Iterator[Connection]:
    """Yield a connection inside of a transaction, which commits at the end of the block and rolls back on an error.

    Args:
        url: A Postgres URL; what it says itself of `connect_timeout` or `application_name` comes first.
        connect_timeout: Seconds for each host.

    Raises:
        ServiceError: The database cannot be reached, is lost on the way, or refuses for now.
        ConfigError: It refuses this user or password, or something that the configuration asks for.

    """
    with translate_errors(url):
        # A server without an encoding (SQL_ASCII) would hand out bytes.
        defaults = {"connect_timeout": connect_timeout, "application_name": "ddpm", "client_encoding": "UTF8"}
        given = _parse(url)
        missing: dict[str, Any] = {name: value for name, value in defaults.items() if name not in given}
        with psycopg.connect(url, **missing) as connection:
            # Whoever waited for a lock has to see what the other one did meanwhile.
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
            yield connection


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn whatever psycopg raises inside into a ServiceError or ConfigError that names the way out."""
    try:
        yield
    except DdpmError:
        raise
    except psycopg.Error as error:
        translated = _translated(url, error)
        # A traceback shows the cause as well.
        cause = None if any(password in str(error) for password in url_passwords(url)) else error
        raise translated from cause
    except UnicodeError as error:
        raise ConfigError(f"{where(url)} does not name a host", hint=_HINT_URL) from error


def where(url: str) -> str:
    """The database as messages name it: host, port and name, neither user nor password."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        return masked_url(url)
    host, port, name = given.get("host", "localhost"), given.get("port", "5432"), given.get("dbname", "")
    return f"{host}:{port}/{name}"


def _parse(url: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The parser's text quotes the part that it did not understand, which may be the password's.
        msg = f"{masked_url(url)} is not a Postgres URL"
        raise ConfigError(msg, hint="write postgresql://user:password@host:5432/database") from None


def _translated(url: str, error: psycopg.Error) -> DdpmError:
    text = _masked(url, str(error.diag.message_primary or error).strip())
    database = f"Postgres at {where(url)}"
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return _not_connected(database, text)
    match error:
        case errors.InsufficientPrivilege():
            return ServiceError(
                f"{database} does not allow this: {text}", hint="GRANT the user of ddpm what is missing"
            )
        case errors.ReadOnlySqlTransaction():
            return ServiceError(f"{database} is read-only: {text}", hint="connect to the primary server")
        case errors.LockNotAvailable():
            return ServiceError(f"{database}: a lock was not free for {_LOCK_TIMEOUT}", hint="end what holds the table")
        case psycopg.OperationalError():
            return ServiceError(f"{database} answers: {text}", hint="look at its log, then try again")
    return ConfigError(f"{database} answers: {text}{_detail(url, error)}", hint="correct app.postgres")


def _not_connected(database: str, text: str) -> DdpmError:
    if _REFUSED_FOR_CONFIGURATION.search(text):
        return ConfigError(f"{database} refuses the connection: {_reason(text)}", hint=_HINT_URL)
    return ServiceError(f"{database} cannot be reached: {_reason(text)}", hint=f"{_HINT_URL}, and that it runs")


def _masked(url: str, text: str) -> str:
    for password in sorted(url_passwords(url), key=len, reverse=True):
        text = text.replace(password, "***")
    return text


def _reason(text: str) -> str:
    """What went wrong, without what was tried, which libpq puts in front of it in every line."""
    found = [match[1].strip() for match in _REASON.finditer(text)]
    return "; ".join(dict.fromkeys(found)) or text.partition("\n")[0] or "no reason given"


def _detail(url: str, error: psycopg.Error) -> str:
    return f" ({_masked(url, error.diag.message_detail)})" if error.diag.message_detail else ""
