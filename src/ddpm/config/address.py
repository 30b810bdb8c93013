"""The one reading of a Postgres URL: its text becomes parts, which both clients (libpq and the engine's pgx) are given.

The grammar is libpq's (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS), except that
what could be meant in two ways is refused. libpq's other form, `host=db user=loader`, is made a URL once
(`url_from_keywords`). Only options that both clients take alike are known. Pure: no file, no network, no environment.
No message holds a password.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, unquote

EMBEDDED = "embedded"
URL_SCHEMES = ("postgresql://", "postgres://")
DEFAULT_PORT = 5432

_LAST_PORT = 65_535
_LONGEST_NAME = 253
_SECRETS = ("password", "sslpassword")
_PARTS = ("host", "port", "user", "password", "dbname")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMBER = re.compile(r"[0-9]{1,5}")
_MISTYPED_NUMBER = re.compile(r"(?=.*[0-9].*[0-9])[0-9][0-9A-Za-z.-]{1,5}")
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_IPV6 = re.compile(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_SHAPE = "write postgresql://user:${PGPASSWORD}@host:5432/database"
_UNCLEAR = (
    "the parts of this URL cannot be told apart; write the special characters of user and password as "
    "% and two digits: @ is %40, : is %3A, / is %2F, # is %23, ? is %3F"
)
_VERIFYING = ("verify-ca", "verify-full")
# libpq's form of keywords and values: a value in single quotes, or one without blanks; a backslash takes the next
# character as it is.
_KEYWORDS = re.compile(r"\s*[A-Za-z_]+\s*=")
_PAIR = re.compile(
    r"\s*(?P<key>[^\s=']+)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>(?!')(?:[^\s\\]|\\.)*))(?=\s|$)", re.DOTALL
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class AddressError(ValueError):
    """A text that is not an address for both clients; says why and what to write, without any password."""


class Server(NamedTuple):
    """A host, or the folder of a Unix socket, and its port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Address:
    """What a Postgres URL says.

    Attributes:
        servers: Tried in this order; never empty.
        user: None where the URL names none.
        password: None where there is none, or an empty one.
        database: None where the URL names none.
        options: Every other option by its libpq name, such as `sslmode`.

    """

    servers: tuple[Server, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    options: Mapping[str, str] = field(repr=False)

    def parts(self, default_user: str) -> dict[str, str]:
        """All of it by libpq's keywords; a user that is not named is `default_user`, a database the user's name.

        Of several servers the one that takes rows is wanted, unless `target_session_attrs` says otherwise: the first of
        them may be a standby.
        """
        user = self.user or default_user
        return {
            "host": ",".join(server.host for server in self.servers),
            "port": ",".join(str(server.port) for server in self.servers),
            "user": user,
            "password": self.password or "",
            "dbname": self.database or user,
            **({"target_session_attrs": "read-write"} if len(self.servers) > 1 else {}),
            **self.options,
        }

    @property
    def place(self) -> str:
        """The database as messages name it: hosts, ports and name, neither user nor password."""
        servers = ",".join(
            f"[{host}]:{port}" if _IPV6.fullmatch(host) else f"{host}:{port}" for host, port in self.servers
        )
        return f"{servers}/{self.database or ''}"


def parse_address(url: str) -> Address:
    """Read a Postgres URL, or an address in libpq's form of keywords and values; raises AddressError."""
    url = url_from_keywords(url) or url
    if not url.startswith(URL_SCHEMES):
        msg = f'not a Postgres URL; {_SHAPE}, or "{EMBEDDED}"'
        raise AddressError(msg)
    pieces = _split(url)
    if pieces is None:
        raise AddressError(_UNCLEAR)
    query = _query(pieces.query)
    user, _, password = pieces.user_info.partition(":")
    given = {"user": _decoded("user", user), "password": _decoded("password", password)}
    given["dbname"] = _decoded("database", pieces.path)
    given |= {key: value for key, value in query.items() if key in ("user", "password", "dbname")}
    return Address(
        servers=_servers(pieces.hosts, query),
        user=given["user"] or None,
        password=given["password"] or None,
        database=given["dbname"] or None,
        options=_options({key: value for key, value in query.items() if key not in _PARTS}),
    )


def url_from_keywords(text: str) -> str | None:
    """The URL that says what an address in libpq's form of keywords and values says; None for any other text.

    Raises AddressError where keywords and values cannot be told apart.
    """
    if not _KEYWORDS.match(text):
        return None
    pairs, end = [], 0
    text = text.strip()
    while end < len(text):
        found = _PAIR.match(text, end)
        if found is None:
            msg = (
                "the keywords and values of this address cannot be told apart; write host=db port=5432 user=loader "
                "dbname=orders, and a value with blanks or quotes as 'it\\'s'"
            )
            raise AddressError(msg)
        written = found["bare"] if found["quoted"] is None else found["quoted"]
        pairs.append((found["key"], _ESCAPED.sub(r"\1", written)))
        end = found.end()
    query = "&".join(f"{quote(key, safe='')}={quote(value, safe='/:,')}" for key, value in pairs)
    return f"{URL_SCHEMES[0]}/?{query}"


def url_is_clean(url: str) -> bool:
    """Whether a URL's parts are where they seem; a bare special character in a password would move them."""
    return _split(url) is not None


def web_fault(url: str, schemes: Sequence[str] = ("http", "https")) -> str | None:
    """Why a URL does not name one server of these schemes; None when it does. Quotes no password."""
    pieces = _split(url)
    if pieces is None:
        return _UNCLEAR if "@" in url else f"it is not a URL of {' or '.join(schemes)}"
    name, port = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(.*))?", pieces.hosts).groups()  # type: ignore[union-attr]
    if pieces.scheme not in schemes or not name:
        return f"it is not a URL of {' or '.join(schemes)}"
    if not (_HOST_NAME.fullmatch(name) or _IPV6.fullmatch(name.strip("[]"))):
        return "the host is neither the name of a machine in ASCII nor an IP address"
    return port_fault(port) if port else None


