"""From a file to a `Config`: read, parse, interpolate, expand, validate; problems are gathered before any is raised.

The story only; each step lives in a module of its own. Opens the file, the templates and the secret files it names,
and changes nothing.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ddpm.config import tree
from ddpm.config.document import Document, Span
from ddpm.config.envfile import variables_in
from ddpm.config.explain import judge, judge_options
from ddpm.config.files import (
    ValidationContext,
    check,
    digest_of,
    encoding_of,
    parser_at,
    read_text,
    reason,
    resolved,
    text_of,
)
from ddpm.config.fill import Secrets, fill
from ddpm.config.interpolate import Variables, without_last_newline
from ddpm.config.known import PipelineKnown, did_you_mean
from ddpm.config.model import Config, Model, NoOptions, Pipeline, Plugin, Processor
from ddpm.config.parts import parts_of, shared_with_sinks
from ddpm.config.paths import existing_file
from ddpm.config.plugins import Inspect, look_up
from ddpm.config.problems import ConfigProblems, Finding, Place, Problem, Severity
from ddpm.config.sections import normalised
from ddpm.config.several import Draft, Drafts, drafts, missing_findings
from ddpm.config.sharing import shared_tables
from ddpm.config.written import Written

_JSON_ONLY: Mapping[str, type[Model]] = {"json": NoOptions}
ENV_FILE = "DDPM_ENV_FILE"
"""The variable that names environment files, with colons between them; their variables go before the process's."""

_TOP = ("app", "pipelines")
_START = Place(1, 1)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A valid configuration, and what is odd about it."""

    config: Config
    warnings: tuple[Problem, ...] = ()


def load(
    path: Path,
    env: Mapping[str, str],
    *,
    model: type[Pipeline],
    parsers: Mapping[str, type[Model]] = _JSON_ONLY,
    installed: Collection[str] = (),
    inspect: Inspect | None = None,
) -> LoadResult:
    """Read a configuration.

    Args:
        path: The YAML file.
        env: The variables that `${NAME}` stands for; `DDPM_ENV_FILE` names files with others, which go before them.
        model: What a pipeline is, with the sinks that there are.
        parsers: The names that `source.parser` may have, each with the model of its `source.options`.
        installed: The names of the parsers that installed packages bring.
        inspect: Finds out about plugins in Python; without it, they are taken on trust and cannot be run.

    Raises:
        ConfigProblems: Something is wrong; it carries every problem, warnings among them, in the order of the file.

    """
    document = _read(path)
    parsed = tree.parse(document)
    top = parsed.root
    if not isinstance(top, tree.Mapping):
        findings = parsed.findings or (_no_keys(top),)
        raise ConfigProblems(document.problems(findings, None))
    folders = tuple(dict.fromkeys([Path.cwd(), path.absolute().parent]))
    context = ValidationContext(model, parsers, folders, installed, inspect)
    return _Loading(document, top, parsed.findings, path, context).result(env)


class _Loading:
    """One file on its way to a configuration; gathers the findings of all steps."""

    def __init__(
        self,
        document: Document,
        top: tree.Mapping,
        findings: tuple[Finding, ...],
        path: Path,
        context: ValidationContext,
    ) -> None:
        self._document = document
        self._path = path
        self._known = PipelineKnown(context.model)
        self._secrets = Secrets(self._known, context.parsers)
        self._findings = [*findings, *_unknown_top(top, self._known)]
        self._top = top
        self._context = context
        self._secret_files: dict[Path, str] = {}

    def result(self, env: Mapping[str, str]) -> LoadResult:
        filled = self._filled(self._top, Variables(self._with_files(env), self._secret_file))
        pipelines = self._pipelines(filled)
        problems = self._document.problems(self._findings, self._spans(filled))
        if any(problem.severity is Severity.ERROR for problem in problems):
            raise ConfigProblems(problems)
        config = Config(
            path=self._path,
            pipelines=pipelines,
            secrets=self._secrets.found(filled, pipelines),
            digest=digest_of(self._document.text),
            secret_files=self._secret_files,
        )
        return LoadResult(config, problems)

    def _filled(self, top: tree.Mapping, variables: Variables) -> tree.Mapping:
        known = tree.Mapping("", top.at, {key: entry for key, entry in top.entries.items() if key in _TOP})
        filled = fill(known, self._document, variables)
        self._findings += filled.findings
        return normalised(filled.node, self._context.model.sections) if isinstance(filled.node, tree.Mapping) else known

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
        return pipeline.read_from(self._path.absolute().parent, steps)

    def _written(self, node: tree.Node | None, top: tree.Mapping) -> Written | None:
        return Written(self._document, node, self._spans(top)) if isinstance(node, tree.Scalar) else None

    def _plugin(self, root: tree.Mapping, at: Place) -> Plugin | None:
        context = self._context
        named, path = tree.text_at(root, "source", "parser"), tree.text_at(root, "source", "plugin_path")
        if named is not None and path is None and str(named.value) not in (*context.parsers, *context.installed):
            return None  # that there is no such parser has been reported
        found = look_up(root, at, context.parsers, context.folders, context.inspect)
        self._findings += found.findings
        return found.plugin

    def _spans(self, top: tree.Mapping) -> tuple[Span, ...]:
        """Where secrets may stand in the text."""
        return tuple(scalar.span for scalar in tree.walk(top) if self._secrets.may_be(scalar))

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


def _read(path: Path) -> Document:
    try:
        text = text_of(path)
        if encoding := encoding_of(text.encode()):
            finding = Finding("yaml-syntax", None, "", f"the file is {encoding}, not UTF-8", "save it as UTF-8")
            raise ConfigProblems(Document(path, "").problems([finding], None))
        return Document(path, text)
    except FileNotFoundError:
        finding = Finding("file-missing", None, "", "the file does not exist", f"looked from {Path.cwd()}")
    except UnicodeDecodeError as error:
        if encoding := encoding_of(error.object):
            finding = Finding("yaml-syntax", None, "", f"the file is {encoding}, not UTF-8", "save it as UTF-8")
        else:
            before = error.object[: error.start].decode("utf-8")
            document = Document(path, error.object.decode("utf-8", "replace"))
            byte = f"the byte 0x{error.object[error.start]:02x} here is not UTF-8"
            finding = Finding("yaml-syntax", document.place(len(before)), "", byte, "save the file as UTF-8")
            raise ConfigProblems(document.problems([finding], None)) from error
    except (OSError, ValueError) as error:
        finding = Finding("file-unreadable", None, "", "the file cannot be read", reason(error))
    raise ConfigProblems(Document(path, "").problems([finding], None))


def _no_keys(top: tree.Node | None) -> Finding:
    hint = "begin with app: and the keys of the pipeline below it"
    if top is None or (isinstance(top, tree.Scalar) and top.value is None):
        return Finding("empty-file", None, "", "the file is empty", hint)
    return Finding("wrong-type", top.at, "", "expected keys and values", hint)


def _unknown_top(top: tree.Mapping, known: PipelineKnown) -> list[Finding]:
    findings = []
    for key, entry in top.entries.items():
        if key in _TOP or key.startswith("x-"):
            continue
        homes = [home for home in known.homes(key) if home.count(".") == 1]
        hint = f"it belongs to {homes[0]}" if homes else did_you_mean(key, _TOP)
        findings.append(Finding("unknown-field", entry.at, key, "unknown field", hint or "known here: app, pipelines"))
    return findings
