"""A configuration with the addresses of the embedded servers that run for it."""

from ddpm.cli.configuration import load_config
from ddpm.cli.sources import Given
from ddpm.config.model import Config
from ddpm.devstack.running import running_bootstrap, running_dsn
from ddpm.orchestrator.embedded import Endpoints
from ddpm.orchestrator.prepare import DATA_DIR


def load_with_servers(option: Given | None, *, kafka: bool = True) -> Config:
    """The configuration as for a run: checked whole, with the addresses of the embedded servers that it asks for.

    Without `kafka` for a command that asks no broker.
    """
    return with_servers(load_config(option), kafka=kafka)


def with_servers(config: Config, *, kafka: bool = True) -> Config:
    """The same of a configuration that has been read; raises MissingToolError when they do not run."""
    if kafka and any(pipeline.kafka.embedded for pipeline in config.pipelines):
        config = Endpoints(bootstrap=running_bootstrap(DATA_DIR)).resolve(config)
    if any(sink.embedded for pipeline in config.pipelines for sink in pipeline.configured):
        config = Endpoints(dsn=running_dsn(DATA_DIR)).resolve(config)
    return config
