"""The typed configuration: what a pipeline is, with its defaults and its rules.

Pure data: no file, no network, no clock. Reading YAML, interpolation and places of problems live in `load`.
Every model forbids unknown keys, is frozen, and masks its secrets when shown.
"""

from ddpm.config.address import EMBEDDED
from ddpm.config.model.engine import HOST_NETWORK, Container, Engine, Scale
from ddpm.config.model.kafka import IsolationLevel, Kafka, StartFrom
from ddpm.config.model.pipeline import Batching, Config, Pipeline, Processor
from ddpm.config.model.postgres import (
    IDENTITY_COLUMNS,
    INDEX_COLUMN,
    RECORD_TIME_COLUMN,
    Column,
    MonthlyPartitions,
    Origin,
    Postgres,
)
from ddpm.config.model.server import Logger, LogLevel, Metrics, Server
from ddpm.config.model.sinks import SINK_KINDS, Breaker, DeadLetter, KafkaSink, Sink
from ddpm.config.model.source import BLOBLANG, Plugin, PluginKind, Source, Workers
from ddpm.config.model.values import (
    FilePath,
    Model,
    NonEmptyStr,
    NoOptions,
    Seconds,
    broken_rule,
    parse_duration,
    parse_size,
)

__all__ = [
    "BLOBLANG",
    "EMBEDDED",
    "HOST_NETWORK",
    "IDENTITY_COLUMNS",
    "INDEX_COLUMN",
    "RECORD_TIME_COLUMN",
    "SINK_KINDS",
    "Batching",
    "Breaker",
    "Column",
    "Config",
    "Container",
    "DeadLetter",
    "Engine",
    "FilePath",
    "IsolationLevel",
    "Kafka",
    "KafkaSink",
    "LogLevel",
    "Logger",
    "Metrics",
    "Model",
    "MonthlyPartitions",
    "NoOptions",
    "NonEmptyStr",
    "Origin",
    "Pipeline",
    "Plugin",
    "PluginKind",
    "Postgres",
    "Processor",
    "Scale",
    "Seconds",
    "Server",
    "Sink",
    "Source",
    "StartFrom",
    "Workers",
    "broken_rule",
    "parse_duration",
    "parse_size",
]
