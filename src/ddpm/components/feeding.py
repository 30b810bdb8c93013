"""A pipeline's own sections behind records that ddpm hands over, instead of those that Kafka would."""

from pathlib import Path

from ddpm.component import Value, duration
from ddpm.components.batches import batch_bytes
from ddpm.components.pipeline import sections
from ddpm.config.model import Pipeline

# The engine's input.
INPUT = "ddpm_feed"


def fed_sections(pipeline: Pipeline, totals: Path) -> dict[str, Value]:
    """What a template may use, as `sections`; the engine writes its metrics into the file `totals` when it ends."""
    # What is fed again may well be mostly dead, and a person could not resume it.
    letters = pipeline.dead_letter.model_copy(update={"breaker": None})
    made = sections(pipeline.model_copy(update={"dead_letter": letters}))
    origin: list[Value] = [{"ddpm_origin": {}}]
    parser, steps = made["parser"], made["processors"]
    assert isinstance(parser, list)  # noqa: S101 -- as `sections` makes them
    assert isinstance(steps, list)  # noqa: S101
    # What is fed may be of a topic that is gone: its rows carry the number that they had.
    made["origin"] = origin
    made["pipeline"] = {"threads": -1, "processors": [*origin, *parser, *steps]}
    batching = pipeline.batching
    made["input"] = {
        INPUT: {
            "count": batching.count,
            "byte_size": batch_bytes(pipeline),
            "period": duration(batching.period),
        }
    }
    made["metrics"] = {"prometheus": {"use_histogram_timing": True, "file_output_path": str(totals)}}
    return made
