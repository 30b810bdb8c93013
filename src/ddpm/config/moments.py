"""The `format` and `zone` of a column: how its values say a time, checked before a record is read.

The engine reads values by the same rules (cmd/engine/internal/sinks/postgrescopy/moment.go).
"""

import re
from zoneinfo import available_timezones

EPOCHS = ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns")
ISO = "iso"
JSON = "json"

_CONVERSION = re.compile(r"%(.?)", re.DOTALL)
_KNOWN = frozenset("YymdbBjaAHIpMSfzFTRD%")
_DAY = ({"Y", "y", "F", "D"}, {"m", "b", "B", "j", "F", "D"}, {"d", "j", "F", "D"})
_INSTANT = "timestamp with time zone"
_DATED = (_INSTANT, "timestamp", "date")
_CLOCKS = ("time", "time with time zone")
_JSON_TYPES = ("json", "jsonb")


def check_format(text: str) -> None:
    """Raise ValueError for what is not a format, whatever the column's type."""
    if text in (*EPOCHS, ISO, JSON):
        return
    if "%" not in text:
        msg = f'"{text}" is not a format; write {", ".join((*EPOCHS, ISO, JSON))}, or a pattern such as %d.%m.%Y %H:%M'
        raise ValueError(msg)
    for found in _CONVERSION.findall(text):
        if found not in _KNOWN:
            msg = f'"%{found}" is not a conversion of a pattern; there are %{", %".join(sorted(_KNOWN - {"%"}))} and %%'
            raise ValueError(msg)


def check_zone(zone: str) -> None:
    """Raise ValueError for a time zone that is not known."""
    known = available_timezones()
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]*", zone) or zone == "localtime" or (known and zone not in known):
        msg = f'"{zone}" is not a time zone; write a name of the IANA\'s, for example Europe/Berlin or UTC'
        raise ValueError(msg)


def misfit(text: str | None, zone: str | None, type_: str) -> tuple[str, str] | None:
    """Which key does not fit a built-in type, spelled as `pgtypes.parse` does, and why; None when all fits."""
    if text == JSON:
        if type_ not in _JSON_TYPES:
            return "format", f"the format json is for columns of json and jsonb, not of {type_}"
        return ("zone", "the format json has no zone") if zone else None
    if text is not None and type_ not in (*_DATED, *_CLOCKS, "text", "character varying"):
        return "format", f'the format "{text}" reads a time, which a column of {type_} cannot hold'
    if zone is not None and (type_ in _CLOCKS or type_ not in (*_DATED, "text", "character varying")):
        return "zone", f"a column of {type_} has no time zone"
    if zone is not None and text in EPOCHS and type_ not in ("timestamp", "date"):
        return "zone", f"{text} counts from 1970 in UTC; a zone is for local times"
    return _incomplete(text, type_)


def _incomplete(text: str | None, type_: str) -> tuple[str, str] | None:
    if text is None or text in (*EPOCHS, ISO):
        return None
    used = set(_CONVERSION.findall(text))
    if type_ in _CLOCKS:
        return None if used & set("HITR") else ("format", f'the pattern "{text}" has no hour (%H)')
    if not all(used & part for part in _DAY):
        return "format", f'the pattern "{text}" names no whole day; it needs %Y, %m and %d'
    return None
