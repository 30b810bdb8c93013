"""The typed configuration: what a pipeline is, with its defaults and its rules.

Pure data: no file, no network, no clock. Reading YAML, interpolation and places of problems live in `load`.
Every model forbids unknown keys, is frozen, and masks its secrets when shown.
"""

from ddpm.config.address import EMBEDDED
from ddpm.config.model.engine import HOST_NETWORK, Container, Engine, Scale
from ddpm.config.model.kafka import IsolationLevel, Kafka, StartFrom
from ddpm.config.model.kinds import pipeline_model
from ddpm.config.model.pipeline import Batching, Config, Part, Pipeline, Processor
from ddpm.config.model.privacy import Privacy
from ddpm.config.model.secret import Password, Secret
from ddpm.config.model.security import Cluster, Mechanism, OAuth, Sasl, Security, Tls, TlsOrNot, without_tls
from ddpm.config.model.server import Logger, LogLevel, Metrics, Role, Server, ServerTls, Token
from ddpm.config.model.sinks import (
    WRAPPED_FAMILIES,
    Breaker,
    Capabilities,
    DeadLetter,
    EngineFamily,
    Probe,
    ProbeSpec,
    Sink,
    Wait,
    Waiting,
)
from ddpm.config.model.source import BLOBLANG, Plugin, PluginKind, Source, Workers
from ddpm.config.model.table import (
    IDENTITY_COLUMNS,
    INDEX_COLUMN,
    RECORD_TIME_COLUMN,
    Column,
    Evolve,
    MonthlyPartitions,
    Origin,
    RowTable,
)
from ddpm.config.model.values import (
    IDENTIFIER_BYTES,
    Broker,
    ByteSize,
    ColumnName,
    Duration,
    FilePath,
    Model,
    NonEmptyStr,
    NoOptions,
    Seconds,
    TableName,
    TopicName,
    broken_rule,
    parse_duration,
    parse_size,
)

__all__ = [
    "BLOBLANG",
    "EMBEDDED",
    "HOST_NETWORK",
    "IDENTIFIER_BYTES",
    "IDENTITY_COLUMNS",
    "INDEX_COLUMN",
    "RECORD_TIME_COLUMN",
    "WRAPPED_FAMILIES",
    "Batching",
    "Breaker",
    "Broker",
    "ByteSize",
    "Capabilities",
    "Cluster",
    "Column",
    "ColumnName",
    "Config",
    "Container",
    "DeadLetter",
    "Duration",
    "Engine",
    "EngineFamily",
    "Evolve",
    "FilePath",
    "IsolationLevel",
    "Kafka",
    "LogLevel",
    "Logger",
    "Mechanism",
    "Metrics",
    "Model",
    "MonthlyPartitions",
    "NoOptions",
    "NonEmptyStr",
    "OAuth",
    "Origin",
    "Part",
    "Password",
    "Pipeline",
    "Plugin",
    "PluginKind",
    "Privacy",
    "Probe",
    "ProbeSpec",
    "Processor",
    "Role",
    "RowTable",
    "Sasl",
    "Scale",
    "Seconds",
    "Secret",
    "Security",
    "Server",
    "ServerTls",
    "Sink",
    "Source",
    "StartFrom",
    "TableName",
    "Tls",
    "TlsOrNot",
    "Token",
    "TopicName",
    "Wait",
    "Waiting",
    "Workers",
    "broken_rule",
    "parse_duration",
    "parse_size",
    "pipeline_model",
    "without_tls",
]
