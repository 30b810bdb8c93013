"""One topic of dead letters and the topic of what was done with them, as Kafka has them. Decides nothing.

Letters that were too large for the topic come from a table of the pipeline's database; they are few.

What was done stands in a compacted Kafka topic beside the letters: it must outlive ddpm and its machine, be seen by
every ddpm of the cluster, and also be there for pipelines without a database.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ddpm.broker.dump import RawRecord, pick
from ddpm.broker.produce import Record, producing
from ddpm.broker.tail import Tail
from ddpm.broker.topics import TopicSpec, ensure_topics, existing
from ddpm.config.model import Cluster
from ddpm.deadletters.index import DeadLetterIndex, Depth, Entry
from ddpm.deadletters.letter import KEPT, DeadLetter, LetterId, parse, with_reason_shown
from ddpm.deadletters.owners import Owners
from ddpm.deadletters.resolution import ResolutionRecord, decode, encode, topic_of
from ddpm.deadletters.selection import Selection
from ddpm.errors import DdpmError, NewerStateError
from ddpm.privacy import PrivacyFilter
from ddpm.store.oversized import OversizedLetter, OversizedLetters

_ALL = 2**62
# How often, in seconds, a watcher that asks every few seconds really looks into the table.
_KEPT_EVERY = 30.0


class DeadLetterStore:
    """The letters of one topic. Any thread may use it; a question waits while another one reads Kafka."""

    def __init__(
        self,
        brokers: Sequence[str],
        topic: str,
        replication_factor: int | None = None,
        kept: Sequence[OversizedLetters] = (),
        owners: Owners | None = None,
        *,
        privacy: Mapping[str, PrivacyFilter] | None = None,
    ) -> None:
        """Describe the topic; nothing is read before the first `refresh`.

        Args:
            brokers: Addresses, `host:port`.
            topic: The topic of the dead letters.
            replication_factor: Of the topic of handled ones, if it has to be made; None for what suits the cluster.
            kept: Where letters are that were too large for the topic.
            owners: Whose letters are whose; without it each is that of the pipeline that it names.
            privacy: What people may see of the letters of a pipeline, by the name that it runs under: reasons are shown
                as the books have them.

        """
        self.topic = topic
        self._brokers = Cluster.of(brokers)
        self._replication_factor = replication_factor
        self._kept = tuple(kept)
        self._owners = owners or Owners()
        self._privacy = privacy or {}
        self._kept_next = 0.0
        self.troubles: tuple[str, ...] = ()
        self._letters = Tail(brokers, topic)
        self._marks = Tail(brokers, topic_of(topic))
        self._newer: NewerStateError | None = None
        self._index = DeadLetterIndex()
        self._starts: dict[int, int] = {}
        # One who reads Kafka keeps others from reading it too, but nobody from the books.
        self._reading = threading.Lock()
        self._lock = threading.Lock()

    def refresh(self, most: int | None = None) -> bool:
        """Read on what came since the last time, at most `most` records; return whether that was all.

        Raises:
            ServiceError: No broker answers.
            NewerStateError: A newer ddpm wrote what was done with letters; from then on it is raised each time.

        """
        with self._reading:
            if self._newer is not None:
                raise self._newer
            marks, letters = self._marks.read(most), self._letters.read(most)
            if marks is None or letters is None:
                # One of the topics was made again: begin again with both.
                self._begin_anew()
                return False
            if time.monotonic() >= self._kept_next:
                self._look_into_tables()
            left = _ALL if most is None else most
            for record in marks:
                left -= 1
                mark = self._decoded(record)
                if mark is not None:
                    with self._lock:
                        self._index.note(*self._owners.taken(mark))
            for record in letters:
                left -= 1
                self._enter(parse(record))
            if self._letters.starts != self._starts:
                self._starts = dict(self._letters.starts)
                with self._lock:
                    self._index.forget_before(self._starts)
            return left > 0

    def _decoded(self, record: RawRecord) -> ResolutionRecord | None:
        try:
            return decode(record.key, record.value)
        except NewerStateError as error:
            # The books would be wrong from here on.
            self._newer = error
            raise

    def _look_into_tables(self) -> None:
        """Enter the kept letters; a database that is away hides them, which `troubles` says, and no others."""
        troubles = []
        for table in self._kept:
            try:
                found = list(map(parse, map(self._as_record, table.unseen())))
            except DdpmError as error:
                troubles.append(error.message)
                continue
            for letter in found:
                self._enter(letter)
        self.troubles = tuple(troubles)
        self._kept_next = time.monotonic() + _KEPT_EVERY

    def _as_record(self, row: OversizedLetter) -> RawRecord:
        return RawRecord(self.topic, KEPT, row.id, row.kept_at_ms, row.key, row.value, row.headers)

    def _enter(self, letter: DeadLetter | None) -> None:
        with self._lock:
            for each in self._owners.taken(letter) if letter is not None else ():
                privacy = self._privacy.get(each.pipeline)
                self._index.add(each if privacy is None else with_reason_shown(each, privacy))

    def read_all(self) -> None:
        """Read everything that is there now; raises ServiceError as `refresh` does."""
        self._kept_next = 0.0
        while not self.refresh():
            pass

    def entries(self, pipeline: str, selection: Selection | None = None, *, handled: bool = False) -> list[Entry]:
        """The open letters of a pipeline that are meant, or the handled ones too, as far as they were read."""
        wanted = selection or Selection()
        with self._lock:
            # Who asks for sinks means each by itself.
            found = self._index.entries(pipeline, handled=handled, one_by_one=bool(wanted.sinks))
            return [each for each in found if wanted.takes(each)]

    def sinks(self, pipeline: str) -> tuple[str, ...]:
        """The names of the sinks that a pipeline has; empty when that is not known."""
        return self._owners.sinks(pipeline)

    def depth(self, pipeline: str) -> Depth:
        """How many letters of a pipeline are open, as far as they were read."""
        with self._lock:
            return self._index.depth(pipeline)

    def letters(self, ids: Iterable[LetterId], pipeline: str | None = None) -> Iterator[DeadLetter]:
        """Read letters with everything in them, as they lie in the topic; those that are gone are left out.

        One that belongs to several pipelines is that of `pipeline`, if it is one of them.

        Raises:
            ServiceError: No broker answers, there is no such topic, or a database with kept ones cannot be reached.

        """
        wanted: dict[int, list[int]] = {}
        for each in ids:
            wanted.setdefault(each.partition, []).append(each.offset)
        if kept := wanted.pop(KEPT, None):
            for table in self._kept:
                yield from self._shown(map(self._as_record, table.pick(kept)), pipeline)
        if wanted:
            yield from self._shown(pick(self._brokers, self.topic, wanted), pipeline)

    def _shown(self, records: Iterable[RawRecord], pipeline: str | None) -> Iterator[DeadLetter]:
        for letter in filter(None, map(parse, records)):
            yield self._owners.shown(letter, pipeline)

    def entry(self, letter: DeadLetter) -> Entry | None:
        """The entry that stands for a letter, its copies and its attempts; None when it was not read yet."""
        with self._lock:
            return self._index.entry(letter)

    def latest(self, entry: Entry) -> Entry | None:
        """What the books say of an entry's origin by now, which may be a later attempt."""
        with self._lock:
            return self._index.latest(entry)

    def mark(self, marks: Iterable[ResolutionRecord]) -> int:
        """Remember what was done with letters, durably when this returns; return how many it were.

        Raises:
            ServiceError: No broker answers, or it refuses.

        """
        topic = topic_of(self.topic)
        if topic not in existing(self._brokers):
            wanted = TopicSpec(topic, 1, self._replication_factor, {"cleanup.policy": "compact"})
            ensure_topics(self._brokers, [wanted])
        with producing(self._brokers, topic) as producer:
            count = 0
            for mark in marks:
                count += 1
                for each in self._owners.written(mark):
                    key, value = encode(each)
                    producer.send(Record(value=value, key=key))
            producer.flush()
        self._marks.look_again()
        return count

    def close(self) -> None:
        """Close the connections; a later question opens new ones."""
        with self._reading:
            self._letters.close()
            self._marks.close()

    def _begin_anew(self) -> None:
        self._letters.close()
        self._marks.close()
        self._letters = Tail(self._brokers, self.topic)
        self._marks = Tail(self._brokers, topic_of(self.topic))
        self._starts = {}
        for table in self._kept:
            table.forget()
        self._kept_next = 0.0
        with self._lock:
            self._index = DeadLetterIndex()