def masked_url(url: str) -> str:
    """A URL fit to be shown: its passwords are `***`; a URL that cannot be taken apart is wholly `***`."""
    if url == EMBEDDED:
        return url
    pieces = _split(url)
    if pieces is None:
        return "***"
    user, colon, _ = pieces.user_info.partition(":")
    user_info = f"{user}:***@" if colon else f"{user}@" if pieces.has_user_info else ""
    query = re.sub(r"(?i)((?:^|&)(?:password|sslpassword)=)[^&]*", r"\1***", pieces.query)
    rest = f"{'/' if pieces.has_path else ''}{pieces.path}{'?' if query else ''}{query}"
    return f"{pieces.scheme}://{user_info}{pieces.hosts}{rest}"


def url_passwords(url: str) -> tuple[str, ...]:
    """The passwords in a URL, as written and as decoded; empty for `embedded` and for what cannot be taken apart."""
    pieces = None if url == EMBEDDED else _split(url)
    if pieces is None:
        return ()
    written = [pieces.user_info.partition(":")[2]]
    written += re.findall(r"(?i)(?:^|&)(?:password|sslpassword)=([^&]*)", pieces.query)
    return tuple(dict.fromkeys(text for text in (*written, *map(unquote, written)) if text))


class _Pieces(NamedTuple):
    """A URL cut at its separators, nothing decoded."""

    scheme: str
    user_info: str
    has_user_info: bool
    hosts: str
    has_path: bool
    path: str
    query: str


def _split(url: str) -> _Pieces | None:
    """Cut a URL of any scheme; None where a special character that stands bare may have moved a part."""
    scheme, separator, rest = url.partition("://")
    if not separator or "#" in rest or _CONTROL.search(rest):
        return None
    head, _, query = rest.partition("?")
    authority, slash, path = head.partition("/")
    user_info, at, hosts = authority.rpartition("@")
    if "@" in user_info + path + query:
        return None
    if ":" not in user_info and _BAD_PERCENT.search(user_info):
        # It may stand where the colon before a password should.
        return None
    ports_fit = all(_port_fits(host, certain=bool(at)) for host in hosts.split(","))
    pairs_fit = all("=" in pair for pair in query.split("&") if pair)
    if not (ports_fit and pairs_fit):
        return None
    return _Pieces(scheme, user_info, bool(at), hosts, bool(slash), path, query)


def _port_fits(host: str, *, certain: bool) -> bool:
    """Whether what stands behind a host's colon is meant as its port: without a user it may be a password."""
    match = re.fullmatch(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::([^:\[\]]*))?", host)
    if match is None:
        return False
    port = match[1] or ""
    return certain or not port or bool(_NUMBER.fullmatch(port) or _MISTYPED_NUMBER.fullmatch(port))


def _decoded(name: str, text: str) -> str:
    if _BAD_PERCENT.search(text):
        msg = f"a % in the {name} is not followed by two digits; write % itself as %25"
        raise AddressError(msg)
    try:
        decoded = unquote(text, errors="strict")
        decoded.encode()
    except UnicodeError:
        msg = f"the {name} is not UTF-8"
        raise AddressError(msg) from None
    if "\0" in decoded:
        msg = f"the {name} cannot hold the character NUL"
        raise AddressError(msg)
    return decoded


