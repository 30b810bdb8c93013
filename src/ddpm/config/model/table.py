"""A table that records end in: its identity, its columns and its partitions."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Protocol

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ddpm.config.fields import keys_of
from ddpm.config.model.values import ColumnName, Model, NonEmptyStr, broken_rule
from ddpm.config.moments import check_format, check_zone, misfit
from ddpm.config.pgtypes import parse as parse_type

IDENTITY_COLUMNS = ("source", "partition", "offset")
# Distinguishes the rows of one record, for parsers of many documents a record.
INDEX_COLUMN = "index"
# Holds the record's timestamp in a document table, and in a partitioned one unless it is named otherwise.
RECORD_TIME_COLUMN = "timestamp"
_MONTHS_PAST = 12


class Origin(Model):
    """Where a column's value comes from: exactly one of these.

    Attributes:
        path: The path of a value in the document.
        key: The record's key, as text or as bytes.
        header: The name of one of the record's headers.
        timestamp: The record's timestamp.
        topic: The record's topic.
        partition: The number of its partition.
        offset: Its offset.

    """

    path: NonEmptyStr | None = None
    key: Literal["text", "bytes"] | None = None
    header: NonEmptyStr | None = None
    timestamp: bool | None = None
    topic: bool | None = None
    partition: bool | None = None
    offset: bool | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that lead to the value from the document's top; none for what is not of the document."""
        return () if self.path is None else keys_of(self.path)

    @field_validator("path")
    @classmethod
    def _path_is_a_path(cls, path: str | None) -> str | None:
        if path is not None:
            keys_of(path)
        return path

    @field_validator("timestamp", "topic", "partition", "offset")
    @classmethod
    def _is_wanted(cls, wanted: bool | None) -> bool | None:
        if not wanted:
            msg = "write true, or omit the key"
            raise ValueError(msg)
        return wanted

    @model_validator(mode="after")
    def _exactly_one(self) -> "Origin":
        if len(self.model_fields_set) != 1:
            msg = f"a value comes from one place: a path, or one of {', '.join(RECORD_PARTS)}"
            raise ValueError(msg)
        return self


# What a column may hold of the record itself.
RECORD_PARTS = tuple(name for name in Origin.model_fields if name != "path")


def _origin_forms(value: object) -> object:
    """Let a path stand for `{path: …}`."""
    return {"path": value} if isinstance(value, str) else value


class Column(Model):
    """One column of a typed table: its Postgres type, where its value comes from, and how that says a time.

    A dot that belongs to a key is written `\\.`; in single quotes or plain YAML, `from: labels.app\\.name`.
    """

    type: NonEmptyStr
    origin: Annotated[Origin, BeforeValidator(_origin_forms)] = Field(alias="from")
    format: NonEmptyStr | None = None
    zone: NonEmptyStr | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that lead to the value in the document; none for what is not of the document."""
        return self.origin.keys

    @field_validator("type")
    @classmethod
    def _type_is_a_type(cls, text: str) -> str:
        parse_type(text)
        return text

    @field_validator("format")
    @classmethod
    def _format_is_known(cls, text: str | None) -> str | None:
        if text is not None:
            check_format(text)
        return text

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, zone: str | None) -> str | None:
        if zone is not None:
            check_zone(zone)
        return zone

    @model_validator(mode="after")
    def _format_fits(self) -> "Column":
        read = self.format or self.zone
        if read and self.origin.model_fields_set & {"timestamp", "partition", "offset"}:
            raise broken_rule("this value needs none", "format" if self.format else "zone")
        found = parse_type(self.type)
        wrong = misfit(self.format, self.zone, found.name) if read and found.known else None
        if wrong is not None:
            key, msg = wrong
            raise broken_rule(msg, key)
        return self


class MonthlyPartitions(Model):
    """`app.postgres.partition`: one partition of the table for each month of the records' timestamps.

    `column` holds the timestamp. `past` and `ahead` are how many months before and after the present one have a
    partition; what lies outside stands in the default partition. Months before the last `retention` ones are dropped.
    """

    by: Literal["month"] = Field(
        default="month",
        description="a partition for each month of the records' timestamps (docs/operations.md#monthly-partitions)",
    )
    column: ColumnName = Field(default=RECORD_TIME_COLUMN, description="the column that holds the timestamp")
    past: int | None = Field(
        examples=[24],
        default=None,
        ge=0,
        le=600,
        description="how many months before the present one have a partition; 12, or `retention`, by default",
    )
    ahead: int = Field(default=2, ge=1, le=60, description="how many months after the present one have a partition")
    retention: int | None = Field(
        examples=[24],
        default=None,
        ge=1,
        le=600,
        description="how many months are kept; earlier ones are dropped, none by default",
    )

    @property
    def months_past(self) -> int:
        """How many months before the present one have a partition."""
        if self.past is not None:
            return self.past
        return _MONTHS_PAST if self.retention is None else self.retention

    @field_validator("column")
    @classmethod
    def _is_no_identity_column(cls, column: str) -> str:
        if column in (*IDENTITY_COLUMNS, INDEX_COLUMN):
            msg = f'"{column}" is an identity column; name another one for the record\'s timestamp'
            raise ValueError(msg)
        return column

    @model_validator(mode="after")
    def _makes_nothing_that_it_drops(self) -> "MonthlyPartitions":
        if self.retention is not None and self.months_past > self.retention:
            msg = f"months older than the retention of {self.retention} would be made and dropped at once"
            raise broken_rule(msg, "past")
        return self


class Evolve(StrEnum):
    """How far a table that exists follows the columns of the configuration; nothing is ever dropped or narrowed."""

    OFF = "off"
    ADD = "add"
    WIDEN = "widen"


class RowTable(Protocol):
    """A table whose rows have the identity of their records, and where it is.

    What stands on this identity asks for it: source numbers, `ddpm rows`, `ddpm trace`, `ddpm replay`, the audit.
    """

    @property
    def kind(self) -> str:
        """The sink that writes it."""

    @property
    def url(self) -> str:
        """The address of the database."""

    @property
    def table(self) -> str:
        """Its name, with its schema where one is named."""

    @property
    def columns(self) -> Mapping[str, Column] | None:
        """Its columns behind the identity; None for one document a row."""

    @property
    def partition(self) -> MonthlyPartitions | None:
        """How it is partitioned."""

    @property
    def evolve(self) -> Evolve:
        """How far it follows its columns once it exists."""

    def renamed(self, table: str) -> "RowTable":
        """A table of the same columns under another name."""
