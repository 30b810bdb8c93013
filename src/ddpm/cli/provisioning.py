"""`ddpm provision`: what a run does before its engines start, and nothing else."""

from ddpm.cli.configuration import ConfigOption
from ddpm.cli.output import write_line
from ddpm.cli.recording import recorded
from ddpm.cli.servers import load_with_servers
from ddpm.cli.text import plain
from ddpm.config.model import Pipeline
from ddpm.orchestrator.provisioning.provision import Provisioned, provision
from ddpm.orchestrator.signals import signal_handler


def provision_command(config: ConfigOption = None) -> None:
    """Make the topics, partitions and tables of a configuration exist, and end; safe to repeat, and beside a run."""
    # As the first process of a container it would not hear a signal that it has no handler for.
    with signal_handler():
        loaded = load_with_servers(config)
        for pipeline in loaded.pipelines:
            with recorded(loaded, "provision", pipeline.name):
                found = provision(pipeline, runs=False)
            write_line(_said(pipeline, found))


def _said(pipeline: Pipeline, found: Provisioned) -> str:
    topics = f"topics {', '.join(pipeline.kafka.topics)} (at most {found.partitions} partitions)"
    table = f", table {pipeline.table.table}" if pipeline.table else ""
    return plain(f"{pipeline.name}: {topics}, dead letters {pipeline.dead_letter.topic}{table}")
