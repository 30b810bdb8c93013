"""Delimited text: csv and tsv."""

from typing import Annotated

from pydantic import AfterValidator, Field

from ddpm.component import Component
from ddpm.components.parsers.parser import Parser, always
from ddpm.config.model import Model, NonEmptyStr


def _one_character(text: str) -> str:
    if not text.isascii() or text in ('"', "\r", "\n"):
        msg = f'"{text}" cannot stand between two values; name an ASCII character, not a quote or a line break'
        raise ValueError(msg)
    return text


class Csv(Model):
    """Delimited text."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_one_character)] = Field(
        default=",", description="the character between two values"
    )
    columns: tuple[NonEmptyStr, ...] = Field(
        default=(), description="the columns' names; without them the first line of each record names them"
    )


class Tsv(Model):
    """Delimited text with tabs."""

    columns: tuple[NonEmptyStr, ...] = Field(
        default=(), description="the columns' names; without them the first line of each record names them"
    )


def _csv(options: Csv, wanted: tuple[str, ...] = ()) -> Component:
    return _delimited(options.delimiter, options.columns, wanted)


def _tsv(options: Tsv, wanted: tuple[str, ...] = ()) -> Component:
    return _delimited("\t", options.columns, wanted)


def _delimited(delimiter: str, columns: tuple[str, ...], wanted: tuple[str, ...]) -> Component:
    made: Component = {"delimiter": delimiter, "columns": list(columns)}
    if wanted and not columns:
        made["wanted"] = list(wanted)
    return {"ddpm_csv": made}


CSV, TSV = (
    Parser(
        "csv",
        "comma-separated values (RFC 4180), many rows a record",
        Csv,
        _csv,
        always,
        _csv,
        sample='id,note\n1,"a, b"\n2,',
        texts=True,
    ),
    Parser(
        "tsv",
        "tab-separated values, quoted like csv, many rows a record",
        Tsv,
        _tsv,
        always,
        _tsv,
        sample="id\tnote\n1\ta, b\n2\t",
        texts=True,
    ),
)
