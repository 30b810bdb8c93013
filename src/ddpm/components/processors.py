"""User code between the parser and the sinks, in Bloblang."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ddpm.component import Component, Value, mapping
from ddpm.config.model import Pipeline, Processor

# What the engine calls the user's step of that number; its errors carry that name.
LABEL = "processors_{}"

# Bloblang's functions and words that ask for more than a document: metadata, bytes, the batch, errors; and other files,
# whose text was not read here.
_OF_MESSAGES = re.compile(
    r"@|\b(?:batch_index|batch_size|content|errored|error_source_\w+|flow_id|from|from_all|import|json|meta|metadata"
    r"|root_meta|tracing_id|tracing_span)\b|\berror\s*\("
)

_NAMED_FILE = re.compile(r'(?:\b(?:file|file_rel)\(\s*|^\s*(?:import|from)\s+)("(?:\\.|[^"\\\n])+")', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Code:
    """A step as the engine gets it.

    Attributes:
        text: A mapping.
        before: How many characters of it stand before the user's own text.
        skipped: How many characters of the user's own text were left out at its beginning.

    """

    text: str
    before: int = 0
    skipped: int = 0

    def in_step(self, index: int) -> int:
        """The place in the user's own text of a character of the mapping; may lie beyond its end."""
        return max(index - self.before, 0) + self.skipped


def user_code(steps: Sequence[Processor]) -> list[Component]:
    """The engine's processors for the user's steps, run only on records that did not fail before."""
    if not steps:
        return []
    # `try` also keeps a record's first failure: a mapping run on a record that is not JSON would overwrite it.
    run: Component = {
        "try": [{"label": LABEL.format(index), "mapping": code(step).text} for index, step in enumerate(steps)]
    }
    # A filter decodes a document and leaves it as it was.
    return guarded(run) if any(step.mapping is not None for step in steps) else [run]


def looks_at_documents_alone(steps: Sequence[Processor]) -> bool:
    """Whether steps need nothing of a record but its document, so that no message has to be made of it.

    Errs on the side of the message: words are looked for anywhere, also in texts and names.
    """
    return not any(_OF_MESSAGES.search(code(step).text) for step in steps)


def batch_code(steps: Sequence[Processor]) -> list[Component]:
    """The engine's processor for steps that look at documents alone, on batches that travel as one message."""
    if not steps:
        return []
    texts: list[Value] = [code(step).text for step in steps]
    return [{"ddpm_steps": {"mappings": texts, "guarded": any(step.mapping is not None for step in steps)}}]


def guarded(run: Component) -> list[Component]:
    """The engine's processors around mappings: a mapping would put U+FFFD where text is not UTF-8, and say nothing."""
    return [{"ddpm_before_mapping": {}}, run, {"ddpm_after_mapping": {}}]


def code(step: Processor) -> Code:
    """The mapping that stands for a step."""
    if step.mapping is not None:
        text = mapping(step.mapping)
        return Code(text, skipped=len(step.mapping) - len(text))
    # The condition stands on lines of its own, so that a comment at its end cannot swallow the parenthesis.
    opening = "root = if !(\n"
    return Code(f"{opening}{step.filter}\n) {{ deleted() }}", before=len(opening))


def places(pipeline: Pipeline) -> list[dict[str, object]]:
    """For each of the user's steps its name, and the line of the file that each line of its mapping comes from.

    Empty for a pipeline that no file was read for.
    """
    found: list[dict[str, object]] = []
    for index, step in enumerate(pipeline.processors):
        if step.written is None:
            return []
        made, kind = code(step), "filter" if step.mapping is None else "mapping"
        starts = [0, *(at + 1 for at, char in enumerate(made.text) if char == "\n")]
        lines = [step.written.place(made.in_step(_first_seen(made.text, start))).line for start in starts]
        found.append({"name": f"processors[{index}].{kind}", "file": step.written.document.file.name, "lines": lines})
    return found


def files_of_steps(pipeline: Pipeline) -> list[Path]:
    """The files that the user's steps name in so many words and that are there."""
    if pipeline.folder is None:
        return []
    named = (name for step in pipeline.processors for name in _NAMED_FILE.findall(code(step).text))
    paths = (pipeline.folder / json.loads(name) for name in named)
    return [path for path in paths if path.is_file()]


def _first_seen(text: str, start: int) -> int:
    end = text.find("\n", start)
    line = text[start : end if end >= 0 else len(text)]
    return start + len(line) - len(line.lstrip())
