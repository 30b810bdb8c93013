"""How a dead letter looks in a terminal: reason, origin, headers, bytes. Nothing that came from a record acts there."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rich.text import Text

from ddpm.cli.text import harmless_json, hexdump, plain
from ddpm.deadletters.letter import DeadLetter
from ddpm.exact import loads, pretty
from ddpm.server.letters import LetterView

_WIDTH = 12


def drawn(letter: DeadLetter, view: LetterView, *, as_hex: bool) -> Text:
    """A letter with everything in it; `as_hex` shows key and bytes in hexadecimal even where they are text."""
    lines = [
        Text(f"dead letter {letter.id} of {plain(letter.pipeline)}", style="bold"),
        *_fields(letter, view),
        *_headers(letter),
        *_content("key", letter.key or None, as_hex=as_hex, absent="none"),
        *_content("value", letter.value, as_hex=as_hex, absent="null (a tombstone)"),
    ]
    return Text("\n").join(lines)


def readable(value: bytes) -> list[str] | None:
    """The bytes as lines fit for a terminal: JSON set out, other text as it is; None for what is not text."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    document = _json(text)
    if document is not None:
        return harmless_json(document).splitlines()
    return [plain(line) for line in text.splitlines()]


def _json(text: str) -> str | None:
    try:
        return pretty(loads(text))
    except (ValueError, RecursionError):
        return None


def _fields(letter: DeadLetter, view: LetterView) -> Iterator[Text]:
    if letter.sink:
        yield _field("sink", letter.sink)
    yield _field("reason", f"{letter.stage}/{letter.code}: {letter.message}", style="red")
    if letter.sqlstate:
        yield _field("sqlstate", letter.sqlstate)
    if letter.column:
        yield _field("column", letter.column)
    yield _field("origin", str(letter.origin) if letter.origin else "unknown")
    yield _field("failed at", moment(letter.failed_at_ms))
    if letter.recorded_at_ms is not None:
        yield _field("record's own", moment(letter.recorded_at_ms))
    yield _field("attempt", str(letter.attempt))
    if letter.config_hash:
        yield _field("config", letter.config_hash)
    if letter.headers_cut:
        yield _field("headers", f"too large for the topic, missing or cut: {letter.headers_cut}")
    if view.copies > 1:
        yield _field("copies", str(view.copies))
    state = view.handled
    if state is None:
        yield _field("state", "open")
    else:
        by = f" by {state.run}" if state.run else ""
        yield _field(
            "state", f"{state.deed.value.replace('_', ' ')} at {moment(round(state.at.timestamp() * 1000))}{by}"
        )


def _headers(letter: DeadLetter) -> Iterator[Text]:
    if letter.headers:
        yield Text("headers", style="cyan")
    for name, value in letter.headers:
        shown = "null" if value is None else _one_line(value)
        yield Text(f"  {plain(name)}: {shown}")


def _one_line(value: bytes) -> str:
    try:
        return plain(value.decode())
    except UnicodeDecodeError:
        return f"(bytes) {value.hex(' ')}"


def _content(name: str, value: bytes | None, *, as_hex: bool, absent: str) -> Iterator[Text]:
    if value is None:
        yield _field(name, absent)
        return
    yield Text(f"{name}, {len(value):,} bytes", style="cyan")
    lines = None if as_hex else readable(value)
    yield from (Text(f"  {line}") for line in (hexdump(value) if lines is None else lines))


def _field(name: str, text: str, style: str = "") -> Text:
    return Text(f"{name:<{_WIDTH}}  ", style="cyan").append(plain(text), style=style or "none")


def moment(ms: int) -> str:
    """A time in milliseconds since 1970 as people read it; one that no calendar has as the number."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
