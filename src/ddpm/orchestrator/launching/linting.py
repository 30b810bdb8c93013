"""Engine configurations on disk, and what the engine says of them before it runs one."""

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ddpm.config.model import Pipeline, PluginKind
from ddpm.config.problems import Place
from ddpm.engine import binary as engine_binary
from ddpm.errors import ConfigError
from ddpm.observability.masking import Masker
from ddpm.orchestrator.launching.mistakes import reads_files, refuse_mistakes
from ddpm.orchestrator.prepare import generated_path, write
from ddpm.render import Rendered

# `path(line,column) what`, as the engine's linter writes it.
_SAID = re.compile(r".*\((?P<line>\d+),(?P<column>\d+)\) (?P<what>.*)", re.DOTALL)
# The engine, its configuration, and the variables in it.
_Known = tuple[Path, str, tuple[tuple[str, str], ...]]


class Linter:
    """Has each configuration checked once in a run of ddpm, however often it is written; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fine: set[_Known] = set()

    def write_all(self, binary: Path, made: Iterable[tuple[Pipeline, Rendered]], masker: Masker) -> None:
        """Write the configurations of pipelines that have the same engine, and let it check them together.

        Mistakes in mappings are not looked for: who calls has asked for those of all pipelines before.

        Raises:
            ConfigError: It does not accept one of them; with what it says of the first such one.

        """
        together: defaultdict[tuple[tuple[str, str], ...], list[tuple[Pipeline, Rendered]]] = defaultdict(list)
        for pipeline, each in made:
            write(each.text, generated_path(pipeline))
            # Names of variables are those of one pipeline, and may mean something else in the next one.
            together[tuple(sorted(each.env.items()))].append((pipeline, each))
        for env, group in together.items():
            paths = [generated_path(pipeline) for pipeline, _ in group]
            if not engine_binary.all_fine(binary, paths, dict(env)):
                for pipeline, each in group:
                    write_and_lint(binary, generated_path(pipeline), each, pipeline, masker)
            self._note(_known(binary, each) for _, each in group)

    def write(self, binary: Path, path: Path, made: Rendered, pipeline: Pipeline, masker: Masker) -> None:
        """Write a pipeline's configuration, and let the engine check it unless it has done so; raises as it says."""
        known = _known(binary, made)
        with self._lock:
            fine = known in self._fine
        if not fine:
            write_and_lint(binary, path, made, pipeline, masker)
            self._note([known])
            return
        write(made.text, path)
        if reads_files(pipeline):
            # One may have changed or vanished since then.
            refuse_mistakes(binary, [pipeline], masker)

    def _note(self, fine: Iterable[_Known]) -> None:
        with self._lock:
            self._fine.update(fine)


def _known(binary: Path, made: Rendered) -> _Known:
    return binary, made.text, tuple(sorted(made.env.items()))


def write_and_lint(binary: Path, path: Path, made: Rendered, pipeline: Pipeline, masker: Masker) -> None:
    """Write a pipeline's engine configuration and let the engine check it.

    Raises:
        ConfigProblems: A mapping has a mistake; with its place in the file that the user wrote.
        ConfigError: The engine does not accept the configuration for another reason; with what it says.

    """
    write(made.text, path)
    problems = [masker.text(problem) for problem in engine_binary.lint(binary, path, made.env)]
    if problems or reads_files(pipeline):
        refuse_mistakes(binary, [pipeline], masker)
    if problems:
        raise _refused(pipeline, made, problems)


def _refused(pipeline: Pipeline, made: Rendered, problems: Sequence[str]) -> ConfigError:
    """What the engine said: at its places in the user's template, or with the plugin that is to blame."""
    found = [match for match in map(_SAID.match, problems) if match]
    said = [(Place(int(each["line"]), int(each["column"])), each["what"]) for each in found]
    printed = f"`ddpm render --pipeline {pipeline.name}` prints what it was given"
    if pipeline.pipeline_template and made.skeleton and said:
        return made.mistakes([(at, f"the engine does not accept this: {what}") for at, what in said], printed)
    lines = "\n  ".join([f"line {at.line}: {what}" for at, what in said] or problems)
    plugin = pipeline.source.plugin
    if plugin is not None and plugin.kind is PluginKind.PROCESSORS:
        msg = f'the engine does not accept the processors of the parser "{pipeline.source.parser}":\n  {lines}'
        return ConfigError(msg, hint=f"correct what {plugin.path or 'its plugin'} returns; {printed}")
    return ConfigError(f"the engine does not accept the configuration of {pipeline.name}:\n  {lines}", hint=printed)
