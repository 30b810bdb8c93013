"""From files to a `Config`: read, combine, interpolate, expand, validate; problems are gathered before any is raised.

The story only; each step lives in a module of its own. Opens the files, the templates and the secret files they
name, and changes nothing.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ddpm.config import tree
from ddpm.config.assigning import TOP
from ddpm.config.document import Span
from ddpm.config.envfile import variables_in
from ddpm.config.explain import judge, judge_options
from ddpm.config.files import (
    ValidationContext,
    check,
    digest_of,
    parser_at,
    read_text,
    reason,
    resolved,
)
from ddpm.config.fill import Secrets, fill
from ddpm.config.interpolate import Variables, without_last_newline
from ddpm.config.known import PipelineKnown, did_you_mean
from ddpm.config.merging import combined
from ddpm.config.model import Config, Model, NoOptions, Pipeline, Plugin, Processor
from ddpm.config.parts import parts_of, shared_with_sinks
from ddpm.config.paths import existing_file
from ddpm.config.plugins import Inspect, look_up
from ddpm.config.problems import ConfigProblems, Finding, Place, Problem, Severity
from ddpm.config.reading import Read, read
from ddpm.config.sections import normalised
from ddpm.config.several import Draft, Drafts, drafts, missing_findings
from ddpm.config.sharing import shared_tables
from ddpm.config.sources import Sources
from ddpm.config.written import Written

_JSON_ONLY: Mapping[str, type[Model]] = {"json": NoOptions}
ENV_FILE = "DDPM_ENV_FILE"
"""The variable that names environment files, with colons between them; their variables go before the process's."""