def _servers(hosts: str, query: Mapping[str, str]) -> tuple[Server, ...]:
    names, ports = [], []
    for item in hosts.split(","):
        bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", item)
        name, port = (bracketed[1], bracketed[2] or "") if bracketed else item.partition(":")[::2]
        names.append(_decoded("host", name))
        ports.append(_decoded("port", port))
    if "host" in query:
        names = query["host"].split(",")
    if "port" in query:
        ports = query["port"].split(",")
    if len(ports) == 1 or not any(ports):
        ports = ports[:1] * len(names)
    if len(ports) != len(names):
        msg = f"{len(names)} hosts and {len(ports)} ports do not fit; write one port for each, or one for all"
        raise AddressError(msg)
    return tuple(Server(_host(name), _postgres_port(port)) for name, port in zip(names, ports, strict=True))


def _host(name: str) -> str:
    if not name:
        msg = f"no host is named; {_SHAPE}, or for a Unix socket postgresql://user@/database?host=/var/run/postgresql"
        raise AddressError(msg)
    if name.startswith("/") or _IPV6.fullmatch(name):
        return name
    if not (_HOST_NAME.fullmatch(name) and len(name) <= _LONGEST_NAME):
        msg = "the host is neither the name of a machine in ASCII, nor an IP address, nor the folder of a socket"
        raise AddressError(msg)
    return name


def _postgres_port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    fault = port_fault(text)
    if fault:
        msg = f"{fault}; {_SHAPE}"
        raise AddressError(msg)
    return int(text)


def port_fault(text: str) -> str | None:
    """Why a text is not a port; None when it is one. It is quoted only if it looks like a number with a slip."""
    if not _NUMBER.fullmatch(text):
        # Whatever is nowhere near a number may be a password.
        named = f"the port {text}" if _MISTYPED_NUMBER.fullmatch(text) else "the port"
        return f"{named} is not a number"
    if not 0 < int(text) <= _LAST_PORT:
        return f"the port {text} is not between 1 and {_LAST_PORT}"
    return None


def _query(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, text.split("&")):
        written, _, value = pair.partition("=")
        key = _decoded("query", written)
        decoded = _decoded(f"value of {key}" if _KEY.fullmatch(key) else "query", value)
        if key == "ssl" and decoded == "true":
            # As other drivers write it, and libpq takes it.
            key, decoded = "sslmode", "require"
        if key in found:
            msg = f"{_named(key)} is given twice"
            raise AddressError(msg)
        found[key] = decoded
    return found


def _options(given: Mapping[str, str]) -> dict[str, str]:
    for key, value in given.items():
        rule = _OPTIONS.get(key)
        if rule is None:
            raise AddressError(_not_taken(key))
        if not rule.fits(value):
            # The value is not quoted: one of them is a password.
            msg = f"{key} takes {rule.takes}"
            raise AddressError(msg)
    # An empty value means what leaving the option out means, for both clients.
    options = {key: value for key, value in given.items() if value and key != "client_encoding"}
    for broken, message in _rules(options):
        if broken:
            raise AddressError(message)
    return options


def _rules(options: Mapping[str, str]) -> Iterable[tuple[bool, str]]:
    """What the two clients would understand differently, and what to write instead."""
    mode, root = options.get("sslmode"), options.get("sslrootcert")
    pair = {"sslcert", "sslkey"} & options.keys()
    yield (
        mode in _VERIFYING and root is None,
        (f"sslmode={mode} needs sslrootcert=/path/to/root.crt, or sslrootcert=system for those of this machine"),
    )
    yield root == "system" and mode != "verify-full", "sslrootcert=system needs sslmode=verify-full"
    yield (
        root is not None and mode not in ("require", *_VERIFYING),
        ("sslrootcert needs sslmode=verify-full, verify-ca or require"),
    )
    yield len(pair) == 1, "sslcert and sslkey need each other"
    yield (
        options.get("sslnegotiation") == "direct" and mode not in ("require", *_VERIFYING),
        ("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full"),
    )
    # pgx names the server that it verifies in any case.
    yield (
        options.get("sslsni") == "0" and mode == "verify-full",
        "sslsni=0 does not go with sslmode=verify-full; omit it",
    )
    lowest, highest = (options.get(f"ssl_{which}_protocol_version", "") for which in ("min", "max"))
    yield (
        bool(lowest and highest) and lowest > highest,
        "ssl_min_protocol_version is later than ssl_max_protocol_version",
    )


def _not_taken(key: str) -> str:
    way_out = NOT_TAKEN.get(key)
    if way_out is not None:
        return f"{key} is not supported: {way_out}"
    near = difflib.get_close_matches(key.lower(), (*_PARTS, *_OPTIONS), n=1, cutoff=0.75)
    if near:
        return f'{_named(key)} is not supported; did you mean "{near[0]}"?'
    setting = key if _KEY.fullmatch(key) else "NAME"
    return (
        f"{_named(key)} is not supported; a setting of the server is written options=-c%20{setting}%3DVALUE; "
        f"supported are {', '.join((*_PARTS, *_OPTIONS))}"
    )


