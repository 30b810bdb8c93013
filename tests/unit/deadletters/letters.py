"""Dead letters of the tests' making, as an engine writes them."""

from collections.abc import Iterable, Iterator, Mapping

from ddpm.broker.dump import RawRecord
from ddpm.deadletters.index import DeadLetterIndex, Depth, Entry
from ddpm.deadletters.letter import DeadLetter, LetterId, parse
from ddpm.deadletters.resolution import Resolution, ResolutionRecord
from ddpm.deadletters.selection import Selection

NOW_MS = 1_763_000_000_000
Header = str | bytes | None

_NAMES: Mapping[str, str] = {
    "of_topic": "__connect.errors.topic",
    "of_partition": "__connect.errors.partition",
    "of_offset": "__connect.errors.offset",
    "pipeline": "__connect.errors.connector.name",
    "stage": "__connect.errors.stage",
    "code": "__connect.errors.exception.class.name",
    "message": "__connect.errors.exception.message",
}


def raw(
    offset: int = 0,
    *,
    partition: int = 0,
    value: bytes | None = b"{bad",
    own: tuple[tuple[str, bytes | None], ...] = (),
    **headers: Header,
) -> RawRecord:
    """A record of the topic; `headers` by the names above or the last part of ddpm's, None leaves one out."""
    given: dict[str, Header] = {
        "of_topic": "orders",
        "of_partition": "1",
        "of_offset": str(100 + offset),
        "pipeline": "shop",
        "stage": "parse",
        "code": "not_json",
        "message": "not JSON: expected a name at byte 1",
        "failed_at_ms": str(NOW_MS + offset),
    }
    ours = tuple(
        (_NAMES.get(name, f"ddpm.errors.{name}"), text.encode() if isinstance(text, str) else text)
        for name, text in (given | headers).items()
        if text is not None
    )
    return RawRecord("dead", partition, offset, NOW_MS, b"key", value, (*ours, *own))


def letter(offset: int = 0, **headers: Header) -> DeadLetter:
    found = parse(raw(offset, **headers))  # type: ignore[arg-type]
    assert found is not None
    return found


def mark(of: DeadLetter, deed: Resolution = Resolution.REPLAYED, *, attempt: int | None = None) -> ResolutionRecord:
    return ResolutionRecord(of.id, of.pipeline, of.origin, attempt or of.attempt, deed, NOW_MS, "run-1")


def at(offset: int, partition: int = 0) -> LetterId:
    return LetterId(partition, offset)


class FakeStore:
    """A topic of dead letters that is only a list."""

    topic = "dead"

    def __init__(self, *letters: DeadLetter) -> None:
        self.kept = list(letters)
        self.marks: list[ResolutionRecord] = []

    def read_all(self) -> None:
        pass

    def entries(self, pipeline: str, selection: Selection | None = None, *, handled: bool = False) -> list[Entry]:
        wanted = selection or Selection()
        return [each for each in self._books().entries(pipeline, handled=handled) if wanted.takes(each)]

    def depth(self, pipeline: str) -> Depth:
        return self._books().depth(pipeline)

    def sinks(self, pipeline: str) -> tuple[str, ...]:
        return ()

    def letters(self, ids: Iterable[LetterId], pipeline: str | None = None) -> Iterator[DeadLetter]:
        wanted = set(ids)
        return (each for each in self.kept if each.id in wanted)

    def entry(self, of: DeadLetter) -> Entry | None:
        return self._books().entry(of)

    def latest(self, of: Entry) -> Entry | None:
        return self._books().latest(of)

    def mark(self, marks: Iterable[ResolutionRecord]) -> int:
        new = list(marks)
        self.marks += new
        return len(new)

    def _books(self) -> DeadLetterIndex:
        books = DeadLetterIndex()
        for each in self.kept:
            books.add(each)
        for one in self.marks:
            books.note(one)
        return books
