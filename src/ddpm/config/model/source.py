"""`app.source`: the parser, and what it needs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from ddpm.config.model.values import ByteSize, Duration, Model, NonEmptyStr

# The ending of a parser written as a mapping.
BLOBLANG = ".blobl"


class PluginKind(StrEnum):
    """What a parser's plugin is."""

    MAPPING = "mapping"
    PROCESSORS = "processors"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A parser that is not built in.

    Attributes:
        kind: What it is.
        path: Its file or folder; None for an installed one.
        mapping: The Bloblang text of an installed mapping.
        processors: The engine's processors that a class returned.
        many: Whether these make any number of documents of a record.

    """

    kind: PluginKind
    path: str | None = None
    mapping: str | None = None
    processors: tuple[dict[str, Any], ...] = ()
    many: bool = False


class Workers(Model):
    """`app.source.workers`: the processes that run a parser which is a Python function."""

    count: int | None = Field(default=None, ge=1, le=64)
    timeout: Duration = 5.0
    memory: ByteSize = 512 * 2**20
    tries: int = Field(default=3, ge=1, le=10)


class Source(Model):
    """`app.source`: which parser turns a record's bytes into a document."""

    parser: NonEmptyStr = "json"
    plugin_path: str | None = None
    # What is allowed here is the parser's to say; the loader checks it against the parser's own model.
    options: dict[str, Any] = Field(default_factory=dict)
    compression: Literal["none", "auto", "gzip", "zlib", "zstd", "lz4", "snappy"] = "none"
    max_decompressed: ByteSize = 64 * 2**20
    tombstones: Literal["dead_letter", "skip", "pass"] = "dead_letter"
    workers: Workers = Field(default_factory=Workers)
    # Not the user's to write: the loader finds it.
    _plugin: Plugin | None = PrivateAttr(default=None)

    @property
    def plugin(self) -> Plugin | None:
        """What `plugin_path`, or an installed package, brings for the parser."""
        return self._plugin

    def with_plugin(self, plugin: Plugin | None) -> "Source":
        """The same source, with its plugin."""
        copy = self.model_copy()
        copy._plugin = plugin
        return copy
