"""Mistakes in the user's mappings, shown at their places in the files that the user wrote."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ddpm.components.processors import code
from ddpm.config.bloblang import Mistake, Said, explain, may_read_files
from ddpm.config.document import Document
from ddpm.config.files import read_text
from ddpm.config.model import Pipeline, PluginKind
from ddpm.config.paths import from_here
from ddpm.config.problems import ConfigProblems, Finding, Problem
from ddpm.engine import mappings
from ddpm.observability.masking import Masker


def refuse_mistakes(binary: Path, pipelines: Sequence[Pipeline], masker: Masker) -> None:
    """Let the engine read all mappings, and what they import and read; raise ConfigProblems with every mistake."""
    # To start the engine takes longer than to read a mapping, so it reads those of a folder together.
    by_folder: dict[Path, list[Pipeline]] = {}
    for each in pipelines:
        by_folder.setdefault(_folder(each), []).append(each)
    said: dict[str, list[mappings.Said | None]] = {}
    for folder, together in by_folder.items():
        answers = iter(mappings.look_at(binary, [text for each in together for text in _texts(each)], folder))
        said |= {each.name: list(islice(answers, len(_texts(each)))) for each in together}
    found = list(dict.fromkeys(problem for each in pipelines for problem in _problems(each, said[each.name])))
    if found:
        raise ConfigProblems([_masked(problem, masker) for problem in found])


def reads_files(pipeline: Pipeline) -> bool:
    """Whether the mappings of a pipeline, or its parser when it is one, may read files when an engine starts."""
    return _plugin_file(pipeline) is not None or any(may_read_files(code(step).text) for step in pipeline.processors)


def _folder(pipeline: Pipeline) -> Path:
    return pipeline.folder or Path.cwd()


def _texts(pipeline: Pipeline) -> list[str]:
    """The mappings of a pipeline's steps, and behind them that of its parser when it is one."""
    texts, plugin = [code(step).text for step in pipeline.processors], _plugin_file(pipeline)
    return texts if plugin is None else [*texts, f"from {json.dumps(plugin, ensure_ascii=False)}"]


def _problems(pipeline: Pipeline, answers: Sequence[mappings.Said | None]) -> Iterator[Problem]:
    folder, plugin = _folder(pipeline), _plugin_file(pipeline)
    for index, said in enumerate(answers):
        if said is None:
            continue
        if imported := _in_import(said, folder):
            yield imported
        elif index < len(pipeline.processors):
            yield _in_step(pipeline, index, said)
        else:
            yield Problem("mapping", "app.source.plugin_path", f"{plugin}: {said.message}", folder / str(plugin))


def _in_step(pipeline: Pipeline, index: int, said: mappings.Said) -> Problem:
    step = pipeline.processors[index]
    text, condition = step.mapping or step.filter or "", step.mapping is None
    mistake = explain(text, _said(said, code(step).in_step(said.index)), condition=condition)
    if step.written is None:
        path = f"processors[{index}].{'filter' if condition else 'mapping'}"
        return Problem("mapping", path, mistake.message, Path(pipeline.name), hint=mistake.hint)
    return step.written.problem("mapping", mistake.index, mistake.message, _hint(mistake, pipeline))


def _in_import(said: mappings.Said, folder: Path) -> Problem | None:
    """The mistake in the innermost file that was imported; None when there is none such, or it cannot be read."""
    if not said.file:
        return None
    path = folder / said.file
    try:
        document = Document(from_here(path), read_text(path))
    except (OSError, ValueError):
        return None
    index = _index(document.text, said.line, said.column)
    mistake = explain(document.text, _said(said, index))
    finding = Finding("mapping", document.place(mistake.index), "", mistake.message, mistake.hint)
    return document.problems([finding], ())[0]


def _index(text: str, line: int, column: int) -> int:
    """Undo the engine's arithmetic, which takes the length of lines in bytes from a place in characters."""
    lines = text.split("\n")[: line - 1]
    return sum(len(each.encode()) + 1 for each in lines) + column - 1


def _said(said: mappings.Said, index: int) -> Said:
    return Said(index, said.message, said.functions, said.methods)


def _hint(mistake: Mistake, pipeline: Pipeline) -> str | None:
    at_files = mistake.message.startswith("the file ") and pipeline.folder is not None
    return f"looked in {pipeline.folder}, the folder of the configuration" if at_files else mistake.hint


def _plugin_file(pipeline: Pipeline) -> str | None:
    plugin = pipeline.source.plugin
    return plugin.path if plugin is not None and plugin.kind is PluginKind.MAPPING else None


def _masked(problem: Problem, masker: Masker) -> Problem:
    hint = None if problem.hint is None else masker.text(problem.hint)
    return replace(problem, message=masker.text(problem.message), hint=hint)
