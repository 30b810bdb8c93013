"""The page of metrics of a real ddpm, judged by promtool and scraped by a real Prometheus."""

from collections.abc import Callable
from pathlib import Path

from ddpm.broker.produce import Record
from ddpm.engine.exposition import samples
from harness.process import Ddpm
from harness.prometheus import Prometheus, PushGateway, promtool_findings
from harness.waiting import eventually
from harness.world import World, json_records

NUMBERED = {"columns": {"n": "integer"}}
NOT_JSON = [Record(value=b"poison")] * 7
NO_INTEGER = [Record(value=b'{"n": "three"}')] * 5


def values(text: str, name: str, **labels: str) -> list[float]:
    """The values of the samples of that name that have these labels among theirs."""
    return [sample.value for sample in samples(text, {name}) if labels.items() <= sample.labels.items()]


def value(text: str, name: str, **labels: str) -> float:
    """The value of the only such sample."""
    (only,) = values(text, name, **labels)
    return only


def produce(world: World, count: int) -> None:
    world.produce([*json_records([{"n": number} for number in range(count)]), *NOT_JSON, *NO_INTEGER])


def counted(page: Callable[[], str], name: str, expected: float) -> None:
    """Wait until a metric of the pipeline has a value."""
    eventually(lambda: values(page(), name, pipeline="pipeline") == [expected], f"{name} is {expected}", 30)


def test_promtool_finds_nothing_and_the_numbers_are_true(world: World, tmp_path: Path) -> None:
    world.create_topic()
    produce(world, 300)
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        world.wait_consumed()
        counted(running.metrics, "ddpm_records_read_total", 312)
        counted(running.metrics, "ddpm_records_written_total", 300)
        counted(running.metrics, "ddpm_dead_letters_total", 12)
        counted(running.metrics, "ddpm_lag_records", 0)
        text = running.metrics()
        assert running.stop() == 0
    assert promtool_findings(text) == ""
    replica = {"pipeline": "pipeline", "replica": "0"}
    assert value(text, "ddpm_engine_postgres_rows_total", **replica) == 300
    assert value(text, "ddpm_engine_postgres_rejected_total", **replica, **{"class": "22"}) == 5
    assert value(text, "ddpm_engine_resident_memory_bytes", **replica) > 1e6
    assert value(text, "process_resident_memory_bytes") > 1e6
    assert value(text, "ddpm_probe_up", pipeline="pipeline", kind="sink") == 1
    ends = [value(text, "ddpm_partition_end_offset", partition=str(number)) for number in range(3)]
    committed = [value(text, "ddpm_partition_committed_offset", partition=str(number)) for number in range(3)]
    assert sum(ends) == sum(committed) == 312


def test_a_real_prometheus_scrapes_it(world: World, tmp_path: Path) -> None:
    pipeline = frozenset({("pipeline", "pipeline")})
    world.create_topic()
    with Ddpm(world.config(postgres=NUMBERED), tmp_path) as running:
        running.wait_healthy()
        with Prometheus(tmp_path, running.url) as prometheus:
            eventually(lambda: prometheus.query("ddpm_pipeline_up") == {pipeline: 1}, "it sees the pipeline")
            produce(world, 300)
            world.wait_consumed()
            rate = "rate(ddpm_records_written_total[1m])"
            eventually(lambda: prometheus.query(rate).get(pipeline, 0) > 0, "it sees records move")
            eventually(lambda: prometheus.query("ddpm_dead_letters_total") == {pipeline: 12}, "and dead letters")
            eventually(lambda: prometheus.query("ddpm_lag_records") == {pipeline: 0}, "and that nothing is left")
            partitions = {dict(labels)["partition"] for labels in prometheus.query("ddpm_partition_lag_records")}
            assert partitions == {"0", "1", "2"}
            replica = pipeline | {("replica", "0")}
            slowest = "histogram_quantile(0.99, rate(ddpm_engine_input_latency_seconds_bucket[1m]))"
            assert 0 < prometheus.query(slowest)[replica] < 60
            target = prometheus.target()
        assert running.stop() == 0
    assert (target["health"], target["lastError"]) == ("up", "")


def test_a_bounded_run_leaves_its_numbers_with_a_real_pushgateway(world: World, tmp_path: Path) -> None:
    world.create_topic()
    produce(world, 300)
    with PushGateway(tmp_path) as gateway:
        config = world.config(postgres=NUMBERED, metrics={"push_gateway": gateway.url}, once=True)
        with Ddpm(config, tmp_path) as running:
            assert running.popen.wait(120) == 0, running.log
        kept = gateway.get("/metrics").text
    mine = {"job": "ddpm", "pipeline": "pipeline"}
    assert value(kept, "ddpm_records_read_total", **mine) == 312
    assert value(kept, "ddpm_records_written_total", **mine) == 300
    assert value(kept, "ddpm_dead_letters_total", **mine) == 12
    assert promtool_findings(kept) == ""
