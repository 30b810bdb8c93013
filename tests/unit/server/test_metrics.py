"""The page of metrics, from statuses of the test's making and from pages that real engines gave."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from ddpm import __version__
from ddpm.server.families import ENGINE, OWN
from ddpm.server.metrics import EnginePage, page, process_registry
from ddpm.supervisor.states import DesiredState, State
from ddpm.supervisor.status import (
    Exit,
    History,
    OpenLetters,
    PartitionStatus,
    Probe,
    Rates,
    ReplicaStatus,
    Scaling,
    Status,
    Totals,
    Trouble,
)

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "tests" / "unit" / "engine" / "pages"
NOW = 1_700_000_100.0
ORDERS = Status(
    name="orders",
    state=State.RUNNING,
    reason="all is well",
    since=1_700_000_000.0,
    wish=DesiredState.RUN,
    restarts=2,
    next_retry=None,
    last_error=Trouble(NOW - 50, "away"),
    last_exit=Exit(0, NOW - 60, 1, None, "ended with 1", (), "abc"),
    config_hash="abc",
    scaling=Scaling(2, 1, 3, "lag", "lag above target", ups=1, downs=0),
    replicas=(
        ReplicaStatus(0, State.RUNNING, "", NOW, 2, True, 41, None, "http://127.0.0.1:5001", None),
        ReplicaStatus(1, State.STARTING, "", NOW, 0, False, 42, None, "http://127.0.0.1:5002", None),
    ),
    probes=(Probe("kafka", "broker", True, "", NOW - 3), Probe("postgres", "sink", False, "refused", None)),
    partitions=(PartitionStatus("events", 0, 90, 100, 10, 2.5), PartitionStatus("events", 1, None, 7, 7, 1.0)),
    rates=Rates(1, 1, 0),
    totals=Totals(1000, 990, 10, 3),
    history=History(5.0, (), (), ()),
    dead_letters=OpenLetters(7, NOW - 500, 4, 1, 2),
)
RETURNS = replace(ORDERS, name="returns", state=State.PAUSED, partitions=None, last_error=None, last_exit=None)
UNREAD = replace(RETURNS, name="unread", dead_letters=None)
ENGINES = (
    EnginePage("orders", 0, (PAGES / "postgres.prom").read_text()),
    EnginePage("orders", 1, (PAGES / "three-sinks.prom").read_text()),
)

Values = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def values(content: bytes) -> Values:
    """Every sample of a page; fails if one of them or one of the families stands there twice."""
    families = list(text_string_to_metric_families(content.decode()))
    assert len({family.name for family in families}) == len(families)
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def at(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_states_and_probes() -> None:
    seen = values(page([ORDERS, RETURNS], [], now=NOW))
    assert seen[at("ddpm_build_info", version=__version__)] == 1
    assert seen[at("ddpm_pipeline_up", pipeline="orders")] == 1
    assert seen[at("ddpm_pipeline_up", pipeline="returns")] == 0
    assert seen[at("ddpm_pipeline_state", pipeline="returns", state="paused")] == 1
    assert seen[at("ddpm_pipeline_state", pipeline="returns", state="running")] == 0
    assert seen[at("ddpm_pipeline_state_since_timestamp_seconds", pipeline="orders")] == ORDERS.since
    assert seen[at("ddpm_pipeline_last_error_timestamp_seconds", pipeline="orders")] == NOW - 50
    assert seen[at("ddpm_probe_up", pipeline="orders", kind="sink", probe="postgres")] == 0
    assert seen[at("ddpm_probe_age_seconds", pipeline="orders", kind="broker", probe="kafka")] == 3
    assert at("ddpm_probe_age_seconds", pipeline="orders", kind="sink", probe="postgres") not in seen


def test_replicas_and_scaling() -> None:
    seen = values(page([ORDERS], [], now=NOW))
    assert [seen[at("ddpm_replica_up", pipeline="orders", replica=index)] for index in "01"] == [1, 0]
    assert seen[at("ddpm_replica_restarts_total", pipeline="orders", replica="0")] == 2
    limits = [seen[at(f"ddpm_replicas_{name}", pipeline="orders")] for name in ("min", "desired", "max")]
    assert limits == [1, 2, 3]
    assert seen[at("ddpm_scale_mode", pipeline="orders", mode="lag")] == 1
    assert seen[at("ddpm_scale_decisions_total", pipeline="orders", direction="up")] == 1


def test_lag_and_records() -> None:
    seen = values(page([ORDERS, RETURNS], [], now=NOW))
    place = {"pipeline": "orders", "topic": "events"}
    assert seen[at("ddpm_lag_records", pipeline="orders")] == 17
    assert seen[at("ddpm_lag_seconds", pipeline="orders")] == 2.5
    assert seen[at("ddpm_partition_lag_records", **place, partition="0")] == 10
    assert seen[at("ddpm_partition_end_offset", **place, partition="1")] == 7
    assert at("ddpm_partition_committed_offset", **place, partition="1") not in seen, "none was committed"
    assert at("ddpm_lag_records", pipeline="returns") not in seen, "it is not known"
    names = ("records_read", "records_written", "dead_letters", "duplicates_skipped")
    assert [seen[at(f"ddpm_{name}_total", pipeline="orders")] for name in names] == [1000, 990, 10, 3]


def test_dead_letters_that_wait_for_someone() -> None:
    seen = values(page([ORDERS, replace(RETURNS, dead_letters=OpenLetters(0, None, 0, 0, 0)), UNREAD], [], now=NOW))
    assert seen[at("ddpm_dead_letters_open", pipeline="orders")] == 7
    assert seen[at("ddpm_dead_letters_oldest_open_timestamp_seconds", pipeline="orders")] == NOW - 500
    deeds = ("replayed", "failed_again", "discarded")
    assert [seen[at("ddpm_dead_letters_handled_total", pipeline="orders", deed=deed)] for deed in deeds] == [4, 1, 2]
    assert seen[at("ddpm_dead_letters_open", pipeline="returns")] == 0
    assert at("ddpm_dead_letters_oldest_open_timestamp_seconds", pipeline="returns") not in seen, "there is none"
    assert at("ddpm_dead_letters_open", pipeline="unread") not in seen, "it is not known"


def test_engines_keep_apart_by_replica_and_speak_seconds() -> None:
    seen = values(page([ORDERS], ENGINES, now=NOW))
    first, second = ({"pipeline": "orders", "replica": index} for index in "01")
    assert seen[at("ddpm_engine_input_records_total", **first)] == 1013
    assert seen[at("ddpm_engine_postgres_rows_total", **second)] == 999
    assert seen[at("ddpm_engine_postgres_rejected_total", **first, **{"class": "22"})] == 5
    assert seen[at("ddpm_engine_postgres_waiting_batches", **first, reason="login")] == 0
    dead = "root.output.fallback.1"
    assert seen[at("ddpm_engine_output_sent_total", **first, path=dead)] == 13
    assert 0 < seen[at("ddpm_engine_output_latency_seconds_sum", **first, path=dead)] < 10
    assert 0 < seen[at("ddpm_engine_input_latency_seconds_sum", **first)] < 10
    assert seen[at("ddpm_engine_input_latency_seconds_bucket", **first, le="+Inf")] >= 1
    assert seen[at("ddpm_engine_resident_memory_bytes", **first)] > 1e6
    assert seen[at("ddpm_engine_cpu_seconds_total", **second)] > 0


def test_timings_in_nanoseconds_become_seconds() -> None:
    text = '# TYPE input_latency_ns summary\ninput_latency_ns{quantile="0.5"} 7e+08\n'
    text += "input_latency_ns_sum 1.5e+09\ninput_latency_ns_count 2\n"
    seen = values(page([], [EnginePage("orders", 0, text)]))
    place = {"pipeline": "orders", "replica": "0"}
    assert seen[at("ddpm_engine_input_latency_seconds_sum", **place)] == pytest.approx(1.5)
    assert seen[at("ddpm_engine_input_latency_seconds_bucket", **place, le="+Inf")] == 2


def test_an_odd_engine_spoils_nothing() -> None:
    odd = (
        "# TYPE ddpm_pipeline_up gauge\nddpm_pipeline_up 5\n# TYPE up bogus\nup{ 1\n"
        '# TYPE kafka_records_received gauge\nkafka_records_received{label="a"} 1\n'
        'kafka_records_received{label="b"} 2\nkafka_records_received x\n'
        '# TYPE input_latency_ns histogram\ninput_latency_ns_bucket{le="many"} 1\ninput_latency_ns_sum NaN\n'
        'output_sent{path="a\\"b\\\\c\\nd"} 3\n<html>'
    )
    seen = values(page([ORDERS], [EnginePage("orders", 0, odd), EnginePage("orders", 1, ENGINES[1].text)]))
    place = {"pipeline": "orders", "replica": "0"}
    assert seen[at("ddpm_pipeline_up", pipeline="orders")] == 1
    assert seen[at("ddpm_engine_input_records_total", **place)] == 3
    assert seen[at("ddpm_engine_output_sent_total", **place, path='a"b\\c\nd')] == 3


@given(st.text(st.characters(codec="utf-8")), st.text(st.sampled_from('input_received{}="\\, \n1e#TYPE')))
def test_no_name_and_no_page_breaks_it(name: str, text: str) -> None:
    seen = values(page([replace(ORDERS, name=name)], [EnginePage(name, 0, text)]))
    assert seen[at("ddpm_pipeline_up", pipeline=name)] == 1


def test_the_process_and_what_else_is_registered_stand_at_the_end() -> None:
    registry = process_registry()
    Counter("other", "Another one.", registry=registry).inc()
    seen = values(page([ORDERS], ENGINES, registry))
    assert seen[at("process_cpu_seconds_total")] > 0
    assert seen[at("process_resident_memory_bytes")] > 0
    assert seen[at("other_total")] == 1
    assert isinstance(process_registry(), CollectorRegistry), "a second one does not clash"


def test_names_follow_the_rules() -> None:
    families: list[tuple[str, str, str, tuple[object, ...]]] = [
        *((family.name, family.type, family.help, family.labels) for family in OWN),
        *((family.name, family.type, family.help, family.labels) for family in ENGINE),
    ]
    assert len({name for name, *_ in families}) == len(families)
    for name, kind, text, labels in families:
        assert re.fullmatch(r"ddpm_[a-z0-9_]+", name)
        assert name.endswith("_total") == (kind == "counter"), name
        assert text.endswith(".")
        assert "\\" not in text
        assert "\n" not in text
        assert len(set(labels)) == len(labels)


def test_the_document_is_up_to_date(pytestconfig: pytest.Config) -> None:
    written = ROOT / "docs" / "metrics.md"
    command = [sys.executable, str(ROOT / "scripts" / "metrics_doc.py")]
    document = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if pytestconfig.getoption("--update-golden"):
        written.write_text(document)
    assert written.read_text() == document, "run `make docs`"
