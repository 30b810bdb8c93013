"""Where files are: the configuration itself, and what it names."""

import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from ddpm.errors import ConfigError

VARIABLE = "CONFIG_PATH"
# What ddpm keeps, in the folder that it works in; the pipelines that were made through its API among it.
DATA_DIR = Path(".ddpm")
STORED_PIPELINES = DATA_DIR / "pipelines"
# Where `ddpm init` writes it.
DEFAULT_PATH = Path("app-config.yaml")
# Where ddpm's own checkout has it.
USUAL_PATHS = (Path("config/app-config.yaml"),)


# The parameters of a Postgres URL whose values are files; the variables of the same meaning are PG….
_FILES_OF_URL = re.compile(r"(?<=[?&])(?P<name>sslcert|sslkey|sslrootcert|sslcrl|passfile)=(?P<path>[^&#]+)")
_FILES_OF_ENVIRONMENT = ("PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT", "PGSSLCRL", "PGPASSFILE", "PGSERVICEFILE")
# What Linux and its usual file systems take.
_LONGEST_NAME = 255
_LONGEST_PATH = 4095
# In place of a file, the certificates of the operating system.
SYSTEM_ROOTS = "system"
NO_SYSTEM_ROOTS = (
    "sslrootcert=system finds no file of trusted certificates on this machine; install the package ca-certificates, "
    "or name the file in the variable SSL_CERT_FILE"
)
# Where distributions have them in one file, as Go's crypto/x509 looks for them.
_ROOT_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def with_absolute_files(url: str) -> str:
    """A Postgres URL whose files are named absolutely, for a process that works in another folder."""

    def absolute(found: re.Match[str]) -> str:
        return f"{found['name']}={quote(_absolute(unquote(found['path'])), safe='/:~')}"

    return _FILES_OF_URL.sub(absolute, url)


def absolute_in_environment(env: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Postgres's variables name files absolutely, as `with_absolute_files` does."""
    named = {name: _absolute(env[name]) for name in _FILES_OF_ENVIRONMENT if env.get(name)}
    return {**env, **named}


def system_roots() -> Path | None:
    """The file with the certificates of authorities that this machine trusts; None where there is none.

    The variable SSL_CERT_FILE names another one, as it does for OpenSSL and Go. It has to be found here, because the
    libpq that comes with psycopg was built for a folder that no machine has.
    """
    named = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    files = (Path(path) for path in ([named] if named else _ROOT_FILES))
    return next((path.absolute() for path in files if _holds(path.is_file)), None)


def _absolute(path: str) -> str:
    return path if path == SYSTEM_ROOTS else str(Path(path).absolute())


def find_config_path(option: Path | None, env: Mapping[str, str]) -> Path:
    """The configuration: what `--config`, or else the variable CONFIG_PATH, names; without both `./app-config.yaml`.

    It is a file, or a folder of them. Raises ConfigError when it is not there.
    """
    named = env.get(VARIABLE, "").strip()
    path, namer = (option, "--config") if option is not None else (Path(named), VARIABLE)
    usual = next((usual for usual in USUAL_PATHS if usual.is_file()), None)
    default = f"{VARIABLE}={usual or 'path/to/app-config.yaml'}"
    if option is None and not named:
        if DEFAULT_PATH.is_file():
            return DEFAULT_PATH
        msg = f"there is no {DEFAULT_PATH} in {Path.cwd()}, and neither --config nor {VARIABLE} names another file"
        raise ConfigError(msg, hint=f"export {default}" if usual else "`ddpm init` writes one to begin with")
    if not (_holds(path.is_file) or _holds(path.is_dir)):
        state = "is not a file" if _holds(path.exists) else "does not exist"
        msg = f"the configuration {path}, which {namer} names, {state}"
        example = f"export {default}" if option is None else f"--config {usual or 'path/to/app-config.yaml'}"
        raise ConfigError(msg, hint=f"looked from {Path.cwd()}; correct {namer}, for example: {example}")
    return path


def unfit(path: Path) -> str | None:
    """Why no file can have this path; None when one can."""
    if "\0" in str(path):
        return "holds the character NUL"
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > _LONGEST_NAME:
        return f"has a name of {longest} bytes; a file's name has at most {_LONGEST_NAME}"
    total = len(os.fsencode(path))
    return f"has {total} bytes; a path has at most {_LONGEST_PATH}" if total > _LONGEST_PATH else None


def existing_file(path: Path, folders: Sequence[Path]) -> Path | None:
    """The file that a path means: as it is when absolute, else in the first of the folders that has it."""
    candidates = (Path(os.path.abspath(folder / path)) for folder in folders)  # noqa: PTH100 -- resolve() follows links
    return next((candidate for candidate in candidates if _holds(candidate.is_file)), None)


def existing(path: Path, folders: Sequence[Path]) -> Path | None:
    """The file or folder that a path means, found as `existing_file` does."""
    candidates = (Path(os.path.abspath(folder / path)) for folder in folders)  # noqa: PTH100 -- as above
    return next((candidate for candidate in candidates if _holds(candidate.exists)), None)


def output_file(path: Path, folders: Sequence[Path]) -> Path:
    """Where a file is to be written: beside the first folder in which its parent exists, else below the first one."""
    candidates = [Path(os.path.abspath(folder / path)) for folder in folders]  # noqa: PTH100 -- as above
    return next((candidate for candidate in candidates if _holds(candidate.parent.is_dir)), candidates[0])


def from_here(path: Path) -> Path:
    """A path as a person would write it: relative to the working folder when it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _holds(question: Callable[[], bool]) -> bool:
    """What a question about a path is answered; a path that no file can have, too long for example, is not there."""
    try:
        return question()
    except (OSError, ValueError):
        return False
