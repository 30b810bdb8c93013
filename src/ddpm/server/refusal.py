"""Requests that cannot be carried out, and the questions that every route asks before it does anything."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from ddpm.names import means
from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.status import Status


class RequestRefusedError(Exception):
    """A request that cannot be carried out: an HTTP status, what is wrong, and the way out.

    `problems` are those of a configuration, as `ddpm validate --json` prints them.
    """

    def __init__(
        self, status: int, message: str, hint: str | None = None, problems: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.problems = problems


class ProblemResponse(JSONResponse):
    """A refusal as the problem details of RFC 9457, with ddpm's hint; `error` says the same for older clients."""

    media_type = "application/problem+json"

    def __init__(self, status: int, message: str, hint: str | None = None, **more: Any) -> None:  # noqa: ANN401 -- JSON
        # Half of a surrogate pair in a name must not turn a refusal into a failure.
        said, way_out = _encodable(message), _encodable(hint) if hint else None
        self.said = said
        body = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": said,
            "hint": way_out,
            **more,
            "error": {"message": said, "hint": way_out},
        }
        super().__init__(body, status_code=status)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def get_status(supervisor: Supervisor, name: str) -> Status:
    """The status of a pipeline; raises RequestRefusedError when there is none of this name."""
    known = [status.name for status in supervisor.statuses()]
    if name not in known:
        raise _unknown(name, known)
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
    """Raise RequestRefusedError when a name is given that means no pipeline and no part of one."""
    known = [status.name for status in supervisor.statuses()]
    if name is not None and not any(means(name, each) for each in known):
        raise _unknown(name, known)


def _unknown(name: str, known: list[str]) -> RequestRefusedError:
    parts = [each for each in known if means(name, each)]
    if parts:
        message = "each sink of this pipeline is run by itself, under a name of its own"
        return RequestRefusedError(404, message, f"ask for one of: {', '.join(parts)}")
    return RequestRefusedError(404, "there is no pipeline of this name", f"there are: {', '.join(known)}")
