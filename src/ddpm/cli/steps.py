"""What becomes of a record, step by step, as a person reads it: bytes, parsed, processed, columns, or the reason."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.text import Text

from ddpm.cli.text import HEX_ROW, harmless_json, hexdump, plain
from ddpm.orchestrator.dryrun import Answer, Cell, Outcome, Reason, Result, pretty

_HEX_ROWS = 4
_DIGITS = 4


def answered(answer: Answer, label: str, table: str | None) -> Text:
    """The steps of one record.

    Args:
        answer: What was said about it.
        label: What stands above it, such as where it came from.
        table: The name of the table that the columns belong to.

    """
    lines: list[Text] = [Text(f"{label}: {answer.size} bytes", style="bold"), *_indented(_first_bytes(answer))]
    if not answer.results and not answer.left_out:
        lines += _indented([Text("no documents: consumed, nothing is written")])
    for result in answer.results:
        lines += _indented(_result(result, table))
    if answer.left_out:
        lines += _indented([Text(f"… and {answer.left_out} documents more, none of them a dead letter")])
    return Text("\n").join(lines)


def _first_bytes(answer: Answer) -> list[Text]:
    """The first bytes in hexadecimal, and as text where they are ASCII."""
    if answer.size and not answer.head:
        return [Text("not shown: privacy.mask", style="dim")]
    shown = answer.head[: HEX_ROW * _HEX_ROWS]
    lines = list(hexdump(shown, _DIGITS))
    if answer.size > len(shown):
        lines.append("…")
    return [Text(line, style="dim") for line in lines]


def said_briefly(reason: Reason) -> str:
    """A reason on one line."""
    column = f", column {plain(reason.column)}" if reason.column else ""
    return f"{reason.stage}, {plain(reason.code)}{column}: {plain(reason.message)}"


def shown(document: Any) -> str:  # noqa: ANN401 -- JSON or bytes
    """A document in many lines, every number as it was written; of one that came as bytes the first ones."""
    if isinstance(document, bytes):
        return f"(bytes) {document[:HEX_ROW].hex(' ')}{' …' if len(document) > HEX_ROW else ''}"
    return harmless_json(pretty(document))


def _result(result: Result, table: str | None) -> Iterator[Text]:
    if result.index is not None:
        yield Text(f"document {result.index}", style="bold")
    if result.parsed is not None:
        yield from _step("parsed", shown(result.parsed))
    if result.document is not None and shown(result.document) != shown(result.parsed):
        yield from _step("processed", shown(result.document))
    if result.columns:
        yield Text(f"columns of {table}" if table else "columns", style="cyan")
        yield from _indented(_columns(result.columns))
    if result.outcome is Outcome.FILTERED:
        yield Text("filtered: nothing is written", style="yellow")
    if result.reason is not None:
        yield Text(f"dead letter: {said_briefly(result.reason)}", style="red")


def _step(name: str, text: str) -> Iterator[Text]:
    yield Text(name, style="cyan")
    yield from _indented(map(Text, text.splitlines()))


def _columns(cells: tuple[Cell, ...]) -> Iterator[Text]:
    names, types = max(len(plain(cell.column)) for cell in cells), max(len(cell.type) for cell in cells)
    for cell in cells:
        line = Text(f"{plain(cell.column):<{names}}  ").append(f"{cell.type:<{types}}  ", style="dim")
        if cell.value is None:
            yield line.append("NULL", style="dim")
        else:
            yield line.append(plain(cell.value.replace("\t", r"\t")))


def _indented(lines: Iterable[Text]) -> Iterator[Text]:
    return (Text("  ").append_text(line) for line in lines)
