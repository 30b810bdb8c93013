"""`ddpm plugins`: which parsers, sinks and sources there are, which options each has, and how to begin one's own."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import typer
from rich.table import Table

from ddpm.cli.output import Terminal, write_line
from ddpm.cli.text import dumped
from ddpm.components.parsers import PARSERS
from ddpm.components.registry import Sinks
from ddpm.components.sources import SOURCES
from ddpm.config.known import did_you_mean
from ddpm.config.plugins import plugin_file
from ddpm.errors import ConfigError
from ddpm.plugins.inspecting import inspect_plugin
from ddpm.plugins.loading import GROUP, entry_points
from ddpm.plugins.scaffold import Kind, write_plugin

app = typer.Typer(help="The parsers, sinks and sources that a configuration can name.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for tools.")]
PathOption = Annotated[
    Path | None, typer.Option("--plugin-path", help="The file or folder of a plugin, as in app.source.plugin_path.")
]


class Role(StrEnum):
    """What a component is."""

    PARSER = "parser"
    SINK = "sink"
    SOURCE = "source"


RoleOption = Annotated[
    Role | None, typer.Option("--role", help="Where a sink has the name of a source: which is meant.")
]


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the parsers, sinks and sources: ddpm's own, and those of installed packages."""
    listed = list(_listed())
    if as_json:
        write_line(dumped(listed))
        return
    name, role = (max(len(one[key]) for one in listed) for key in ("name", "role"))
    for one in listed:
        write_line(f"{one['name']:<{name}}  {one['role']:<{role}}  {one['summary']}")


def _listed() -> Iterator[dict[str, str]]:
    for parser in PARSERS.values():
        yield {"name": parser.name, "role": Role.PARSER, "summary": parser.summary}
    for point in entry_points():
        if point.name not in PARSERS:
            package = point.dist.name if point.dist else "?"
            yield {"name": point.name, "role": Role.PARSER, "summary": f"{point.value} of the package {package}"}
    sinks = Sinks()
    for kind in sinks:
        yield {"name": kind, "role": Role.SINK, "summary": _summary(sinks, kind)}
    for source in SOURCES:
        yield {"name": source.kind, "role": Role.SOURCE, "summary": source.summary}


def _summary(sinks: Sinks, kind: str) -> str:
    try:
        return sinks[kind].summary
    except ConfigError as error:
        # One that is broken hides none of the others.
        return error.message


@app.command("describe")
def describe_command(
    name: str, plugin_path: PathOption = None, role: RoleOption = None, as_json: JsonOption = False
) -> None:
    """Say what a parser, sink or source is for, and what may be written below its name."""
    role = role or _role(name, plugin_path)
    about = _about(name, role, plugin_path)
    if as_json:
        write_line(dumped(about))
        return
    console = Terminal()
    console.print(f"{name}: {about['summary']}", soft_wrap=True)
    for capability in about.get("capabilities", ()):
        console.print(f"- {capability}", soft_wrap=True)
    console.print(_table(about["options"]) if about["options"] else "It has no options.")
    if about.get("sample"):
        write_line("a record:")
        write_line(indent(about["sample"], "  "))
    if role is Role.PARSER and name in PARSERS:
        write_line(f"ddpm parse --parser {name} FILE shows what becomes of one.")


def _role(name: str, plugin_path: Path | None) -> Role:
    if plugin_path is not None or name in PARSERS or name in {point.name for point in entry_points()}:
        return Role.PARSER
    if name in Sinks():
        return Role.SINK
    return Role.SOURCE if name in {source.kind for source in SOURCES} else Role.PARSER


