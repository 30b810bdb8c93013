"""What a trial answered, as values; numbers keep their digits."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ddpm.errors import EngineError
from ddpm.exact import NULL, compact, loads
from ddpm.privacy import MASK, PrivacyFilter


class Outcome(StrEnum):
    """What becomes of a document."""

    WRITTEN = "written"
    FILTERED = "filtered"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something would be a dead letter."""

    stage: str
    code: str
    message: str
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What would be written into a column, in the text that Postgres gets; None is NULL."""

    column: str
    type: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """One of a record's documents, or the record as a whole when it has none.

    `parsed` is the document behind the parser, `document` the one behind the processors: bytes where it is not JSON or
    too deep, None where it is not known. Numbers in JSON are `Number`, and a document that is null is `NULL`.
    """

    outcome: Outcome
    index: int | None
    parsed: Any
    document: Any
    columns: tuple[Cell, ...]
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Answer:
    """All that becomes of a record; `head` are its first bytes, `left_out` counts documents that are not reported."""

    record: int
    size: int
    head: bytes
    results: tuple[Result, ...]
    left_out: int = 0

    @property
    def dead_letters(self) -> tuple[Result, ...]:
        """What would be dead letters."""
        return tuple(result for result in self.results if result.outcome is Outcome.DEAD_LETTER)


class TooDeepError(EngineError):
    """A document is nested too deeply to be shown."""


def shown(line: str, privacy: PrivacyFilter) -> str:
    """An answer of `Trials` as people may see it, on one line again; raises TooDeepError."""
    if not privacy.active:
        return line
    with _not_too_deep():
        return _without_hidden(loads(line), privacy)


@contextmanager
def _not_too_deep() -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        msg = "a document is nested too deeply to be shown"
        raise TooDeepError(msg, hint="`ddpm parse --json` prints it as it is") from error


def _without_hidden(said: Any, privacy: PrivacyFilter) -> str:  # noqa: ANN401 -- JSON
    said["head"] = None
    for each in said["documents"]:
        documents = [each[name] for name in ("parsed", "document") if name in each]
        taken = frozenset(text for one in documents for text in privacy.taken(one))
        for name in ("parsed", "document"):
            if name in each:
                each[name] = privacy.without(each[name], taken)
            if f"{name}_bytes" in each:
                each[f"{name}_bytes"] = base64.b64encode(MASK.encode()).decode()
        for cell in each.get("columns", ()):
            cell["value"] = privacy.cell(cell["column"], cell["value"], taken)
        if reason := each.get("reason"):
            reason["message"] = privacy.reason(reason["message"], reason.get("column"), taken if documents else None)
    return compact(said)


def read_answer(line: str) -> Answer:
    """Take an answer of `Trials` apart; raises TooDeepError."""
    with _not_too_deep():
        said = loads(line)
    return Answer(
        record=int(said["record"]),
        size=int(said["size"]),
        head=base64.b64decode(said["head"] or ""),
        results=tuple(map(_result, said["documents"])),
        left_out=int(said.get("left_out", 0)),
    )


def _result(said: Mapping[str, Any]) -> Result:
    reason = said.get("reason")
    return Result(
        outcome=Outcome(said["outcome"]),
        index=int(said["index"]) if "index" in said else None,
        parsed=_content(said, "parsed"),
        document=_content(said, "document"),
        columns=tuple(Cell(each["column"], each["type"], each["value"]) for each in said.get("columns", ())),
        reason=Reason(reason["stage"], reason["code"], reason["message"], reason.get("column")) if reason else None,
    )


def _content(said: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 -- JSON
    if name in said:
        return NULL if said[name] is None else said[name]
    raw = said.get(f"{name}_bytes")
    return None if raw is None else base64.b64decode(raw)
