"""The names that ddpm and its engine have in common.

Written by `make generate` from what the engine says of cmd/engine/internal/contract: to be changed there.
"""

from typing import Final


class Env:
    """Environment variables that ddpm sets for an engine; VALUE and SINK_SECURITY are the beginnings of many."""

    POSTGRES_DSN: Final = "DDPM_POSTGRES_DSN"
    SOURCES: Final = "DDPM_SOURCES"
    CONFIG_HASH: Final = "DDPM_CONFIG_HASH"
    TOPIC_IDS: Final = "DDPM_TOPIC_IDS"
    FORKS: Final = "DDPM_FORKS"
    MARKS: Final = "DDPM_MARKS"
    STEPS: Final = "DDPM_STEPS"
    CLIENT_ID: Final = "DDPM_CLIENT_ID"
    COMMIT: Final = "DDPM_COMMIT"
    KAFKA_SECURITY: Final = "DDPM_KAFKA_SECURITY"
    SINK_SECURITY: Final = "DDPM_KAFKA_SINK_SECURITY_"
    SCHEMA_REGISTRY: Final = "DDPM_SCHEMA_REGISTRY"
    REGISTRY_TOKEN: Final = "DDPM_SCHEMA_REGISTRY_TOKEN"
    PYTHON: Final = "DDPM_PYTHON"
    VALUE: Final = "DDPM_VALUE_"
    HIDDEN: Final = "DDPM_HIDDEN"
    ENGINE_PORT: Final = "DDPM_ENGINE_PORT"
    PROFILE_FOLDER: Final = "DDPM_PROFILE_FOLDER"
    LIFELINE_FD: Final = "DDPM_LIFELINE_FD"
    LIFELINE_GRACE: Final = "DDPM_LIFELINE_GRACE"
    HANDOVER_FD: Final = "DDPM_HANDOVER_FD"
    CHECK_MAPPINGS: Final = "DDPM_CHECK_MAPPINGS"
    ALL: Final = frozenset(
        (
            POSTGRES_DSN,
            SOURCES,
            CONFIG_HASH,
            TOPIC_IDS,
            FORKS,
            MARKS,
            STEPS,
            CLIENT_ID,
            COMMIT,
            KAFKA_SECURITY,
            SINK_SECURITY,
            SCHEMA_REGISTRY,
            REGISTRY_TOKEN,
            PYTHON,
            VALUE,
            HIDDEN,
            ENGINE_PORT,
            PROFILE_FOLDER,
            LIFELINE_FD,
            LIFELINE_GRACE,
            HANDOVER_FD,
            CHECK_MAPPINGS,
        )
    )


class Header:
    """Headers of a dead letter."""

    TOPIC: Final = "__connect.errors.topic"
    PARTITION: Final = "__connect.errors.partition"
    OFFSET: Final = "__connect.errors.offset"
    PIPELINE: Final = "__connect.errors.connector.name"
    STAGE: Final = "__connect.errors.stage"
    CODE: Final = "__connect.errors.exception.class.name"
    MESSAGE: Final = "__connect.errors.exception.message"
    SQLSTATE: Final = "ddpm.errors.sqlstate"
    COLUMN: Final = "ddpm.errors.column"
    TIMESTAMP: Final = "ddpm.errors.timestamp_ms"
    NULL: Final = "ddpm.errors.null_value"
    INDEX: Final = "ddpm.errors.index"
    FAILED_AT: Final = "ddpm.errors.failed_at_ms"
    CONFIG_HASH: Final = "ddpm.errors.config_hash"
    SOURCE: Final = "ddpm.errors.source"
    ATTEMPT: Final = "ddpm.errors.attempt"
    SINK: Final = "ddpm.errors.sink"
    HEADERS: Final = "ddpm.errors.headers"
    HEADERS_CUT: Final = "ddpm.errors.headers_cut"
    ALL: Final = frozenset(
        (
            TOPIC,
            PARTITION,
            OFFSET,
            PIPELINE,
            STAGE,
            CODE,
            MESSAGE,
            SQLSTATE,
            COLUMN,
            TIMESTAMP,
            NULL,
            INDEX,
            FAILED_AT,
            CONFIG_HASH,
            SOURCE,
            ATTEMPT,
            SINK,
            HEADERS,
            HEADERS_CUT,
        )
    )


class Prefix:
    """What stands before a name that would mean something else."""

    DISPLACED: Final = "original."
    ALL: Final = frozenset((DISPLACED,))


