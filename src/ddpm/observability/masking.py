"""Keeps secrets out of whatever is shown: logs, rendered configurations, an engine's last words.

A secret is recognised as it is, and as URLs, JSON, Go and Python spell it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from structlog.typing import EventDict

MASK = "***"

# Parts of a secret are only looked for when they are long enough not to be a common word.
_SHORTEST_PART = 8
# JSON in JSON in JSON needs seven backslashes; without a limit, a line full of them would take for ever.
_ESCAPES = "{1,8}"
_NAMED_ESCAPES: Mapping[str, str] = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}


class Masker:
    """Replaces every known secret in whatever an event carries.

    Args:
        secrets: Texts that must never appear; the longest is replaced first. Of a text with several lines, such as a
            private key, each line counts by itself, and of a URL its password.

    """

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {part for secret in secrets if secret for part in _parts(secret)}
        ordered = sorted(found, key=lambda text: (-len(text), text))
        self._pattern = re.compile("|".join(_spelled(text) for text in ordered)) if ordered else None

    def text(self, text: str) -> str:
        """The same text with every secret masked."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 -- structlog's type
        """Mask an event on its way through structlog's processors."""
        return event if self._pattern is None else {self.text(key): self._value(value) for key, value in event.items()}

    def _value(self, value: Any) -> Any:  # noqa: ANN401 -- events carry anything
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            text = str(value)
            masked = self.text(text)
            return value if masked == text else masked
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        return self.text(str(value))


def _parts(secret: str) -> set[str]:
    parts = {secret, unquote(secret)}
    parts |= {line.strip() for line in secret.splitlines() if len(line.strip()) >= _SHORTEST_PART}
    if "://" in secret:
        parts |= _url_password(secret)
    return {part for part in parts if part}


def _url_password(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()


def _spelled(secret: str) -> str:
    return "".join(_character(character) for character in secret)


def _character(character: str) -> str:
    """A pattern of all ways to write a character: as it is, percent-encoded, or escaped once or several times."""
    if character.isascii() and character.isalnum():
        return character
    percent = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    units = character.encode("utf-16-be", "surrogatepass").hex()
    unicode = "".join(rf"\\{_ESCAPES}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    # The character itself comes last: a percent sign begins its own code.
    forms = [f"(?i:{percent})", f"(?i:{unicode})"]
    if character in _NAMED_ESCAPES:
        forms.append(rf"\\{_ESCAPES}{_NAMED_ESCAPES[character]}")
    if not character.isprintable():
        forms.append(rf"(?i:\\{_ESCAPES}x{ord(character):02x})")
    if character == " ":
        forms.append(r"\+")
    forms.append(rf"(?:\\{_ESCAPES})?{re.escape(character)}")
    return f"(?:{'|'.join(forms)})"
