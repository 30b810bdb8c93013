"""What records are tried on: a pipeline of a configuration, or a parser alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ddpm.catalogue import parsers
from ddpm.config.known import did_you_mean
from ddpm.config.model import BLOBLANG, Config, Kafka, Pipeline, Sink, Source
from ddpm.errors import ConfigError

_NOWHERE = Kafka(brokers=("offline:9092",), topics=("offline",), consumer_group="offline")


@dataclass(frozen=True, slots=True)
class Choice:
    """A pipeline to try records on, what it was read from, and what no message about it may show."""

    pipeline: Pipeline
    origin: str
    secrets: tuple[str, ...] = field(default=(), repr=False)


def configured(config: Config, name: str | None) -> Choice:
    """A configuration's pipeline of that name; without a name its only one.

    Raises:
        ConfigError: There is none of that name, or there are several and none is named.

    """
    names = [pipeline.name for pipeline in config.pipelines]
    if name is None and len(names) > 1:
        msg = f"{config.path} has several pipelines: {', '.join(names)}"
        raise ConfigError(msg, hint="name one with --pipeline")
    chosen = next((each for each in config.pipelines if name in (None, each.name)), None)
    if chosen is None:
        msg = f'{config.path} has no pipeline "{name}"'
        raise ConfigError(msg, hint=did_you_mean(str(name), names) or f"there are: {', '.join(names)}")
    return Choice(chosen, config.path.name, config.secrets)


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
    if parser not in parsers.PARSERS and plugin is None:
        near, known = did_you_mean(parser, parsers.PARSERS), f"there are: {', '.join(parsers.PARSERS)}"
        raise ConfigError(f'there is no parser "{parser}"', hint=f"{near} {known}" if near else known)
    if plugin is not None and not plugin.is_file():
        msg = f"the plugin {plugin} does not exist"
        raise ConfigError(msg, hint=f"looked from {Path.cwd()}; a plugin is a {BLOBLANG} file")
    plugin_path = str(plugin.absolute()) if plugin else None
    try:
        source = Source.model_validate(
            {"parser": parser, "plugin_path": plugin_path, "options": dict(options), "compression": compression}
        )
        parsers.processors(source)
        _check_files(parser, options)
    except ValidationError as error:
        raise ConfigError(_told(parser, error), hint=f"`ddpm plugins describe {parser}` lists its options") from error
    pipeline = Pipeline(name="parse", source=source, kafka=_NOWHERE, sinks=(Sink(kind="stdout"),))
    return Choice(pipeline, f"the parser {parser}")


def _check_files(parser: str, options: Mapping[str, Any]) -> None:
    if parser not in parsers.OPTIONS:
        return
    for name, value in parsers.OPTIONS[parser].model_validate(dict(options)):
        if isinstance(value, Path) and not value.is_file():
            msg = f"the file {value}, which the option {name} names, does not exist"
            raise ConfigError(msg, hint=f"looked from {Path.cwd()}")


def _told(parser: str, error: ValidationError) -> str:
    problems = [
        ": ".join([*(str(step) for step in each["loc"]), each["msg"]])
        for each in error.errors(include_url=False, include_input=False)
    ]
    return f'the parser "{parser}" cannot be told this: {"; ".join(problems)}'
