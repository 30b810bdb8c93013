"""Makes what a pipeline needs exist: its topics, its table and the numbers of its sources."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

import structlog

from ddpm.broker.connection import kept_open
from ddpm.broker.marks import Marks, parted_for_certain
from ddpm.broker.members import members
from ddpm.broker.offsets import Partition, begin_at, commit, committed, move, start_over, watermarks
from ddpm.broker.rights import Operation, Rights, require
from ddpm.broker.topics import Incarnation, TopicSpec, ensure_topics, incarnations
from ddpm.components.columns import columns
from ddpm.components.parsers import gives_many
from ddpm.config.model import IDENTITY_COLUMNS, INDEX_COLUMN, Mechanism, Pipeline, RowTable
from ddpm.config.names import join_table, split_table
from ddpm.config.parts import commit_note
from ddpm.config.sharing import SHARED, WAY_OUT
from ddpm.deadletters.resolution import topic_of
from ddpm.errors import ConfigError
from ddpm.orchestrator.provisioning.beginnings import beginnings
from ddpm.orchestrator.provisioning.handover import Handover, enlist, hand_over
from ddpm.orchestrator.provisioning.partition_maintenance import PartitionMaintenance
from ddpm.orchestrator.provisioning.progress import Progress, TopicProgress, progress_file
from ddpm.orchestrator.provisioning.strangers import described as strangers_described
from ddpm.orchestrator.provisioning.strangers import strangers
from ddpm.store.shape import WatchedTable
from ddpm.store.sources import Fork, Parting, add_forks, ensure_sources, forks, known_sources
from ddpm.store.sources import remade as unnumbered
from ddpm.store.tables import TableSpec, TableState, ensure_table, evolve_table, which_table
from ddpm.store.trace import first_offsets

# An engine that was killed stays a member of its group for its session timeout, 10 s.
GROUP_EMPTY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What provisioning found out.

    Attributes:
        sources: The number of each topic's present incarnation, by topic.
        partitions: How many partitions the source topic with the most of them has.
        topic_ids: The id of each topic's present incarnation, by topic; without those that have none.
        alarms: What happened to the group's offsets that a person should know.
        table: What distinguishes its table from all others; empty without one.
        forks: Where partitions have another log than before, and the numbers of their records from there on.
        counts: How many partitions each source topic has.

    """

    sources: dict[str, int]
    partitions: int
    topic_ids: dict[str, str] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    forks: tuple[Fork, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def sources_json(self) -> str:
        """The numbers as the engine reads them from its environment."""
        return json.dumps(self.sources, sort_keys=True)

    @property
    def forks_json(self) -> str:
        """The forks as the engine reads them: by topic and partition, first offset and number, the latest last."""
        found: dict[str, dict[str, list[tuple[int, int]]]] = {}
        for fork in self.forks:
            found.setdefault(fork.topic, {}).setdefault(str(fork.partition), []).append((fork.first, fork.number))
        return json.dumps(found, sort_keys=True)

    @property
    def topic_ids_json(self) -> str:
        """The ids as the engine reads them from its environment."""
        return json.dumps(self.topic_ids, sort_keys=True)


def provision(
    pipeline: Pipeline,
    remade: Collection[str] = (),
    parted: Mapping[Partition, int] | None = None,
    *,
    runs: bool = True,
    former: bool = False,
    report: Callable[[str], object] = lambda _: None,
) -> Provisioned:
    """Create what is missing and check what is there; idempotent, and safe when two start at once.

    With `runs` its engines are about to start: only then its group takes over from others, as `handover` says. A
    `former` configuration is gone back to: what another one has widened meanwhile fits it, too. `report` is given each
    change of a table that exists, in words.

    Topics that were deleted and made again are read from their beginning: those that the numbers of sources report,
    and those in `remade`. Partitions that have another log than what is remembered of them get another number from
    where the logs part, and so do those in `parted`.

    Raises:
        ServiceError: The broker or the database cannot be reached or refuses.
        SchemaMismatchError: The table exists with columns that do not fit; nothing was changed.
        ConfigError: The configuration asks for something the services cannot give.

    """
    log = structlog.get_logger().bind(pipeline=pipeline.name)
    # In this order nothing is made unless all services answer, and no topic for a table that does not fit.
    with kept_open(pipeline.kafka.cluster):
        table = _table(pipeline, log, report, former=former)
        for sink in pipeline.sinks:
            sink.provision(pipeline)
        return _provision(pipeline, table, remade, parted or {}, log, runs=runs)


def _provision(
    pipeline: Pipeline,
    table: TableState | None,
    remade: Collection[str],
    parted: Mapping[Partition, int],
    log: structlog.stdlib.BoundLogger,
    *,
    runs: bool,
) -> Provisioned:
    counts: dict[str, int] = {}
    check_rights(pipeline)
    for topic in ensure_topics(pipeline.kafka.cluster, topic_specs(pipeline)):
        if topic.name in pipeline.kafka.topics:
            counts[topic.name] = topic.partitions
        for warning in topic.warnings:
            log.warning(warning, topic=topic.name)
        if topic.changed:
            log.info(f"topic {topic.change}", topic=topic.name, partitions=topic.partitions)
    found = incarnations(pipeline.kafka.cluster, pipeline.kafka.topics)
    ids = {name: each.topic_id for name, each in found.items() if each.topic_id is not None}
    handed = hand_over(pipeline, ids, GROUP_EMPTY_SECONDS, moves=runs)
    for news in handed.news:
        log.info(news)
    if handed.pending:
        log.info("its sinks are run otherwise than before: offsets go along when ddpm starts with this configuration")
    rows = pipeline.table if table is not None else None
    schema = table.schema if table is not None else None
    # Before it has a number: who dies in between finds it without one, and begins again as well.
    _begin_anew(pipeline, {*remade, *(unnumbered(rows.url, found, schema) if rows else ())}, log)
    warnings = (
        *handed.alarms,
        *_strangers(pipeline),
        *_part(pipeline, found, schema, parted),
        *_begin(pipeline, found, schema, handed),
    )
    for warning in warnings:
        log.warning(warning)
    if rows is None or schema is None:
        return Provisioned({}, max(counts.values()), ids, warnings, counts=counts)
    sources = ensure_sources(rows.url, found, schema)
    for warning in sources.warnings:
        log.warning(warning)
    place = which_table(rows.url, schema, table_spec(pipeline, rows).name)
    return Provisioned(
        sources=dict(sources.numbers),
        partitions=max(counts.values()),
        topic_ids=ids,
        alarms=warnings,
        table=place,
        forks=forks(rows.url, found, schema),
        counts=counts,
    )


def check_sharing(provisioned: Mapping[str, Provisioned]) -> None:
    """Raise ConfigError if two pipelines write the records of one topic into one table; by the names of pipelines."""
    for (first, one), (second, other) in combinations(provisioned.items(), 2):
        shared = sorted(topic for topic, number in one.sources.items() if other.sources.get(topic) == number)
        if shared and one.table and one.table == other.table:
            msg = f"the pipelines {first} and {second} write the topic {shared[0]} into one table; {SHARED}"
            raise ConfigError(msg, hint=WAY_OUT)


def _begin_anew(pipeline: Pipeline, topics: Collection[str], log: structlog.stdlib.BoundLogger) -> None:
    if not topics:
        return
    start_over(
        pipeline.kafka.cluster,
        pipeline.kafka.consumer_group,
        sorted(topics),
        GROUP_EMPTY_SECONDS,
        commit_note(pipeline),
    )
    log.warning("topics were deleted and made again: they are read from their beginning", topics=sorted(topics))


def _strangers(pipeline: Pipeline) -> tuple[str, ...]:
    """Who reads with the group of a pipeline already, and runs another one."""
    found = strangers(pipeline, members(pipeline.kafka.cluster, pipeline.kafka.consumer_group))
    return (strangers_described(pipeline, found),) if found else ()


def _part(
    pipeline: Pipeline, found: Mapping[str, Incarnation], schema: str | None, parted: Mapping[Partition, int]
) -> tuple[str, ...]:
    """Go on where logs part that are others than what is remembered; returns what a person should know of it."""
    kafka, file = pipeline.kafka, progress_file(pipeline.name)
    remembered = file.load()
    if remembered is None or remembered.group != kafka.consumer_group:
        remembered = Progress(kafka.consumer_group)
    marks = remembered.marks({name: each.topic_id for name, each in found.items()})
    places = dict(parted) or parted_for_certain(kafka.cluster, marks)
    if not places:
        return ()
    new = True
    if schema is not None and pipeline.table is not None:
        new = _number_forks(pipeline.table.url, found, schema, places, marks)
    reached = committed(kafka.cluster, kafka.consumer_group, kafka.topics)
    ids = {name: each.topic_id for name, each in found.items()}
    targets = back_to(places, reached, remembered.committed(ids))
    if new:
        move(kafka.cluster, kafka.consumer_group, targets, GROUP_EMPTY_SECONDS, commit_note(pipeline))
    else:
        # Another ddpm of this group has noticed it before, and may read on from there already.
        commit(kafka.cluster, kafka.consumer_group, targets, metadata=commit_note(pipeline))
    file.save(remembered.without_marks(places))
    return () if parted else (another_log(places),)


def back_to(
    places: Mapping[Partition, int], reached: Mapping[Partition, int | None], remembered: Mapping[Partition, int]
) -> dict[Partition, int]:
    """Where a group reads on in partitions whose logs part at `places`: there, or where it has not come so far.

    Brokers that were restored may have forgotten the group as well; then counts what is remembered of it. A partition
    of which nothing is known is left out: none of it was read, and it is read from its beginning.
    """
    known = dict(remembered) | {each: offset for each, offset in reached.items() if offset is not None}
    return {each: min(first, known[each]) for each, first in places.items() if each in known}


def _number_forks(
    url: str,
    found: Mapping[str, Incarnation],
    schema: str,
    places: Mapping[Partition, int],
    marks: Mapping[Partition, Marks],
) -> bool:
    """Give numbers to what comes after the places where logs part; returns whether any is new."""
    added = False
    for topic in {each.topic for each in places}:
        partings = [
            Parting(each.partition, first, marks[each][-1].at if marks.get(each) else 0.0)
            for each, first in places.items()
            if each.topic == topic
        ]
        added |= add_forks(url, found[topic], partings, schema)
    return added


def another_log(places: Mapping[Partition, int]) -> str:
    """What is said of partitions that have another log from some offsets on."""
    listed = ", ".join(f"{each.topic}/{each.partition} from offset {first}" for each, first in sorted(places.items()))
    return (
        f"Kafka has another log than before (a restored disk, or an unclean election) in {listed}: records from there "
        "on get a source number of their own, and rows of what the old log had stay"
    )


def _begin(
    pipeline: Pipeline, found: Mapping[str, Incarnation], schema: str | None, handed: Handover
) -> tuple[str, ...]:
    """Commit where the group begins, wherever it has no offset yet; returns what a person should know of it."""
    if handed.pending:
        return ()
    kafka = pipeline.kafka
    brokers, group = kafka.cluster, kafka.consumer_group
    ids = {name: each.topic_id for name, each in found.items() if each.topic_id is not None}
    reached = committed(brokers, group, kafka.topics)
    # In this order a partition that is added just now has no place in `reached`, and is read from its beginning.
    marks = watermarks(brokers, kafka.topics)
    file = progress_file(pipeline.name)
    remembered = file.load()
    begin = beginnings(
        group,
        kafka.start_from,
        reached,
        marks,
        topic_ids=ids,
        remembered=remembered,
        live=handed.live,
        marked=handed.marked,
        settles=pipeline.part is not None,
    )
    wanted, alarms = {**begin.settled, **begin.restored}, []
    if begin.undecided and schema is not None:
        rows = _first_rows(pipeline, found, schema, begin.undecided, reached)
        known = {each.topic for each in rows}
        wanted = {each: offset for each, offset in wanted.items() if each.topic not in known} | rows
        if rows:
            alarms.append(forgotten(group, rows, "the first ones of which the table has rows; no row is written twice"))
    # What its members have not committed again is read from the beginning; refused, it stays remembered.
    note = commit_note(pipeline)
    restored = commit(brokers, group, begin.restored, metadata=note)
    new = {each: offset for each, offset in wanted.items() if each not in begin.restored}
    # An engine of others may have joined already, and is not ddpm's to wait for.
    settle = commit if pipeline.engine.external else begin_at
    begun = settle(brokers, group, new, GROUP_EMPTY_SECONDS, note)
    if restored:
        found_again = {each: begin.restored[each] for each in restored}
        alarms.append(forgotten(group, found_again, "those that ddpm saw committed last"))
    reached |= {**begin.restored, **{each: new[each] for each in begun}}
    before = remembered if remembered is not None and remembered.group == group else Progress(group)
    # It is in use itself.
    before = replace(before, apart=())
    file.save(before.with_topics(progress_of(group, ids, reached, before.marks(ids)).topics))
    enlist(pipeline, ids)
    return tuple(alarms)


def _first_rows(
    pipeline: Pipeline,
    found: Mapping[str, Incarnation],
    schema: str,
    topics: Collection[str],
    partitions: Collection[Partition],
) -> dict[Partition, int]:
    """The first offset that the table has of each partition of `topics`; without those that it has no row of."""
    assert pipeline.table is not None  # noqa: S101 -- there is a schema
    url, spec = pipeline.table.url, table_spec(pipeline, pipeline.table)
    numbers = known_sources(url, {name: found[name] for name in topics}, schema)
    wanted = {each: numbers[each.topic] for each in partitions if each.topic in numbers}
    places = first_offsets(url, schema, spec.name, {(number, each.partition) for each, number in wanted.items()})
    return {
        each: places[number, each.partition] for each, number in wanted.items() if (number, each.partition) in places
    }


def forgotten(group: str, restored: Mapping[Partition, int], what: str) -> str:
    """What is said when committed offsets were gone and others were set in their place."""
    listed = ", ".join(f"{each.topic}/{each.partition}: {offset}" for each, offset in sorted(restored.items()))
    return (
        f"Kafka has forgotten offsets that the consumer group {group} had committed (deleted, or expired after "
        f"offsets.retention.minutes); they were set to {what}: {listed}"
    )


def progress_of(
    group: str,
    ids: Mapping[str, str],
    reached: Mapping[Partition, int | None],
    marks: Mapping[Partition, Marks],
) -> Progress:
    """What is to be remembered of a group that has come so far."""
    topics: dict[str, dict[int, int]] = {each.topic: {} for each in reached}
    for each, offset in reached.items():
        if offset is not None:
            topics[each.topic][each.partition] = offset
    of = {name: {each.partition: found for each, found in marks.items() if each.topic == name} for name in topics}
    return Progress(group, {name: TopicProgress(ids.get(name), done, of[name]) for name, done in topics.items()})


def make_dead_letter_topic(pipeline: Pipeline, timeout: float) -> None:
    """Make the dead-letter topic if it is not there; raises as `ensure_topics` does."""
    dead = [spec for spec in topic_specs(pipeline) if spec.name == pipeline.dead_letter.topic]
    ensure_topics(pipeline.kafka.cluster, dead, timeout)


def _table(
    pipeline: Pipeline, log: structlog.stdlib.BoundLogger, report: Callable[[str], object], *, former: bool
) -> TableState | None:
    rows = pipeline.table
    if rows is None:
        return None
    spec = replace(table_spec(pipeline, rows), takes_wider=former)

    def changed(said: str) -> None:
        log.info(said)
        report(said)

    evolve_table(rows.url, spec, changed)
    table = ensure_table(rows.url, spec)
    for warning in table.warnings:
        log.warning(warning)
    if table.created:
        log.info("table created", table=join_table(table.schema, split_table(rows.table)[1]))
    keeper = month_keeper(pipeline)
    if keeper is not None:
        keeper.look()
    return table


def month_keeper(pipeline: Pipeline, report: Callable[[str], object] = lambda _: None) -> PartitionMaintenance | None:
    """Who keeps the months of a pipeline's table; None when it is not partitioned. `report` is given what happens."""
    rows = pipeline.table
    if rows is None or rows.partition is None:
        return None
    return PartitionMaintenance(pipeline.name, rows.url, table_spec(pipeline, rows), rows.partition, report)


def check_rights(pipeline: Pipeline) -> None:
    """Return if ddpm's user has the rights on the pipeline's brokers that a run takes; raises as `require` does."""
    security = pipeline.kafka.cluster.security
    # Without a name there is no user that rights could be granted to, and of AWS's they are policies.
    if not security.plain and not (security.sasl and security.sasl.mechanism is Mechanism.AWS_MSK_IAM):
        require(pipeline.kafka.cluster, _rights(pipeline))


def _rights(pipeline: Pipeline) -> Rights:
    """What ddpm and the engine do on the pipeline's own brokers while it runs; making topics takes more."""
    read, write, look = Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS
    topics: dict[str, tuple[Operation, ...]] = dict.fromkeys(pipeline.kafka.topics, (read, look))
    copies = (topic for sink in pipeline.sinks for topic in sink.topics_made(pipeline.kafka))
    topics |= dict.fromkeys(copies, (write, look))
    topics |= {pipeline.dead_letter.topic: (read, write, look)}
    topics |= {topic_of(pipeline.dead_letter.topic): (read, write)}
    groups = [pipeline.kafka.consumer_group, *([pipeline.part.group] if pipeline.part else [])]
    return Rights(topics, dict.fromkeys(groups, (read,)))


def topic_specs(pipeline: Pipeline) -> list[TopicSpec]:
    """The topics a pipeline needs on its own brokers: its sources, the dead letters, those of its sinks."""
    kafka = pipeline.kafka
    sources = [
        TopicSpec(topic, kafka.min_partitions, kafka.replication_factor, kafka.topic_configs) for topic in kafka.topics
    ]
    dead_letters = TopicSpec(
        pipeline.dead_letter.topic, replication_factor=kafka.replication_factor, room_for=kafka.topics
    )
    copies = [
        TopicSpec(topic, kafka.min_partitions, kafka.replication_factor)
        for sink in pipeline.sinks
        for topic in sink.topics_made(kafka)
    ]
    return [*sources, dead_letters, *copies]


def watched_table(pipeline: Pipeline) -> WatchedTable:
    """The table a pipeline writes, with all columns that it gives."""
    rows = pipeline.table
    assert rows is not None  # noqa: S101 -- asked only of pipelines with a table
    spec = table_spec(pipeline, rows)
    index = (INDEX_COLUMN,) if spec.indexed else ()
    written = (*IDENTITY_COLUMNS, *index, *(name for name, _ in spec.columns))
    return WatchedTable(spec.schema, spec.name, written, spec.key)


def table_spec(pipeline: Pipeline, rows: RowTable) -> TableSpec:
    """The table a pipeline writes, identity columns left out."""
    schema, name = split_table(rows.table)
    types = tuple((column.name, column.type) for column in columns(rows, pipeline.source))
    by = rows.partition.column if rows.partition else None
    many = gives_many(pipeline.source)
    return TableSpec(schema, name, types, indexed=many, partitioned_by=by, evolve=rows.evolve)
