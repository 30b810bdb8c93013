"""How records travel from the source to the sinks: what closes a batch, and in which form it goes."""

from ddpm.components.parsers import expands
from ddpm.components.processors import looks_at_documents_alone
from ddpm.config.model import Pipeline, PluginKind

# A batch is parsed as a whole, and compressed files and columns can stand for a hundred times their size.
EXPANDING_BATCH_BYTES = 1_000_000


def direct(pipeline: Pipeline) -> bool:
    """Whether a batch travels as one message, which nothing but ddpm's own components understand."""
    plugin = pipeline.source.plugin
    return (
        looks_at_documents_alone(pipeline.processors)
        and (plugin is None or plugin.kind is PluginKind.FUNCTION)
        and [sink.capabilities.direct for sink in pipeline.sinks] == [True]
        and pipeline.pipeline_template is None
    )


def batch_bytes(pipeline: Pipeline) -> int:
    """How many bytes of records close a batch; fewer for formats whose documents can be much larger."""
    batching = pipeline.batching
    if "byte_size" in batching.model_fields_set or not expands(pipeline.source):
        return batching.byte_size
    return min(batching.byte_size, EXPANDING_BATCH_BYTES)
