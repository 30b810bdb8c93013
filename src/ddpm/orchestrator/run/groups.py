"""What happens to a pipeline's consumer group while ddpm runs: partitions are added, committed offsets disappear, and a
log is another one than before.

`seen` belongs to the thread of a watcher. Knows nothing of topics that are made again:
`topic_recreation` does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from ddpm.broker.marks import Marks, added, begun_lately, refreshed
from ddpm.broker.offsets import Partition, commit
from ddpm.broker.watch import PartitionLag, Topic
from ddpm.config.model import Pipeline
from ddpm.config.parts import commit_note
from ddpm.errors import DdpmError
from ddpm.orchestrator.provisioning.progress import Progress, ProgressFile, TopicProgress, progress_file
from ddpm.orchestrator.provisioning.provision import forgotten
from ddpm.supervisor.runner import Supervisor

_COMMIT_SECONDS = 3.0
_LOOK_SECONDS = 3.0
# So many logs are looked into at a time.
_LOOKS = 8
# Large batches take time to decompress: marks are taken for one part in so many of it.
_REST = 50
# To write what is remembered of thousands of partitions takes time, too: it is one part in as many, and at most so much
# is missing after a crash. The offsets are then older ones, behind which the same records are read and skipped again.
_LONGEST_UNSAVED_SECONDS = 30.0
# How long before an engine doubts a log the last mark of the old one may have been seen: one partition a look is.
_LATELY_SECONDS = 120.0
_LATELY_SECONDS_A_PARTITION = 6.0


class Logs(Protocol):
    """Looks into the logs of partitions: `broker.watch.ClusterWatch`."""

    @property
    def connected(self) -> int:
        """How often a connection was made."""

    def mark(self, partition: Partition, first: int, end: int) -> Marks:
        """Look at records from `first` to before `end`."""

    def parted(self, partition: Partition, marks: Marks) -> int | None:
        """Return from which offset on there is another log than that of `marks`."""


class Renews(Protocol):
    """Who begins again where a log is another one: `topic_recreation.TopicRecreation`."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many partitions each topic had before the engines were started."""

    @property
    def busy(self) -> bool:
        """Whether it does so now."""

    def parted(self, places: Mapping[Partition, int]) -> None:
        """Begin."""


