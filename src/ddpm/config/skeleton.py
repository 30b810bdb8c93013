"""A pipeline template, and where in it the mistakes stand that are found in what it renders. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from types import TracebackType

from jinja2 import TemplateSyntaxError

from ddpm.config.document import Document
from ddpm.config.problems import ConfigProblems, Finding, Place

# What jinja calls a template that was given as a text, in tracebacks.
_NAME_IN_TRACES = "<template>"
KEY = "app.pipeline_template"


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The text of a template, and its file as problems show it."""

    file: Path
    text: str

    def mistake(self, at: Place | None, message: str, hint: str | None = None) -> ConfigProblems:
        """An error about a place of the template, or about all of it."""
        finding = Finding("template", at, KEY, message, hint)
        return ConfigProblems(Document(self.file, self.text).problems([finding], ()))

    def mistakes(self, said: Sequence[tuple[Place, str]], rendered: str, hint: str) -> ConfigProblems:
        """An error about several places of what it rendered."""
        findings = [Finding("template", self.origin(rendered, at), KEY, message, hint) for at, message in said]
        return ConfigProblems(Document(self.file, self.text).problems(findings, ()))

    def origin(self, rendered: str, at: Place) -> Place:
        """Where in the template a place of `rendered` comes from: itself, or the beginning of what printed it."""
        own, made = self.text.splitlines(), rendered.splitlines()
        for kind, first, last, start, end in SequenceMatcher(None, own, made, autojunk=False).get_opcodes():
            if not start <= at.line - 1 < end:
                continue
            if kind == "equal":
                return Place(first + at.line - start, at.column)
            # What was printed, a line or many for each that prints.
            printing = [line for line in range(first, last) if "{" in own[line]] or [max(first, last - 1)]
            return self._beginning(printing[min(at.line - 1 - start, len(printing) - 1)] + 1)
        return self._beginning(len(own))

    def place_of(self, error: Exception) -> Place | None:
        """Where jinja found a mistake, or what a template computes failed."""
        if isinstance(error, TemplateSyntaxError):
            return self._beginning(error.lineno)
        lines = list(_lines_of_template(error.__traceback__))
        return self._beginning(lines[-1]) if lines else None

    def _beginning(self, line: int) -> Place:
        """The first character of a line that can be seen; of the last one, beyond the end."""
        lines = self.text.splitlines() or [""]
        line = max(1, min(line, len(lines)))
        text = lines[line - 1]
        return Place(line, len(text) - len(text.lstrip()) + 1)


def _lines_of_template(trace: TracebackType | None) -> Iterator[int]:
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _NAME_IN_TRACES:
            yield trace.tb_lineno
        trace = trace.tb_next
