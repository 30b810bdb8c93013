"""Where the files stand that come with ddpm but are not Python: the engine's Go source, the locks of its tools."""

from pathlib import Path

import ddpm
from ddpm.errors import MissingToolError

_PACKAGE = Path(ddpm.__file__).parent
_CHECKOUT = _PACKAGE.parent.parent


def engine_source() -> Path:
    """The folder of the engine's Go module.

    Raises:
        MissingToolError: This installation of ddpm came without it.

    """
    return _find("_engine_source", "cmd/engine", "go.mod")


def tool_lock(name: str) -> Path:
    """The lock file `name` (`go.lock`, `java.lock`) of a tool that ddpm can fetch by itself.

    Raises:
        MissingToolError: This installation of ddpm came without it.

    """
    return _find("_requirements", "requirements", name) / name


def _find(in_package: str, in_checkout: str, member: str) -> Path:
    for folder in (_PACKAGE / in_package, _CHECKOUT / in_checkout):
        if (folder / member).is_file():
            return folder
    msg = f"{in_checkout}/{member} is neither in the installed package nor in a checkout"
    raise MissingToolError(msg, hint="run ddpm from its checkout, or install a wheel that carries it")
