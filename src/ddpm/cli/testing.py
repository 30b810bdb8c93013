"""`ddpm test`: a pipeline's own cases, run offline through the engine."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ddpm.cli.configuration import ConfigOption, load_config
from ddpm.cli.messages import progress
from ddpm.cli.output import Terminal
from ddpm.cli.text import plain
from ddpm.components.columns import columns
from ddpm.config import Config, ConfigProblems
from ddpm.config.model import Pipeline
from ddpm.errors import ConfigError, EngineError, ExitCode
from ddpm.orchestrator.dryrun import (
    SUFFIX,
    Case,
    CaseFile,
    Choice,
    Trials,
    configured,
    differences,
    read_answer,
    read_cases,
)
from ddpm.orchestrator.signals import signal_handler

_STYLES = {"-": "red", "+": "green"}


def run_cases_command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help=f"Case files, or folders of *{SUFFIX}; the configuration's own folder without them."
        ),
    ] = None,
    *,
    pipeline: Annotated[str | None, typer.Option(help="The pipeline of case files that name none.")] = None,
    config: ConfigOption = None,
) -> None:
    """Run a pipeline's cases offline through the engine; exits with 1 when one fails."""
    loaded = load_config(config)
    files = _read(_found(paths or [loaded.path.absolute().parent]))
    chosen = _chosen(loaded, files, pipeline)
    console = Terminal()
    passed = failed = 0
    with signal_handler(), ExitStack() as stack:
        trials: dict[str, Trials] = {}
        for file, choice in zip(files, chosen, strict=True):
            name = choice.pipeline.name
            if name not in trials:
                trials[name] = stack.enter_context(Trials(choice, progress()))
            console.print(Text(_short(file.path), style="bold"))
            for case in file.cases:
                lines = _tried(trials[name], case)
                console.print(_verdict(case.name, lines), soft_wrap=True)
                passed, failed = passed + (not lines), failed + bool(lines)
    console.print(Text(f"{passed} passed, {failed} failed", style="red" if failed else "green"))
    if failed:
        raise typer.Exit(ExitCode.RUNTIME)


def _tried(trials: Trials, case: Case) -> list[str]:
    try:
        return differences(case, read_answer(trials.answer(case.record)))
    except EngineError as error:
        return str(error).splitlines()


def _verdict(name: str, lines: Sequence[str]) -> Text:
    mark = Text("  ✗ ", style="red") if lines else Text("  ✓ ", style="green")
    verdict = [mark.append(plain(name), style="")]
    verdict += [Text(f"      {plain(line)}", style=_STYLES.get(line[:1], "")) for line in lines]
    return Text("\n").join(verdict)


def _found(paths: Sequence[Path]) -> list[Path]:
    found = list(_files(paths))
    if not found:
        places = ", ".join(map(_short, paths))
        msg = f"there are no cases: no file *{SUFFIX} in {places}"
        raise ConfigError(msg, hint="docs/testing.md shows how one looks")
    return found


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob(f"*{SUFFIX}"))
        else:
            yield path


def _read(paths: Sequence[Path]) -> list[CaseFile]:
    """Every file, or the problems of all of them."""
    files: list[CaseFile] = []
    problems: list[ConfigProblems] = []
    for path in paths:
        try:
            files.append(read_cases(path))
        except ConfigProblems as found:
            problems.append(found)
    if problems:
        raise ConfigProblems([each for found in problems for each in found.problems])
    return files


def _chosen(config: Config, files: Sequence[CaseFile], name: str | None) -> list[Choice]:
    chosen = []
    for file in files:
        choice = configured(config, file.pipeline or name)
        file.check_columns(_columns(choice.pipeline))
        chosen.append(choice)
    return chosen


def _columns(pipeline: Pipeline) -> list[str]:
    if pipeline.table is None:
        return []
    return [column.name for column in columns(pipeline.table, pipeline.source)]


def _short(path: Path) -> str:
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
