"""Offsets go along when the sinks of a pipeline are run otherwise than before: each by itself, or together.

A sink that is run by itself reads with a consumer group of its own, `GROUP.SINK`, and a pipeline as a whole with
`GROUP`. Which of them are in use stands in Kafka, beside the offsets of `GROUP`: while sinks are run by themselves they
have metadata that says so and lists the sinks. Any other commit there, by an engine or by `ddpm offsets reset`, means
that the whole goes on from it. So there is one request that changes from one way to the other, what is done before and
after it may be cut short, and what is left of other groups is never taken for more than it is.

- Sinks are put apart: `GROUP` is marked where it had come, or begins. A sink in the list whose group has nothing begins
  there, however much later it is prepared; one that is not in the list is new, and begins where `start_from` says.
- Sinks are put together: `GROUP` goes on where the last of the sinks in the list had come, by what their groups have
  committed, or what ddpm remembers, or the mark. Only then are their groups deleted.
"""

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ddpm.broker.members import members
from ddpm.broker.offsets import (
    Committed,
    Partition,
    Watermarks,
    commit,
    committed_by,
    delete_groups,
    move,
    watermarks,
)
from ddpm.config.model import Part, Pipeline
from ddpm.config.parts import commit_note, part_group, part_note
from ddpm.contract import Commit
from ddpm.errors import ConfigError, ServiceError
from ddpm.names import part_name
from ddpm.orchestrator.provisioning.beginnings import beginnings
from ddpm.orchestrator.provisioning.progress import Progress, TopicProgress, progress_file

_APART = f"{Commit.OWN} apart"
# Of a group that could not be deleted: what it has committed is no place any more.
_OVER = f"{Commit.OWN} over"
_PAUSE = 0.5
# Parts of a pipeline are prepared at the same time, and each adds to what the others wrote.
_marking = threading.Lock()


@dataclass(frozen=True, slots=True)
class Handover:
    """What a pipeline takes over from the groups that were in use before.

    Attributes:
        live: Where the group of the whole had come, which was in use until now, by partition.
        marked: Where it was when its sinks were put apart, by partition; empty for a sink that came later.
        news: What was done.
        alarms: What a person should know.
        pending: Whether there is something to take over, which was not asked for.

    """

    live: Mapping[Partition, int] = field(default_factory=dict)
    marked: Mapping[Partition, int] = field(default_factory=dict)
    news: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    pending: bool = False


def hand_over(pipeline: Pipeline, ids: Mapping[str, str], patience: float, *, moves: bool = True) -> Handover:
    """Work out what the pipeline's group takes over from others, and change over to it if it has to.

    Args:
        pipeline: The pipeline, or the part; its topics exist, and its engines do not run.
        ids: The ids of its topics, by name.
        patience: How many seconds to wait for members that are leaving.
        moves: Whether to change over; otherwise it is only found out.

    Raises:
        ServiceError: No broker answers or it refuses, or a group still has members after that time.
        ConfigError: The group of a part is that of another program.

    """
    if pipeline.part is not None:
        return _from_whole(pipeline, pipeline.part, ids, patience, moves=moves)
    return _from_parts(pipeline, ids, patience, moves=moves)


def enlist(pipeline: Pipeline, ids: Mapping[str, str]) -> None:
    """Add a part that has begun to the list of those that are run by themselves; without those that are gone.

    Raises:
        ServiceError: No broker answers, or it refuses.

    """
    part, kafka = pipeline.part, pipeline.kafka
    if part is None:
        return
    with _marking:
        whole = committed_by(kafka.cluster, [part.group], kafka.topics).get(part.group, {})
        listed = sinks_apart(whole.values())
        wanted = (listed & set(part.sinks)) | {part.sink}
        marked = _marked(whole)
        if marked and wanted != listed:
            # Refused to a group with members; then this part is known by its own group.
            commit(kafka.cluster, part.group, marked, metadata=mark_of(wanted))
            _remember(part, ids, marked, wanted)


def mark_of(sinks: Iterable[str]) -> str:
    """The metadata of a whole's offsets while these of its sinks are run by themselves."""
    return " ".join([_APART, *sorted(sinks)])


