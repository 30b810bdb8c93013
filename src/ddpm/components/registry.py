"""Which sinks and parsers there are: ddpm's own, in this list, and those of installed packages.

A package names its sinks in the entry points of the group `ddpm.sinks`: a class derived from `Sink`, under its kind.
One is imported when a configuration names it, or when all are described. `ddpm.plugins.loading` finds their parsers.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from ddpm.components.parsers import PARSERS
from ddpm.components.sinks.kafka import KafkaSink
from ddpm.components.sinks.postgres import Postgres
from ddpm.components.sinks.stdout import Stdout
from ddpm.config.model import Pipeline, Sink, pipeline_model
from ddpm.errors import ConfigError

SINK_GROUP = "ddpm.sinks"

# ddpm's own.
SINKS: tuple[type[Sink], ...] = (Postgres, KafkaSink, Stdout)


class Sinks(Mapping[str, type[Sink]]):
    """The sinks by their kinds; those of packages are imported when they are asked for."""

    def __init__(self) -> None:
        self._own = {sink.kind: sink for sink in SINKS}
        found = {point.name: point for point in entry_points(group=SINK_GROUP)}
        self._installed: dict[str, EntryPoint] = {name: found[name] for name in sorted(found.keys() - self._own)}

    def __getitem__(self, kind: str) -> type[Sink]:
        return self._own[kind] if kind in self._own else _imported(self._installed[kind])

    def __contains__(self, kind: object) -> bool:
        return kind in self._own or kind in self._installed

    def __iter__(self) -> Iterator[str]:
        return iter([*self._own, *self._installed])

    def __len__(self) -> int:
        return len(self._own) + len(self._installed)


def _imported(point: EntryPoint) -> type[Sink]:
    where = f'the sink "{point.name}" of the package {point.dist.name if point.dist else "?"} ({point.value})'
    try:
        found = point.load()
    except Exception as error:  # whatever the package's code raises
        raise ConfigError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Sink)):
        raise ConfigError(f"{where} is not a class derived from ddpm.config.model.Sink")
    if found.kind != point.name:
        raise ConfigError(f'{where} calls itself "{found.kind}"; name the entry point so')
    return found


@cache
def pipeline_type() -> type[Pipeline]:
    """The model of a pipeline that knows all sinks."""
    sections = {sink.section: sink for sink in SINKS if sink.section}
    naming = {name for name, parser in PARSERS.items() if "columns" in parser.options.model_fields}
    return pipeline_model(Sinks(), default=Postgres, sections=sections, naming=naming)
