"""What ddpm remembers of how far a pipeline's consumer group has come, beside what the brokers remember.

The brokers forget: offsets expire (`offsets.retention.minutes`), a group is deleted, a disk is restored. One small JSON
file a pipeline, written atomically, keeps the last offsets that ddpm saw committed, by topic id and partition. A file
that cannot be read or written costs the memory, never the run; only what a newer ddpm wrote is refused.
"""

from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from ddpm.broker.marks import Mark, Marks
from ddpm.broker.offsets import Partition
from ddpm.orchestrator.prepare import DATA_DIR
from ddpm.supervisor.statefile import Kind, StateFile

_KIND = Kind(
    1,
    "the offsets",
    "the offsets that were remembered of this pipeline cannot be read and are left aside",
    "the offsets of this pipeline cannot be kept for the next start of ddpm",
)


@dataclass(frozen=True, slots=True)
class TopicProgress:
    """How far a group has come in one life of a topic.

    Attributes:
        topic_id: Names that life.
        committed: The offset that it will read next, by partition.
        marks: Records that distinguish this log from another one, by partition.

    """

    topic_id: str | None
    committed: Mapping[int, int] = field(default_factory=dict)
    marks: Mapping[int, Marks] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """What is remembered of a group, by topic.

    `apart` are the sinks of its pipeline that are run by themselves in place of it; empty while it is in use itself.
    """

    group: str
    topics: Mapping[str, TopicProgress] = field(default_factory=dict)
    apart: tuple[str, ...] = ()

    def marks(self, topic_ids: Mapping[str, str | None]) -> dict[Partition, Marks]:
        """The marks of topics that still have these ids, by partition."""
        return {
            Partition(name, number): marks
            for name, each in self.topics.items()
            if name in topic_ids and topic_ids[name] == each.topic_id
            for number, marks in each.marks.items()
        }

    def committed(self, topic_ids: Mapping[str, str | None]) -> dict[Partition, int]:
        """What was committed in topics that still have these ids, by partition."""
        return {
            Partition(name, number): offset
            for name, each in self.topics.items()
            if name in topic_ids and topic_ids[name] == each.topic_id
            for number, offset in each.committed.items()
        }

    def with_topics(self, topics: Mapping[str, TopicProgress]) -> "Progress":
        """The same with these topics as they are now; others, which are not read at present, may be read again."""
        return replace(self, topics={**self.topics, **topics})

    def without_marks(self, partitions: Collection[Partition]) -> "Progress":
        """The same without the marks of these partitions."""
        topics = {
            name: replace(each, marks={n: m for n, m in each.marks.items() if Partition(name, n) not in partitions})
            for name, each in self.topics.items()
        }
        return replace(self, topics=topics)


class ProgressFile:
    """Where the progress of one pipeline is kept."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path, _KIND)

    def load(self) -> Progress | None:
        """What was remembered; None when there is no file, or none that can be read.

        Raises:
            NewerStateError: A newer ddpm wrote it.

        """
        return self._file.load(_read)

    def forget(self) -> None:
        """Remember nothing any more."""
        self._file.forget()

    def save(self, progress: Progress) -> None:
        """Keep it; a failure is logged once."""
        topics = {
            name: {
                "id": each.topic_id,
                "committed": {str(key): at for key, at in sorted(each.committed.items())},
                "marks": {str(key): [astuple(mark) for mark in marks] for key, marks in sorted(each.marks.items())},
            }
            for name, each in sorted(progress.topics.items())
        }
        apart = {"apart": list(progress.apart)} if progress.apart else {}
        self._file.save({"group": progress.group, "topics": topics, **apart})


def progress_file(pipeline: str) -> ProgressFile:
    """Where the progress of the pipeline of this name is kept."""
    return ProgressFile(DATA_DIR / "progress" / f"{pipeline}.json")


def _read(body: dict[str, Any]) -> Progress:
    topics = {
        str(name): TopicProgress(
            each["id"],
            {int(key): int(at) for key, at in each["committed"].items()},
            {int(key): tuple(map(_mark, marks)) for key, marks in each["marks"].items()},
        )
        for name, each in body["topics"].items()
    }
    return Progress(str(body["group"]), topics, tuple(map(str, body.get("apart", ()))))


def _mark(fields: tuple[int, int, int, float]) -> Mark:
    offset, digest, epoch, at = fields
    return Mark(int(offset), int(digest), int(epoch), float(at))
