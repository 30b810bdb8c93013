"""Whether a record became what a case expects, and the difference if not. Pure."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from ddpm.exact import loads, pretty, same
from ddpm.orchestrator.dryrun.answer import Answer, Cell, Outcome, Reason, Result
from ddpm.orchestrator.dryrun.cases import Case, ExpectedCell, ExpectedReason
from ddpm.words import counted


def differences(case: Case, answer: Answer) -> list[str]:
    """What differs, in lines: what was expected begins with `- `, what came with `+ `; none if all is as expected."""
    return list(_differences(case, answer))


def _differences(case: Case, answer: Answer) -> Iterator[str]:
    if answer.left_out:
        yield f"the record has {len(answer.results) + answer.left_out} documents, too many to be compared"
        return
    written = [result for result in answer.results if result.outcome is Outcome.WRITTEN]
    yield from _reasons(case.reasons, answer.dead_letters)
    wanted = case.rows if case.rows is not None else case.documents if case.documents is not None else ()
    if len(wanted) != len(written):
        yield f"- {counted(len(wanted), 'row')} written"
        yield f"+ {counted(len(written), 'row')} written"
    if case.filtered and not any(result.outcome is Outcome.FILTERED for result in answer.results):
        yield "- filtered"
        yield "+ not filtered"
    for place, (row, result) in enumerate(zip(case.rows or (), written, strict=False), start=1):
        yield from _row(place, row, result.columns)
    for place, (document, result) in enumerate(zip(case.documents or (), written, strict=False), start=1):
        if not same(document, result.document):
            yield f"document {place}:"
            yield from _diff(document, result.document)


def _row(place: int, row: Sequence[ExpectedCell], cells: Sequence[Cell]) -> Iterator[str]:
    held = {cell.column: cell.value for cell in cells}
    for expected in row:
        value = held.get(expected.column)
        if not _fits(expected, value):
            yield f"row {place}, {expected.column}:"
            yield f"- {expected.shown}"
            yield f"+ {'NULL' if value is None else value}"


def _fits(expected: ExpectedCell, value: str | None) -> bool:
    if expected.texts:
        return value in expected.texts
    try:
        return value is not None and same(expected.document, loads(value))
    except ValueError:
        return False


def _reasons(expected: Sequence[ExpectedReason], came: Sequence[Result]) -> Iterator[str]:
    missing, left = [], list(came)
    for reason in expected:
        found = next((result for result in left if _explains(reason, result)), None)
        if found is None:
            missing.append(reason)
        else:
            left.remove(found)
    for reason in missing:
        yield f"- dead letter: {_shown(reason)}"
    for result in left:
        yield f"+ dead letter: {_described(result.index, result.reason)}"


def _explains(expected: ExpectedReason, result: Result) -> bool:
    reason = result.reason
    if reason is None:
        return False
    pairs = ((expected.stage, reason.stage), (expected.code, reason.code), (expected.column, reason.column))
    return (
        all(wanted in (None, is_there) for wanted, is_there in pairs)
        and (expected.message is None or expected.message in reason.message)
        and expected.index in (None, result.index)
    )


def _shown(reason: ExpectedReason) -> str:
    index = None if reason.index is None else f"document {reason.index}"
    column = reason.column and f"column {reason.column}"
    message = reason.message and f"… {reason.message} …"
    return ", ".join(filter(None, (index, reason.stage, reason.code, column, message))) or "any"


def _described(index: int | None, reason: Reason | None) -> str:
    where = "" if index is None else f"document {index}, "
    if reason is None:
        return f"{where}no reason"
    column = f", column {reason.column}" if reason.column else ""
    return f"{where}{reason.stage}, {reason.code}{column}: {reason.message}"


def _diff(expected: Any, came: Any) -> Iterator[str]:  # noqa: ANN401 -- JSON
    for line in difflib.ndiff(_lines(expected), _lines(came)):
        if not line.startswith("?"):
            yield line


def _lines(value: Any) -> list[str]:  # noqa: ANN401 -- JSON
    return [f"(bytes) {value!r}"] if isinstance(value, bytes) else pretty(value, ordered=True).splitlines()
