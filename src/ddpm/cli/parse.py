"""`ddpm parse`: what a pipeline, or a parser alone, makes of records from a file or standard input."""

import codecs
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
import yaml
from rich.text import Text

from ddpm.cli.configuration import ConfigOption, load_config
from ddpm.cli.messages import progress
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.sources import Given
from ddpm.cli.steps import answered
from ddpm.cli.text import harmless_json
from ddpm.errors import ExitCode, MissingToolError
from ddpm.orchestrator.dryrun import (
    MOST_BYTES,
    PATIENCE_SECONDS,
    Answer,
    Choice,
    Outcome,
    Record,
    Trials,
    configured,
    parser_alone,
)
from ddpm.orchestrator.dryrun import read_answer as read
from ddpm.orchestrator.signals import signal_handler
from ddpm.words import counted

_STDIN = Path("-")


def parse_command(
    file: Annotated[
        Path, typer.Argument(help="A record, or with --each-line many; - is standard input.", show_default=False)
    ] = _STDIN,
    *,
    each_line: Annotated[bool, typer.Option("--each-line", help="Each line that is not empty is a record.")] = False,
    pipeline: Annotated[str | None, typer.Option(help="Which pipeline of the configuration.")] = None,
    parser: Annotated[str | None, typer.Option(help="This parser alone, without a configuration.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="For --parser: an option of it, NAME=VALUE; may be repeated.")
    ] = None,
    plugin: Annotated[Path | None, typer.Option(help="For --parser: the file of a parser of your own.")] = None,
    compression: Annotated[str | None, typer.Option(help="For --parser: how records are compressed.")] = None,
    patience: Annotated[float, typer.Option(min=0.1, help="How many seconds a record may take.")] = PATIENCE_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a record.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve a page on this machine instead, to paste records into.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="For --serve: its port; 0 picks a free one.")] = 8888,
    config: ConfigOption = None,
) -> None:
    """Show what becomes of records, step by step; exits with 1 when one would be a dead letter."""
    choice = chosen(
        config=config, pipeline=pipeline, parser=parser, options=option or (), plugin=plugin, compression=compression
    )
    if serve:
        from ddpm.cli.serving import serve_page

        serve_page(choice, port, patience)
        return
    table = choice.pipeline.known_table
    show = _Lines() if as_json else _Steps(table.table if table else None)
    with signal_handler(), Trials(choice, progress(), patience=patience) as trials:
        for label, record in _records(file, each_line=each_line):
            show.answer(label, trials.answer(record))
    show.end()
    if show.dead_letters:
        raise typer.Exit(ExitCode.RUNTIME)


def chosen(
    *,
    config: Given | None,
    pipeline: str | None,
    parser: str | None,
    options: Sequence[str],
    plugin: Path | None,
    compression: str | None,
) -> Choice:
    """What the options name: a parser alone, or a pipeline of a configuration; raises ConfigError."""
    if parser is None:
        if options or plugin or compression:
            raise typer.BadParameter("--option, --plugin and --compression belong to --parser", param_hint="--parser")
        return configured(load_config(config), pipeline)
    if config is not None or pipeline is not None:
        raise typer.BadParameter("a parser alone and a configuration do not go together", param_hint="--parser")
    return parser_alone(parser, dict(map(_option, options)), plugin=plugin, compression=compression or "none")


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f'"{text}" is not NAME=VALUE', param_hint="--option")
    try:
        # Lists, numbers and the like as they would stand in the configuration; a lone sign is itself.
        return name, value if len(value) == 1 else yaml.safe_load(value)
    except yaml.YAMLError:
        return name, value


def _records(file: Path, *, each_line: bool) -> Iterator[tuple[str, Record]]:
    try:
        with _opened(file) as stream:
            if not each_line:
                # One byte more than there may be, so that what is too large is refused and not cut.
                yield "record 1", Record(stream.read(MOST_BYTES + 1))
                return
            number = 0
            for line, text in enumerate(stream, start=1):
                whole = text.removeprefix(codecs.BOM_UTF8) if line == 1 else text
                if payload := whole.rstrip(b"\r\n"):
                    number += 1
                    yield f"record {number} (line {line})", Record(payload, number=number)
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror or error}"
        raise MissingToolError(msg) from error


def _opened(file: Path) -> BinaryIO:
    return sys.stdin.buffer if file == _STDIN else file.open("rb")


@dataclass(slots=True)
class _Lines:
    """The engine's own answers, for tools."""

    dead_letters: int = 0

    def answer(self, _label: str, line: str) -> None:
        write_line(harmless_json(line))
        # Most answers need not be taken apart for that.
        if '"outcome":"dead_letter"' in line:
            self.dead_letters += len(read(line).dead_letters)

    def end(self) -> None:
        pass


@dataclass(slots=True)
class _Steps:
    """Answers for people, and a last line that counts."""

    table: str | None
    records: int = 0
    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    console: Terminal = field(default_factory=Terminal)

    @property
    def dead_letters(self) -> int:
        return self.counts[Outcome.DEAD_LETTER]

    def answer(self, label: str, line: str) -> None:
        answer: Answer = read(line)
        self.console.print(answered(answer, label, self.table), soft_wrap=True)
        self.records += 1
        for result in answer.results:
            self.counts[result.outcome] += 1

    def end(self) -> None:
        counts = self.counts
        style = "red" if self.dead_letters else "green"
        records, letters = counted(self.records, "record"), counted(self.dead_letters, "dead letter")
        said = f"{counts[Outcome.WRITTEN]} written, {counts[Outcome.FILTERED]} filtered, {letters}"
        self.console.print(Text(f"{records}: {said}", style=style))
