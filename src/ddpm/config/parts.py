"""A pipeline with several sinks, as it is run: a part for each sink, with a consumer group of its own. Pure.

A sink that is slow, away or wrong then holds no other one. `fan_out: together` keeps one engine for all of them. The
name of a part has a dot, which no user can write, and its group's name one that no other pipeline's should have.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ddpm.config.codes import Code
from ddpm.config.model import Part, Pipeline
from ddpm.config.problems import Finding
from ddpm.config.several import Draft
from ddpm.config.tree import Scalar, find
from ddpm.contract import Commit
from ddpm.names import means, part_name


def parts_of(pipeline: Pipeline) -> tuple[Pipeline, ...]:
    """The pipelines that one is run as: itself, or one for each of its sinks."""
    if not _separate(pipeline):
        return (pipeline,)
    return tuple(_part(pipeline, name, index) for index, name in enumerate(pipeline.sink_names))


def together(parts: Sequence[Pipeline]) -> Pipeline:
    """The pipeline that is run as these, to be shown; the reverse of `parts_of`."""
    first = parts[0]
    group = first.kafka.consumer_group if first.part is None else first.part.group
    sinks = tuple(sink for each in parts for sink in each.sinks)
    kafka = first.kafka.model_copy(update={"consumer_group": group})
    return first.model_copy(update={"name": first.whole, "sinks": sinks, "kafka": kafka})


def part_group(group: str, sink: str) -> str:
    """The consumer group of a sink, of the pipeline's own."""
    return f"{group}.{sink}"


def commit_note(pipeline: Pipeline) -> str:
    """The metadata of what ddpm and its engines commit for a pipeline; that of a part names the group of its whole."""
    return Commit.OWN if pipeline.part is None else part_note(pipeline.part.group)


def part_note(whole: str) -> str:
    """The same of each part of a pipeline, by the group of the whole."""
    return f"{Commit.OWN} part of {whole}"


def run_before_as(pipeline: Pipeline) -> tuple[str, ...]:
    """The names under which its sinks may have been run before: that of the whole, or those of its parts."""
    if pipeline.part is not None:
        return (pipeline.whole,)
    return tuple(part_name(pipeline.name, sink) for sink in pipeline.sink_names)


def first_of(pipelines: Sequence[Pipeline]) -> Pipeline:
    """Of the parts of one pipeline that with its table, else the first: what stands for the whole."""
    return next((each for each in pipelines if each.table is not None), pipelines[0])


def named(pipelines: Iterable[Pipeline], name: str) -> tuple[Pipeline, ...]:
    """Those that a name means: one pipeline, one part, or all parts of a pipeline."""
    return tuple(each for each in pipelines if means(name, each.name))


def shared_with_sinks(made: Sequence[tuple[Draft, tuple[Pipeline, ...]]]) -> Iterator[Finding]:
    """What is wrong with pipelines that have the consumer group or the file of a sink of another one."""
    everyone = [each for _, parts in made for each in parts]
    groups = {group: each.whole for each in everyone for group in _groups_of_sinks(each)}
    files = {str(each.generated_pipeline_config): each.whole for each in everyone if each.part is not None}
    for draft, parts in made:
        for each in parts:
            group, file = each.kafka.consumer_group, str(each.generated_pipeline_config)
            if groups.get(group, each.whole) != each.whole:
                message = f'the consumer group "{group}" is that of a sink of the pipeline "{groups[group]}"'
                yield _shared(draft, ("kafka", "consumer_group"), "shared-consumer-group", message)
            if each.generated_pipeline_config is not None and files.get(file, each.whole) != each.whole:
                message = f'the file "{file}" is that of a sink of the pipeline "{files[file]}"'
                yield _shared(draft, ("generated_pipeline_config",), "shared-generated-config", message)


def _shared(draft: Draft, keys: tuple[str, ...], code: Code, message: str) -> Finding:
    found = find(draft.root, keys, draft.at)
    node = found.node if not found.rest and isinstance(found.node, Scalar) else None
    path = node.path if node else f"{draft.own.path}.{'.'.join(keys)}"
    return Finding(code, node.at if node else draft.at, path, message, "name another one")


def _groups_of_sinks(pipeline: Pipeline) -> Iterator[str]:
    if pipeline.part is not None:
        yield pipeline.kafka.consumer_group
    elif len(pipeline.sinks) > 1:
        yield from (part_group(pipeline.kafka.consumer_group, name) for name in pipeline.sink_names)


def _separate(pipeline: Pipeline) -> bool:
    if len(pipeline.sinks) == 1 or pipeline.fan_out == "together" or pipeline.engine.external:
        return False
    # A template may have outputs of its own: run twice, it would write everything twice.
    return pipeline.pipeline_template is None or "fan_out" in pipeline.model_fields_set


def _part(pipeline: Pipeline, sink: str, index: int) -> Pipeline:
    kafka = pipeline.kafka
    generated = pipeline.generated_pipeline_config
    return pipeline.as_part(
        Part(pipeline.name, sink, kafka.consumer_group, pipeline.sink_names),
        {
            "name": part_name(pipeline.name, sink),
            "sinks": (pipeline.sinks[index],),
            "kafka": kafka.model_copy(update={"consumer_group": part_group(kafka.consumer_group, sink)}),
            "generated_pipeline_config": None if generated is None else _suffixed(generated, sink),
        },
    )


def _suffixed(path: Path, sink: str) -> Path:
    return path.with_name(f"{path.stem}-{sink}{path.suffix}")
