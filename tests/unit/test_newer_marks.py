"""A running ddpm that meets marks of a newer one goes on, and says once that it does not count dead letters."""

from unittest import mock

from structlog.testing import capture_logs

from ddpm.deadletters.store import DeadLetterStore
from ddpm.errors import NewerStateError
from ddpm.orchestrator.run.watching import _Letters
from ddpm.supervisor.runner import Supervisor


def test_newer_marks_are_told_once_and_hide_the_counts() -> None:
    store, supervisor = (
        mock.create_autospec(DeadLetterStore, instance=True),
        mock.create_autospec(Supervisor, instance=True),
    )
    store.topic = "dead"
    store.refresh.side_effect = NewerStateError("a mark of the dead letter 0:2", 2, 1)
    letters = _Letters(store, ["orders"], supervisor)
    with capture_logs() as logs:
        letters.look()
        letters.look()
    assert [(line["log_level"], "has version 2" in line["event"]) for line in logs] == [("warning", True)]
    assert supervisor.dead_letters_seen.call_args_list == [mock.call("orders", None)] * 2
