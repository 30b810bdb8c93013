"""What each built-in parser may be told in `app.source.options`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ddpm.config.address import web_fault
from ddpm.config.model import FilePath, Model, NonEmptyStr, broken_rule


def _one_character(text: str) -> str:
    if not text.isascii() or text in ('"', "\r", "\n"):
        msg = f'"{text}" cannot stand between two values; name one ASCII character that is no quote and no line break'
        raise ValueError(msg)
    return text


def _registry(url: str) -> str:
    fault = web_fault(url)
    if fault:
        msg = f"not the address of a schema registry: {fault}; write for example http://localhost:8081"
        raise ValueError(msg)
    return url


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


class Avro(Model):
    """Which of Avro's three forms a record has, and where its schema is."""

    framing: Literal["file", "datum", "confluent"] = Field(
        default="file",
        description="file: a record is an object container file of many values; datum: one value without its schema; "
        "confluent: one value behind the number of its schema in a registry",
    )
    schema_file: FilePath | None = Field(default=None, description="datum: the schema that wrote the values, an .avsc")
    registry: Annotated[str, AfterValidator(_registry)] | None = Field(
        default=None, repr=False, description="confluent: the schema registry's address"
    )

    @model_validator(mode="after")
    def _options_fit_framing(self) -> "Avro":
        for option, framing in (("schema_file", "datum"), ("registry", "confluent")):
            given = getattr(self, option) is not None
            if given and self.framing != framing:
                raise broken_rule(f"`{option}` is for framing: {framing}; this is framing: {self.framing}", option)
            if self.framing == framing and not given:
                raise broken_rule(f"framing: {framing} needs `{option}`", "framing")
        return self


class Protobuf(Model):
    """Which message a record is."""

    descriptor_set: FilePath = Field(
        description="a file that protoc --include_imports --descriptor_set_out=FILE wrote",
        examples=["schemas/shop.pb"],
    )
    message: NonEmptyStr = Field(description="the message's full name", examples=["shop.Order"])
