"""One page of metrics in Prometheus' text format: ddpm's own and every engine's, under stable names.

Only what the table of families names gets on the page, whatever an engine's own page contains. The page is written
here, and not by way of Prometheus' client library, because a scrape should cost milliseconds with many engines.
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest

from ddpm import __version__
from ddpm.config.model import EngineFamily
from ddpm.engine.exposition import Sample, samples, types
from ddpm.server.families import ENGINE, OWN, OwnFamily
from ddpm.supervisor.status import Status

_TIMINGS = ("histogram", "summary")
_NANOSECOND = 1e-9

_Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EnginePage:
    """An engine's answer to a scrape of its own metrics."""

    pipeline: str
    replica: int
    text: str


def page(
    statuses: Iterable[Status],
    engines: Iterable[EnginePage],
    own: CollectorRegistry | None = None,
    *,
    config_changed: bool = False,
    audit_fails: bool = False,
    now: float | None = None,
) -> bytes:
    """All metrics as one page.

    Args:
        statuses: Every pipeline's status.
        engines: The page of each engine that answered. What cannot be read in one is left out.
        own: Put at the end of the page: what `process_registry` gives, or anything else whose names do not begin
            like those of the table of families.
        config_changed: Whether files of the configuration say something else than what runs.
        audit_fails: Whether the audit log cannot be written.
        now: Seconds since 1970; what the ages of probes are counted from. The clock's by default.

    """
    seen = tuple(statuses)
    moment = time.time() if now is None else now
    lines = [
        *_head("ddpm_build_info", "gauge", "Always 1; the label says which ddpm this is."),
        f"ddpm_build_info{_braced(['version'], [__version__])} 1",
        *_head("ddpm_config_changed", "gauge", "1 while files of the configuration say something else than what runs."),
        f"ddpm_config_changed {int(config_changed)}",
        *_head("ddpm_audit_log_fails", "gauge", "1 while the audit log cannot be written; the log says why."),
        f"ddpm_audit_log_fails {int(audit_fails)}",
    ]
    for family in OWN:
        lines += _own(family, seen, moment)
    lines += _engines(engines)
    return "\n".join([*lines, ""]).encode() + (b"" if own is None else generate_latest(own))


def process_registry() -> CollectorRegistry:
    """A registry with the `process_*` metrics (CPU, memory, open files) of the process that this runs in."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def _own(family: OwnFamily, statuses: Sequence[Status], now: float) -> list[str]:
    values = {
        (status.name, *labels): value
        for status in statuses
        for labels, value in family.read(status, now)
        if value is not None
    }
    return _family(family.name, family.type, family.help, ("pipeline", *family.labels), values)


@dataclass(slots=True)
class _Timing:
    """A histogram's parts; the buckets by their upper bounds, without the last one, which is the count."""

    buckets: dict[float, float] = field(default_factory=dict)
    sum: float = 0.0
    count: float = 0.0

    def add(self, suffix: str, sample: Sample, factor: float) -> None:
        if suffix == "_sum":
            self.sum += sample.value * factor
        elif suffix == "_count":
            self.count += sample.value
        elif not math.isinf(bound := _bound(sample) * factor):
            self.buckets[bound] = self.buckets.get(bound, 0.0) + sample.value


def _bound(sample: Sample) -> float:
    try:
        return float(sample.labels.get("le", "inf"))
    except ValueError:
        return math.inf


# The families that a sample's name belongs to, with the end of that name that a timing has.
_OF_SAMPLE: Mapping[str, tuple[EngineFamily, str]] = {
    family.source + suffix: (family, suffix)
    for family in ENGINE
    for suffix in {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}.get(family.type, ("",))
}


def _engines(pages: Iterable[EnginePage]) -> Iterator[str]:
    values: dict[str, dict[_Labels, float]] = {family.name: {} for family in ENGINE}
    timings: dict[str, dict[_Labels, _Timing]] = {family.name: {} for family in ENGINE}
    for each in pages:
        origin = (each.pipeline, str(each.replica))
        declared = types(each.text)
        for sample in samples(each.text, _OF_SAMPLE):
            family, suffix = _OF_SAMPLE[sample.name]
            labels = origin + tuple([sample.labels.get(theirs, "") for _, theirs in family.labels])
            if family.type in _TIMINGS:
                factor = 1.0 if declared.get(family.source) == "histogram" else _NANOSECOND
                timings[family.name].setdefault(labels, _Timing()).add(suffix, sample, factor)
            else:
                series = values[family.name]
                series[labels] = series.get(labels, 0.0) + sample.value
    for family in ENGINE:
        names = ("pipeline", "replica", *(ours for ours, _ in family.labels))
        if family.type in _TIMINGS:
            yield from _timings(family, names, timings[family.name])
        else:
            yield from _family(family.name, family.type, family.help, names, values[family.name])


def _timings(family: EngineFamily, names: Sequence[str], series: Mapping[_Labels, _Timing]) -> Iterator[str]:
    if series:
        yield from _head(family.name, family.type, family.help)
    for labels, timing in series.items():
        if family.type == "histogram":
            bounds = [*sorted(timing.buckets.items()), (math.inf, timing.count)]
            for bound, count in bounds:
                where = _braced([*names, "le"], [*labels, _number(bound)])
                yield f"{family.name}_bucket{where} {_number(count)}"
        where = _braced(names, labels)
        yield f"{family.name}_sum{where} {_number(timing.sum)}"
        yield f"{family.name}_count{where} {_number(timing.count)}"


def _family(name: str, kind: str, text: str, labels: Sequence[str], values: Mapping[_Labels, float]) -> list[str]:
    if not values:
        return []
    lines = [f"{name}{_braced(labels, where)} {_number(value)}" for where, value in values.items()]
    return [*_head(name, kind, text), *lines]


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _braced(names: Sequence[str], values: Sequence[str]) -> str:
    return "{" + ",".join([f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
