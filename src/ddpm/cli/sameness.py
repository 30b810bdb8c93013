"""Whether a command that feeds records itself does so with the configuration of the ddpm that runs."""

import os

from ddpm.cli.address import resolve
from ddpm.cli.client import Client
from ddpm.cli.messages import print_note
from ddpm.cli.sources import Given
from ddpm.cli.text import plain
from ddpm.config.model import Config, Pipeline
from ddpm.errors import DdpmError
from ddpm.orchestrator.launching.engines import config_hash
from ddpm.orchestrator.prepare import rendered
from ddpm.server.views import PipelineDetailView


def note_difference(config: Config, pipeline: Pipeline, option: Given | None) -> None:
    """Say so when the running ddpm has another configuration of the pipeline; nothing when none answers.

    Args:
        config: What the command uses, with real addresses.
        pipeline: One of it.
        option: What was given as `--config`.

    """
    try:
        with Client(resolve(os.environ.get("DDPM_URL") or None, None, option, os.environ)) as client:
            running = client.read(PipelineDetailView, client.pipeline(pipeline.name))
    except DdpmError:
        # No ddpm need run for it.
        return
    mine = config_hash(rendered(config, pipeline).text)
    if running.config_hash not in ("", mine):
        print_note(
            f"the running ddpm has another configuration of {plain(pipeline.name)} ({plain(running.config_hash)}) than "
            f"{config.path.name} ({mine}): this command uses the file; restart ddpm to let it run with the file too"
        )
