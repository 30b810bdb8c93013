"""`app.kafka`: where records come from."""

from enum import StrEnum

from pydantic import Field, field_validator

from ddpm.config.address import EMBEDDED
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

    brokers: tuple[Broker, ...] = Field(min_length=1, examples=[["localhost:9092"], [EMBEDDED]])
    topics: tuple[TopicName, ...] = Field(min_length=1, examples=[["orders"]])
    consumer_group: NonEmptyStr = Field(examples=["orders-group"])
    min_partitions: int = Field(default=1, ge=1, le=10_000)
    replication_factor: int = Field(default=1, ge=1, le=32_767)
    start_from: StartFrom = StartFrom.EARLIEST
    isolation_level: IsolationLevel = IsolationLevel.READ_COMMITTED
    topic_configs: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether ddpm starts the broker itself."""
        return EMBEDDED in self.brokers

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

    @field_validator("topics")
    @classmethod
    def _topics_differ(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for index, topic in enumerate(topics):
            if topic in topics[:index]:
                raise broken_rule(f'the topic "{topic}" is named twice', index)
        return topics
