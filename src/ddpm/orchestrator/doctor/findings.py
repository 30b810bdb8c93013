"""What a check has found, and how checks are run."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ddpm.errors import DdpmError

# All checks together; a host that swallows packets costs no more.
LONGEST_SECONDS = 15.0

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
    found: list[list[Finding]] = [[] for _ in checks]
    under_way = [[each] for each in checks]
    deadline = time.monotonic() + seconds
    # Daemons, because nothing can cut a look-up of a name short.
    threads = [
        threading.Thread(target=_carry_out, args=(check, into, now), name=f"check {check.about}", daemon=True)
        for check, into, now in zip(checks, found, under_way, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread, now, into in zip(threads, under_way, found, strict=True):
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            (slow,) = now
            into.append(Finding(slow.name, slow.about, "fail", f"no answer within {seconds:g} s"))
    return [finding for each in found for finding in tuple(each)]


def _carry_out(check: Check, into: list[Finding], under_way: list[Check]) -> None:
    under_way[0] = check
    try:
        found = list(check.find())
    except DdpmError as error:
        found = [Finding(check.name, check.about, "fail", error.message, error.hint or "")]
    except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks go on
        found = [Finding(check.name, check.about, "fail", f"the check itself failed: {error!r}", "please report this")]
    into += found
    if all(each.verdict != "fail" for each in found):
        for each in check.then:
            _carry_out(each, into, under_way)
