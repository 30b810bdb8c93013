"""What is wrong with a configuration: findings at places, and how they read.

Says nothing about how a problem is found; reads no file. Texts are plain, colours are the command line's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from ddpm.config.codes import Code
from ddpm.errors import ConfigError
from ddpm.words import counted

_SHOWN_COLUMNS = 160


class Severity(StrEnum):
    """An error stops ddpm; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Place(NamedTuple):
    """A position in a file, both counted from 1; `file` is the number of the file among those read together."""

    line: int
    column: int
    file: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem before it is tied to a file: its code, the field, what is wrong, where, and the way out."""

    code: Code
    at: Place | None
    path: str
    message: str
    hint: str | None = None
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one file, fit to be shown: no secret is in any of its texts.

    `path` is the field (`app.kafka.topics[0]`), `source_line` the masked line of the file and `caret` the place in it
    that is meant, counted from 1; both differ from the file's own where a secret was masked. What concerns a whole
    file has no line, and neither has what stands in an option of the command line.
    """

    code: Code
    path: str
    message: str
    file: Path
    line: int | None = None
    column: int | None = None
    source_line: str | None = None
    caret: int | None = None
    hint: str | None = None
    severity: Severity = Severity.ERROR


class ConfigProblems(ConfigError):  # noqa: N818 -- it is many errors, and reads so where it is caught
    """Everything that is wrong with a configuration, in the order of the file; warnings are among it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(format_problems(self.problems))


def headline(problem: Problem) -> str:
    """The first line of a problem, as compilers write it: `file:line:column: error[code] field: message`."""
    place = "" if problem.line is None else f":{problem.line}:{problem.column}"
    field = f"{problem.path}: " if problem.path else ""
    return f"{problem.file}{place}: {problem.severity.value}[{problem.code}] {field}{problem.message}"


def format_problem(problem: Problem) -> str:
    """One problem as plain text: its headline, the line of the file with a caret, and the hint."""
    lines = [headline(problem)]
    gutter = 5
    if problem.source_line is not None and problem.caret is not None:
        number = "" if problem.line is None else str(problem.line)
        gutter = max(gutter, len(number))
        source, caret = _clipped(problem.source_line, problem.caret)
        lines += [f"{number:>{gutter}} | {source}", f"{'':>{gutter}} | {'':>{caret - 1}}^"]
    if problem.hint:
        first, *rest = problem.hint.splitlines()
        lines += [f"{'':>{gutter}} = {first}", *(f"{'':>{gutter}}   {line}" for line in rest)]
    return "\n".join(line.rstrip() for line in lines)


def format_problems(problems: Sequence[Problem]) -> str:
    """All problems as plain text, and a last line that counts them."""
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    counts = [(errors, "error"), (len(problems) - errors, "warning")]
    totals = ", ".join(counted(number, noun) for number, noun in counts if number)
    return "\n\n".join([*map(format_problem, problems), totals])


def to_json(problems: Sequence[Problem]) -> list[dict[str, str | int | None]]:
    """All problems as what `json.dumps` takes; the keys are the names of `Problem`'s fields, without the caret."""
    return [
        {
            "severity": problem.severity.value,
            "code": problem.code,
            "path": problem.path,
            "message": problem.message,
            "hint": problem.hint,
            "file": str(problem.file),
            "line": problem.line,
            "column": problem.column,
            "source_line": problem.source_line,
        }
        for problem in problems
    ]


def _clipped(line: str, caret: int) -> tuple[str, int]:
    start = max(0, caret - 1 - _SHOWN_COLUMNS // 2) if len(line) > _SHOWN_COLUMNS else 0
    shown = line[start : start + _SHOWN_COLUMNS].replace("\t", " ")
    # What a terminal would obey, and tabs, would move the caret away from what it points at.
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in shown), caret - start
