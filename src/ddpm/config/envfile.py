"""Environment files: `NAME=value` lines, as Docker and systemd take them. Values are data: nothing is expanded."""

import re

_LINE = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(?P<value>.*)")
_DOUBLE = re.compile(r'"(?P<text>(?:\\.|[^"\\])*)"(?:[ \t]+#.*)?[ \t]*')
_SINGLE = re.compile(r"'(?P<text>[^']*)'(?:[ \t]+#.*)?[ \t]*")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def variables_in(text: str) -> dict[str, str]:
    r"""Return the variables that an environment file sets, the last of a name.

    A value in single quotes is taken as it is; in double quotes, `\n`, `\r`, `\t` stand for what they usually do, and a
    backslash before any other character for that character. Without quotes it ends before ` #` or the end of the line.

    Raises:
        ValueError: A line is none of this; it says which, without its text, which may be a secret.

    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(" \t\r")
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        value = None if match is None else _value(match["value"])
        if match is None or value is None:
            msg = f"line {number} is not NAME=value, or has a quote that is not closed"
            raise ValueError(msg)
        found[match["name"]] = value
    return found


def _value(written: str) -> str | None:
    if written.startswith('"'):
        match = _DOUBLE.fullmatch(written)
        return match and re.sub(r"\\(.)", lambda found: _ESCAPED.get(found[1], found[1]), match["text"])
    if written.startswith("'"):
        match = _SINGLE.fullmatch(written)
        return match and match["text"]
    return _COMMENT.sub("", written, count=1).rstrip()
