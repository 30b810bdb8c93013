"""Requests that cannot be carried out, and the questions that every route asks before it does anything."""

from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.status import Status


class RequestRefusedError(Exception):
    """A request that cannot be carried out: an HTTP status, what is wrong, and the way out."""

    def __init__(self, status: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


def get_status(supervisor: Supervisor, name: str) -> Status:
    """The status of a pipeline; raises RequestRefusedError when there is none of this name."""
    check_known(supervisor, name)
    return supervisor.status(name)


def require_accepting(supervisor: Supervisor, name: str) -> Status:
    """The status of a pipeline that something is asked of; raises RequestRefusedError when ddpm stops."""
    status = get_status(supervisor, name)
    if supervisor.draining:
        raise RequestRefusedError(409, "ddpm is stopping", "start it again first")
    return status


def require_managed(supervisor: Supervisor, name: str) -> Status:
    """The status of a pipeline whose engines are to be started or ended; raises RequestRefusedError when others do."""
    status = require_accepting(supervisor, name)
    if status.external:
        message = f"the engine of {name} is started and ended by others, ddpm only watches it (launcher: external)"
        raise RequestRefusedError(409, message, "ask those who run it")
    return status


def check_known(supervisor: Supervisor, name: str | None) -> None:
    """Raise RequestRefusedError when a name is given and no pipeline has it."""
    known = [status.name for status in supervisor.statuses()]
    if name is not None and name not in known:
        raise RequestRefusedError(404, "there is no pipeline of this name", f"there are: {', '.join(known)}")
