"""Records in the audit log what a command changes by itself, without asking a ddpm."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ddpm.config.model import Config
from ddpm.errors import DdpmError
from ddpm.observability.audit_log import Actor, AuditLog, Outcome, Record, this_user
from ddpm.orchestrator.prepare import DATA_DIR


@contextmanager
def recorded(
    config: Config | None,
    action: str,
    pipeline: str | None,
    **parameters: Any,  # noqa: ANN401 -- JSON
) -> Iterator[None]:
    """Record what the block does, and how it ended, in the data folder that is here; nowhere when there is none."""
    outcome: Outcome = "failed"
    reason: str | None = "it did not end"
    try:
        yield
        outcome, reason = "ok", None
    except DdpmError as error:
        reason = error.message
        raise
    finally:
        if DATA_DIR.is_dir():
            log = AuditLog(DATA_DIR)
            log.mask(config.secrets if config else ())
            said = {name: value for name, value in parameters.items() if value not in (None, (), [], False)}
            actor = Actor(this_user(), "local user")
            log.add(Record(actor, action, outcome, pipeline, {"by": "the command line", **said}, reason))
