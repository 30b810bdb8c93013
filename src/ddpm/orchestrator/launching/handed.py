"""What every engine of a pipeline is handed in its environment, whether it runs or only tries records."""

import json
import sys

from ddpm.components import parsers
from ddpm.components.processors import places
from ddpm.components.security import handed_over
from ddpm.config.model import Pipeline, Source
from ddpm.contract import Env


def handed_to_parser(source: Source) -> dict[str, str]:
    """Environment variables for the parser of an engine."""
    return {Env.PYTHON: sys.executable, **parsers.secrets(source)}


def handed_to_outputs(pipeline: Pipeline) -> dict[str, str]:
    """Environment variables for whatever speaks to servers: the pipeline's brokers, and its sinks."""
    found = handed_over(pipeline.kafka.cluster.security)
    for sink in pipeline.configured:
        found |= sink.environment()
    return found


def handed_to_steps(pipeline: Pipeline) -> dict[str, str]:
    """Environment variables for the user's own steps: where they stand, for the reasons of dead letters.

    Not in the configuration, whose hash must not change with a comment.
    """
    return {Env.STEPS: json.dumps(places(pipeline))}
