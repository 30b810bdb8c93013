"""A table in Postgres: exactly once by the identity of each row."""

import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from ddpm.component import Component, duration
from ddpm.components.columns import columns
from ddpm.components.parsers import gives_many
from ddpm.config.address import AddressError, parse_address, url_from_keywords
from ddpm.config.fields import literal
from ddpm.config.model import (
    EMBEDDED,
    IDENTIFIER_BYTES,
    IDENTITY_COLUMNS,
    INDEX_COLUMN,
    RECORD_TIME_COLUMN,
    Capabilities,
    Column,
    ColumnName,
    Duration,
    EngineFamily,
    Evolve,
    MonthlyPartitions,
    Pipeline,
    RowTable,
    Secret,
    Sink,
    TableName,
    Wait,
    Waiting,
    broken_rule,
)
from ddpm.config.names import split_table
from ddpm.config.paths import NO_SYSTEM_ROOTS, SYSTEM_ROOTS, system_roots, with_absolute_files
from ddpm.contract import Env, Metric, PostgresWait
from ddpm.errors import ConfigError

# Room for _2026_01 and _default.
_PARTITIONED_NAME_BYTES = IDENTIFIER_BYTES - 8

# Of these the engine mostly says more.
_UNCLEAR = {
    PostgresWait.REFUSED: "no row of a batch is taken",
    PostgresWait.TLS: "no encrypted connection comes about",
    PostgresWait.UNKNOWN_SOURCE: "a topic has no source number",
    PostgresWait.NO_ORIGIN: "records come without topic, partition and offset",
    PostgresWait.OTHER: "an error that ddpm does not know",
}


