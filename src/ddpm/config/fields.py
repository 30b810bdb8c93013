"""The path of a value in a document, as a user writes it: `customer.city`, `items[0].sku`, `$.a`, `labels.app\\.name`.

Forms of other languages that would be keys which no document has are refused with the right one.
"""

import re

_KEY = r"(?P<key>(?:\\[.\[]|[^.\[])+)"
_BRACKET = r"""\[(?:(?P<index>\d{1,9})|'(?P<single>[^']*)'|"(?P<double>[^"]*)")\]"""
_FIRST = re.compile(_KEY)
_NEXT = re.compile(rf"\.{_KEY}|{_BRACKET}")
_ROOT = "$"


def literal(key: str) -> str:
    """The path of a value at the top of the document, whatever characters its key has."""
    return f"{_ROOT}." + key.replace(".", "\\.").replace("[", "\\[")


def keys_of(path: str) -> tuple[str, ...]:
    """The keys that lead to the value from the document's top; places in an array are digits, counted from 0.

    Raises ValueError when the path is written wrongly; the message has the right form.
    """
    rest = path
    if path.startswith((f"{_ROOT}.", f"{_ROOT}[")):
        rest = path[1:]
        pattern = _NEXT
    else:
        _refuse_others(path)
        pattern = _FIRST
    keys: list[str] = []
    while rest:
        match = pattern.match(rest)
        if match is None:
            raise ValueError(_wrong(path, rest))
        keys.append(_key(match))
        rest, pattern = rest[match.end() :], _NEXT
    if not keys:
        raise ValueError(_wrong(path, ""))
    return tuple(keys)


def _key(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups["key"] is not None:
        return re.sub(r"\\([.\[])", r"\1", groups["key"])
    if groups.get("index") is not None:
        return str(int(groups["index"]))
    return str(groups["single"] if groups["single"] is not None else groups["double"])


def _refuse_others(path: str) -> None:
    meant = None
    if re.match(r"this[.\[]", path):
        meant = path[4:].removeprefix(".")
    elif path.startswith("/") and path != "/":
        meant = path.strip("/").replace("/", ".")
    elif "->" in path:
        meant = re.sub(r"^\w+\s*(?=->)", "", path)
        meant = ".".join(re.findall(r"[^\s'>-]+", meant))
    if meant or path == _ROOT:
        shown = f"write {meant}" if meant else "write the keys that lead to the value, for example customer.city"
        msg = f'"{path}" is not the path of a value; {shown}, or for a key that is really named so: $.{path}'
        raise ValueError(msg)


def _wrong(path: str, rest: str) -> str:
    if rest.startswith("["):
        shown = rest.partition("]")[0] + ("]" if "]" in rest else "")
        return (
            f'"{path}" has {shown} where the place of one value in an array '
            "stands, counted from 0: items[0].sku; a bracket that belongs to a key is written \\["
        )
    return f'"{path}" has an empty key; write the keys that lead to the value, for example customer.address.city'
