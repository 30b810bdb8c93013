"""`ddpm plugins`: which parsers there are, what each may be told, and a beginning for one of one's own."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import typer
from rich.table import Table

from ddpm.catalogue.parsers import PARSERS
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.text import dumped
from ddpm.config.known import did_you_mean
from ddpm.config.plugins import plugin_file
from ddpm.errors import ConfigError
from ddpm.plugins.inspecting import inspect_plugin
from ddpm.plugins.loading import GROUP, entry_points
from ddpm.plugins.scaffold import Kind, write_plugin

app = typer.Typer(help="The parsers that app.source.parser can name.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for tools.")]
PathOption = Annotated[
    Path | None, typer.Option("--plugin-path", help="The file or folder of a plugin, as in app.source.plugin_path.")
]


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the parsers: ddpm's own, and those of installed packages."""
    listed = [{"name": parser.name, "summary": parser.summary} for parser in PARSERS.values()]
    listed += [
        {"name": point.name, "summary": f"{point.value} of the package {point.dist.name if point.dist else '?'}"}
        for point in entry_points()
        if point.name not in PARSERS
    ]
    if as_json:
        write_line(dumped(listed))
        return
    width = max(len(parser["name"]) for parser in listed)
    for parser in listed:
        write_line(f"{parser['name']:<{width}}  {parser['summary']}")


@app.command("describe")
def describe_command(name: str, plugin_path: PathOption = None, as_json: JsonOption = False) -> None:
    """Say what a parser reads, and the options under app.source.options."""
    summary, schema = _built_in(name) if name in PARSERS and plugin_path is None else _plugin(name, plugin_path)
    options = _options(schema)
    sample = PARSERS[name].sample if name in PARSERS else None
    if as_json:
        write_line(dumped({"name": name, "summary": summary, "options": options, "sample": sample}))
        return
    console = Terminal()
    console.print(f"{name}: {summary}", soft_wrap=True)
    if options:
        console.print(_table(options))
    else:
        console.print("It has no options.")
    if sample:
        write_line("a record:")
        write_line(indent(sample, "  "))
    if name in PARSERS:
        write_line(f"ddpm parse --parser {name} FILE shows what becomes of one.")


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
            "values": _values(field),
            "required": name in needed,
            "default": field.get("default"),
            "description": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    }


def _values(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_values(choice) for choice in field["anyOf"] if choice.get("type") != "null")
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    names = {"string": "a file" if field.get("format") == "path" else "text", "array": "a list of texts"}
    return names.get(field.get("type", ""), str(field.get("type", "")))
