"""User code between the parser and the sinks, in Bloblang."""

from collections.abc import Sequence

from ddpm.catalogue.component import Component, mapping
from ddpm.config.model import Processor


def user_code(steps: Sequence[Processor]) -> list[Component]:
    """The engine's processors for the user's steps, run only on records that did not fail before."""
    if not steps:
        return []
    # `try` also keeps a record's first failure: a mapping run on a record that is not JSON would overwrite it.
    run: Component = {"try": [_step(step) for step in steps]}
    # A filter decodes a document and leaves it as it was.
    return guarded(run) if any(step.mapping is not None for step in steps) else [run]


def guarded(run: Component) -> list[Component]:
    """The engine's processors around mappings: a mapping would put U+FFFD where text is not UTF-8, and say nothing."""
    return [{"ddpm_before_mapping": {}}, run, {"ddpm_after_mapping": {}}]


def _step(step: Processor) -> Component:
    if step.mapping is not None:
        return {"mapping": mapping(step.mapping)}
    # The condition stands on lines of its own, so that a comment at its end cannot swallow the parenthesis.
    return {"mapping": f"root = if !(\n{step.filter}\n) {{ deleted() }}"}