def _about(name: str, role: Role, plugin_path: Path | None) -> dict[str, Any]:
    if role is Role.PARSER:
        summary, schema = _built_in(name) if name in PARSERS and plugin_path is None else _plugin(name, plugin_path)
        sample = PARSERS[name].sample if name in PARSERS else None
        return {"name": name, "role": role, "summary": summary, "options": _options(schema), "sample": sample}
    if role is Role.SINK:
        sink = Sinks().get(name)
        if sink is None:
            raise ConfigError(f'there is no sink "{name}"', hint=f"there are: {', '.join(Sinks())}")
        able = [text for ability, text in _CAPABILITIES.items() if getattr(sink.capabilities, ability)]
        options = _options(sink.model_json_schema(by_alias=True))
        return {"name": name, "role": role, "summary": sink.summary, "options": options, "capabilities": able}
    source = next((each for each in SOURCES if each.kind == name), None)
    if source is None:
        known = ", ".join(each.kind for each in SOURCES)
        raise ConfigError(f'there is no source "{name}"', hint=f"there are: {known}")
    return {
        "name": name,
        "role": role,
        "summary": f"{source.summary}, in {source.section}",
        "options": _options(source.options.model_json_schema(by_alias=True)),
    }


# What a sink's capabilities mean to who uses it.
_CAPABILITIES = {
    "idempotent": "a record that comes again changes nothing",
    "names_refused_records": "it names the records that it refuses; others are written all the same",
    "replaceable": "ddpm replay can write a window of time again",
}


def _table(options: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("option", "values", "default", "meaning"):
        table.add_column(heading, overflow="fold")
    for option, about in options.items():
        default = "required" if about["required"] else dumped(about.get("default"))
        table.add_row(option, about["values"], "" if default == "null" else default, about["description"])
    return table


@app.command("new")
def new_command(
    name: Annotated[str, typer.Argument(help="The parser's name, as in app.source.parser.")],
    kind: Annotated[
        Kind, typer.Option(help="A Python function, a class that returns engine processors, or a mapping in Bloblang.")
    ] = Kind.PYTHON,
    into: Annotated[Path, typer.Option("--into", help="The folder to write to.")] = Path("parsers"),
) -> None:
    """Write a parser of your own, with its test, to begin with."""
    if name in PARSERS:
        msg = f'the parser "{name}" is built in'
        raise ConfigError(msg, hint="choose another name")
    made = write_plugin(name, kind, into)
    write_line(f"{made.plugin} is written; it works as it is. Try it, then make it yours.")
    write_line("Use it with, in the configuration:\n")
    write_line(f"  app:\n    source: {{parser: {name}, plugin_path: {dumped(str(made.plugin))}}}\n")
    if made.test is not None:
        write_line(f"Its test is {made.test}: python -m pytest {made.test}")


def _built_in(name: str) -> tuple[str, Mapping[str, Any]]:
    return PARSERS[name].summary, PARSERS[name].options.model_json_schema()


def _plugin(name: str, path: Path | None) -> tuple[str, Mapping[str, Any]]:
    installed = [point.name for point in entry_points()]
    if path is None and name not in installed:
        every = [*PARSERS, *installed]
        near = did_you_mean(name, every)
        known = f"there are: {', '.join(every)}"
        raise ConfigError(f'there is no parser "{name}"', hint=f"{near} {known}" if near else known)
    file = plugin_file(path.absolute(), name) if path else None
    if path is not None and file is None:
        msg = f'{path} holds no plugin for the parser "{name}"'
        raise ConfigError(msg, hint=f"name a .py or .blobl file, or a folder; installed ones are in the group {GROUP}")
    inspection = inspect_plugin(name, file, {})
    if inspection.problem:
        msg = f'the plugin of the parser "{name}" cannot be used: {inspection.problem}'
        raise ConfigError(msg, hint="correct it")
    return inspection.summary or "a parser of your own", inspection.options


def _options(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each option is, from the JSON schema of the parser's model."""
    needed = schema.get("required", ())
    return {
        name: {
            "values": _values(field, schema.get("$defs", {})),
            "required": name in needed,
            "default": field.get("default"),
            "description": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    }


def _values(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return _values(definitions[field["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in field:
        return " or ".join(_values(choice, definitions) for choice in field["anyOf"] if choice.get("type") != "null")
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    names = {
        "string": "a file" if field.get("format") == "path" else "text",
        "array": "a list of texts",
        "object": "keys",
    }
    return names.get(field.get("type", ""), str(field.get("type", "")))
