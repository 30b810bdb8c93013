"""Every family of metrics that ddpm exposes: names, helps, labels and where the values come from, in one table.

docs/metrics.md is written from this table, which alone decides what stands on the page. Reading values and writing
the page is `ddpm.server.metrics`' business.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ddpm.components.registry import SINKS
from ddpm.config.model import WRAPPED_FAMILIES, EngineFamily
from ddpm.contract import DuplicateKind, Metric
from ddpm.supervisor.states import State
from ddpm.supervisor.status import PartitionAudit, Status

Values = Iterable[tuple[tuple[str, ...], float | None]]


@dataclass(frozen=True, slots=True)
class OwnFamily:
    """What ddpm knows of a pipeline.

    Attributes:
        name: Its name, with the unit and for counters `_total` at the end.
        type: Its type.
        help: One line for people.
        read: Gives the values at a time (seconds since 1970), each with the labels after `pipeline`; None is unknown.
        labels: The names of the labels after `pipeline`.

    """

    name: str
    type: Literal["counter", "gauge"]
    help: str
    read: Callable[[Status, float], Values]
    labels: tuple[str, ...] = ()


def _one(value: float | None) -> Values:
    return (((), value),)


def _handled(status: Status) -> Values:
    letters = status.dead_letters
    if letters is not None:
        yield ("replayed",), letters.replayed
        yield ("failed_again",), letters.failed_again
        yield ("discarded",), letters.discarded


def _audited(status: Status, what: Callable[[PartitionAudit], Iterable[tuple[str | None, int]]]) -> Values:
    for (topic, partition), audit in status.audit.items():
        for label, value in what(audit):
            yield (topic, str(partition), *([] if label is None else [label])), value


def _outcomes(audit: PartitionAudit) -> Iterable[tuple[str, int]]:
    return (
        ("row", audit.rows),
        (DuplicateKind.REDELIVERED, audit.redelivered),
        (DuplicateKind.UNEXPECTED, audit.unexpected),
        ("dead_letter", audit.dead),
        ("filtered", audit.filtered),
    )


OWN: tuple[OwnFamily, ...] = (
    OwnFamily(
        "ddpm_pipeline_up",
        "gauge",
        "1 while the pipeline is in the state running, else 0.",
        lambda status, _: _one(status.state is State.RUNNING),
    ),
    OwnFamily(
        "ddpm_pipeline_state",
        "gauge",
        "1 for the state that the pipeline is in, 0 for all others.",
        lambda status, _: (((state.value,), status.state is state) for state in State),
        ("state",),
    ),
    OwnFamily(
        "ddpm_pipeline_state_since_timestamp_seconds",
        "gauge",
        "When the pipeline came into its state, in seconds since 1970.",
        lambda status, _: _one(status.since),
    ),
    OwnFamily(
        "ddpm_pipeline_config_info",
        "gauge",
        "Always 1; the label says which configuration its engines run with.",
        lambda status, _: (((status.config_hash,), 1.0),) if status.config_hash else (),
        ("hash",),
    ),
    OwnFamily(
        "ddpm_pipeline_config_since_timestamp_seconds",
        "gauge",
        "Since when that configuration is in force, in seconds since 1970.",
        lambda status, _: _one(status.config_since),
    ),
    OwnFamily(
        "ddpm_pipeline_restarts_total",
        "counter",
        "Engines of the pipeline that were started again after they had ended unasked or stalled.",
        lambda status, _: _one(status.restarts),
    ),
    OwnFamily(
        "ddpm_breaker_trips_total",
        "counter",
        "Times that the pipeline was paused because too many records were dead, since ddpm started.",
        lambda status, _: _one(status.trips),
    ),
    OwnFamily(
        "ddpm_pipeline_next_retry_timestamp_seconds",
        "gauge",
        "When the pipeline is tried again, in seconds since 1970; only while it waits for that.",
        lambda status, _: _one(status.next_retry),
    ),
    OwnFamily(
        "ddpm_pipeline_last_error_timestamp_seconds",
        "gauge",
        "When the pipeline's last error was seen, in seconds since 1970.",
        lambda status, _: _one(status.last_error.at if status.last_error else None),
    ),
    OwnFamily(
        "ddpm_pipeline_last_exit_timestamp_seconds",
        "gauge",
        "When an engine of the pipeline last ended, in seconds since 1970.",
        lambda status, _: _one(status.last_exit.at if status.last_exit else None),
    ),
    OwnFamily(
        "ddpm_replica_up",
        "gauge",
        "1 while the replica's engine runs and is ready, else 0.",
        lambda status, _: (((str(each.index),), each.ready) for each in status.replicas),
        ("replica",),
    ),
    OwnFamily(
        "ddpm_replica_restarts_total",
        "counter",
        "Engines of the replica that were started again after they had ended unasked or stalled.",
        lambda status, _: (((str(each.index),), each.restarts) for each in status.replicas),
        ("replica",),
    ),
    OwnFamily(
        "ddpm_replicas_desired",
        "gauge",
        "Replicas that the pipeline should have now.",
        lambda status, _: _one(status.scaling.desired),
    ),
    OwnFamily(
        "ddpm_replicas_min",
        "gauge",
        "The fewest replicas that scaling may choose.",
        lambda status, _: _one(status.scaling.minimum),
    ),
    OwnFamily(
        "ddpm_replicas_max",
        "gauge",
        "The most replicas that scaling may choose.",
        lambda status, _: _one(status.scaling.maximum),
    ),
    OwnFamily(
        "ddpm_scale_mode",
        "gauge",
        "1 for what decides on the replicas: fixed (the configuration), manual (a person), lag.",
        lambda status, _: (((mode,), status.scaling.mode == mode) for mode in ("fixed", "manual", "lag")),
        ("mode",),
    ),
    OwnFamily(
        "ddpm_scale_decisions_total",
        "counter",
        "Decisions to run more replicas (up) or fewer (down) since ddpm started.",
        lambda status, _: ((("up",), status.scaling.ups), (("down",), status.scaling.downs)),
        ("direction",),
    ),
    OwnFamily(
        "ddpm_probe_up",
        "gauge",
        "1 if what the pipeline depends on answered its last probe well, else 0.",
        lambda status, _: (((each.kind, each.name), each.ok) for each in status.probes),
        ("kind", "probe"),
    ),
    OwnFamily(
        "ddpm_probe_age_seconds",
        "gauge",
        "How old the last answer to a probe is; missing while there was none.",
        lambda status, now: (
            ((each.kind, each.name), None if each.at is None else max(0.0, now - each.at)) for each in status.probes
        ),
        ("kind", "probe"),
    ),
    OwnFamily(
        "ddpm_lag_records",
        "gauge",
        "Offsets between what was committed and the end, over all partitions; missing while unknown.",
        lambda status, _: _one(status.lag),
    ),
    OwnFamily(
        "ddpm_lag_seconds",
        "gauge",
        "How long the oldest record that is not committed has been waiting; 0 without lag, missing while unknown.",
        lambda status, _: _one(status.seconds_behind),
    ),
    OwnFamily(
        "ddpm_partition_lag_records",
        "gauge",
        "Offsets between what was committed and the end of the partition; gaps in the offsets count too.",
        lambda status, _: (((each.topic, str(each.partition)), each.lag) for each in status.partitions or ()),
        ("topic", "partition"),
    ),
    OwnFamily(
        "ddpm_partition_lag_seconds",
        "gauge",
        "How long the oldest record of the partition that is not committed has been waiting; 0 without lag.",
        lambda status, _: (((each.topic, str(each.partition)), each.seconds) for each in status.partitions or ()),
        ("topic", "partition"),
    ),
    OwnFamily(
        "ddpm_partition_expired_offsets_total",
        "counter",
        "Offsets that the topic's retention removed before they were read; these records are lost.",
        lambda status, _: (
            ((each.topic, str(each.partition)), status.expired.get((each.topic, each.partition), 0))
            for each in status.partitions or ()
        ),
        ("topic", "partition"),
    ),
    OwnFamily(
        "ddpm_partition_committed_offset",
        "gauge",
        "The offset that the consumer group reads next; missing while none was ever committed.",
        lambda status, _: (((each.topic, str(each.partition)), each.committed) for each in status.partitions or ()),
        ("topic", "partition"),
    ),
    OwnFamily(
        "ddpm_partition_end_offset",
        "gauge",
        "The offset that the next record of the partition will get.",
        lambda status, _: (((each.topic, str(each.partition)), each.end) for each in status.partitions or ()),
        ("topic", "partition"),
    ),
    OwnFamily(
        "ddpm_records_read_total",
        "counter",
        "Records read from the source since ddpm started, redeliveries included.",
        lambda status, _: _one(status.totals.read),
    ),
    OwnFamily(
        "ddpm_records_written_total",
        "counter",
        "Records that reached every sink since ddpm started.",
        lambda status, _: _one(status.totals.written),
    ),
    OwnFamily(
        "ddpm_dead_letters_total",
        "counter",
        "Records that went to the dead-letter topic since ddpm started.",
        lambda status, _: _one(status.totals.dead),
    ),
    OwnFamily(
        "ddpm_dead_letters_open",
        "gauge",
        "Dead letters in the topic that were neither replayed nor discarded; missing while unknown.",
        lambda status, _: _one(status.dead_letters.open if status.dead_letters else None),
    ),
    OwnFamily(
        "ddpm_dead_letters_oldest_open_timestamp_seconds",
        "gauge",
        "When the oldest open dead letter failed, in seconds since 1970; missing without one.",
        lambda status, _: _one(status.dead_letters.oldest if status.dead_letters else None),
    ),
    OwnFamily(
        "ddpm_dead_letters_handled_total",
        "counter",
        "Dead letters that were handled, by what was done: replayed, failed_again (in a replay) or discarded.",
        lambda status, _: _handled(status),
        ("deed",),
    ),
    OwnFamily(
        "ddpm_duplicates_skipped_total",
        "counter",
        "Records since ddpm started that Postgres had already and that were skipped.",
        lambda status, _: _one(status.totals.duplicates),
    ),
    OwnFamily(
        "ddpm_audit_records_read_total",
        "counter",
        "Records read from the partition since ddpm started, redeliveries included.",
        lambda status, _: _audited(status, lambda audit: ((None, audit.read),)),
        ("topic", "partition"),
    ),
    OwnFamily(
        "ddpm_audit_documents_total",
        "counter",
        "What became of documents since ddpm started: row, redelivered (a duplicate that may have been read before), "
        "unexpected (one that cannot have been), dead_letter, filtered.",
        lambda status, _: _audited(status, _outcomes),
        ("topic", "partition", "outcome"),
    ),
    OwnFamily(
        "ddpm_audit_gap_records",
        "gauge",
        "Documents whose offset is committed though they are neither rows nor dead letters: they are missing.",
        lambda status, _: _audited(status, lambda audit: ((None, audit.missing),)),
        ("topic", "partition"),
    ),
)

_PATH = (("path", "path"),)

ENGINE: tuple[EngineFamily, ...] = (
    EngineFamily(
        "ddpm_engine_input_records_total",
        "counter",
        "Records that the engine received from the source.",
        Metric.RECEIVED,
    ),
    EngineFamily(
        "ddpm_engine_input_behind_records",
        "gauge",
        "Offsets from the last record that is done, with all before it, to the end of the log as the engine knows it.",
        Metric.BEHIND,
        (("topic", "topic"), ("partition", "partition")),
    ),
    EngineFamily(
        "ddpm_engine_input_latency_seconds",
        "histogram",
        "From the moment a batch was read until everything in it was written or dead-lettered.",
        "input_latency_ns",
    ),
    EngineFamily(
        "ddpm_engine_input_connections_total",
        "counter",
        "Connections to the source that were made.",
        "input_connection_up",
    ),
    EngineFamily(
        "ddpm_engine_input_connection_failures_total",
        "counter",
        "Attempts to connect to the source that failed.",
        "input_connection_failed",
    ),
    EngineFamily(
        "ddpm_engine_input_connections_lost_total",
        "counter",
        "Connections to the source that were lost.",
        "input_connection_lost",
    ),
    EngineFamily(
        "ddpm_engine_batches_total",
        "counter",
        "Batches that were formed, by what completed them: count, size or period.",
        "batch_created",
        (("reason", "mechanism"),),
    ),
    EngineFamily(
        "ddpm_engine_processor_received_total",
        "counter",
        "Messages that reached the processor: records, or batches that travel as one message.",
        "processor_received",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_processor_sent_total",
        "counter",
        "Messages that left the processor; failed ones too, which stay marked as such.",
        "processor_sent",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_processor_errors_total",
        "counter",
        "Messages that failed in the processor.",
        "processor_error",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_processor_latency_seconds",
        "summary",
        "Time that the processor took for a batch (inside a try: for a record).",
        "processor_latency_ns",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_output_sent_total",
        "counter",
        "Messages in batches that the output took whole; see the rows of Postgres for records.",
        "output_sent",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_output_batches_total",
        "counter",
        "Batches that the output took whole.",
        "output_batch_sent",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_output_errors_total",
        "counter",
        "Batches that the output did not take, or not whole.",
        "output_error",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_output_latency_seconds",
        "summary",
        "Time that the output took for a batch that it took whole.",
        "output_latency_ns",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_output_connections_total",
        "counter",
        "Connections that the output made.",
        "output_connection_up",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_output_connection_failures_total",
        "counter",
        "Attempts of the output to connect that failed.",
        "output_connection_failed",
        _PATH,
    ),
    EngineFamily(
        "ddpm_engine_output_connections_lost_total",
        "counter",
        "Connections that the output lost.",
        "output_connection_lost",
        _PATH,
    ),
    *(family for sink in SINKS for family in sink.families),
    *WRAPPED_FAMILIES,
    EngineFamily(
        "ddpm_engine_parser_waiting",
        "gauge",
        "Parsers that wait, by the reason: schema_registry (is away), plugin (does not load), record (holds it up).",
        Metric.PARSER_WAITING,
        (("reason", "reason"),),
    ),
    EngineFamily(
        "ddpm_engine_dead_letters_waiting_batches",
        "gauge",
        "Batches of dead letters that wait, by the reason: topic, rights, replicas, connection, timeout, too_large, "
        "refused, breaker.",
        Metric.LETTERS_WAITING,
        (("reason", "reason"),),
    ),
    EngineFamily(
        "ddpm_engine_cpu_seconds_total",
        "counter",
        "CPU time of the engine's process, user and system.",
        "process_cpu_seconds_total",
    ),
    EngineFamily(
        "ddpm_engine_resident_memory_bytes",
        "gauge",
        "Memory of the engine's process that is in RAM.",
        "process_resident_memory_bytes",
    ),
    EngineFamily(
        "ddpm_engine_open_fds",
        "gauge",
        "Files and connections that the engine's process has open.",
        "process_open_fds",
    ),
    EngineFamily(
        "ddpm_engine_start_time_seconds",
        "gauge",
        "When the engine's process started, in seconds since 1970.",
        "process_start_time_seconds",
    ),
)

# Why the rest of an engine's page is left out, for the document.
DROPPED: tuple[tuple[str, str], ...] = (
    ("`processor_batch_received`, `processor_batch_sent`", "the records are counted, batches at the input"),
    (
        "the buckets of `processor_latency_ns` and `output_latency_ns`",
        "a dozen series for every processor and output; sum and count give the mean, the histogram of the input and "
        "of Postgres' writes give percentiles",
    ),
    ("the label `label`", "empty in what ddpm renders; the label `path` distinguishes components"),
    ("`process_virtual_memory_*`, `process_max_fds`", "limits and reservations, not use"),
    ("`process_network_*`", "they count the whole network namespace, not the process"),
    ("everything else", "unknown names would not be stable; a full page is on the engine's loopback port"),
)