def sinks_apart(found: Iterable[Committed]) -> frozenset[str]:
    """The names of the sinks that are run by themselves, by what the group of the whole has committed."""
    return frozenset(name for each in found if _is_mark(each) for name in each.metadata.removeprefix(_APART).split())


def last_of(
    partitions: Iterable[Partition],
    of_sinks: Mapping[str, Mapping[Partition, int]],
    marked: Mapping[Partition, int],
    marks: Mapping[Partition, Watermarks],
) -> dict[Partition, int]:
    """Where a group goes on that takes over from several: where the last of them has come, partition by partition.

    Args:
        partitions: Those that it takes over.
        of_sinks: Where each of the sinks has come.
        marked: Where one is that has not begun at all; in other partitions of these topics it is at their beginning.
        marks: What the partitions keep; one that a sink has not begun in a topic that it reads, it reads from there.

    """
    topics = {each.topic for each in marked}
    known = {name: topics | {each.topic for each in reached} for name, reached in of_sinks.items()}
    places: dict[Partition, int] = {}
    for each in partitions:
        for name, reached in of_sinks.items():
            place = reached.get(each, marked.get(each))
            if place is None and each.topic in known[name]:
                place = marks[each].start
            if place is not None:
                places[each] = min(place, places.get(each, place))
    return places


def _from_whole(pipeline: Pipeline, part: Part, ids: Mapping[str, str], patience: float, *, moves: bool) -> Handover:
    kafka, note = pipeline.kafka, commit_note(pipeline)
    group = kafka.consumer_group
    with _marking:
        whole, own = _read(pipeline, [part.group, group])
        whole = _or_remembered(whole, part.pipeline, part.group, ids)
        listed = sinks_apart(whole.values())
        if part.sink not in listed and _is_foreign(part, part.sink, own):
            msg = (
                f"the sink {part.sink} would read with the consumer group {group}, in which another program has "
                "committed"
            )
            raise ConfigError(
                msg,
                hint="give the sink another `name`, or the pipeline another `kafka.consumer_group`; if nothing else "
                "uses the group, delete it",
            )
        if _live(whole):
            if not moves:
                return Handover(pending=True)
            _await_empty(pipeline, [part.group], patience)
            whole = _read(pipeline, [part.group])[0]
        live, marked = _live(whole), _marked(whole)
        births = _births(pipeline, part, ids, live, marked)
        marked |= births
        sinks = (listed & set(part.sinks)) if listed else _without_foreign(pipeline, part)
        if live or births:
            move(kafka.cluster, part.group, marked | live, patience, mark_of(sinks or listed))
            _remember(part, ids, marked | live, sinks or listed)
        else:
            # Kafka forgets what nobody reads with.
            commit(kafka.cluster, part.group, marked, metadata=mark_of(sinks or listed))
        over = {each: (marked | live)[each] for each, found in own.items() if found.metadata == _OVER}
        if over:
            move(kafka.cluster, group, over, patience, note)
    if part.sink not in sinks:
        return Handover()
    _copy_marks(pipeline, part, ids)
    news = (f"the consumer group {group} goes on where {part.group} had come",) if live and not own else ()
    return Handover(live, marked, news)


