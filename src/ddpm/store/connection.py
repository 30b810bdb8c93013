"""How ddpm reaches Postgres: one connection at a time, its errors translated, its password in no message.

Knows nothing of tables. Whatever leaves this package is an error of ddpm, never one of psycopg.
"""

import os
import pwd
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from psycopg import errors, sql

from ddpm.config.address import AddressError, masked_url, parse_address, url_passwords
from ddpm.config.paths import NO_SYSTEM_ROOTS, SYSTEM_ROOTS, system_roots
from ddpm.errors import ConfigError, DdpmError, MismatchError, ServiceError
from ddpm.store.certificates import untrusted

Connection = psycopg.Connection[tuple[Any, ...]]

_CONNECT_SECONDS = 10
_LOCK_TIMEOUT = "30s"
_HINT_URL = "check app.postgres.url"
# A path that names nothing: with an empty one libpq looks for a file in the home folder.
_NO_FILE = "/dev/null/none"
# What libpq would otherwise take from the environment (PGHOST, PGPASSWORD …) or from files in the home folder.
_NOTHING_BY_SURPRISE = {
    "hostaddr": "",
    "requirepeer": "",
    "load_balance_hosts": "disable",
    "sslnegotiation": "postgres",
    "passfile": _NO_FILE,
    "sslmode": "prefer",
    "sslrootcert": _NO_FILE,
    "sslcert": _NO_FILE,
    "sslkey": _NO_FILE,
    "sslcrl": _NO_FILE,
    "sslpassword": "",
    "sslsni": "1",
    "channel_binding": "prefer",
    "gssencmode": "disable",
    "target_session_attrs": "any",
    "options": "",
    "client_encoding": "UTF8",
}

_NOT_LET_IN = r"password authentication failed|no password supplied"
_UNTRUSTED = r"certificate verify failed"
# libpq hands on no SQLSTATE of a refused connection, only the server's text. Behind a refusal stands what a person can
# do about it, with the names that the text quotes and the user's.
_REFUSED: Sequence[tuple[str, str]] = (
    (_NOT_LET_IN, "check the user and the password in app.postgres.url"),
    (
        r'database "(?P<name>.*)" does not exist|no such database: (?P<other>\S+)',
        "CREATE DATABASE {name}; or correct the database in app.postgres.url",
    ),
    (
        r'role "(?P<name>.*)" does not exist|no such user: (?P<other>\S+)',
        "CREATE ROLE {name} LOGIN PASSWORD '…'; or correct the user in app.postgres.url",
    ),
    (r'role "(?P<name>.*)" is not permitted to log in', "ALTER ROLE {name} LOGIN;"),
    (r'permission denied for database "(?P<name>.*)"', "GRANT CONNECT ON DATABASE {name} TO {user};"),
    (r"no pg_hba.conf entry", "let this machine in by the server's pg_hba.conf, or ask for TLS: sslmode=require"),
    (r"server does not support SSL", "switch the server's ssl on, or write sslmode=prefer into app.postgres.url"),
    (r"requires a valid client certificate", "name a client certificate in app.postgres.url: sslcert and sslkey"),
    (
        r"certificate authentication failed",
        "the name (CN) of the client certificate, which sslcert names, has to be the user's",
    ),
    (
        r"does not match host name",
        "correct the host in app.postgres.url to a name in the certificate, or have one made for this host",
    ),
    (_UNTRUSTED, "check the certificate of the server, sslrootcert in app.postgres.url, and the clock"),
    (
        r"alert unknown ca|alert bad certificate",
        "the server does not trust the client certificate, which sslcert names: have it signed by an authority of its "
        "ssl_ca_file",
    ),
    (r"alert certificate expired", "renew the client certificate, which sslcert names"),
    (r"alert certificate revoked", "replace the client certificate, which sslcert names"),
    (r"private key file .* access", "chmod 0600 the file that sslkey names"),
    (r"certificate", "check sslmode, sslrootcert, sslcert and sslkey in app.postgres.url"),
    (
        r"unrecognized configuration parameter|invalid value for parameter|invalid command-line argument",
        "correct options in app.postgres.url",
    ),
    (r"unsupported startup parameter", "leave out of app.postgres.url what the pool of connections does not take"),
)
_ANSWERS = "answers", "look at its log, then try again"
_STATEMENT_MODE = (
    "is a PgBouncer in statement mode",
    "set pool_mode = transaction, or session, in PgBouncer: ddpm writes in transactions",
)
_DENIED = re.compile(
    r'permission denied for (?P<kind>[a-z ]+?) "?(?P<name>[^"]+)"?$|must be owner of [a-z ]+? "?(?P<owned>[^"]+)"?$'
)
# What a role needs of the tables that ddpm keeps; of any other it writes rows.
_RIGHTS = {
    "ddpm_schema": "SELECT",
    "ddpm_replays": "SELECT, INSERT, UPDATE, DELETE",
}
_SCHEMAS_OF = """
SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = %(name)s AND c.relkind IN ('r', 'p')
"""
_REASON = re.compile(r"^.*\b(?:failed|bad): (?:FATAL: +)?(.+)$", re.MULTILINE)


