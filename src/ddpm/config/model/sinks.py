"""`app.sinks` and `app.dead_letter`: where documents go, and those that cannot."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ddpm.config.address import EMBEDDED
from ddpm.config.model.values import Broker, Model, TopicName, broken_rule

SINK_KINDS = ("postgres", "kafka", "stdout")


class KafkaSink(Model):
    """A topic that documents are also written to, at least once."""

    topic: TopicName = Field(examples=["orders-clean"])
    brokers: Annotated[tuple[Broker, ...], Field(min_length=1)] | None = None

    @field_validator("brokers", mode="before")
    @classmethod
    def _list_is_welcome(cls, brokers: object) -> object:
        """Below a validator that turns short forms into sections, strict validation knows no JSON lists any more."""
        return tuple(brokers) if isinstance(brokers, list) else brokers

    @field_validator("brokers")
    @classmethod
    def _embedded_is_the_pipelines(cls, brokers: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if brokers is not None and EMBEDDED in brokers:
            msg = '"embedded" is the pipeline\'s own broker; omit brokers to write there'
            raise ValueError(msg)
        return brokers


class Sink(Model):
    """One place that documents go to; `postgres` and `stdout` may be written as plain words."""

    kind: Literal["postgres", "kafka", "stdout"]
    kafka: KafkaSink | None = None

    @model_validator(mode="after")
    def _options_fit_kind(self) -> "Sink":
        if (self.kafka is not None) != (self.kind == "kafka"):
            msg = "the kafka sink, and no other, has the options `kafka`"
            raise ValueError(msg)
        return self


def _sink_forms(value: object) -> object:
    """Let `postgres`, `stdout` and `kafka: {topic: …}` stand for a `Sink`."""
    if isinstance(value, str):
        return {"kind": _known_kind(value)} if value != "kafka" else _needs_topic()
    if not isinstance(value, dict) or "kind" in value:
        return value
    if len(value) != 1:
        raise broken_rule("a sink is one word or one key; start each sink with its own -")
    ((kind, options),) = value.items()
    if _known_kind(str(kind)) == "kafka":
        return {"kind": "kafka", "kafka": options} if options is not None else _needs_topic()
    if options:
        raise broken_rule(f"the {kind} sink has no options here; write it as one word: - {kind}")
    return {"kind": kind}


def _known_kind(kind: str) -> str:
    if kind not in SINK_KINDS:
        raise PydanticCustomError("unknown_name", "{name}", {"name": kind, "known": list(SINK_KINDS), "what": "sink"})
    return kind


def _needs_topic() -> object:
    raise broken_rule("the kafka sink needs a topic: write - kafka: {topic: my-topic}")


Sinks = tuple[Annotated[Sink, BeforeValidator(_sink_forms)], ...]


class Breaker(Model):
    """`app.dead_letter.breaker`: pause the pipeline once `share` of so many `records` in a row are dead."""

    share: float = Field(default=0.5, gt=0, le=1)
    records: int = Field(default=1_000, ge=10, le=1_000_000)

    @property
    def limit(self) -> int:
        """So many dead records among `records` in a row are too many."""
        return math.ceil(self.share * self.records)


class DeadLetter(Model):
    """`app.dead_letter`: where poison records go, with their original bytes and the reason."""

    topic: TopicName = "failed-messages"
    breaker: Breaker | None = Breaker()

    @field_validator("breaker", mode="before")
    @classmethod
    def _on_and_off(cls, breaker: object) -> object:
        """Let `on` and `off`, which YAML takes for true and false, stand for the usual breaker and none."""
        if breaker is True or breaker == "on":
            return {}
        return None if breaker is False or breaker == "off" else breaker
