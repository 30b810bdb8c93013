"""What records are tried on: a pipeline of a configuration, or a parser alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ddpm.components import parsers
from ddpm.components.offline import around_parser
from ddpm.config.known import did_you_mean
from ddpm.config.model import BLOBLANG, Config, Pipeline, Plugin, PluginKind, Source
from ddpm.config.parts import first_of, named
from ddpm.config.plugins import PYTHON, plugin_file
from ddpm.errors import ConfigError
from ddpm.plugins.inspecting import inspect_plugin
from ddpm.plugins.loading import entry_point_names


@dataclass(frozen=True, slots=True)
class Choice:
    """A pipeline to try records on, what it was read from, and what no message about it may show."""

    pipeline: Pipeline
    origin: str
    secrets: tuple[str, ...] = field(default=(), repr=False)


def configured(config: Config, name: str | None) -> Choice:
    """A configuration's pipeline of that name; without a name its only one. Of several parts that with the table.

    Raises:
        ConfigError: There is none of that name, or there are several and none is named.

    """
    names = list(dict.fromkeys(pipeline.whole for pipeline in config.pipelines))
    if name is None and len(names) > 1:
        msg = f"{config.path} has several pipelines: {', '.join(names)}"
        raise ConfigError(msg, hint="name one with --pipeline")
    meant = config.pipelines if name is None else named(config.pipelines, name)
    if not meant:
        msg = f'{config.path} has no pipeline "{name}"'
        raise ConfigError(msg, hint=did_you_mean(str(name), names) or f"there are: {', '.join(names)}")
    return Choice(first_of(meant), config.path.name, config.secrets)


def parser_alone(
    parser: str, options: Mapping[str, Any], *, plugin: Path | None = None, compression: str = "none"
) -> Choice:
    """A pipeline of nothing but a parser.

    Args:
        parser: Its name.
        options: What would stand in `source.options`.
        plugin: What would stand in `source.plugin_path`.
        compression: What would stand in `source.compression`.

    Raises:
        ConfigError: There is no such parser, or it does not take these options.

    """
    try:
        source = Source.model_validate({"parser": parser, "options": dict(options), "compression": compression})
        if parser not in parsers.PARSERS:
            source = source.read_from(_plugin(parser, plugin, options), None)
        parsers.processors(source)
        _check_files(parser, options)
    except ValidationError as error:
        raise ConfigError(
            _refusal(parser, error), hint=f"`ddpm plugins describe {parser}` lists its options"
        ) from error
    return Choice(around_parser(source), f"the parser {parser}")


def _plugin(parser: str, path: Path | None, options: Mapping[str, Any]) -> Plugin:
    if path is not None and not path.exists():
        msg = f"the plugin {path} does not exist"
        raise ConfigError(msg, hint=f"looked from {Path.cwd()}")
    installed = entry_point_names()
    if path is None and parser not in installed:
        every = [*parsers.PARSERS, *installed]
        near, known = did_you_mean(parser, every), f"there are: {', '.join(every)}"
        raise ConfigError(f'there is no parser "{parser}"', hint=f"{near} {known}" if near else known)
    file = plugin_file(path.absolute(), parser) if path else None
    if path is not None and file is None:
        msg = f'{path} holds no plugin for the parser "{parser}"'
        raise ConfigError(msg, hint=f"a plugin ends in {PYTHON} or {BLOBLANG}, or is a folder that holds one")
    inspection = inspect_plugin(parser, file, options)
    if inspection.errors:
        problems = [": ".join([*(str(step) for step in each["loc"]), each["msg"]]) for each in inspection.errors]
        raise ConfigError(f'the parser "{parser}" does not take these options: {"; ".join(problems)}')
    if inspection.plugin is None:
        msg = f'the plugin of the parser "{parser}" cannot be used: {inspection.problem}'
        raise ConfigError(msg, hint="correct it, or name another parser")
    if options and inspection.plugin.kind is not PluginKind.PROCESSORS:
        raise ConfigError(f'the parser "{parser}" has no options')
    return inspection.plugin


def _check_files(parser: str, options: Mapping[str, Any]) -> None:
    if parser not in parsers.OPTIONS:
        return
    for name, value in parsers.OPTIONS[parser].model_validate(dict(options)):
        if isinstance(value, Path) and not value.is_file():
            msg = f"the file {value}, which the option {name} names, does not exist"
            raise ConfigError(msg, hint=f"looked from {Path.cwd()}")


def _refusal(parser: str, error: ValidationError) -> str:
    problems = [
        ": ".join([*(str(step) for step in each["loc"]), each["msg"]])
        for each in error.errors(include_url=False, include_input=False)
    ]
    return f'the parser "{parser}" does not take these options: {"; ".join(problems)}'
