"""Which ddpm a command talks to, and the token that it shows there.

The token comes from a file, the environment or the configuration, never from an option: others can read those in the
list of processes.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from ddpm.cli.configuration import read_config
from ddpm.cli.sources import Given
from ddpm.cli.text import plain
from ddpm.cli.trust import Trust
from ddpm.config import ConfigProblems
from ddpm.config.model import Role, Server
from ddpm.config.paths import DEFAULT_PATH
from ddpm.config.paths import VARIABLE as CONFIG_VARIABLE
from ddpm.errors import ConfigError, MissingToolError

DEFAULT_URL = "http://127.0.0.1:4195"
TOKEN_VARIABLE = "DDPM_TOKEN"  # noqa: S105 -- the name of a variable

UrlOption = Annotated[
    str | None,
    typer.Option(
        envvar="DDPM_URL",
        help=f"Where ddpm answers; what the configuration says otherwise, and {DEFAULT_URL} without one.",
        show_default=False,
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        help=f"A file that holds the token; {TOKEN_VARIABLE} or the configuration's app.server.token otherwise.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ddpm answers, without a slash at its end, and what it is shown there.

    Attributes:
        url: The address.
        token: The token.
        token_from: Where the token comes from.
        trust: What its certificate is compared with.

    """

    url: str
    token: str | None = field(default=None, repr=False)
    token_from: str = ""
    trust: Trust = field(default=Trust(), repr=False)


def resolve(url: str | None, token_file: Path | None, config: Given | None, env: Mapping[str, str]) -> Address:
    """The ddpm that the options, the environment or the configuration name, in this order.

    Raises:
        ConfigError: One of them cannot be used.
        MissingToolError: The file of the token cannot be read.

    """
    token, origin = _own_token(token_file, env)
    own: Path | None = None
    if url is not None:
        # For the token alone; a configuration that only the environment names may belong to something else.
        server = _configured(config, env, strict=config is not None) if token is None else None
        found = _checked(url)
    else:
        server = _configured(config, env, strict=True)
        found = _url_of(server) if server else DEFAULT_URL
        own = server.tls.cert if server and server.tls else None
    if token is None and server is not None:
        token, origin = _configured_token(server)
    trust = Trust.of(env, own) if found.lower().startswith("https:") else Trust()
    return Address(found, _sendable(token, origin), origin, trust)


def _configured_token(server: Server) -> tuple[str | None, str]:
    """The token that may do everything, else the one that may do most."""
    if server.token is not None:
        return server.token.revealed, "app.server.token of the configuration"
    order = list(Role)
    most = max(server.tokens, key=lambda each: order.index(each.role), default=None)
    if most is None:
        return None, ""
    return most.token.revealed, f'the token "{most.name}" of app.server.tokens of the configuration'


def _own_token(file: Path | None, env: Mapping[str, str]) -> tuple[str | None, str]:
    if file is None:
        return env.get(TOKEN_VARIABLE, "").strip() or None, f"the environment variable {TOKEN_VARIABLE}"
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeError) as error:
        msg = f"the token in {file} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        raise MissingToolError(msg, hint="correct --token-file") from error
    if not token:
        msg = f"the file {file}, which --token-file names, is empty"
        raise ConfigError(msg, hint="write the token into it, on one line")
    return token, f"the file {file}"


def _sendable(token: str | None, origin: str) -> str | None:
    if token is not None and not (token.isascii() and token.isprintable()):
        msg = f"{origin} holds characters that no HTTP header can carry"
        raise ConfigError(msg, hint="use a token of printable ASCII characters, on one line")
    return token


def _configured(option: Given | None, env: Mapping[str, str], *, strict: bool) -> Server | None:
    if option is None and not env.get(CONFIG_VARIABLE, "").strip():
        if not DEFAULT_PATH.is_file():
            return None
        # It was not named, so one that is broken is no reason not to ask.
        strict = False
    try:
        return read_config(option, env=env).config.server
    except ConfigProblems as problems:
        if not strict:
            return None
        msg = f"{problems}\nthe configuration does not say where ddpm answers"
        raise ConfigError(msg, hint="--url or DDPM_URL do without it") from problems
    except ConfigError:
        if strict:
            raise
        return None


def _url_of(server: Server) -> str:
    if server.port == 0:
        msg = "app.server.port is 0, so only the running ddpm knows which port it was given"
        raise ConfigError(msg, hint="look at what `ddpm run` printed, and name that with --url or DDPM_URL")
    host, scheme = server.host, "http" if server.tls is None else "https"
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return f"{scheme}://{host}:{server.port}"
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 -- IPv4
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


def _checked(url: str) -> str:
    if "@" in url:
        # Not shown: what stands before it may be a password.
        msg = "the URL of ddpm holds a user's name or password"
        raise ConfigError(msg, hint=f"omit them; a token comes from --token-file or {TOKEN_VARIABLE}")
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "?" in url or "#" in url:
        msg = f'"{plain(url)}" is not the URL of a ddpm'
        raise ConfigError(msg, hint=f"write for example {DEFAULT_URL}")
    return url.strip().rstrip("/")
