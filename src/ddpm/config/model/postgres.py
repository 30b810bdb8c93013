"""`app.postgres`: the table, its columns and partitions."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ddpm.config.address import EMBEDDED, parse_address
from ddpm.config.fields import keys_of, literal
from ddpm.config.model.values import IDENTIFIER_BYTES, ColumnName, Duration, Model, NonEmptyStr, TableName, broken_rule
from ddpm.config.moments import check_format, check_zone, misfit
from ddpm.config.names import split_table
from ddpm.config.pgtypes import parse as parse_type

IDENTITY_COLUMNS = ("source", "partition", "offset")
# Tells the rows of one record apart, for parsers of many documents a record.
INDEX_COLUMN = "index"
# Holds the record's timestamp in a document table, and in a partitioned one unless it is named otherwise.
RECORD_TIME_COLUMN = "timestamp"
# Room for _2026_01 and _default.
_PARTITIONED_NAME_BYTES = IDENTIFIER_BYTES - 8
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

    by: Literal["month"] = "month"
    column: ColumnName = RECORD_TIME_COLUMN
    past: int | None = Field(default=None, ge=0, le=600)
    ahead: int = Field(default=2, ge=1, le=60)
    retention: int | None = Field(default=None, ge=1, le=600)

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


def _refuse_cut_types(columns: dict[str, object]) -> None:
    """Raise for a type that YAML cut in two: in `{ a: numeric(12,2) }` the comma ends a value, and `2)` is a key."""
    items = list(columns.items())
    for place, (name, cut) in enumerate(items):
        if not isinstance(cut, str) or cut.count("(") <= cut.count(")"):
            continue
        rest = []
        for key, value in items[place + 1 :]:
            if value is not None:
                break
            rest.append(key)
            if ")" in key:
                whole = ",".join([cut, *rest])
                msg = f'a comma between {{ }} ends a value, so this type must be in quotes: {name}: "{whole}"'
                raise broken_rule(msg, name)


class Postgres(Model):
    """`app.postgres`: the table that records end in; typed when `columns` are given, else one document a row."""

    url: NonEmptyStr = Field(repr=False, examples=["postgresql://user:${PGPASSWORD}@localhost:5432/database", EMBEDDED])
    table: TableName = Field(examples=["orders"])
    columns: dict[ColumnName, Column] | None = None
    partition: MonthlyPartitions | None = None
    write_timeout: Duration = 30.0
    max_in_flight: int = Field(default=4, ge=1, le=64)

    @property
    def embedded(self) -> bool:
        """Whether ddpm starts the database itself."""
        return self.url == EMBEDDED

    @field_validator("columns", mode="before")
    @classmethod
    def _short_form(cls, columns: object) -> object:
        """Let `name: type` stand for `name: {type, from: name}`."""
        if not isinstance(columns, dict):
            return columns
        _refuse_cut_types(columns)
        return {
            name: {"type": column, "from": literal(name)}
            if isinstance(column, str)
            else {"from": literal(name), **column}
            if isinstance(column, dict)
            else column
            for name, column in columns.items()
        }

    @field_validator("columns")
    @classmethod
    def _identity_is_ours(cls, columns: dict[str, Column] | None) -> dict[str, Column] | None:
        taken = sorted(set(columns or {}) & set(IDENTITY_COLUMNS))
        if taken:
            msg = (
                f'"{taken[0]}" is one of the identity columns (source, partition, offset) that ddpm keeps itself; '
                f"name yours differently and point it at the field: event_{taken[0]}: {{type: text, from: {taken[0]}}}"
            )
            raise broken_rule(msg, taken[0])
        if columns is not None and not columns:
            msg = "no column is named; omit `columns` for a document table"
            raise ValueError(msg)
        return columns

    @model_validator(mode="after")
    def _partitions_fit(self) -> "Postgres":
        if self.partition is None:
            return self
        column = self.partition.column
        if self.columns is None and column != RECORD_TIME_COLUMN:
            msg = f'a document table has the timestamp in the column "{RECORD_TIME_COLUMN}"; omit `column`'
            raise broken_rule(msg, "partition", "column")
        if column in (self.columns or {}):
            msg = (
                f'"{column}" is one of `columns`; the table is partitioned by the record\'s own timestamp, '
                "which needs a column of another name: partition: {column: recorded_at}"
            )
            raise broken_rule(msg, "partition")
        if len(split_table(self.table)[1].encode()) > _PARTITIONED_NAME_BYTES:
            msg = f"the name of a partitioned table may have {_PARTITIONED_NAME_BYTES} bytes: its partitions add to it"
            raise broken_rule(msg, "table")
        return self

    @field_validator("url")
    @classmethod
    def _url_is_postgres(cls, url: str) -> str:
        if url != EMBEDDED:
            parse_address(url)
        return url
