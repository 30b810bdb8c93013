"""Checks of Kafka: each broker by its address, the addresses that the cluster gives, topics, rights, groups."""

import time
from collections.abc import Iterator, Sequence

from ddpm.broker.connection import admin, kept_open, probe
from ddpm.broker.members import members
from ddpm.broker.security import refusal
from ddpm.broker.topics import planned_topics
from ddpm.config.model import Cluster, Pipeline
from ddpm.orchestrator.doctor.findings import Check, Finding
from ddpm.orchestrator.provisioning.provision import check_rights, topic_specs
from ddpm.orchestrator.provisioning.strangers import described, strangers
from ddpm.words import counted

_SECONDS = 4.0


def broker_checks(pipelines: Sequence[Pipeline]) -> list[Check]:
    """One for each cluster, and behind it those of the pipelines that read there."""
    clusters = dict.fromkeys(each.kafka.cluster for each in pipelines if not each.kafka.embedded)
    return [_of_cluster(each, [one for one in pipelines if one.kafka.cluster == each]) for each in clusters]


def _of_cluster(cluster: Cluster, pipelines: Sequence[Pipeline]) -> Check:
    about = ", ".join(cluster)
    of_pipelines = tuple(_of_pipeline(each) for each in pipelines)
    advertised = Check("broker.advertised", about, lambda: _advertised(cluster), of_pipelines)
    return Check("broker.reached", about, lambda: _reached(cluster), (advertised,))


def _of_pipeline(pipeline: Pipeline) -> Check:
    name = pipeline.name
    group = Check("group", name, lambda: _group(pipeline))
    topics = Check("topics", name, lambda: _topics(pipeline))
    return Check("kafka.rights", name, lambda: _rights(pipeline), (topics, group))


def _reached(cluster: Cluster) -> Iterator[Finding]:
    """Whether brokers let ddpm in: connection, handshake, authentication; one that does is enough to begin."""
    found = {address: _let_in(address, cluster, trouble) for address, trouble in probe(cluster, _SECONDS).items()}
    one_does = any(each is None for each in found.values())
    for address, trouble in found.items():
        if trouble is None:
            yield Finding("broker.reached", address, "pass", "the broker answers, and lets ddpm in")
        else:
            yield Finding("broker.reached", address, "warn" if one_does else "fail", *trouble)


def _let_in(address: str, cluster: Cluster, trouble: str | None) -> tuple[str, str] | None:
    if trouble is not None:
        return f"the broker cannot be reached: {trouble}", "check app.kafka.brokers, and that the broker runs"
    refused = refusal(address, cluster.security, _SECONDS)
    return (refused.message, refused.hint) if refused else None


def _advertised(cluster: Cluster) -> Iterator[Finding]:
    """Whether the addresses that the cluster gives for its brokers are reached, and how quickly it answers."""
    with admin(cluster) as client:
        begin = time.monotonic()
        known = client.describe_cluster()
        took = time.monotonic() - begin
    given = [f"{each['host']}:{each['port']}" for each in known.get("brokers", ())]
    about = ", ".join(cluster)
    text = f"the cluster has {counted(len(given), 'broker')} and answers in {took * 1000:.0f} ms"
    yield Finding("broker.advertised", about, "pass", text)
    for address, trouble in probe([each for each in given if each not in cluster], _SECONDS).items():
        if trouble is not None:
            hint = "correct advertised.listeners of the broker, or make this name known here"
            text = f"the cluster gives this address for a broker, and it cannot be reached from here: {trouble}"
            yield Finding("broker.advertised", address, "fail", text, hint)


def _topics(pipeline: Pipeline) -> Iterator[Finding]:
    name = pipeline.name
    with kept_open(pipeline.kafka.cluster):
        plans = planned_topics(pipeline.kafka.cluster, topic_specs(pipeline))
    for each in plans:
        if each.creates and each.name in pipeline.kafka.topics:
            text = f"there is no topic {each.name}; `ddpm run` makes it, and it is empty"
            yield Finding("topics", name, "warn", text, "correct app.kafka.topics, if somebody writes to another one")
        for warning in each.warnings:
            yield Finding("topics", name, "warn", warning)
    there = [f"{each.name} ({counted(each.partitions_now, 'partition')})" for each in plans if not each.creates]
    if there:
        yield Finding("topics", name, "pass", f"there are the topics {', '.join(there)}")


def _rights(pipeline: Pipeline) -> Iterator[Finding]:
    check_rights(pipeline)
    yield Finding("kafka.rights", pipeline.name, "pass", "ddpm's user has the rights that a run takes")


def _group(pipeline: Pipeline) -> Iterator[Finding]:
    group = pipeline.kafka.consumer_group
    found = members(pipeline.kafka.cluster, group)
    if others := strangers(pipeline, found):
        text = described(pipeline, others)
        yield Finding("group", pipeline.name, "fail", text, "end them, or choose another app.kafka.consumer_group")
        return
    engines = counted(len(found), "engine")
    yield Finding("group", pipeline.name, "pass", f"the group {group} has {engines} of this pipeline, and nobody else")
