"""Recognises a pipeline template of the `${PLACEHOLDER}` style and says what to write instead.

ddpm fills whole sections of a jinja2 template; single values can no longer be pasted into text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SECTIONS = ("http", "logger", "metrics", "shutdown_timeout", "input", "pipeline", "output")

_JINJA = re.compile(r"(?<!\$)\{\{|\{%|\{#")
_PLACEHOLDER = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)[^{}\n]*\}")
_SECTION = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*:")
# Where a value belongs when the placeholder stands in no section that ddpm knows; the first that fits.
_BY_NAME = (
    (re.compile(r"(?i)log|level"), "logger"),
    (re.compile(r"(?i)postgres|pg|sql|table|dsn|database|db|sink|dlq|dead|failed"), "output"),
    (re.compile(r"(?i)kafka|broker|topic|group|consumer|offset|partition"), "input"),
    (re.compile(r"(?i)parser|plugin|process|mapping|bloblang|filter"), "pipeline"),
    (re.compile(r"(?i)shutdown|drain"), "shutdown_timeout"),
    (re.compile(r"(?i)metric|prometheus|stat"), "metrics"),
    (re.compile(r"(?i)http|host|port|address"), "http"),
)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `${NAME}` of an old template: its line, counted from 1, and the section that ddpm fills in its place."""

    line: int
    text: str
    section: str | None


def old_placeholders(template: str) -> tuple[Placeholder, ...]:
    """The placeholders of a template of the old style; none when it uses jinja2 or no placeholders at all."""
    return () if _JINJA.search(template) else tuple(_placeholders(template))


def advice(placeholders: tuple[Placeholder, ...]) -> str:
    """For each placeholder its jinja2 counterpart, one a line, and how the sections are written."""
    width = max(len(placeholder.text) for placeholder in placeholders)
    lines = [
        f"line {found.line:<4} {found.text:<{width}} -> "
        + (_counterpart(found.section) if found.section else "no counterpart: write the value itself")
        for found in placeholders
    ]
    return "\n".join(
        [
            "ddpm fills whole sections; write the variable in place of the whole body of its section:",
            *lines,
            "your own processors go to app.processors; omit pipeline_template to use the template of ddpm",
        ]
    )


def _counterpart(section: str) -> str:
    filled = "{{ shutdown_timeout }}" if section == "shutdown_timeout" else f"{{{{ {section} | yaml(2) }}}}"
    return f"{section}: {filled}"


def _placeholders(template: str) -> Iterator[Placeholder]:
    section = None
    for number, line in enumerate(template.splitlines(), start=1):
        heading = _SECTION.match(line)
        section = heading["name"] if heading else section
        for match in _PLACEHOLDER.finditer(line):
            yield Placeholder(number, match[0], section if section in SECTIONS else _section_by_name(match["name"]))


def _section_by_name(name: str) -> str | None:
    return next((section for pattern, section in _BY_NAME if pattern.search(name)), None)
