"""The configuration that a command is about, and the pipelines in it that a name means."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from ddpm.cli.messages import print_warnings
from ddpm.cli.sources import OVERLAY_VARIABLE, Given
from ddpm.cli.text import plain
from ddpm.components.parsers import OPTIONS
from ddpm.components.registry import pipeline_type
from ddpm.config import Config, LoadResult, find_config_path, load, parts
from ddpm.config.known import did_you_mean
from ddpm.config.model import Pipeline
from ddpm.config.paths import STORED_PIPELINES
from ddpm.config.plugins import Inspect
from ddpm.config.sources import Sources
from ddpm.errors import ConfigError
from ddpm.observability import logging
from ddpm.plugins.inspecting import inspect_plugin
from ddpm.plugins.loading import entry_point_names

# How a command takes them; `sources` makes options of it.
ConfigOption = Given | None


def read_config(
    option: Given | None, inspect: Inspect | None = None, env: Mapping[str, str] = os.environ
) -> LoadResult:
    """Read the configuration that the options or CONFIG_PATH name; prints nothing.

    Args:
        option: What was given as `--config`, `--overlay` and `--set`.
        inspect: Finds out about plugins, which takes a moment; without it they are taken on trust and cannot be run.
        env: The variables that name it, and that its `${NAME}` stand for.

    Raises:
        ConfigError: There is none, or something is wrong with it.

    """
    given = option or Given()
    overlays = given.overlays or tuple(map(Path, filter(None, env.get(OVERLAY_VARIABLE, "").split(os.pathsep))))
    sources = Sources(find_config_path(given.path, env), overlays, given.sets, STORED_PIPELINES)
    return load(sources, env, model=pipeline_type(), parsers=OPTIONS, installed=entry_point_names(), inspect=inspect)


def load_config(option: Given | None) -> Config:
    """The same, checked whole: its warnings are printed, and logging is set up as it says."""
    result = read_config(option, inspect_plugin)
    print_warnings(result.warnings)
    config = result.config
    logging.configure(config.logger.level, style=config.logger.format, secrets=config.secrets)
    return config


def reread_config(option: Given | None) -> Config:
    """A configuration that was read before, as it is now; raises ConfigError. Its warnings are logged."""
    result = read_config(option, inspect_plugin)
    for warning in result.warnings:
        structlog.get_logger().warning(str(warning))
    return result.config


def meant(config: Config, name: str | None) -> tuple[Pipeline, ...]:
    """What a name means: a pipeline, all of its parts or one; without a name the only pipeline.

    Raises ConfigError when there is none such.
    """
    known = list(dict.fromkeys(pipeline.whole for pipeline in config.pipelines))
    if name is None:
        if len(known) == 1:
            return config.pipelines
        raise ConfigError(f"{config.path} has several pipelines", hint=f"name one of them: {', '.join(known)}")
    if found := parts.named(config.pipelines, name):
        return found
    every = list(dict.fromkeys([*known, *names_of(config.pipelines)]))
    msg = f'{config.path} has no pipeline "{plain(name)}"'
    raise ConfigError(msg, hint=did_you_mean(name, every) or f"there are: {', '.join(every)}")


def named(config: Config, name: str | None) -> Pipeline:
    """The same where one is needed: of several parts that with the table, else the first."""
    return parts.first_of(meant(config, name))


def names_of(pipelines: Sequence[Pipeline]) -> list[str]:
    """The names that they run under."""
    return [pipeline.name for pipeline in pipelines]