def _from_parts(pipeline: Pipeline, ids: Mapping[str, str], patience: float, *, moves: bool) -> Handover:
    kafka = pipeline.kafka
    group = kafka.consumer_group

    def of_whole() -> dict[Partition, Committed]:
        return _or_remembered(_read(pipeline, [group])[0], pipeline.name, group, ids)

    listed = sinks_apart(of_whole().values())
    names = listed & set(pipeline.sink_names) or listed
    sinks = sorted({*names, *pipeline.sink_names})
    groups = {name: part_group(group, name) for name in sinks}
    remembered = {name: _remembered(pipeline.name, name, groups[name], ids) for name in sinks}
    found = committed_by(kafka.cluster, list(groups.values()), kafka.topics)
    _require(found, [groups[name] for name in names])
    own = {name: each for name in sinks if (each := found.get(groups[name]))}
    ours = {
        name: each
        for name, each in own.items()
        if name in listed or remembered[name] is not None or _is_own(each, group)
    }
    counted = [name for name in sinks if name in names or _without_over(ours.get(name, {})) or remembered[name]]
    marks = watermarks(kafka.cluster, kafka.topics) if counted else {}

    def places() -> dict[Partition, int]:
        whole = of_whole()
        now = committed_by(kafka.cluster, [groups[name] for name in counted], kafka.topics)
        of_sinks = {name: (remembered[name] or {}) | _without_over(now.get(groups[name], {})) for name in counted}
        return last_of(_unused(marks, whole), of_sinks, _marked(whole), marks)

    if not places():
        return Handover(alarms=_clear(pipeline, ours) if moves else ())
    if not moves:
        return Handover(pending=True)
    those = " and ".join(groups[name] for name in counted)
    if pipeline.engine.external and members(kafka.cluster, group):
        msg = (
            f"the consumer group {group} should go on where {those} had come, but an engine reads with it already: "
            "end that engine, start ddpm, and then the engine"
        )
        return Handover(alarms=(msg,))
    _await_empty(pipeline, [group, *(groups[name] for name in counted)], patience)
    # Meanwhile another ddpm may have done it, and then there is nothing to do.
    if targets := places():
        move(kafka.cluster, group, targets, patience)
    news = f"the consumer group {group} goes on where {those} had come"
    return Handover(news=(news,), alarms=_clear(pipeline, ours))


def _read(pipeline: Pipeline, groups: Sequence[str]) -> list[dict[Partition, Committed]]:
    kafka = pipeline.kafka
    found = committed_by(kafka.cluster, groups, kafka.topics)
    _require(found, groups)
    return [found[group] for group in groups]


def _require(found: Collection[str], groups: Iterable[str]) -> None:
    """Raise ServiceError if one of the groups is not among those that could be asked for."""
    for group in groups:
        if group not in found:
            msg = f"this user may not ask for the offsets of the consumer group {group}"
            raise ServiceError(msg, hint="give it the rights Describe and Read on this group")


def _is_mark(found: Committed) -> bool:
    return found.metadata == _APART or found.metadata.startswith(f"{_APART} ")


def _marked(whole: Mapping[Partition, Committed]) -> dict[Partition, int]:
    """Where the whole was when its sinks were put apart."""
    return {each: found.offset for each, found in whole.items() if _is_mark(found)}


def _live(whole: Mapping[Partition, Committed]) -> dict[Partition, int]:
    """Where the whole has come, where it is in use."""
    return {each: found.offset for each, found in whole.items() if not _is_mark(found)}


def _without_over(reached: Mapping[Partition, Committed]) -> dict[Partition, int]:
    return {each: found.offset for each, found in reached.items() if found.metadata != _OVER}


def _or_remembered(
    whole: dict[Partition, Committed], pipeline: str, group: str, ids: Mapping[str, str]
) -> dict[Partition, Committed]:
    """What a whole has committed, or the marks that ddpm remembers where Kafka has forgotten them."""
    remembered = progress_file(pipeline).load()
    if whole or remembered is None or remembered.group != group or not remembered.apart:
        return whole
    note = mark_of(remembered.apart)
    return {each: Committed(offset, note) for each, offset in remembered.committed(ids).items()}


def _is_own(reached: Mapping[Partition, Committed], whole: str) -> bool:
    """Whether a group was one of a sink of that whole."""
    return any(each.metadata in (part_note(whole), _OVER) for each in reached.values())


def _is_foreign(part: Part, sink: str, reached: Mapping[Partition, Committed]) -> bool:
    """Whether the group of a sink that is not in the list is that of another program, or of another pipeline."""
    remembered = progress_file(part_name(part.pipeline, sink)).load()
    known = remembered is not None and remembered.group == part_group(part.group, sink)
    return bool(reached) and not known and not _is_own(reached, part.group)


def _without_foreign(pipeline: Pipeline, part: Part) -> frozenset[str]:
    """The sinks of a whole that is put apart now; without those that cannot be run."""
    kafka = pipeline.kafka
    groups = {name: part_group(part.group, name) for name in part.sinks}
    found = committed_by(kafka.cluster, list(groups.values()), kafka.topics)
    return frozenset(name for name in part.sinks if not _is_foreign(part, name, found.get(groups[name], {})))


