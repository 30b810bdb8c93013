"""Configurations in a folder of their own, written and loaded by the tests."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from ddpm.components.registry import pipeline_type
from ddpm.config import ConfigProblems, LoadResult, Problem, Severity, load

MINIMAL = """\
app:
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: group}
  postgres: {url: embedded, table: orders}
"""


class Folder:
    """Writes a text as `app-config.yaml` into the working directory of the test, and loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str, name: str = "app-config.yaml") -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return Path(name)

    def load(self, text: str, env: Mapping[str, str] | None = None) -> LoadResult:
        return load(self.write(text), env or {}, model=pipeline_type())

    def problems(self, text: str, env: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
        """Everything that is wrong with a text; warnings too, when there is no error."""
        try:
            return self.load(text, env).warnings
        except ConfigProblems as problems:
            return problems.problems

    def errors(self, text: str, env: Mapping[str, str] | None = None) -> list[Problem]:
        return [problem for problem in self.problems(text, env) if problem.severity is Severity.ERROR]

    def error(self, text: str, env: Mapping[str, str] | None = None) -> Problem:
        """The one error of a text."""
        (problem,) = self.errors(text, env)
        return problem