_START = Place(1, 1)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A valid configuration, and what is odd about it."""

    config: Config
    warnings: tuple[Problem, ...] = ()


def load(
    sources: Path | Sources,
    env: Mapping[str, str],
    *,
    model: type[Pipeline],
    parsers: Mapping[str, type[Model]] = _JSON_ONLY,
    installed: Collection[str] = (),
    inspect: Inspect | None = None,
) -> LoadResult:
    """Read a configuration.

    Args:
        sources: The YAML file, or all that it is made of.
        env: The variables that `${NAME}` stands for; `DDPM_ENV_FILE` names files with others, which go before them.
        model: What a pipeline is, with the sinks that there are.
        parsers: The names that `source.parser` may have, each with the model of its `source.options`.
        installed: The names of the parsers that installed packages bring.
        inspect: Finds out about plugins in Python; without it, they are taken on trust and cannot be run.

    Raises:
        ConfigProblems: Something is wrong; it carries every problem, warnings among them, in the order of the file.

    """
    sources = sources if isinstance(sources, Sources) else Sources(sources)
    folders = tuple(dict.fromkeys([Path.cwd(), sources.folder]))
    context = ValidationContext(model, parsers, folders, installed, inspect)
    # Before the files, so that one that is added while they are read is noticed afterwards.
    in_folders = sources.folders
    return _Loading(read(sources), sources, context).result(env, in_folders)


class _Loading:
    """Files on their way to a configuration; gathers the findings of all steps."""

    def __init__(self, found: Read, sources: Sources, context: ValidationContext) -> None:
        self._read = found
        self._documents = found.documents
        self._sources = sources
        self._known = PipelineKnown(context.model)
        self._secrets = Secrets(self._known, context.parsers)
        self._top, findings = combined(found)
        self._findings = [*found.findings, *findings]
        for root in (*found.files, *found.overlays):
            self._findings += _unknown_top(root.top, self._known)
        self._context = context
        self._homes: dict[str, Path] = {}
        self._secret_files: dict[Path, str] = {}

    def result(self, env: Mapping[str, str], in_folders: dict[Path, str]) -> LoadResult:
        filled = self._filled(self._top, Variables(self._with_files(env), self._secret_file))
        pipelines = self._pipelines(filled)
        problems = self._documents.problems(self._findings, self._spans(filled))
        if any(problem.severity is Severity.ERROR for problem in problems):
            raise ConfigProblems(problems)
        config = Config(
            path=self._sources.path,
            pipelines=pipelines,
            secrets=self._secrets.found(filled, pipelines),
            digest=self._digest(),
            files=self._digests(),
            folders=in_folders,
            homes=self._homes,
            secret_files=self._secret_files,
        )
        return LoadResult(config, problems)

    def _digests(self) -> dict[Path, str]:
        roots = (*self._read.files, *self._read.stored.values(), *self._read.overlays)
        return {each.document.file: digest_of(each.document.text) for each in roots}

    def _digest(self) -> str:
        digests = self._digests()
        if len(digests) == 1 and not self._sources.sets:
            return digests[self._sources.path] if self._sources.path in digests else next(iter(digests.values()))
        return digest_of("\0".join([*(f"{file}\0{each}" for file, each in digests.items()), *self._sources.sets]))

    def _filled(self, top: tree.Mapping, variables: Variables) -> tree.Mapping:
        filled = fill(top, self._documents, variables)
        self._findings += filled.findings
        return normalised(filled.node, self._context.model.sections) if isinstance(filled.node, tree.Mapping) else top

    def _with_files(self, env: Mapping[str, str]) -> Mapping[str, str]:
        """The variables of the environment files before those of the process, which cannot change while it runs."""
        variables = dict(env)
        for path in filter(None, env.get(ENV_FILE, "").split(os.pathsep)):
            try:
                variables |= variables_in(self._watched(path))
            except (OSError, ValueError) as error:
                message = f"the environment file {path} cannot be read: {reason(error)}"
                self._findings.append(
                    Finding("file-unreadable", None, "", message, f"the variable {ENV_FILE} names it")
                )
        return variables

    def _secret_file(self, path: str) -> str:
        return without_last_newline(self._watched(path))

    def _watched(self, path: str) -> str:
        """The text of a file with secrets, which is remembered, so that a change of it is noticed."""
        found = existing_file(Path(path), self._context.folders) or Path(path)
        text = read_text(found)
        self._secret_files[found.absolute()] = digest_of(text)
        return text

    def _pipelines(self, top: tree.Mapping) -> tuple[Pipeline, ...]:
        made = self._drafts(top)
        if made is None:
            return ()
        app, app_at, all_drafts = made
        self._findings += all_drafts.findings
        self._homes = {each.name: self._documents.of(each.at).file for each in all_drafts.drafts}
        verdicts = [(draft, judge(draft.root, draft.at, self._context.model)) for draft in all_drafts.drafts]
        self._findings += missing_findings(
            ((draft, verdict.missing) for draft, verdict in verdicts), app, app_at, self._known
        )
        made_of: list[tuple[Draft, tuple[Pipeline, ...]]] = []
        self._findings += shared_tables([(draft, found.pipeline) for draft, found in verdicts if found.pipeline])
        for draft, verdict in verdicts:
            self._findings += [*verdict.findings, *check(draft.root, self._context)]
            self._findings += judge_options(draft.root, draft.at, self._context.parsers)
            plugin = self._plugin(draft.root, draft.at)
            if verdict.pipeline:
                source = verdict.pipeline.source.read_from(
                    plugin, self._written(parser_at(draft.root, self._context), top)
                )
                pipeline = resolved(verdict.pipeline.model_copy(update={"source": source}), self._context)
                made_of.append((draft, parts_of(self._placed(pipeline, draft.root, top))))
        self._findings += shared_with_sinks(made_of)
        return tuple(part for _, parts in made_of for part in parts)

    def _placed(self, pipeline: Pipeline, root: tree.Mapping, top: tree.Mapping) -> Pipeline:
        def placed(index: int, step: Processor) -> Processor:
            kind = "filter" if step.mapping is None else "mapping"
            written = self._written(tree.find(root, ("processors", index, kind), root.at).node, top)
            return step.at(written) if written else step

        steps = tuple(placed(index, step) for index, step in enumerate(pipeline.processors))
        return pipeline.read_from(self._sources.folder, steps)

    def _written(self, node: tree.Node | None, top: tree.Mapping) -> Written | None:
        if not isinstance(node, tree.Scalar):
            return None
        return Written(self._documents.of(node.at), node, self._spans(top).get(node.at.file, ()))

    def _plugin(self, root: tree.Mapping, at: Place) -> Plugin | None:
        context = self._context
        named, path = tree.text_at(root, "source", "parser"), tree.text_at(root, "source", "plugin_path")
        if named is not None and path is None and str(named.value) not in (*context.parsers, *context.installed):
            return None  # that there is no such parser has been reported
        found = look_up(root, at, context.parsers, context.folders, context.inspect)
        self._findings += found.findings
        return found.plugin

    def _spans(self, top: tree.Mapping) -> dict[int, tuple[Span, ...]]:
        """Where secrets may stand in each text, also those that another one takes the place of."""
        found: dict[int, dict[Span, None]] = {}
        for node in (top, *self._read.nodes):
            for scalar in tree.walk(node):
                if self._secrets.may_be(scalar):
                    found.setdefault(scalar.at.file, {})[scalar.span] = None
        return {file: tuple(spans) for file, spans in found.items()}

    def _drafts(self, top: tree.Mapping) -> tuple[tree.Mapping, Place, Drafts] | None:
        entry, pipelines = top.entries.get("app"), top.entries.get("pipelines")
        if entry is None and pipelines is None:
            if not self._findings:
                hint = "put the keys of the pipeline under app:"
                self._findings.append(Finding("missing-field", _START, "app", "missing section", hint))
            return None
        app = entry.node if entry else tree.Mapping("app", _START)
        if not isinstance(app, tree.Mapping):
            message = "expected the keys of the pipeline, got something else"
            self._findings.append(Finding("wrong-type", app.at, "app", message, "indent the keys below app:"))
            return None
        app_at = entry.at if entry else _START
        return app, app_at, drafts(app, app_at, pipelines)


def _unknown_top(top: tree.Mapping, known: PipelineKnown) -> list[Finding]:
    findings = []
    for key, entry in top.entries.items():
        if key in TOP or key.startswith("x-"):
            continue
        homes = [home for home in known.homes(key) if home.count(".") == 1]
        hint = f"it belongs to {homes[0]}" if homes else did_you_mean(key, TOP)
        findings.append(Finding("unknown-field", entry.at, key, "unknown field", hint or "known here: app, pipelines"))
    return findings