def _named(key: str) -> str:
    return key if _KEY.fullmatch(key) else "a key of the query"


class _Rule(NamedTuple):
    fits: Callable[[str], bool]
    takes: str


def _one_of(*values: str) -> _Rule:
    return _Rule(
        lambda value: value in ("", *values), " or ".join((", ".join(values[:-1]), values[-1])).removeprefix(" or ")
    )


def _whole(least: int, most: int) -> _Rule:
    def fits(value: str) -> bool:
        return not value or bool(re.fullmatch(r"[0-9]{1,9}", value) and least <= int(value) <= most)

    return _Rule(fits, f"a whole number from {least} to {most}")


_TEXT = _Rule(lambda _: True, "a text")
_FILE = _Rule(lambda value: not value or value.startswith("/"), "the absolute path of a file")
_SECONDS = _whole(0, 86_400)

# What libpq and pgx both take, or what ddpm translates for the engine (keepalives, versions of TLS).
_OPTIONS: Mapping[str, _Rule] = {
    "sslmode": _one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslrootcert": _Rule(
        lambda value: value == "system" or _FILE.fits(value), 'the absolute path of a file, or "system"'
    ),
    "sslcert": _FILE,
    "sslkey": _FILE,
    "sslpassword": _TEXT,
    "sslsni": _one_of("0", "1"),
    "sslnegotiation": _one_of("postgres", "direct"),
    "ssl_min_protocol_version": _one_of("TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": _one_of("TLSv1.2", "TLSv1.3"),
    "channel_binding": _one_of("disable", "prefer", "require"),
    "target_session_attrs": _Rule(
        lambda value: value in ("", "any", "read-write", "primary"),
        "any, read-write or primary: ddpm writes, which no standby allows",
    ),
    "connect_timeout": _SECONDS,
    "application_name": _TEXT,
    "options": _TEXT,
    "keepalives": _one_of("0", "1"),
    "keepalives_idle": _SECONDS,
    "keepalives_interval": _SECONDS,
    "keepalives_count": _whole(0, 1_000),
    "gssencmode": _Rule(lambda value: value in ("", "disable"), "disable only: the engine encrypts by TLS"),
    "client_encoding": _Rule(
        lambda value: value.lower().replace("-", "") in ("", "utf8"), "UTF8 only: ddpm writes UTF-8"
    ),
}
_NO_KERBEROS = "the engine does not log in by Kerberos; use a password or a client certificate (sslcert, sslkey)"
_NO_OAUTH = "the engine does not log in by OAuth; use a password or a client certificate (sslcert, sslkey)"
_NO_REVOCATION = "the engine's client reads no revocation lists; name an authority in sslrootcert that is trusted alone"
_ONE_PROTOCOL = "omit it; both clients speak version 3.0 of the protocol, which every server and pooler takes"

# Every other keyword of libpq or pgx, and the way out. What pgx does not know it would send to the server as a setting.
NOT_TAKEN: Mapping[str, str] = {
    "database": "write dbname",
    "hostaddr": "write the address as the host",
    "service": "write what the service file says into the URL; ddpm reads no service files",
    "servicefile": "write what the service file says into the URL; ddpm reads no service files",
    "passfile": "ddpm reads no password files; write the password as ${PGPASSWORD} or ${file:/path}",
    "tcp_user_timeout": "app.postgres.write_timeout says how long the server may stay silent",
    "load_balance_hosts": "hosts are tried in the order in which they stand",
    "fallback_application_name": "write application_name",
    "sslcrl": _NO_REVOCATION,
    "sslcrldir": _NO_REVOCATION,
    "sslcompression": "omit it; TLS is not compressed",
    "sslcertmode": "omit it; a client certificate is sent where sslcert names one",
    "sslkeylogfile": "omit it; the keys of connections are written nowhere",
    "require_auth": (
        "the engine's client cannot choose how it logs in; sslmode=verify-full and channel_binding=require make sure "
        "that the password reaches this server alone"
    ),
    "requirepeer": "omit it; who may enter the socket's folder decides which server is there",
    "min_protocol_version": _ONE_PROTOCOL,
    "max_protocol_version": _ONE_PROTOCOL,
    "krbsrvname": _NO_KERBEROS,
    "krbspn": _NO_KERBEROS,
    "gsslib": _NO_KERBEROS,
    "gssdelegation": _NO_KERBEROS,
    "replication": "omit it; ddpm writes rows",
    "scram_client_key": "write the password",
    "scram_server_key": "write the password",
    "oauth_issuer": _NO_OAUTH,
    "oauth_client_id": _NO_OAUTH,
    "oauth_client_secret": _NO_OAUTH,
    "oauth_scope": _NO_OAUTH,
    "oauth_ca_file": _NO_OAUTH,
}
