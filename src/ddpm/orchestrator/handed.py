"""What every engine of a pipeline is handed in its environment, whether it runs or only tries records."""

import json
import sys

from ddpm.catalogue import environment, parsers
from ddpm.catalogue.processors import places
from ddpm.config.model import Pipeline, Source


def handed_to_parser(source: Source) -> dict[str, str]:
    """Environment variables for the parser of an engine."""
    return {environment.PYTHON: sys.executable, **parsers.secrets(source)}


def handed_to_steps(pipeline: Pipeline) -> dict[str, str]:
    """Environment variables for the user's own steps: where they stand, for the reasons of dead letters.

    Not in the configuration, whose hash must not change with a comment.
    """
    return {environment.STEPS: json.dumps(places(pipeline))}
