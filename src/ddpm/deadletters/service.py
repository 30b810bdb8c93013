"""What may be asked about the dead letters of a running ddpm's pipelines, by any thread; replays run in the background.

One replay at a time for each pipeline: two at once would feed the same letters twice, to no effect but work.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from ddpm.deadletters.index import Depth, Entry
from ddpm.deadletters.letter import DeadLetter, LetterId, shown
from ddpm.deadletters.replay import Fed, Plan, Progress, Reinject, plan, replay
from ddpm.deadletters.resolution import Resolution
from ddpm.deadletters.selection import Selection
from ddpm.deadletters.store import DeadLetterStore
from ddpm.errors import DdpmError
from ddpm.privacy import PrivacyFilter


class BusyError(DdpmError):
    """A replay of the pipeline runs already."""


class NotReadyError(DdpmError):
    """The servers are not there yet, or the letters have not all been read."""

    retryable = True


class _StoppedError(DdpmError):
    """ddpm ends."""


@dataclass(frozen=True, slots=True)
class Job:
    """A replay: times in seconds since 1970; `message` says how it ended, or why it failed."""

    id: str
    pipeline: str
    state: Literal["running", "done", "failed"]
    started: float
    ended: float | None
    progress: Progress
    message: str


class DeadLetterService:
    """The dead letters of all pipelines; an unknown pipeline's name raises KeyError."""

    def __init__(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Wait for `open`; `stopping` says that replays shall end."""
        self._is_stopping = stopping
        self._stores: Mapping[str, DeadLetterStore] = {}
        self._reinjections: Mapping[str, Reinject] = {}
        self._privacy: Mapping[str, PrivacyFilter] = {}
        self._jobs: dict[str, Job] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def open(
        self,
        stores: Mapping[str, DeadLetterStore],
        reinjections: Mapping[str, Reinject],
        privacy: Mapping[str, PrivacyFilter],
    ) -> None:
        """Begin to answer: with the store of every pipeline, what feeds an engine of it, and what people may see."""
        self._reinjections = reinjections
        self._privacy = privacy
        self._stores = stores

    def close(self, timeout: float = 10.0) -> None:
        """Wait for replays that were asked to end; what they have not marked is as open as before."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def topic(self, pipeline: str) -> str:
        """The topic of the pipeline's dead letters."""
        return self._store(pipeline).topic

    def depth(self, pipeline: str) -> Depth:
        """How many letters are open, as far as they were read."""
        return self._store(pipeline).depth(pipeline)

    def entries(self, pipeline: str, selection: Selection, *, handled: bool = False) -> list[Entry]:
        """The open letters that are meant, or the handled ones too, as far as they were read."""
        return self._store(pipeline).entries(pipeline, self._resolved(pipeline, selection), handled=handled)

    def letters(self, pipeline: str, entries: list[Entry]) -> list[tuple[DeadLetter, Entry | None]]:
        """Read letters with everything that people may see, in the order of `entries`; raises ServiceError."""
        store, privacy = self._store(pipeline), self._privacy[pipeline]
        read = store.letters((entry.id for entry in entries), pipeline)
        # Tables of several databases give out the same ids.
        found = {letter.id: letter for letter in read if letter.pipeline == pipeline}
        return [
            (shown(replace(found[entry.id], sink=entry.sink), privacy), entry) for entry in entries if entry.id in found
        ]

    def letter(self, pipeline: str, letter_id: LetterId) -> tuple[DeadLetter, Entry | None] | None:
        """What people may see of one letter; None when the pipeline has no such letter. Raises ServiceError."""
        store = self._store(pipeline)
        for letter in store.letters([letter_id], pipeline):
            if letter.pipeline == pipeline:
                return shown(letter, self._privacy[pipeline]), store.entry(letter)
        return None

    def discard(self, pipeline: str, selection: Selection) -> tuple[str, int]:
        """Mark open letters as discarded; return the name of this request and how many they were."""
        store = self._store(pipeline)
        entries = self._all(pipeline, selection)
        run, now = _new_run(), int(time.time() * 1000)
        if entries:
            store.mark(each.resolved(Resolution.DISCARDED, now, run) for each in entries)
            store.read_all()
        return run, len(entries)

    def replay(self, pipeline: str, selection: Selection, *, force: bool, rate: float | None) -> tuple[Job, Plan]:
        """Begin to replay open letters; return the replay, and which letters it takes and leaves out.

        Raises:
            BusyError: A replay of the pipeline runs.
            NotReadyError: It is too early.
            ServiceError: The letters cannot be read.

        """
        store, reinject = self._store(pipeline), self._reinjections[pipeline]
        chosen = plan(self._all(pipeline, selection), force=force, sinks=store.sinks(pipeline))
        with self._lock:
            running = self._jobs.get(pipeline)
            if running is not None and running.state == "running":
                done, total = running.progress.done, running.progress.total
                msg = f"a replay of {pipeline} runs already: {done} of {total} letters are done"
                raise BusyError(msg, hint="wait until it has ended")
            job = Job(_new_run(), pipeline, "running", time.time(), None, Progress(len(chosen.taken)), "")
            self._jobs[pipeline] = job
        work = threading.Thread(
            target=self._run, args=(job, store, reinject, chosen.taken, rate), name=f"replay of {pipeline}", daemon=True
        )
        self._threads = [thread for thread in self._threads if thread.is_alive()] + [work]
        work.start()
        return job, chosen

    def job(self, pipeline: str) -> Job | None:
        """The replay of the pipeline that runs, or ran last; None when there was none since ddpm started."""
        return self._jobs.get(pipeline)

    def _run(
        self, job: Job, store: DeadLetterStore, reinject: Reinject, entries: tuple[Entry, ...], rate: float | None
    ) -> None:
        log = structlog.get_logger().bind(pipeline=job.pipeline, replay=job.id)
        log.info("replay of dead letters begins", letters=len(entries))

        def progressed(progress: Progress) -> None:
            self._jobs[job.pipeline] = replace(self._jobs[job.pipeline], progress=progress)

        def stoppable(letters: Iterator[DeadLetter], report: Callable[[Fed], None]) -> None:
            reinject(self._until_stopped(letters), report)

        try:
            ended = replay(store, entries, stoppable, job.id, progressed, rate=rate)
        except DdpmError as error:
            log.warning("replay of dead letters failed", error=error.message)
            self._end(job, "failed", str(error))
        except Exception:
            log.exception("replay of dead letters failed")
            self._end(job, "failed", "an error within ddpm; its log says more")
            raise
        else:
            log.info("replay of dead letters ended", landed=ended.landed, failed_again=ended.failed_again)
            self._end(job, "done", f"{ended.landed} landed, {ended.failed_again} failed again")

    def _end(self, job: Job, state: Literal["done", "failed"], message: str) -> None:
        self._jobs[job.pipeline] = replace(self._jobs[job.pipeline], state=state, ended=time.time(), message=message)

    def _until_stopped(self, letters: Iterator[DeadLetter]) -> Iterator[DeadLetter]:
        for letter in letters:
            if self._is_stopping():
                raise _StoppedError("ddpm was asked to stop before the replay ended", hint="repeat it")
            yield letter

    def _all(self, pipeline: str, selection: Selection) -> list[Entry]:
        """The open letters that are meant, of all that are in Kafka now."""
        self._store(pipeline).read_all()
        return self.entries(pipeline, selection)

    def _resolved(self, pipeline: str, selection: Selection) -> Selection:
        """A selection that names entries, where it named copies or earlier attempts of them."""
        if selection.ids is None:
            return selection
        store = self._store(pipeline)
        found = [
            store.entry(letter) for letter in store.letters(selection.ids, pipeline) if letter.pipeline == pipeline
        ]
        return replace(selection, ids=frozenset(entry.id for entry in found if entry is not None))

    def _store(self, pipeline: str) -> DeadLetterStore:
        if not self._stores:
            raise NotReadyError("the servers are still being prepared", hint="ask again in a moment")
        return self._stores[pipeline]


def _new_run() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
