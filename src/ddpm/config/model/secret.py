"""A text that is never shown: its purpose gets it, people and logs get stars."""

from typing import Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from ddpm.config.address import EMBEDDED, masked_url, url_passwords


class Secret(str):
    """A text that is, or holds, a secret; shown, formatted or logged, it is masked.

    Of a URL only the passwords are secret. Operations of `str` work on the real text and give plain texts.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """A text that is not empty."""
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(min_length=1))

    @property
    def revealed(self) -> str:
        """The real text."""
        return str.__str__(self)

    @property
    def words(self) -> tuple[str, ...]:
        """What may stand nowhere: the passwords of a URL, or the whole text."""
        return url_passwords(self.revealed) if self._is_address else (self.revealed,)

    @property
    def _is_address(self) -> bool:
        return "://" in self.revealed or self.revealed == EMBEDDED

    def __str__(self) -> str:
        return masked_url(self.revealed) if self._is_address else "***"

    def __repr__(self) -> str:
        return repr(str(self))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class Password(Secret):
    """A secret that is no address, whatever it looks like."""

    __slots__ = ()

    @property
    def _is_address(self) -> bool:
        return False


def holds_secret(field: FieldInfo) -> bool:
    """Whether a field's type says that its value is a secret."""
    return _mentions(field.annotation)


def _mentions(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Secret):
        return True
    return any(map(_mentions, get_args(annotation)))


def secrets_in(value: object) -> set[str]:
    """The words of all secrets in a model, and in the models, lists and mappings within it."""
    match value:
        case Secret():
            return set(value.words)
        case str() | bytes() | int() | float() | None:
            return set()
        case list() | tuple():
            return {word for each in value for word in secrets_in(each)}
        case dict():
            return {word for each in value.values() for word in secrets_in(each)}
        case _:
            fields = getattr(type(value), "model_fields", {})
            return {word for name in fields for word in secrets_in(getattr(value, name))}
