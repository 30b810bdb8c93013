"""A pipeline's sections for records that are fed to it again: everything as in a run, behind another input.

The records come as lines of JSON from standard input and keep the identity that they had. Batches form at the input,
as in a run, and nowhere else.
"""

from ddpm.catalogue.component import Value, duration
from ddpm.catalogue.pipeline import sections
from ddpm.catalogue.sources import batch_bytes
from ddpm.config.model import LogLevel, Pipeline

# The engine's processor in the place of `ddpm_origin`.
PROCESSOR = "ddpm_again"

# A record in base64 with what surrounds it.
_LONGEST_LINE = 128_000_000


def sections_again(pipeline: Pipeline) -> dict[str, Value]:
    """The sections of `catalogue.pipeline.sections`, fed from standard input; raises ConfigError where a run would."""
    made = sections(pipeline)
    origin: list[Value] = [{PROCESSOR: {}}]
    batching = pipeline.batching
    lines: Value = {"stdin": {"scanner": {"lines": {"max_buffer_size": _LONGEST_LINE}}}}
    limits: Value = {
        "count": batching.count,
        "byte_size": batch_bytes(pipeline),
        "period": duration(batching.period),
    }
    parser, steps = made["parser"], made["processors"]
    assert isinstance(parser, list)  # noqa: S101 -- as `sections` says
    assert isinstance(steps, list)  # noqa: S101
    logger = made["logger"]
    assert isinstance(logger, dict)  # noqa: S101
    return made | {
        "input": {"broker": {"inputs": [lines], "batching": limits}},
        "origin": origin,
        "pipeline": {"threads": -1, "processors": [*origin, *parser, *steps]},
        # What an engine has done it says with this level at its end.
        "logger": {**logger, "level": LogLevel.INFO.value},
    }
