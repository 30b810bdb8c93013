"""One page of metrics: ddpm's own and every engine's, the latter labelled by pipeline.

The engines' own names are kept; Prometheus' text format is parsed and written by its own client library.
"""

from collections.abc import Iterable, Iterator, Mapping

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ddpm.supervisor.runner import Status
from ddpm.supervisor.states import State


class _Page(Collector):
    def __init__(self, statuses: Iterable[Status], engines: Mapping[str, str]) -> None:
        self._statuses = tuple(statuses)
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        yield from _own(self._statuses)
        yield from _merged(self._engines)


def page(statuses: Iterable[Status], engines: Mapping[str, str]) -> bytes:
    """All metrics in Prometheus' text format.

    Args:
        statuses: Every pipeline's status.
        engines: Pipeline name to the text of its engine's own metrics.

    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(statuses, engines))
    return generate_latest(registry)


def _own(statuses: tuple[Status, ...]) -> Iterator[Metric]:
    up = GaugeMetricFamily("ddpm_pipeline_up", "1 while the pipeline runs, else 0.", labels=["pipeline"])
    state = GaugeMetricFamily(
        "ddpm_pipeline_state", "1 for the state the pipeline is in.", labels=["pipeline", "state"]
    )
    restarts = CounterMetricFamily(
        "ddpm_engine_restarts", "Engines started again after they had ended unasked.", labels=["pipeline"]
    )
    for status in statuses:
        up.add_metric([status.name], status.state is State.RUNNING)
        restarts.add_metric([status.name], status.restarts)
        for each in State:
            state.add_metric([status.name, each.value], status.state is each)
    yield from (up, state, restarts)


def _merged(engines: Mapping[str, str]) -> Iterator[Metric]:
    families: dict[str, Metric] = {}
    for pipeline, text in engines.items():
        try:
            for family in text_string_to_metric_families(text):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    labels = {**sample.labels, "pipeline": pipeline}
                    merged.samples.append(sample._replace(labels=labels))
        except ValueError as error:
            structlog.get_logger().warning("the engine's metrics cannot be read", pipeline=pipeline, error=str(error))
    yield from families.values()
