"""The one tree of errors that ddpm raises on purpose.

Every error says what is wrong, where, and the way out; `exit_code` is what the command line ends with,
`retryable` says to the supervisor whether trying again can help. Nothing here touches the outside.

    DdpmError
     +-- ConfigError        2  the user's file or options are wrong
     |    +-- MismatchError 3  the file and the database do not fit; either may be changed
     |         +-- SchemaMismatchError  the user's table does not fit what the pipeline writes
     +-- MissingToolError   3  a tool, file or port of this machine is missing or in the way
     +-- ServiceError       3  a broker, a database or a registry did not answer
     +-- NewerStateError    3  what ddpm keeps was written by a newer ddpm
     +-- EngineError        1  the engine refused or died
"""

import signal
from enum import IntEnum

from ddpm import __version__


class ExitCode(IntEnum):
    """What the process ends with; 128 + n for a second signal n is added by the command line."""

    OK = 0
    RUNTIME = 1
    CONFIG = 2
    ENVIRONMENT = 3


class Interrupted(BaseException):
    """A signal asked ddpm to end before there was anything to drain, or a second one asked to force it.

    Not an Exception: it may arrive inside any library, and many of them swallow those.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class DdpmError(Exception):
    """Base of all deliberate errors: one message that names the thing, its value and its place, and a hint."""

    exit_code: ExitCode = ExitCode.RUNTIME
    retryable: bool = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(DdpmError):
    """The configuration cannot be used; retrying will not help."""

    exit_code = ExitCode.CONFIG


class MissingToolError(DdpmError):
    """Something of this machine is missing or in the way: a tool, a file, a port."""

    exit_code = ExitCode.ENVIRONMENT


class ServiceError(DdpmError):
    """A broker, database or registry could not be reached or refused; trying again may help."""

    exit_code = ExitCode.ENVIRONMENT
    retryable = True


class MismatchError(ConfigError):
    """The file asks for something that the database does not have or has otherwise; nothing was changed.

    The file alone may be right, so the next start of ddpm may find that it fits by then.
    """

    exit_code = ExitCode.ENVIRONMENT


class SchemaMismatchError(MismatchError):
    """A table exists with other columns than the pipeline writes; ddpm shows both and changes nothing."""


class NewerStateError(DdpmError):
    """Something that ddpm keeps has a version that this ddpm does not know; it changes nothing."""

    exit_code = ExitCode.ENVIRONMENT

    def __init__(self, what: str, version: int, known: int, writer: str | None = None) -> None:
        """Word it.

        Args:
            what: What it is and where it stands.
            version: Its version.
            known: The newest version that this ddpm knows.
            writer: The version of the ddpm that wrote it, where that is noted.

        """
        by = f", written by ddpm {writer}" if writer else ""
        message = (
            f"{what} has version {version}{by}; this is ddpm {__version__}, which knows versions up to {known}, "
            "and it has changed nothing"
        )
        super().__init__(message, hint=f"upgrade ddpm to {writer or 'the version that wrote it'} or later")


def install_hint(extra: str) -> str:
    """How to get one of the wheel's extras; ddpm is on no package index."""
    return f"pip install 'ddpm-{__version__}-py3-none-any.whl[{extra}]'"


class EngineError(DdpmError):
    """The engine refused its configuration or ended unexpectedly."""

    retryable = True
