"""The reader of Prometheus' text format, next to the one of Prometheus' own client library."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ddpm.engine.exposition import samples, types

PAGES = sorted((Path(__file__).parent / "pages").glob("*.prom"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_engines_page_reads_as_the_client_library_reads_it(page: Path) -> None:
    text = page.read_text()
    families = list(text_string_to_metric_families(text))
    theirs = [sample for family in families for sample in family.samples]
    names = {sample.name for sample in theirs}
    ours = samples(text, names | {name.removesuffix("_total") for name in names})
    # The client library gives counters the ending that the engine leaves out.
    assert [(name.removesuffix("_total"), labels, value) for name, labels, value in ours] == [
        (sample.name.removesuffix("_total"), sample.labels, sample.value) for sample in theirs
    ]
    assert sorted(types(text).values()) == sorted(family.type for family in families)


class _One(Collector):
    def __init__(self, labels: dict[str, str], value: float) -> None:
        self.family = GaugeMetricFamily("it", "A gauge.", labels=list(labels))
        self.family.add_metric(list(labels.values()), value)

    def collect(self) -> list[GaugeMetricFamily]:
        return [self.family]


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(st.characters(codec="utf-8"))),
    st.floats(allow_nan=False),
)
def test_whatever_is_in_a_label_comes_out_again(labels: dict[str, str], value: float) -> None:
    registry = CollectorRegistry()
    registry.register(_One(labels, value))
    assert list(samples(generate_latest(registry).decode(), {"it"})) == [("it", labels, value)]


@given(st.text(st.sampled_from('it{}="\\, \n1e')))
def test_no_line_breaks_it(text: str) -> None:
    list(samples(text, {"it", "", "i"}))
    types(text)


def test_times_of_measurement_and_special_values_are_understood() -> None:
    text = 'it{a="1",} 5 1700000000000\nit +Inf\nit{} NaN\nit{a=} 5\nit{a="1" 5\nit{a="1"}\nit five\nother 1\n'
    first, second, third = samples(text, {"it"})
    assert (first.value, second.value) == (5, math.inf)
    assert math.isnan(third.value)
