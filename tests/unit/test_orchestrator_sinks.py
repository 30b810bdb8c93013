"""What a run asks of sinks that it knows nothing else of."""

from collections.abc import Sequence

from ddpm.component import Component
from ddpm.components.registry import pipeline_type
from ddpm.config.model import Pipeline, ProbeSpec, Sink
from ddpm.errors import ServiceError
from ddpm.orchestrator.run.watching import SinkWatch, probes_of

KAFKA = {"brokers": ["b:1"], "topics": ["t"], "consumer_group": "g"}


class Archive(Sink):
    """A sink with a server of its own."""

    kind = "archive"
    summary = "an archive"

    host: str

    def output(self, pipeline: Pipeline) -> Component:
        return {"drop": {}}

    def probes(self, pipeline: Pipeline) -> tuple[ProbeSpec, ...]:
        return (ProbeSpec(f"archive {self.host}", self.host, lambda: Asked(self.host)),)


class Asked:
    """Answers unless the host is `away`."""

    closed = 0

    def __init__(self, host: str) -> None:
        self._host = host

    def look(self) -> None:
        if self._host == "away":
            raise ServiceError("the archive does not answer", hint="start it")

    def close(self) -> None:
        Asked.closed += 1


def pipeline(name: str, *sinks: Sink) -> Pipeline:
    given: Sequence[object] = sinks or ["stdout"]
    return pipeline_type().model_validate({"name": name, "kafka": KAFKA, "sinks": given})


def test_what_sinks_write_to_is_asked_and_named_for_the_health() -> None:
    assert probes_of(pipeline("a", Archive(host="h"))) == {"kafka": "broker", "archive h": "sink"}
    assert probes_of(pipeline("b")) == {"kafka": "broker"}


def test_who_writes_to_it_is_told_what_its_probe_finds() -> None:
    told: list[tuple[str, str, str | None]] = []
    for host in ("there", "away"):
        (spec,) = Archive(host=host).probes(pipeline("x"))
        watch = SinkWatch(spec, ["a", "b"], lambda *each: told.append(each))
        watch.look()
        watch.close()
    assert told == [
        ("a", "archive there", None),
        ("b", "archive there", None),
        ("a", "archive away", "the archive does not answer"),
        ("b", "archive away", "the archive does not answer"),
    ]
    assert Asked.closed == 2
