"""User code between the parser and the sinks, in Bloblang."""

from ddpm.catalogue.component import Component
from ddpm.config.model import Processor


def processor(step: Processor) -> Component:
    """The engine's processor for one step; a filter keeps the records for which its condition is true."""
    if step.mapping is not None:
        return {"mapping": step.mapping}
    return {"mapping": f"root = if !({step.filter}) {{ deleted() }}"}
