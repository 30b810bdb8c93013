"""Which types of Postgres take every value of another one, unchanged. Pure; types are spelled as by format_type."""

import re
from dataclasses import dataclass

_TYPE = re.compile(
    r"(?P<head>[a-z][a-z ]*?)(?:\((?P<size>\d+)(?:,(?P<scale>-?\d+))?\))?"
    r"(?P<zone> with(?:out)? time zone)?(?P<list>(?:\[\])?)"
)
_VARCHAR, _VARBITS, _NUMERIC = "character varying", "bit varying", "numeric"
# Digits that each of them has at most.
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_WIDER = {
    _VARCHAR: ("text",),
    "smallint": ("integer", "bigint", "real", "double precision"),
    "integer": ("bigint", "double precision"),
    "real": ("double precision",),
    "cidr": ("inet",),
}
# Digits of a second where a type names none.
_MOST_DIGITS = 6
_TIMES = ("time ", "timestamp ", "interval")
_WITHOUT_REWRITING = (_VARCHAR, _VARBITS, "cidr")


@dataclass(frozen=True, slots=True)
class _Type:
    family: str
    size: int | None
    scale: int
    list: bool

    @property
    def is_time(self) -> bool:
        return self.family.startswith(_TIMES)

    def has_room_for(self, other: "_Type") -> bool:
        """Whether it is as long or longer, where no size is no limit."""
        return self.size is None or (other.size is not None and self.size >= other.size)


def widens(before: str, after: str) -> bool:
    """Whether a column of type `before` may become `after`, and each of its values stays what it is."""
    old, new = _parsed(before), _parsed(after)
    return before != after and old is not None and new is not None and old.list == new.list and _widens(old, new)


def rewrites(before: str, after: str) -> bool:
    """Whether Postgres writes the whole table anew for a widening."""
    old, new = _parsed(before), _parsed(after)
    if old is None or new is None or old.list:
        return True
    if old.family == new.family == _NUMERIC:
        return new.size is not None and new.scale != old.scale
    return not (old.is_time or old.family in _WITHOUT_REWRITING)


def _parsed(text: str) -> _Type | None:
    """None for a type that is not one of Postgres' own with a plain name."""
    match = _TYPE.fullmatch(text)
    if match is None:
        return None
    family = match["head"] + (match["zone"] or "")
    size = None if match["size"] is None else int(match["size"])
    return _Type(family, size, int(match["scale"] or 0), bool(match["list"]))


def _widens(old: _Type, new: _Type) -> bool:
    match old.family, new.family:
        case _ if old.is_time:
            return _is_wider_time(old, new)
        case ("character varying", "character varying") | ("bit varying" | "bit", "bit varying"):
            return new.has_room_for(old)
        case ("character", "character"):
            return new.size is not None and new.has_room_for(old)
        case ("numeric", "numeric"):
            return _is_wider_numeric(old, new)
        case (_, "numeric") if old.family in _DIGITS:
            return _is_wider_numeric(_Type("numeric", _DIGITS[old.family], 0, list=False), new)
        case _:
            return new.family in _WIDER.get(old.family, ())


def _is_wider_numeric(old: _Type, new: _Type) -> bool:
    if new.size is None or old.size is None:
        return new.size is None
    return new.scale >= old.scale and new.size - new.scale >= old.size - old.scale


def _is_wider_time(old: _Type, new: _Type) -> bool:
    same = new.family == old.family or (new.family == "interval" and old.family.startswith("interval"))
    digits = [_MOST_DIGITS if each.size is None else each.size for each in (old, new)]
    return same and digits[0] <= digits[1]