class Commit:
    """What ddpm and its engines commit beside an offset."""

    OWN: Final = "ddpm"
    ALL: Final = frozenset((OWN,))


class PostgresWait:
    """What the Postgres sink waits for."""

    CONNECTION: Final = "connection"
    TIMEOUT: Final = "timeout"
    SHUTDOWN: Final = "shutdown"
    LOGIN: Final = "login"
    TLS: Final = "tls"
    RESOURCES: Final = "resources"
    LOCK: Final = "lock"
    CONTENTION: Final = "contention"
    READ_ONLY: Final = "read_only"
    STANDBY: Final = "standby"
    RIGHTS: Final = "rights"
    MISSING: Final = "missing"
    COLUMNS: Final = "columns"
    PARTITION: Final = "partition"
    IDENTITY_KEY: Final = "identity_key"
    TRIGGER: Final = "trigger"
    REFUSED: Final = "refused"
    UNKNOWN_SOURCE: Final = "unknown_source"
    INCARNATION: Final = "incarnation"
    SOURCE: Final = "source"
    NO_ORIGIN: Final = "no_origin"
    OTHER: Final = "other"
    ALL: Final = frozenset(
        (
            CONNECTION,
            TIMEOUT,
            SHUTDOWN,
            LOGIN,
            TLS,
            RESOURCES,
            LOCK,
            CONTENTION,
            READ_ONLY,
            STANDBY,
            RIGHTS,
            MISSING,
            COLUMNS,
            PARTITION,
            IDENTITY_KEY,
            TRIGGER,
            REFUSED,
            UNKNOWN_SOURCE,
            INCARNATION,
            SOURCE,
            NO_ORIGIN,
            OTHER,
        )
    )


class TopicWait:
    """What records for a topic wait for."""

    TOPIC: Final = "topic"
    RIGHTS: Final = "rights"
    REPLICAS: Final = "replicas"
    CONNECTION: Final = "connection"
    TIMEOUT: Final = "timeout"
    ALL: Final = frozenset(
        (
            TOPIC,
            RIGHTS,
            REPLICAS,
            CONNECTION,
            TIMEOUT,
        )
    )


class LetterWait:
    """What dead letters wait for."""

    TOPIC: Final = "topic"
    RIGHTS: Final = "rights"
    REPLICAS: Final = "replicas"
    CONNECTION: Final = "connection"
    TIMEOUT: Final = "timeout"
    TOO_LARGE: Final = "too_large"
    REFUSED: Final = "refused"
    BREAKER: Final = "breaker"
    ALL: Final = frozenset(
        (
            TOPIC,
            RIGHTS,
            REPLICAS,
            CONNECTION,
            TIMEOUT,
            TOO_LARGE,
            REFUSED,
            BREAKER,
        )
    )


class ParserWait:
    """What a parser waits for."""

    SCHEMA_REGISTRY: Final = "schema_registry"
    PLUGIN: Final = "plugin"
    RECORD: Final = "record"
    ALL: Final = frozenset(
        (
            SCHEMA_REGISTRY,
            PLUGIN,
            RECORD,
        )
    )


