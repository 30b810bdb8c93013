"""`app.kafka`: where records come from."""

from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from ddpm.config.address import EMBEDDED
from ddpm.config.model.security import Cluster, Sasl, Security, TlsOrNot, without_tls
from ddpm.config.model.values import Broker, Model, NonEmptyStr, TopicName, broken_rule


class StartFrom(StrEnum):
    """Where a consumer group without committed offsets begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


class IsolationLevel(StrEnum):
    """Which records of transactions are read."""

    READ_COMMITTED = "read_committed"
    READ_UNCOMMITTED = "read_uncommitted"


class Kafka(Model):
    """`app.kafka`: where records come from."""

    brokers: tuple[Broker, ...] = Field(
        min_length=1,
        examples=[["localhost:9092"], [EMBEDDED]],
        description="addresses, `host:port`, or `embedded` for a broker of ddpm's own",
    )
    tls: TlsOrNot = Field(
        default=None,
        examples=[{"ca": "ca.pem"}],
        description="how brokers are spoken to in TLS; `true` trusts what the system trusts",
    )
    sasl: Sasl | None = Field(
        default=None,
        examples=[{"mechanism": "SCRAM-SHA-512", "username": "ddpm", "password": "${KAFKA_PASSWORD}"}],
        description="who ddpm is to the brokers",
    )
    topics: tuple[TopicName, ...] = Field(
        min_length=1, examples=[["orders"]], description="the topics that are read; made when missing"
    )
    consumer_group: NonEmptyStr = Field(
        examples=["orders-group"], description="the group that reads them, one for each pipeline"
    )
    min_partitions: int = Field(
        default=1, ge=1, le=10_000, description="topics with fewer partitions are grown, never shrunk"
    )
    replication_factor: int | None = Field(
        default=None,
        ge=1,
        le=32_767,
        examples=[3],
        description="how many brokers keep each partition of topics that ddpm makes; omitted: 3, if there are so many",
    )
    start_from: StartFrom = Field(
        default=StartFrom.EARLIEST, description="where a group begins in topics that are new to it"
    )
    isolation_level: IsolationLevel = Field(
        default=IsolationLevel.READ_COMMITTED,
        description="records of open and aborted transactions are read with `read_uncommitted` only",
    )
    topic_configs: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        examples=[{"retention.ms": 604_800_000}],
        description="settings of topics that ddpm makes",
    )

    @property
    def embedded(self) -> bool:
        """Whether ddpm starts the broker itself."""
        return EMBEDDED in self.brokers

    @property
    def cluster(self) -> Cluster:
        """The brokers, and how they are spoken to: what every client is given."""
        return Cluster(self.brokers, Security(tls=self.tls, sasl=self.sasl))

    @property
    def reads_committed(self) -> bool:
        """Whether records of aborted transactions are left out."""
        return self.isolation_level is IsolationLevel.READ_COMMITTED

    @field_validator("brokers")
    @classmethod
    def _embedded_stands_alone(cls, brokers: tuple[str, ...]) -> tuple[str, ...]:
        if EMBEDDED in brokers and len(brokers) > 1:
            msg = '"embedded" starts a broker of its own and cannot be mixed with others'
            raise ValueError(msg)
        return brokers

    @model_validator(mode="after")
    def _embedded_is_plain(self) -> Self:
        for name in ("tls", "sasl"):
            if self.embedded and getattr(self, name) is not None:
                raise broken_rule("the embedded broker takes neither tls nor sasl; omit it", name)
        without_tls(self.tls, self.sasl)
        return self

    @field_validator("topics")
    @classmethod
    def _topics_differ(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for index, topic in enumerate(topics):
            if topic in topics[:index]:
                raise broken_rule(f'the topic "{topic}" is named twice', index)
        return topics