def _births(
    pipeline: Pipeline,
    part: Part,
    ids: Mapping[str, str],
    live: Mapping[Partition, int],
    marked: Mapping[Partition, int],
) -> dict[Partition, int]:
    """Where the whole begins in partitions in which its group has committed nothing."""
    kafka = pipeline.kafka
    marks = watermarks(kafka.cluster, kafka.topics)
    begin = beginnings(
        part.group,
        kafka.start_from,
        dict.fromkeys(each for each in marks if each not in live and each not in marked),
        marks,
        topic_ids=ids,
        remembered=progress_file(part.pipeline).load(),
        live=live,
        marked=marked,
        settles=True,
    )
    return {**begin.settled, **begin.restored}


def _remember(part: Part, ids: Mapping[str, str], places: Mapping[Partition, int], sinks: Collection[str]) -> None:
    """Keep where the whole is while its sinks are run by themselves: Kafka forgets a group that has no members."""
    file = progress_file(part.pipeline)
    before = file.load()
    if before is None or before.group != part.group:
        before = Progress(part.group)
    now: dict[str, TopicProgress] = {}
    for each, offset in places.items():
        topic_id = ids.get(each.topic)
        known = now.get(each.topic) or before.topics.get(each.topic)
        if known is None or known.topic_id != topic_id:
            known = TopicProgress(topic_id)
        now[each.topic] = replace(known, committed={**known.committed, each.partition: offset})
    file.save(replace(before.with_topics(now), apart=tuple(sorted(sinks))))


def _copy_marks(pipeline: Pipeline, part: Part, ids: Mapping[str, str]) -> None:
    """Let a part that remembers nothing yet have the marks by which the logs of the whole are known."""
    file, group = progress_file(pipeline.name), pipeline.kafka.consumer_group
    own, whole = file.load(), progress_file(part.pipeline).load()
    if (own is not None and own.group == group) or whole is None or whole.group != part.group:
        return
    topics = {
        name: replace(each, committed={})
        for name, each in whole.topics.items()
        if each.marks and each.topic_id == ids.get(name)
    }
    if topics:
        file.save(Progress(group, topics))


def _remembered(pipeline: str, sink: str, group: str, ids: Mapping[str, str]) -> dict[Partition, int] | None:
    """What ddpm saw a part commit last; None when it remembers nothing of its group."""
    found = progress_file(part_name(pipeline, sink)).load()
    return None if found is None or found.group != group else found.committed(ids)


def _unused(partitions: Iterable[Partition], whole: Mapping[Partition, Committed]) -> list[Partition]:
    """The partitions in which the group of the whole is not in use."""
    used = {each.topic for each in _live(whole)} - {each.topic for each in _marked(whole)}
    return [each for each in partitions if (_is_mark(whole[each]) if each in whole else each.topic not in used)]


def _await_empty(pipeline: Pipeline, groups: Sequence[str], patience: float) -> None:
    deadline = time.monotonic() + patience
    for group in groups:
        while members(pipeline.kafka.cluster, group):
            if time.monotonic() > deadline:
                msg = f"somebody reads with the consumer group {group}, from which {pipeline.name} is to take over"
                raise ServiceError(
                    msg, hint="end the ddpm that runs with the former configuration; a killed engine stays for 10 s"
                )
            time.sleep(_PAUSE)


def _clear(pipeline: Pipeline, ours: Mapping[str, Mapping[Partition, Committed]]) -> tuple[str, ...]:
    """Remove what is left of parts: from now on it would say where their sinks were, and not where they are."""
    kafka = pipeline.kafka
    for name in pipeline.sink_names:
        progress_file(part_name(pipeline.name, name)).forget()
    groups = {part_group(kafka.consumer_group, name): reached for name, reached in ours.items()}
    refused = delete_groups(kafka.cluster, list(groups))
    for group in refused:
        places = {each: found.offset for each, found in groups[group].items()}
        commit(kafka.cluster, group, places, metadata=_OVER)
    return tuple(
        f"the consumer group {group} is not used any more and cannot be deleted ({answer}): delete it, or give the "
        "user of ddpm the right to"
        for group, answer in refused.items()
    )
