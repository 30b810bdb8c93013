"""`ddpm plugins`: which parsers there are, and what each may be told."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from ddpm.catalogue.parsers import PARSERS, Parser
from ddpm.cli.output import Terminal, write_line
from ddpm.cli.text import dumped
from ddpm.config.known import did_you_mean
from ddpm.errors import ConfigError

app = typer.Typer(help="The parsers that app.source.parser can name.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="For tools.")]


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the parsers."""
    if as_json:
        write_line(dumped([_summary(parser) for parser in PARSERS.values()]))
        return
    width = max(map(len, PARSERS))
    for parser in PARSERS.values():
        write_line(f"{parser.name:<{width}}  {parser.summary}")


@app.command("describe")
def describe_command(name: str, as_json: JsonOption = False) -> None:
    """Say what a parser reads, and the options under app.source.options."""
    if name not in PARSERS:
        near = did_you_mean(name, PARSERS)
        known = f"there are: {', '.join(PARSERS)}"
        raise ConfigError(f'there is no parser "{name}"', hint=f"{near} {known}" if near else known)
    parser = PARSERS[name]
    options = _options(parser)
    if as_json:
        write_line(dumped({**_summary(parser), "options": options}))
        return
    console = Terminal()
    console.print(f"{parser.name}: {parser.summary}", soft_wrap=True)
    if not options:
        console.print("It has no options.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("option", "values", "default", "meaning"):
        table.add_column(heading, overflow="fold")
    for option, about in options.items():
        default = "required" if about["required"] else dumped(about.get("default"))
        table.add_row(option, about["values"], "" if default == "null" else default, about["description"])
    console.print(table)


def _summary(parser: Parser[Any]) -> dict[str, Any]:
    return {"name": parser.name, "summary": parser.summary}


def _options(parser: Parser[Any]) -> dict[str, dict[str, Any]]:
    """What each option is, from the JSON schema of the parser's model."""
    schema = parser.options.model_json_schema()
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