def reachable(url: str, timeout: float = 3.0) -> None:
    """Return when the database behind `url` answered a query just now; `timeout` is seconds, at least 2 for each host.

    Raises:
        ServiceError: It cannot be reached, or does not let this user in.
        ConfigError: The URL makes no sense.

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
        ServiceError: The database cannot be reached, is lost on the way, does not let this user in, or lacks a right.
        MismatchError: It refuses something that the configuration asks for.
        ConfigError: The URL makes no sense.

    """
    given = keywords(url, connect_timeout, "ddpm")
    with translate_errors(url), psycopg.connect(**given, cursor_factory=_Cursor) as connection:
        # A statement that the server remembers would outlive this client in a pool of connections.
        connection.prepare_threshold = None
        # Anyone who waited for a lock has to see what the other one did meanwhile.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
        try:
            yield connection
        except errors.InsufficientPrivilege as error:
            raise _lacks_right(connection, url, error) from error


class _Cursor(psycopg.Cursor[Any]):
    """Takes names with a percent sign beside parameters: psycopg would read a placeholder in them."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:  # noqa: ANN401 -- psycopg's types
        """As psycopg does it."""
        if params is not None and isinstance(query, sql.Composed):
            query = self._doubled(query)
        return super().execute(query, params, **options)

    def _doubled(self, part: sql.Composable) -> sql.Composable:
        if isinstance(part, sql.Composed):
            return sql.Composed([self._doubled(each) for each in part])
        if isinstance(part, sql.Identifier | sql.Literal):
            return sql.SQL(part.as_string(self).replace("%", "%%"))
        return part


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn whatever psycopg raises inside into a ServiceError or MismatchError that names the way out."""
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
        return parse_address(url).place
    except AddressError:
        return masked_url(url)


def parts(url: str) -> dict[str, str]:
    """What a Postgres URL says, by libpq's keywords; both clients get this and read nothing else.

    A user that is not named is the one that runs ddpm, a database that is not named has the user's name. For
    `sslrootcert=system` they name the file that holds this machine's certificates.

    Raises:
        ConfigError: The URL makes no sense, names no user where the system has no name for this one, or wants the
            machine's certificates where it has none.

    """
    try:
        address = parse_address(url)
        found = address.parts(address.user or pwd.getpwuid(os.geteuid()).pw_name)
    except AddressError as error:
        raise ConfigError(f"{masked_url(url)} is not a Postgres URL: {error}", hint=_HINT_URL) from None
    except KeyError:
        raise ConfigError(f"{masked_url(url)} names no user", hint="write postgresql://user@host…") from None
    if found.get("sslrootcert") == SYSTEM_ROOTS:
        roots = system_roots()
        if roots is None:
            raise ConfigError(f"{masked_url(url)}: {NO_SYSTEM_ROOTS}")
        found["sslrootcert"] = str(roots)
    return found


