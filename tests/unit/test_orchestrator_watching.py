"""What the watchers tell of dead letters."""

from pathlib import Path

from ddpm.deadletters.resolution import Resolution
from ddpm.orchestrator.run.watching import _Letters
from ddpm.supervisor.memory import MemoryFile
from ddpm.supervisor.pipeline import PipelineSpec
from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.scaling import StabilizationWindow
from unit.deadletters.letters import FakeStore, letter, mark


class ReadStore(FakeStore):
    def refresh(self, _most: int) -> bool:
        return True


def test_what_is_done_with_letters_leaves_an_event_whoever_did_it(tmp_path: Path) -> None:
    letters = [letter(offset, pipeline="shop") for offset in range(4)]
    store = ReadStore(*letters)
    store.marks.append(mark(letters[0]))
    supervisor = Supervisor(
        [PipelineSpec("shop", 20.0, {}, 1, None, StabilizationWindow(), MemoryFile(tmp_path / "shop"))]
    )
    watcher = _Letters(store, ["shop"], supervisor)  # type: ignore[arg-type]
    watcher.look()
    watcher.look()
    assert supervisor.events.since() == []
    store.mark([mark(letters[1]), mark(letters[2], Resolution.FAILED_AGAIN), mark(letters[3], Resolution.DISCARDED)])
    watcher.look()
    watcher.look()
    (event,) = supervisor.events.since()
    assert (event.pipeline, event.kind) == ("shop", "control")
    assert event.message == "dead letters: 1 replayed, 1 failed again, 1 discarded"
    store.marks.clear()
    watcher.look()
    assert supervisor.events.since() == [event]
