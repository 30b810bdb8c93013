"""What provisioning would make of a pipeline's topics and table, found out without making anything."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ddpm.broker.connection import kept_open
from ddpm.broker.plan import TopicPlan
from ddpm.broker.topics import planned_topics
from ddpm.config.model import Pipeline
from ddpm.errors import DdpmError
from ddpm.orchestrator.provisioning.provision import table_spec, topic_specs
from ddpm.store.evolving import Evolution
from ddpm.store.tables import planned_table
from ddpm.words import counted

Subject = Literal["topic", "table", "configuration", "engine", "process"]
# What a step does to what runs: nothing, nothing that would stop it, rows that wait until it is done, an engine that
# is started again or ends, records of one key in another order, and what ddpm leaves to a person.
Effect = Literal["none", "in place", "holds up writes", "restart", "stop", "key order changes", "needs a person"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that would be made or changed.

    Attributes:
        about: What it is about.
        text: What would be done, in a line.
        effect: What that does to what runs.
        detail: The statement, the difference, or the way out; of several lines, or empty.

    """

    about: Subject
    text: str
    effect: Effect
    detail: str = ""


def provisioning_steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """What provisioning a pipeline would do; what it would refuse, or cannot be looked at, is a step for a person."""
    return (*_table_steps(pipeline), *_topic_steps(pipeline))


def _table_steps(pipeline: Pipeline) -> Iterator[Step]:
    rows = pipeline.table
    if rows is None:
        return
    spec = table_spec(pipeline, rows)
    try:
        planned = planned_table(rows.url, spec)
    except DdpmError as error:
        yield _for_a_person("table", error)
        return
    if planned.create is not None:
        yield Step("table", f"create the table {rows.table}", "none", f"{planned.create};")
    if planned.evolution is not None:
        yield from evolution_steps(planned.evolution)


def evolution_steps(evolution: Evolution) -> Iterator[Step]:
    """Each change of a table that exists."""
    for each in evolution.changes:
        text, detail = f"{each.words} in the table {evolution.name}", evolution.statement_of(each)
        if each.rewrites:
            cost = f"Postgres writes the whole table anew ({evolution.magnitude}); nobody reads or writes it meanwhile"
            yield Step("table", text, "holds up writes", f"{detail}\n{cost}")
        else:
            yield Step("table", text, "in place", detail)


def _topic_steps(pipeline: Pipeline) -> Iterator[Step]:
    try:
        with kept_open(pipeline.kafka.cluster):
            plans = planned_topics(pipeline.kafka.cluster, topic_specs(pipeline))
    except DdpmError as error:
        yield _for_a_person("topic", error)
        return
    for each in plans:
        yield from _steps_of(each)


def _steps_of(topic: TopicPlan) -> Iterator[Step]:
    if topic.creates:
        wanted = f"{counted(topic.partitions, 'partition')}, replication factor {topic.replication_factor}"
        settings = "\n".join(f"{key}={value}" for key, value in topic.configs.items())
        yield Step("topic", f"create the topic {topic.name}: {wanted}", "none", settings)
    if topic.grows:
        text = f"grow the topic {topic.name} from {topic.partitions_now} to {topic.partitions} partitions"
        yield Step("topic", text, "key order changes", "keys go to other partitions from then on")
    if topic.raise_limit is not None:
        before, after = topic.raise_limit
        yield Step("topic", f"raise max.message.bytes of the topic {topic.name} from {before} to {after}", "in place")
    for warning in topic.warnings:
        yield Step("topic", warning, "needs a person")


def _for_a_person(about: Subject, error: DdpmError) -> Step:
    return Step(about, error.message, "needs a person", error.hint or "")
