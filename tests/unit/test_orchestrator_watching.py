"""What the watchers tell of dead letters."""

from pathlib import Path

from ddpm.deadletters.mark import Deed
from ddpm.orchestrator.watching import _Letters
from ddpm.supervisor.memory import MemoryFile
from ddpm.supervisor.pipeline import Managed
from ddpm.supervisor.runner import Supervisor
from ddpm.supervisor.scaling import Patience
from unit.deadletters.letters import FakeShelf, letter, mark


class ReadShelf(FakeShelf):
    def refresh(self, _most: int) -> bool:
        return True


def test_what_is_done_with_letters_leaves_an_event_whoever_did_it(tmp_path: Path) -> None:
    letters = [letter(offset, pipeline="shop") for offset in range(4)]
    shelf = ReadShelf(*letters)
    shelf.marks.append(mark(letters[0]))
    supervisor = Supervisor([Managed("shop", 20.0, {}, 1, None, Patience(), MemoryFile(tmp_path / "shop"))])
    watcher = _Letters(shelf, ["shop"], supervisor)  # type: ignore[arg-type]
    watcher.look()
    watcher.look()
    assert supervisor.events.since() == []
    shelf.mark([mark(letters[1]), mark(letters[2], Deed.FAILED_AGAIN), mark(letters[3], Deed.DISCARDED)])
    watcher.look()
    watcher.look()
    (event,) = supervisor.events.since()
    assert (event.pipeline, event.kind) == ("shop", "control")
    assert event.message == "dead letters: 1 replayed, 1 failed again, 1 discarded"
    shelf.marks.clear()
    watcher.look()
    assert supervisor.events.since() == [event]
