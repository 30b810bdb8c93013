"""A topic: documents under their original key, at least once, waiting while it is away."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from ddpm.component import Component
from ddpm.components.outputs import MAX_MESSAGE_BYTES, max_in_flight
from ddpm.components.security import handed_over, names_security
from ddpm.config.model import (
    EMBEDDED,
    Broker,
    Capabilities,
    Cluster,
    EngineFamily,
    Kafka,
    Pipeline,
    ProbeSpec,
    Sasl,
    Security,
    Sink,
    TlsOrNot,
    TopicName,
    without_tls,
)
from ddpm.contract import Env, Metric, TopicWait

if TYPE_CHECKING:
    from ddpm.broker.watch import ClusterWatch


class KafkaSink(Sink):
    """A topic that documents are also written to, at least once."""

    kind = "kafka"
    summary = "a topic, under the record's own key, at least once"
    capabilities = Capabilities(names_refused_records=True)
    engine_output = "ddpm_kafka_out"
    icon = ("M2 4.5h14M2 9h14M2 13.5h9",)
    metrics_prefix = "kafka_out"
    families = (
        EngineFamily(
            "ddpm_engine_kafka_rows_total",
            "counter",
            "Records that a kafka sink wrote to its topic.",
            Metric.KAFKA_COMMITTED,
        ),
        EngineFamily(
            "ddpm_engine_kafka_rejected_total",
            "counter",
            "Records that the topic of a kafka sink refused, by the reason: too_large, refused.",
            Metric.KAFKA_FAILED,
            (("class", "class"),),
        ),
        EngineFamily(
            "ddpm_engine_kafka_write_seconds",
            "histogram",
            "Time that the brokers took to acknowledge a batch of a kafka sink.",
            Metric.KAFKA_SECONDS,
        ),
        EngineFamily(
            "ddpm_engine_kafka_waiting_batches",
            "gauge",
            "Batches that wait for the topic of a kafka sink, by the reason: topic, rights, replicas, connection, "
            "timeout.",
            Metric.KAFKA_WAITING,
            (("reason", "reason"),),
        ),
    )
    broken_words: ClassVar[Mapping[str, str]] = {
        TopicWait.TOPIC: "the topic {name} is not there",
        TopicWait.RIGHTS: "ddpm has no right to write the topic {name}",
    }
    outage_words: ClassVar[Mapping[str, str]] = {
        TopicWait.CONNECTION: "the brokers cannot be reached",
        TopicWait.TIMEOUT: "the brokers do not answer in time",
        TopicWait.REPLICAS: "the topic {name} has too few replicas in sync (min.insync.replicas)",
    }

    topic: TopicName = Field(examples=["orders-clean"], description="where documents are written to")
    brokers: Annotated[tuple[Broker, ...], Field(min_length=1)] | None = Field(
        default=None, description="the addresses of another cluster than the one that is read"
    )
    tls: TlsOrNot = Field(default=None, description="how those are spoken to in TLS, as `app.kafka.tls`")
    sasl: Sasl | None = Field(default=None, description="who ddpm is to them, as `app.kafka.sasl`")

    @field_validator("brokers")
    @classmethod
    def _embedded_is_the_pipelines(cls, brokers: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if brokers is not None and EMBEDDED in brokers:
            msg = '"embedded" is the pipeline\'s own broker; omit brokers to write there'
            raise ValueError(msg)
        return brokers

    @model_validator(mode="after")
    def _in_tls(self) -> Self:
        without_tls(self.tls, self.sasl)
        return self

    @property
    def shown(self) -> str:
        """The topic."""
        return self.topic

    @property
    def described(self) -> str:
        """The topic, in a sentence."""
        return f"kafka topic {self.topic}"

    def output(self, pipeline: Pipeline) -> Component:
        """The engine's output."""
        return {
            self.engine_output: {
                "addresses": list(self.cluster(pipeline.kafka)),
                "topic": self.topic,
                **names_security(self.cluster(pipeline.kafka).security, self._variable),
                "client_id": f"ddpm-{pipeline.name}",
                "max_msg_bytes": MAX_MESSAGE_BYTES,
                "max_in_flight": max_in_flight(pipeline),
            },
            "processors": [{"ddpm_forward": {}}],
        }

    def topics_of(self, kafka: Kafka) -> tuple[str, ...]:
        """Its topic, if it is on one of those brokers."""
        return (self.topic,) if set(self.brokers or kafka.brokers) & set(kafka.brokers) else ()

    def topics_made(self, kafka: Kafka) -> tuple[str, ...]:
        """Its topic, unless it is on somebody else's brokers, which are not ddpm's to change."""
        return (self.topic,) if self.brokers in (None, kafka.brokers) else ()

    def cluster(self, kafka: Kafka) -> Cluster:
        """The brokers that it writes to.

        The pipeline's `tls` and `sasl` go with the pipeline's brokers alone: others get no password that is not theirs.
        """
        brokers, own = self.brokers or kafka.brokers, self._own
        return kafka.cluster if brokers == kafka.brokers and own.plain else Cluster(brokers, own)

    @property
    def _own(self) -> Security:
        return Security(tls=self.tls, sasl=self.sasl)

    @property
    def _variable(self) -> str:
        """The variable with the security of its cluster; sinks with others of their own have others."""
        if self._own.plain:
            return Env.KAFKA_SECURITY
        user = self.sasl.username if self.sasl else None
        return f"{Env.SINK_SECURITY}{zlib.crc32(json.dumps([self.brokers, self.topic, user]).encode()):08X}"

    def environment(self) -> dict[str, str]:
        """How its brokers are spoken to, where that is not as the pipeline's."""
        return handed_over(self._own, self._variable)

    @property
    def engine_files(self) -> tuple[Path, ...]:
        """Those that its `tls` names."""
        return self._own.files

    def misfit(self, pipeline: Pipeline) -> str | None:
        """The embedded broker speaks in plain text."""
        if pipeline.kafka.embedded and self.brokers is None and (self.tls or self.sasl):
            return "the embedded broker takes neither tls nor sasl; omit them, or name other brokers"
        return None

    def probes(self, pipeline: Pipeline) -> tuple[ProbeSpec, ...]:
        """The cluster, if it is not the pipeline's own."""
        brokers = self.cluster(pipeline.kafka)
        if brokers == pipeline.kafka.cluster:
            return ()

        def opened() -> "ClusterWatch":
            from ddpm.broker.watch import ClusterWatch

            return ClusterWatch(brokers, {})

        return (ProbeSpec(f"kafka sink {brokers[0]}", ("kafka", brokers), opened),)
