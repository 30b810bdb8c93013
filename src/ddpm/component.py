"""The vocabulary of engine components: nested plain values, and the one kind of text that is not plain.

The engine substitutes `${NAME}` in the text of its configuration before it parses the YAML, so a value from a
user must never show that pattern, while a reference of ours must keep it: `EngineEnv` and `Concealed` mark the latter,
and `render` escapes everything else.
"""

from dataclasses import dataclass
from typing import TypeAlias, Union


@dataclass(frozen=True, slots=True)
class EngineEnv:
    """A reference to an environment variable of the engine, written into the configuration as `prefix${name}`."""

    name: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.prefix}${{{self.name}}}"


@dataclass(frozen=True, slots=True)
class Concealed:
    """A text of which some pieces are references to variables that hold them, because they must stay secret."""

    pieces: tuple[str | EngineEnv, ...]

    def __str__(self) -> str:
        return "".join(str(piece) for piece in self.pieces)


Value: TypeAlias = Union[str, int, float, bool, EngineEnv, Concealed, "list[Value]", "dict[str, Value]", None]
Component: TypeAlias = dict[str, Value]


def mapping(text: str) -> str:
    """A mapping in Bloblang as the engine can take it: it cannot write back a text that begins with an empty line."""
    return text.lstrip("\r\n")


def duration(seconds: float) -> str:
    """Seconds as the engine writes a duration, e.g. 0.1 -> `100ms`, 30 -> `30s`."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"