def keywords(url: str, connect_timeout: int, application_name: str) -> dict[str, Any]:
    """What psycopg is given for a URL; the URL's own `connect_timeout` and `application_name` come first.

    Raises ConfigError, as `parts` does.
    """
    defaults = {"connect_timeout": str(connect_timeout), "application_name": application_name}
    return _NOTHING_BY_SURPRISE | defaults | parts(url)


def _translated(url: str, error: psycopg.Error) -> DdpmError:
    text = _masked(url, str(error.diag.message_primary or error).strip())
    database = f"Postgres at {where(url)}"
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return _not_connected(url, database, text)
    match error:
        case errors.InsufficientPrivilege():
            hint = f"GRANT what is missing to {_user(url)}"
            return ServiceError(f"{database} does not allow this: {text}", hint=hint)
        case errors.ReadOnlySqlTransaction():
            return ServiceError(f"{database} is read-only: {text}", hint="connect to the primary server")
        case errors.LockNotAvailable():
            return ServiceError(f"{database}: a lock was not free for {_LOCK_TIMEOUT}", hint="end what holds the table")
        case psycopg.OperationalError():
            what, hint = _STATEMENT_MODE if "statement pooling mode" in text else _ANSWERS
            return ServiceError(f"{database} {what}: {text}", hint=hint)
    return MismatchError(f"{database} answers: {text}{_detail(url, error)}", hint="correct app.postgres")


def _lacks_right(connection: Connection, url: str, error: errors.InsufficientPrivilege) -> ServiceError:
    """Name the statement that gives the right which is missing, with the table's schema and the role."""
    connection.rollback()
    role = sql.Identifier(connection.info.user).as_string(None)
    text = error.diag.message_primary or ""
    denied = _DENIED.search(text)
    hint = f"GRANT what is missing to {role}"
    if denied and denied["owned"]:
        hint = f"ALTER TABLE {_full_name(connection, denied['owned'])} OWNER TO {role};"
    elif denied and denied["kind"] == "table":
        name = denied["name"]
        hint = f"GRANT {_RIGHTS.get(name, 'SELECT, INSERT')} ON {_full_name(connection, name)} TO {role};"
    elif denied and denied["kind"] in ("schema", "sequence"):
        hint = f"GRANT USAGE ON {denied['kind'].upper()} {sql.Identifier(denied['name']).as_string(None)} TO {role};"
    return ServiceError(f"Postgres at {where(url)} does not allow this: {text}", hint=hint)


def _full_name(connection: Connection, table: str) -> str:
    """The table as SQL names it, with its schema if only one has a table of this name."""
    schemas = [str(row[0]) for row in connection.execute(_SCHEMAS_OF, {"name": table})]
    return (
        sql.Identifier(*schemas, table).as_string(None) if len(schemas) == 1 else sql.Identifier(table).as_string(None)
    )


def _not_connected(url: str, database: str, text: str) -> ServiceError:
    reason = _reason(text)
    given = parts(url)
    if re.search(_UNTRUSTED, reason) and (said := untrusted(given)):
        reason = f"{reason}: {said}"
    if re.search(_NOT_LET_IN, reason) and "sslcert" in given:
        # A server that wants the certificate besides the password says the same of both.
        reason += "; or the name (CN) of the client certificate is another than the user's"
    for pattern, way_out in _REFUSED:
        if match := re.search(pattern, text, re.IGNORECASE):
            named = match.groupdict()
            name = sql.Identifier(named.get("name") or named.get("other") or "").as_string(None)
            hint = way_out.format(name=name, user=_user(url))
            return ServiceError(f"{database} refuses the connection: {reason}", hint=hint)
    return ServiceError(f"{database} cannot be reached: {reason}", hint=f"{_HINT_URL}, and that it runs")


def _user(url: str) -> str:
    return sql.Identifier(parts(url)["user"]).as_string(None)


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
