"""Protocol Buffers."""

from pydantic import Field

from ddpm.component import Component
from ddpm.components.parsers.parser import Parser
from ddpm.config.model import FilePath, Model, NonEmptyStr


class Protobuf(Model):
    """Which message a record is."""

    descriptor_set: FilePath = Field(
        description="a file that protoc --include_imports --descriptor_set_out=FILE wrote",
        examples=["schemas/shop.pb"],
    )
    message: NonEmptyStr = Field(description="the message's full name", examples=["shop.Order"])


def _protobuf(options: Protobuf) -> Component:
    return {"ddpm_protobuf": {"descriptor_set": str(options.descriptor_set), "message": options.message}}


PROTOBUF = Parser("protobuf", "one Protocol Buffers message a record", Protobuf, _protobuf)
