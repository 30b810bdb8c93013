"""`app.source`: the parser, and what it needs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr

from ddpm.config.model.values import ByteSize, Duration, Model, NonEmptyStr

if TYPE_CHECKING:
    from ddpm.config.written import Written

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

    count: int | None = Field(
        default=None,
        examples=[2],
        ge=1,
        le=64,
        description="how many processes run a Python function; by default one for each processor",
    )
    timeout: Duration = Field(default=5.0, description="how long the function may take for one record")
    memory: ByteSize = Field(default=512 * 2**20, description="how much memory one process may have")
    tries: int = Field(default=3, ge=1, le=10, description="how often a record may end or hold up its process")


class Source(Model):
    """`app.source`: which parser turns a record's bytes into a document."""

    parser: NonEmptyStr = Field(default="json", description="how bytes become documents (docs/parsers.md)")
    plugin_path: str | None = Field(
        default=None,
        examples=["plugins/orders.py"],
        description="a parser of your own: a Python function or class, or a Bloblang file "
        "(docs/parsers.md#a-parser-of-your-own); a Go `.so` of old files is ignored with a warning",
    )
    # What is allowed here is the parser's to say; the loader checks it against the parser's own model.
    options: dict[str, Any] = Field(
        examples=[{"delimiter": ";"}],
        default_factory=dict,
        description="what the parser wants to know, such as a delimiter or a schema (docs/parsers.md)",
    )
    compression: Literal["none", "auto", "gzip", "zlib", "zstd", "lz4", "snappy"] = Field(
        default="none", description="how records are compressed; `auto` looks at the first bytes of each"
    )
    max_decompressed: ByteSize = Field(default=64 * 2**20, description="a record of more bytes is poison")
    tombstones: Literal["dead_letter", "skip", "pass"] = Field(
        default="dead_letter",
        description="what becomes of records with a null value: dead letters, nothing, or the document `null` "
        "(docs/parsers.md#records-with-a-null-value)",
    )
    workers: Workers = Field(default_factory=Workers)
    # Not the user's to write: the loader finds it.
    _plugin: Plugin | None = PrivateAttr(default=None)
    _written: "Written | None" = PrivateAttr(default=None)

    @property
    def plugin(self) -> Plugin | None:
        """What `plugin_path`, or an installed package, brings for the parser."""
        return self._plugin

    @property
    def written(self) -> "Written | None":
        """Where the file that the parser reads, or else its name, stands in the file that it was read from."""
        return self._written

    def read_from(self, plugin: Plugin | None, written: "Written | None") -> "Source":
        """The same source, with its plugin and its place in a file."""
        copy = self.model_copy()
        copy._plugin, copy._written = plugin, written
        return copy