class GroupWatch:
    """Follows the group of one pipeline, remembers how far it has come, and brings back what the brokers forget.

    Args:
        pipeline: The pipeline.
        supervisor: Who starts its engines again, and is notified.
        logs: Looks into the logs of its partitions.
        renewal: Notified of those that are others than before.
        file: Where the progress is kept; that of the pipeline if None.
        clock: Seconds, from any beginning.

    """

    def __init__(
        self,
        pipeline: Pipeline,
        supervisor: Supervisor,
        logs: Logs,
        renewal: Renews,
        *,
        file: ProgressFile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._supervisor = supervisor
        self._logs = logs
        self._renewal = renewal
        self._file = file or progress_file(pipeline.name)
        self._progress: Progress | None = None
        self._partitions: dict[str, int] = {}
        self._connected = 0
        # Partitions whose log has to be looked at before anything is believed, and how often it was another one.
        self._doubted: dict[Partition, int] = {}
        self._turn = 0
        self._clock = clock
        self._rest_until = 0.0
        self._at_once = _LOOKS
        self._unsaved = False
        self._save_from = 0.0

    def last_look(self, lags: Sequence[PartitionLag], topics: Mapping[str, Topic]) -> None:
        """Take what is seen when the engines have ended, so that the next start finds it."""
        self._rest_until, self._save_from, self._at_once = 0.0, 0.0, len(lags)
        self.seen(lags, topics)

    def save(self) -> None:
        """Write down what is remembered, if anything of it is new."""
        if self._progress is None or not self._unsaved:
            return
        begun = self._clock()
        self._file.save(self._progress)
        self._unsaved = False
        self._save_from = self._clock() + min(_REST * (self._clock() - begun), _LONGEST_UNSAVED_SECONDS)

    def seen(self, lags: Sequence[PartitionLag], topics: Mapping[str, Topic], *, suspected: bool = False) -> None:
        """Take how far the group has come in all partitions, and what the brokers say of the topics.

        `suspected` is whether an engine holds back records since a log seems to be another one.
        """
        if self._renewal.busy:
            self._progress, self._unsaved = None, False
            # It counts them itself, of topics that may be others.
            self._partitions.clear()
            return
        if self._progress is None:
            # What provisioning left: it may have brought back offsets that the brokers do not show yet.
            self._progress = self._file.load() or Progress(self._pipeline.kafka.consumer_group)
            self._doubted.clear()
        ids = {lag.topic: topics[lag.topic].topic_id for lag in lags if lag.topic in topics}
        marks = self._progress.marks(ids)
        # First, since many logs take many looks.
        self._notice_growth(lags)
        if self._another_log(lags, marks, suspected=suspected):
            return
        self._remember(lags, ids, self._marked(lags, marks))

    def _another_log(self, lags: Sequence[PartitionLag], marks: dict[Partition, Marks], *, suspected: bool) -> bool:
        """Look again at the logs that may be others than before; returns whether that is not settled yet."""
        # A topic that was made again has no marks yet, and is not a log to compare.
        self._doubted = {each: looks for each, looks in self._doubted.items() if marks.get(each)}
        self._doubt(lags, marks, suspected=suspected)
        places: dict[Partition, int] = {}
        # One whose leader is down stays in doubt, and holds up nothing of the others.
        seen = {Partition(lag.topic, lag.partition) for lag in lags}
        for partition in [each for each in self._doubted if each in seen][:_LOOKS]:
            first = self._logs.parted(partition, marks[partition])
            if first is None:
                del self._doubted[partition]
                marks[partition] = refreshed(marks[partition])
                continue
            # A new leader knows only after a moment how far its log is committed.
            self._doubted[partition] += 1
            if self._doubted[partition] > 1:
                places[partition] = first
        doubted = seen & self._doubted.keys()
        if suspected and not doubted:
            # The engines have seen records without marks: all that a newer leader has written is doubtful.
            lately = _LATELY_SECONDS + _LATELY_SECONDS_A_PARTITION * len(marks)
            places = begun_lately(self._pipeline.kafka.cluster, marks, lately, _LOOK_SECONDS)
        if places:
            self._renewal.parted(places)
        return bool(places or doubted)

    def _doubt(self, lags: Sequence[PartitionLag], marks: Mapping[Partition, Marks], *, suspected: bool) -> None:
        known = [lag for lag in lags if marks.get(Partition(lag.topic, lag.partition))]
        all_of_them = suspected or self._connected != self._logs.connected
        self._connected = self._logs.connected
        self._turn += 1
        for index, lag in enumerate(known):
            partition = Partition(lag.topic, lag.partition)
            shorter = lag.end <= marks[partition][-1].offset
            # One a look for no reason at all: a broker may have been started again between two looks.
            if all_of_them or shorter or index == self._turn % len(known):
                self._doubted.setdefault(partition, 0)

    def _marked(self, lags: Sequence[PartitionLag], marks: dict[Partition, Marks]) -> dict[Partition, Marks]:
        begun = self._clock()
        if begun < self._rest_until:
            return marks
        longer = [
            (partition, marks[partition][-1].offset + 1 if marks.get(partition) else lag.start, lag.end)
            for partition, lag in ((Partition(lag.topic, lag.partition), lag) for lag in lags)
        ]
        longer = [each for each in longer if each[1] < each[2]]
        begin = self._turn % max(1, len(longer))
        for partition, first, end in (longer[begin:] + longer[:begin])[: self._at_once]:
            if self._clock() - begun > _LOOK_SECONDS:
                break
            marks[partition] = added(marks.get(partition, ()), self._logs.mark(partition, first, end))
        self._rest_until = begun + _REST * (self._clock() - begun)
        return marks

    def _remember(
        self, lags: Sequence[PartitionLag], ids: Mapping[str, str | None], marks: Mapping[Partition, Marks]
    ) -> None:
        group = self._pipeline.kafka.consumer_group
        before = self._progress if self._progress and self._progress.group == group else Progress(group)
        known = {
            name: dict(each.committed)
            for name, each in before.topics.items()
            if name in ids and ids[name] == each.topic_id
        }
        self._restore(lags, known)
        for lag in lags:
            if lag.committed is not None:
                known.setdefault(lag.topic, {})[lag.partition] = lag.committed
        now = {
            name: TopicProgress(
                topic_id,
                known.get(name, {}),
                {each.partition: found for each, found in marks.items() if each.topic == name},
            )
            for name, topic_id in ids.items()
        }
        self._progress = before.with_topics(now)
        self._unsaved |= self._progress != before
        if self._clock() >= self._save_from:
            self.save()

    def _restore(self, lags: Sequence[PartitionLag], known: Mapping[str, Mapping[int, int]]) -> None:
        gone = {
            Partition(lag.topic, lag.partition): known[lag.topic][lag.partition]
            for lag in lags
            if lag.committed is None and lag.partition in known.get(lag.topic, {})
        }
        if not gone:
            return
        group = self._pipeline.kafka.consumer_group
        try:
            # A group with members refuses: its engines know where they are, and will commit again.
            taken = commit(self._pipeline.kafka.cluster, group, gone, _COMMIT_SECONDS, commit_note(self._pipeline))
        except DdpmError as error:
            log = structlog.get_logger()
            log.debug("offsets could not be restored yet", pipeline=self._pipeline.name, error=error.message)
            return
        if taken:
            restored = {each: gone[each] for each in taken}
            self._supervisor.alarm(
                self._pipeline.name, forgotten(group, restored, "those that ddpm saw committed last")
            )

    def _notice_growth(self, lags: Sequence[PartitionLag]) -> None:
        """Report where partitions were added. An input that is not ddpm's may ask for them every ten minutes only."""
        now: dict[str, set[int]] = {}
        for lag in lags:
            now.setdefault(lag.topic, set()).add(lag.partition)
        before = {**self._renewal.counts, **self._partitions}
        grown = [
            f"{name} ({before[name]} to {len(numbers)})"
            for name, numbers in sorted(now.items())
            if len(numbers) > before.get(name, len(numbers))
        ]
        # Fewer are only those that can be looked at: a topic never loses any.
        self._partitions |= {name: max(len(numbers), before.get(name, 0)) for name, numbers in now.items()}
        if grown:
            reason = f"partitions were added to {', '.join(grown)}: they are read from their beginning"
            if self._pipeline.pipeline_template is None:
                self._supervisor.mention(self._pipeline.name, reason, "partition")
            else:
                self._supervisor.restart(self._pipeline.name, reason, "partition")
