"""What several sections share: the types of their values, and the base of every section."""

import math
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ddpm.config.address import EMBEDDED, port_fault
from ddpm.config.names import split_table
from ddpm.config.paths import unfit

_DURATION = re.compile(r"(?P<value>\d{1,12}(?:\.\d{1,12})?)\s*(?P<unit>ms|s|m|h)")
_DURATION_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(?P<value>\d{1,15}(?:\.\d{1,12})?)\s*(?P<unit>B|[kK]i?B|Mi?B|Gi?B)?")
_SIZE_BYTES = {"B": 1, "KB": 10**3, "KIB": 2**10, "MB": 10**6, "MIB": 2**20, "GB": 10**9, "GIB": 2**30}
_BROKER = re.compile(r"(?:[^\s:/@,\[\]]+|\[[0-9a-fA-F:.]+\]):(?P<port>[^\s:/@,]+)")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
IDENTIFIER_BYTES = 63


def broken_rule(message: str, *at: str | int) -> PydanticCustomError:
    """An error of a section whose culprit stands at `at`, the keys and indices below that section."""
    return PydanticCustomError("broken_rule", "{text}", {"text": message, "at": at})


def parse_duration(value: object) -> object:
    """Turn `"100ms"`, `"30s"`, `"5m"` or a number of seconds into seconds; anything else is left to the type check."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise PydanticCustomError(
                "duration", '"{value}" is not a duration; write for example 500ms, 30s or 5m', {"value": value}
            )
        return float(match["value"]) * _DURATION_SECONDS[match["unit"]]
    return value


def _with_unit(value: object) -> object:
    """Read a duration of the file, where a number alone is none: people mean milliseconds as often as seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        raise PydanticCustomError(
            "duration",
            "{value} of what? A duration has a unit: {value}ms, {value}s or {value}m",
            {"value": f"{value:g}"},
        )
    return parse_duration(value)


def parse_size(value: object) -> object:
    """Turn `"8MB"`, `"512 KiB"` or a number of bytes into bytes; anything else is left to the type check."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise PydanticCustomError(
                "size", '"{value}" is not a size; write for example 512KiB or 8MB', {"value": value}
            )
        return int(float(match["value"]) * _SIZE_BYTES[(match["unit"] or "B").upper()])
    return value


def _topic_name(name: str) -> str:
    if name in (".", "..") or not _TOPIC.fullmatch(name):
        msg = f'"{name}" is not the name of a topic: 1 to 249 of the characters a-z, A-Z, 0-9, ".", "_" and "-"'
        raise ValueError(msg)
    return name


def _name(of: str, longest: int) -> AfterValidator:
    pattern = re.compile(rf"[a-z0-9](?:[a-z0-9_-]{{0,{longest - 2}}}[a-z0-9])?")

    def check(name: str) -> str:
        if not pattern.fullmatch(name):
            msg = (
                f'"{name}" is not the name of a {of}: 1 to {longest} of the characters a-z, 0-9, "_" and "-", '
                "with a letter or digit first and last"
            )
            raise ValueError(msg)
        return name

    return AfterValidator(check)


def _broker(named: str) -> str:
    match = _BROKER.fullmatch(named)
    fault = port_fault(match["port"]) if match else None
    if named != EMBEDDED and (match is None or fault):
        why = f": {fault}" if fault else ""
        msg = f'"{named}" is not the address of a broker{why}; write one host:port an item, for example localhost:9092'
        raise ValueError(msg)
    return named


def _identifier(name: str) -> str:
    problem = None
    if not name:
        problem = "is empty"
    elif "\0" in name:
        problem = "contains the character NUL"
    elif len(name.encode("utf-8", "surrogatepass")) > IDENTIFIER_BYTES:
        problem = f"is longer than the {IDENTIFIER_BYTES} bytes that Postgres keeps of a name"
    if problem:
        shown = name.replace("\0", "\\0")
        msg = f'"{shown}" {problem}'
        raise ValueError(msg)
    return name


def _table_name(name: str) -> str:
    for part in split_table(name):
        if part is not None:
            _identifier(part)
    return name


def _file_path(path: Path) -> Path:
    if path == Path():
        msg = "names no file; give a path, or omit the key"
        raise ValueError(msg)
    if problem := unfit(path):
        msg = f"the path {problem}"
        raise ValueError(msg)
    return path


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)]
Duration = Annotated[
    float,
    BeforeValidator(_with_unit),
    Field(gt=0, allow_inf_nan=False),
    WithJsonSchema({"type": "string", "examples": ["30s"]}),
]
ByteSize = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string", "examples": ["8MB"]}]}),
]
NonEmptyStr = Annotated[str, Field(min_length=1)]
TopicName = Annotated[str, Field(min_length=1), AfterValidator(_topic_name)]
PipelineName = Annotated[str, Field(min_length=1), _name("pipeline", 63)]
SinkName = Annotated[str, _name("sink", 32)]
Broker = Annotated[str, Field(min_length=1), AfterValidator(_broker)]
TableName = Annotated[str, Field(min_length=1), AfterValidator(_table_name)]
ColumnName = Annotated[str, AfterValidator(_identifier)]
FilePath = Annotated[Path, AfterValidator(_file_path)]


class Model(BaseModel):
    """Base of every section: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NoOptions(Model):
    """What may stand in the options of a parser that has none."""
