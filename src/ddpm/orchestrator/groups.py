"""What happens to a pipeline's consumer group while ddpm runs: partitions are added, committed offsets disappear.

`seen` belongs to the thread of a watcher. Knows nothing of topics that are made again: that is `renewing`'s affair.
"""

from collections.abc import Mapping, Sequence

import structlog

from ddpm.broker.offsets import Partition, commit
from ddpm.broker.watch import PartitionLag, Topic
from ddpm.config.model import Pipeline
from ddpm.errors import DdpmError
from ddpm.orchestrator.progress import Progress, ProgressFile, TopicProgress, progress_file
from ddpm.orchestrator.provision import forgotten
from ddpm.supervisor.runner import Supervisor

_COMMIT_SECONDS = 3.0


class GroupWatch:
    """Follows the group of one pipeline, remembers how far it has come, and brings back what the brokers forget.

    Args:
        pipeline: The pipeline.
        supervisor: Who starts its engines again, and is told.
        file: Where the progress is kept; that of the pipeline if None.

    """

    def __init__(self, pipeline: Pipeline, supervisor: Supervisor, file: ProgressFile | None = None) -> None:
        self._pipeline = pipeline
        self._supervisor = supervisor
        self._file = file or progress_file(pipeline.name)
        self._progress: Progress | None = None
        self._partitions: dict[str, frozenset[int]] = {}

    def seen(self, lags: Sequence[PartitionLag], topics: Mapping[str, Topic]) -> None:
        """Take how far the group has come in all partitions, and what the brokers say of the topics."""
        if self._progress is None:
            # What provisioning left: it may have brought back offsets that the brokers do not show yet.
            self._progress = self._file.load() or Progress(self._pipeline.kafka.consumer_group)
        before = self._progress
        known = {
            name: dict(each.committed)
            for name, each in before.topics.items()
            if name in topics and topics[name].topic_id == each.topic_id
        }
        self._restore(lags, known)
        for lag in lags:
            if lag.committed is not None:
                known.setdefault(lag.topic, {})[lag.partition] = lag.committed
        ids = {lag.topic: topics[lag.topic].topic_id for lag in lags if lag.topic in topics}
        now = {name: TopicProgress(topic_id, known.get(name, {})) for name, topic_id in ids.items()}
        self._progress = Progress(self._pipeline.kafka.consumer_group, now)
        if self._progress != before:
            self._file.save(self._progress)
        self._notice_growth(lags)

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
            taken = commit(self._pipeline.kafka.brokers, group, gone, _COMMIT_SECONDS)
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
        """Start the engines again where partitions were added: their client asks for them every ten minutes only."""
        now: dict[str, set[int]] = {}
        for lag in lags:
            now.setdefault(lag.topic, set()).add(lag.partition)
        grown = [
            f"{name} ({len(self._partitions[name])} to {len(numbers)})"
            for name, numbers in sorted(now.items())
            if name in self._partitions and numbers > self._partitions[name]
        ]
        self._partitions |= {name: frozenset(numbers) for name, numbers in now.items()}
        if grown:
            reason = f"partitions were added to {', '.join(grown)}: they are read from their beginning"
            self._supervisor.restart(self._pipeline.name, reason, "partition")
