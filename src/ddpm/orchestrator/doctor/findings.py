"""What a check has found, and how checks are run."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Literal

from ddpm.errors import DdpmError

# All checks together; a host that swallows packets costs no more.
LONGEST_SECONDS = 15.0
# Those of many pipelines together must not use up the connections of a small database.
_MOST_AT_ONCE = 16

Verdict = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: Names the check, for programs: `broker.reached`, `table.fits`.
        about: What was looked at: a pipeline, an address, a file; empty for this machine.
        verdict: How it is.
        text: What was found, in a sentence.
        hint: What to do about it; empty when nothing has to be done.

    """

    check: str
    about: str
    verdict: Verdict
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A question, and what is asked only when the answer is good.

    Attributes:
        name: The check that is blamed when it cannot be carried out.
        about: What it is about.
        find: Finds out; a DdpmError that it raises is a failure.
        then: Checks that would only fail for the same reason.

    """

    name: str
    about: str
    find: Callable[[], Iterable[Finding]]
    then: "tuple[Check, ...]" = ()


def examine(checks: Sequence[Check], seconds: float = LONGEST_SECONDS) -> list[Finding]:
    """Carry out checks side by side, and return what they have found in the order of `checks`.

    One that is not through after so many seconds is a failure: what it asks does not answer.
    """
    deadline = time.monotonic() + seconds
    under_way: set[_Examined] = set()
    ended: SimpleQueue[_Examined] = SimpleQueue()
    every = [_Examined(check) for check in checks]
    waiting = deque(every)
    while waiting or under_way:
        while waiting and len(under_way) < _MOST_AT_ONCE:
            begun = waiting.popleft()
            under_way.add(begun)
            # A daemon, because nothing can cut a look-up of a name short.
            name = f"check {begun.check.about}"
            threading.Thread(target=begun.carry_out, args=(ended,), name=name, daemon=True).start()
        try:
            done = ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        under_way.remove(done)
        waiting.extend(done.behind)
    return [finding for each in every for finding in each.findings(under_way, seconds)]


class _Examined:
    """A check that is carried out, and those that come behind it."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.behind: tuple[_Examined, ...] = ()
        self._found: list[Finding] | None = None

    def carry_out(self, ended: "SimpleQueue[_Examined]") -> None:
        """Find out, and put itself where others wait for it."""
        check = self.check
        try:
            found = list(check.find())
        except DdpmError as error:
            found = [Finding(check.name, check.about, "fail", error.message, error.hint or "")]
        except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks go on
            text = f"the check itself failed: {error!r}"
            found = [Finding(check.name, check.about, "fail", text, "please report this")]
        if all(each.verdict != "fail" for each in found):
            self.behind = tuple(map(_Examined, check.then))
        self._found = found
        ended.put(self)

    def findings(self, under_way: "Collection[_Examined]", seconds: float) -> Iterator[Finding]:
        """What it has found, and what those behind it have; `under_way` are those that have not ended in time."""
        if self in under_way:
            yield Finding(self.check.name, self.check.about, "fail", f"no answer within {seconds:g} s")
        elif self._found is None:
            text = f"not looked at: other checks took all of the {seconds:g} s"
            yield Finding(self.check.name, self.check.about, "warn", text, "correct what is slow, and ask again")
        else:
            yield from self._found
            for each in self.behind:
                yield from each.findings(under_way, seconds)
