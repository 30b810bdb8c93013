"""Takes secrets out of engine components: each is handed to the engine in an environment variable of its own.

What a user's `${NAME}` or `${file:path}` stands for has become part of a text by now, such as a mapping, in the form
that this text needs. The engine puts the same characters back before it reads the YAML, so the text means what it
meant before, wherever in it the secret stands. Pure.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping

from ddpm.component import Concealed, EngineEnv, Value
from ddpm.config.model import Secret
from ddpm.contract import Env
from ddpm.errors import ConfigError

# The system takes 128 KiB in one variable, and about 2 MiB in all; a character becomes ten bytes at most.
_LONGEST_CHUNK = 10_000
_MOST_BYTES = 1_000_000
# Reasons of dead letters are no longer, so no longer secret can stand in one.
_LONGEST_IN_MESSAGE = 1_000
_MOST_IN_MESSAGES = 20_000


class Concealer:
    """Replaces secrets in components by references, and knows what the references stand for.

    Args:
        secrets: Texts that may not stand in a file; as they are, and as a string of Bloblang or JSON spells them.
        quoted: Gives a text as it has to be inserted between the double quotes of a YAML scalar.

    """

    def __init__(self, secrets: Collection[str], quoted: Callable[[str], str]) -> None:
        forms = {form for secret in secrets for form in (secret, _in_json(secret)) if form}
        longest_first = sorted(forms, key=lambda text: (-len(text), text))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        self._secrets = tuple(secrets)
        self._quoted = quoted
        self._names: dict[str, str] = {}
        self._found: set[str] = set()

    def value(self, value: Value) -> Value:
        """The same component without secrets."""
        match value:
            case Secret():
                self._found |= set(value.words)
                return Concealed(tuple(self._references(value.revealed)))
            case str():
                return self._text(value)
            case list():
                return [self.value(item) for item in value]
            case dict():
                return {name: self.value(item) for name, item in value.items()}
            case _:
                return value

    def environment(self) -> dict[str, str]:
        """The variables that the engine needs to read what was concealed.

        Raises:
            ConfigError: They are more than the system hands to a process.

        """
        if not self._names:
            return {}
        variables = {name: self._quoted(chunk) for chunk, name in self._names.items()}
        size = sum(len(value.encode()) for value in variables.values())
        if size > _MOST_BYTES:
            msg = f"the values that ${{…}} puts into mappings and options have {size} bytes, more than {_MOST_BYTES}"
            raise ConfigError(msg, hint='let the mapping read a large file itself: file("/path")')
        return variables | {Env.HIDDEN: json.dumps(self._for_messages())}

    def _text(self, text: str) -> str | Concealed:
        if self._pattern is None or not self._pattern.search(text):
            return text
        pieces: list[str | EngineEnv] = []
        end = 0
        for match in self._pattern.finditer(text):
            pieces += [text[end : match.start()], *self._references(match[0])]
            end = match.end()
        return Concealed((*pieces, text[end:]))

    def _references(self, secret: str) -> list[EngineEnv]:
        self._found.add(secret)
        chunks = [secret[at : at + _LONGEST_CHUNK] for at in range(0, len(secret), _LONGEST_CHUNK)]
        return [EngineEnv(self._names.setdefault(c, f"{Env.VALUE}{len(self._names) + 1}")) for c in chunks]

    def _for_messages(self) -> list[str]:
        room, shown = _MOST_IN_MESSAGES, []
        for secret in self._secrets:
            if len(secret) <= min(_LONGEST_IN_MESSAGE, room) and {secret, _in_json(secret)} & self._found:
                room -= len(secret)
                shown.append(secret)
        return shown


def as_read(text: str, variables: Mapping[str, str]) -> str:
    """A rendered configuration as the engine reads it, with what was concealed in place."""
    for name, value in variables.items():
        text = text.replace(str(EngineEnv(name)), value)
    return text


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
