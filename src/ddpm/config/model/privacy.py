"""`app.privacy`: what of records is never shown."""

from typing import Annotated

from pydantic import AfterValidator, Field

from ddpm.config.fields import keys_of
from ddpm.config.model.values import Model, NonEmptyStr


def _is_a_path(path: str) -> str:
    keys_of(path)
    return path


FieldPath = Annotated[NonEmptyStr, AfterValidator(_is_a_path)]


class Privacy(Model):
    """What of records is hidden where people look at them; what is written is never touched."""

    mask: tuple[FieldPath, ...] = Field(
        default=(),
        examples=[["email", "customer.phone"]],
        description="fields whose values are not shown by commands, API and console, at whatever depth they stand "
        "(docs/security.md#what-is-shown-of-records)",
    )
    mask_key: bool = Field(default=False, description="whether keys of records are not shown either")
    mask_headers: tuple[NonEmptyStr, ...] = Field(
        default=(), examples=[["user"]], description="headers whose values are not shown"
    )
