"""The columns of a table behind the identity, as data; what an engine gets is derived from that. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ddpm.component import Component, Value
from ddpm.components.parsers import gives_texts
from ddpm.config.model import RECORD_TIME_COLUMN, Column, Origin, RowTable, Source
from ddpm.config.moments import JSON
from ddpm.config.pgtypes import parse as parse_type


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column: what it is called, what Postgres holds in it, and where its value comes from.

    Attributes:
        name: Its name.
        type: A type of Postgres.
        origin: What of a record or document it holds, as the engine calls it: `field`, `document`, `timestamp` …
        details: What the engine has to know of that besides: the path of a field, the name of a header, a format.

    """

    name: str
    type: str
    origin: str
    details: Mapping[str, Value] = field(default_factory=dict)

    def component(self, *, typed: bool = False) -> Component:
        """The engine's form of it; `typed` where no database can be asked for its type."""
        return {"name": self.name, "from": self.origin, **self.details, **({"type": self.type} if typed else {})}


_DOCUMENT = ColumnPlan("data", "jsonb", "document")


def columns(table: RowTable, source: Source) -> list[ColumnPlan]:
    """The columns of a table behind the identity."""
    texts = gives_texts(source)
    planned = [_planned(name, column, texts) for name, column in (table.columns or {}).items()]
    if table.partition is not None:
        return [_time(table.partition.column, {"key": True}), *(planned or [_DOCUMENT])]
    return planned or [_time(RECORD_TIME_COLUMN, {}), _DOCUMENT]


def _time(name: str, details: Mapping[str, Value]) -> ColumnPlan:
    return ColumnPlan(name, "timestamptz", "timestamp", details)


def _planned(name: str, column: Column, texts: bool) -> ColumnPlan:
    origin, details = _origin(column.origin)
    if column.format is not None:
        details["format"] = column.format
    elif texts and column.origin.path is not None and _may_be_json(column.type):
        # A cell of CSV is text whatever it holds, so in a column of JSON the text is the JSON.
        details["format"] = JSON
    if column.zone is not None:
        details["zone"] = column.zone
    return ColumnPlan(name, column.type, origin, details)


def _origin(origin: Origin) -> tuple[str, Component]:
    if origin.path is not None:
        return "field", {"path": list(origin.keys)}
    if origin.key is not None:
        return "key_bytes" if origin.key == "bytes" else "key", {}
    if origin.header is not None:
        return "header", {"header": origin.header}
    (part,) = origin.model_fields_set
    return part, {}


def _may_be_json(type_: str) -> bool:
    found = parse_type(type_)
    return found.name in ("json", "jsonb") or not found.known