class Metric:
    """Metrics of the engine's components that are ddpm's own."""

    POSTGRES_WAITING: Final = "postgres_copy_waiting"
    POSTGRES_WAITING_WHY: Final = "postgres_copy_waiting_why"
    POSTGRES_COMMITTED: Final = "postgres_copy_rows_committed"
    POSTGRES_DUPLICATES: Final = "postgres_copy_duplicates_skipped"
    POSTGRES_FAILED: Final = "postgres_copy_rows_failed"
    POSTGRES_SECONDS: Final = "postgres_copy_write_seconds"
    KAFKA_WAITING: Final = "kafka_out_waiting"
    KAFKA_WAITING_WHY: Final = "kafka_out_waiting_why"
    KAFKA_COMMITTED: Final = "kafka_out_rows_committed"
    KAFKA_DUPLICATES: Final = "kafka_out_duplicates_skipped"
    KAFKA_FAILED: Final = "kafka_out_rows_failed"
    KAFKA_SECONDS: Final = "kafka_out_write_seconds"
    NEVER_FOUND: Final = "postgres_copy_column_never_found"
    LETTERS_WAITING: Final = "dead_letter_waiting"
    LETTERS_HELD: Final = "dead_letter_held"
    PARSER_WAITING: Final = "parser_waiting"
    RECEIVED: Final = "kafka_records_received"
    BEHIND: Final = "kafka_records_behind"
    FEED_ACKNOWLEDGED: Final = "ddpm_feed_acknowledged"
    AUDIT_READ: Final = "audit_records_read"
    AUDIT_DOCUMENTS: Final = "audit_documents"
    AUDIT_FILTERED: Final = "audit_documents_filtered"
    AUDIT_ROWS: Final = "audit_rows"
    AUDIT_DUPLICATES: Final = "audit_duplicates"
    AUDIT_DEAD: Final = "audit_dead_letters"
    AUDIT_FIRST: Final = "audit_first_offset"
    AUDIT_OPEN_END: Final = "audit_open_end"
    AUDIT_OPEN_RECORDS: Final = "audit_open_records"
    ALL: Final = frozenset(
        (
            POSTGRES_WAITING,
            POSTGRES_WAITING_WHY,
            POSTGRES_COMMITTED,
            POSTGRES_DUPLICATES,
            POSTGRES_FAILED,
            POSTGRES_SECONDS,
            KAFKA_WAITING,
            KAFKA_WAITING_WHY,
            KAFKA_COMMITTED,
            KAFKA_DUPLICATES,
            KAFKA_FAILED,
            KAFKA_SECONDS,
            NEVER_FOUND,
            LETTERS_WAITING,
            LETTERS_HELD,
            PARSER_WAITING,
            RECEIVED,
            BEHIND,
            FEED_ACKNOWLEDGED,
            AUDIT_READ,
            AUDIT_DOCUMENTS,
            AUDIT_FILTERED,
            AUDIT_ROWS,
            AUDIT_DUPLICATES,
            AUDIT_DEAD,
            AUDIT_FIRST,
            AUDIT_OPEN_END,
            AUDIT_OPEN_RECORDS,
        )
    )


class DuplicateKind:
    """Kinds of duplicates that the audit distinguishes."""

    REDELIVERED: Final = "redelivered"
    UNEXPECTED: Final = "unexpected"
    ALL: Final = frozenset(
        (
            REDELIVERED,
            UNEXPECTED,
        )
    )


class FedField:
    """Keys of a record that an engine is fed."""

    TOPIC: Final = "topic"
    PARTITION: Final = "partition"
    OFFSET: Final = "offset"
    TIMESTAMP_MS: Final = "timestamp_ms"
    KEY: Final = "key"
    VALUE: Final = "value"
    HEADERS: Final = "headers"
    SOURCE: Final = "source"
    ATTEMPT: Final = "attempt"
    ALL: Final = frozenset(
        (
            TOPIC,
            PARTITION,
            OFFSET,
            TIMESTAMP_MS,
            KEY,
            VALUE,
            HEADERS,
            SOURCE,
            ATTEMPT,
        )
    )


class FedHeaderField:
    """Keys of a header of such a record."""

    NAME: Final = "name"
    VALUE: Final = "value"
    ALL: Final = frozenset(
        (
            NAME,
            VALUE,
        )
    )


class SecurityField:
    """Keys of how brokers are spoken to."""

    TLS: Final = "tls"
    SASL: Final = "sasl"
    ALL: Final = frozenset(
        (
            TLS,
            SASL,
        )
    )


class TlsField:
    """Keys of its TLS."""

    CA: Final = "ca"
    CERT: Final = "cert"
    KEY: Final = "key"
    KEY_PASSWORD: Final = "key_password"
    SERVER_NAME: Final = "server_name"
    VERIFY: Final = "verify"
    ALL: Final = frozenset(
        (
            CA,
            CERT,
            KEY,
            KEY_PASSWORD,
            SERVER_NAME,
            VERIFY,
        )
    )


class SaslField:
    """Keys of its SASL."""

    MECHANISM: Final = "mechanism"
    USERNAME: Final = "username"
    PASSWORD: Final = "password"
    OAUTH: Final = "oauth"
    ALL: Final = frozenset(
        (
            MECHANISM,
            USERNAME,
            PASSWORD,
            OAUTH,
        )
    )


class OAuthField:
    """Keys of where a token comes from."""

    TOKEN_URL: Final = "token_url"
    CLIENT_ID: Final = "client_id"
    CLIENT_SECRET: Final = "client_secret"
    SCOPES: Final = "scopes"
    ALL: Final = frozenset(
        (
            TOKEN_URL,
            CLIENT_ID,
            CLIENT_SECRET,
            SCOPES,
        )
    )