class Postgres(Sink):
    """`app.postgres`: the table that records end in; typed when `columns` are given, else one document a row."""

    kind = "postgres"
    summary = "a table in Postgres, exactly once by the identity of each row"
    section = "postgres"
    capabilities = Capabilities(
        names_refused_records=True, idempotent=True, replaceable=True, direct=True, audited=True
    )
    engine_output = "postgres_copy"
    icon = (
        "M2.5 4.2c0-1.4 2.9-2.4 6.5-2.4s6.5 1 6.5 2.4v9.6c0 1.4-2.9 2.4-6.5 2.4s-6.5-1-6.5-2.4Z",
        "M2.5 4.2c0 1.4 2.9 2.4 6.5 2.4s6.5-1 6.5-2.4M2.5 9c0 1.4 2.9 2.4 6.5 2.4s6.5-1 6.5-2.4",
    )
    metrics_prefix = "postgres_copy"
    families = (
        EngineFamily(
            "ddpm_engine_postgres_rows_total",
            "counter",
            "Rows that Postgres committed.",
            Metric.POSTGRES_COMMITTED,
        ),
        EngineFamily(
            "ddpm_engine_postgres_duplicates_skipped_total",
            "counter",
            "Redeliveries that were in the table already and were skipped.",
            Metric.POSTGRES_DUPLICATES,
        ),
        EngineFamily(
            "ddpm_engine_postgres_rejected_total",
            "counter",
            "Records that Postgres refused, by the class of the SQLSTATE (its first two characters) or payload.",
            Metric.POSTGRES_FAILED,
            (("class", "class"),),
        ),
        EngineFamily(
            "ddpm_engine_postgres_write_seconds",
            "histogram",
            "Time that Postgres took to write a batch durably.",
            Metric.POSTGRES_SECONDS,
        ),
        EngineFamily(
            "ddpm_engine_postgres_waiting_batches",
            "gauge",
            "Batches that wait for Postgres, by the reason.",
            Metric.POSTGRES_WAITING,
            (("reason", "reason"),),
        ),
        EngineFamily(
            "ddpm_engine_postgres_column_never_found",
            "gauge",
            "1 for a column whose path led nowhere in all documents so far, which makes it NULL in every row.",
            Metric.NEVER_FOUND,
            (("column", "column"),),
        ),
    )
    broken_words: ClassVar[Mapping[str, str]] = {
        PostgresWait.MISSING: "the table {name}, its schema or one of its columns is not there any more",
        PostgresWait.RIGHTS: "ddpm has no right to write the table {name} any more",
        PostgresWait.COLUMNS: "the columns of the table {name} were changed, and rows do not fit any more",
        PostgresWait.PARTITION: "the table {name} has no partition for some of the rows",
        PostgresWait.IDENTITY_KEY: "the table {name} has lost the unique key of its identity columns: add it again",
        PostgresWait.TRIGGER: (
            "a trigger of the table {name} skips or moves rows, or changes their identity: drop or disable it"
        ),
    }
    outage_words: ClassVar[Mapping[str, str]] = {
        PostgresWait.CONNECTION: "it cannot be reached",
        PostgresWait.TIMEOUT: "it does not answer in time",
        PostgresWait.SHUTDOWN: "it is shutting down or starting",
        PostgresWait.LOGIN: "it does not let ddpm in",
        PostgresWait.RESOURCES: "it has no connections, memory or disk left",
        PostgresWait.LOCK: "a lock is held",
        PostgresWait.CONTENTION: "transactions are in each other's way",
        PostgresWait.READ_ONLY: "it is read-only",
        PostgresWait.STANDBY: "its synchronous standby does not confirm commits",
        PostgresWait.INCARNATION: (
            "a topic was made again, or has another log than before: its records wait for another source number"
        ),
        PostgresWait.SOURCE: "the brokers do not say whether the topics are still the same",
    }

    url: Secret = Field(
        examples=["postgresql://user:${PGPASSWORD}@localhost:5432/database", EMBEDDED],
        description="the address of the database, or `embedded` (docs/deploy.md#the-postgres-url)",
    )
    table: TableName = Field(
        examples=["orders"],
        description="`table` or `schema.table`, a part with a dot in quotes; made when missing, else see `evolve`",
    )
    columns: dict[ColumnName, Column] | None = Field(
        default=None,
        examples=[{"amount": {"type": "numeric(10,2)", "from": "payment.amount"}}],
        description="name and type, or `{type, from, format, zone}`, of the columns behind the identity "
        "(docs/columns.md); without them `timestamp timestamptz, data jsonb`",
    )
    partition: MonthlyPartitions | None = Field(
        default=None,
        examples=[{"by": "month", "retention": 24}],
        description="a partition for each month (docs/operations.md#monthly-partitions)",
    )
    evolve: Evolve = Field(
        default=Evolve.OFF,
        examples=[Evolve.ADD],
        description="how far a table that exists follows `columns`: `off` (the statements are printed), `add` (new "
        "columns are added), `widen` (types get wider, too); never drops, never narrows "
        "(docs/columns.md#when-columns-change)",
    )
    write_timeout: Duration = Field(default=30.0, description="a server that is silent for so long counts as away")
    max_in_flight: int = Field(default=4, ge=1, le=64, description="how many batches may be on their way at once")

    @property
    def shown(self) -> str:
        """The table."""
        return self.table

    @property
    def described(self) -> str:
        """The table, in a sentence."""
        return f"postgres table {self.table}"

    def output(self, pipeline: Pipeline) -> Component:
        """The engine's output. Address and numbers of sources reach it through the engine's environment."""
        many = gives_many(pipeline.source)
        if many and INDEX_COLUMN in (self.columns or {}):
            what = "an identity column of a parser of many documents a record, which ddpm keeps itself"
            msg = f'"{INDEX_COLUMN}" is {what}'
            raise ConfigError(msg, hint=f"name yours differently: event_index: {{type: …, from: {INDEX_COLUMN}}}")
        schema, table = split_table(self.table)
        target: Component = {"schema": schema, "table": table} if schema else {"table": table}
        return {
            self.engine_output: {
                "dsn_env": Env.POSTGRES_DSN,
                "sources_env": Env.SOURCES,
                **target,
                **({"indexed": True} if many else {}),
                "columns": [column.component() for column in columns(self, pipeline.source)],
                "write_timeout": duration(self.write_timeout),
                "max_in_flight": self.max_in_flight,
            }
        }

    def environment(self) -> dict[str, str]:
        """The parts of the address, which both clients of Postgres understand alike."""
        from ddpm.store.connection import parts

        return {Env.POSTGRES_DSN: json.dumps(parts(with_absolute_files(self.url)))}

    def letters(self) -> Component:
        """Where what no topic takes is kept: in a table of ddpm's beside this one."""
        schema, _ = split_table(self.table)
        return {"dsn_env": Env.POSTGRES_DSN, **({"schema": schema} if schema else {})}

    def wait_reason(self, wait: Wait) -> Waiting:
        """A word that has no words here is explained by what the engine says of it."""
        if wait.word in self.broken_words:
            which = f" ({wait.changed})" if wait.changed and wait.word == PostgresWait.COLUMNS else ""
            text = self.broken_words[wait.word].format(name=wait.where)
            return Waiting(f"postgres: {text}{which}", broken=True)
        known = self.outage_words.get(wait.word) or wait.said or _UNCLEAR.get(wait.word)
        why = f": {known}" if known else ""
        return Waiting(f"postgres: does not take rows ({wait.word}){why}")

    @property
    def row_table(self) -> RowTable:
        """This table."""
        return self

    @property
    def in_flight(self) -> int:
        """As the user says."""
        return self.max_in_flight

    def renamed(self, table: str) -> Self:
        """The same columns in another table of the same database."""
        return self.model_copy(update={"table": table})

    def resolved(self, dsn: str) -> Self:
        """The embedded database, where it answers."""
        return self.model_copy(update={"url": Secret(dsn)}) if self.embedded else self

    @classmethod
    def missing_files(cls, given: Mapping[str, str]) -> Iterable[tuple[str, str]]:
        """The files that the URL names: the engine refuses to start without them, or with a key that it cannot read."""
        try:
            named = parse_address(given["url"]).options if "url" in given else {}
        except AddressError:
            return
        if named.get("sslrootcert") == SYSTEM_ROOTS and system_roots() is None:
            yield "url", NO_SYSTEM_ROOTS
        for option in ("sslrootcert", "sslcert", "sslkey"):
            path = named.get(option, SYSTEM_ROOTS)
            if path != SYSTEM_ROOTS and not Path(path).is_file():
                yield "url", f"the file {path}, which {option} names, does not exist"
        fault = _fault_of_key(Path(named["sslkey"])) if "sslkey" in named else None
        if fault is not None:
            yield "url", fault

    @property
    def engine_files(self) -> Iterable[Path]:
        """The certificates of the authorities that are trusted; what `system` means is a file of this machine."""
        from ddpm.store.connection import parts

        roots = None if self.embedded else parts(self.url).get("sslrootcert")
        return (Path(roots),) if roots else ()

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

    @field_validator("evolve", mode="before")
    @classmethod
    def _off_is_a_word(cls, evolve: object) -> object:
        """YAML reads `off` as a boolean."""
        return Evolve.OFF if evolve is False else evolve

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
    def _url_is_postgres(cls, url: Secret) -> Secret:
        if url == EMBEDDED:
            return url
        parse_address(url)
        written = url_from_keywords(url)
        return url if written is None else Secret(written)


def _fault_of_key(path: Path) -> str | None:
    """Why one of the two clients would not read a private key that is there; None where both do, or it is not known."""
    try:
        state, text = path.stat(), path.read_bytes()
    except OSError:
        return None
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in text:
        return (
            f"the key {path}, which sslkey names, is encrypted in the form PKCS #8, which the engine's client does not "
            f"read; write it as openssl rsa -aes256 -traditional does, or without a password"
        )
    # As libpq has it: what root owns a group may read.
    if stat.S_IMODE(state.st_mode) & (0o037 if state.st_uid == 0 else 0o077):
        return f"others may read the key {path}, which sslkey names, and so libpq refuses it: chmod 0600 {path}"
    return None


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
