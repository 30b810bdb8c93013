"""A secret is recognised in every spelling that something on the way may give it."""

import json
import shlex
import time
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpm.observability.masking import MASK, Masker

AWKWARD = [
    'p"w',
    "p@w:x/y",
    "a b+c",
    "ü€𝄞x",
    "back\\slash",
    "tab\tnew\nline",
    "<&>'%",
    "100%25",
    "p'w\"x",
    "{[(^$.*?|)]}",
]
# What Go's encoder makes of <, > and &.
GO = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def spellings(secret: str) -> dict[str, str]:
    in_json = json.dumps(secret)[1:-1]
    return {
        "plain": secret,
        "json": in_json,
        "json, not ascii": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json, as go writes it": json.dumps(secret, ensure_ascii=False)[1:-1].translate(GO),
        "json in json": json.dumps(in_json)[1:-1],
        "percent": quote(secret, safe=""),
        "percent, lower case": quote(secret, safe="").lower() if secret.islower() else quote(secret, safe=""),
        "percent, path": quote(secret),
        "form": quote_plus(secret),
        "python": repr(secret)[1:-1],
    }


@pytest.mark.parametrize("secret", AWKWARD)
def test_every_spelling_is_masked(secret: str) -> None:
    masker = Masker([secret])
    for name, spelled in spellings(secret).items():
        assert masker.text(f"dsn=x:{spelled}@h") == f"dsn=x:{MASK}@h", name


@given(st.text(min_size=4, max_size=20).filter(lambda text: text.strip() == text))
def test_whatever_the_secret_is_its_spellings_are_masked(secret: str) -> None:
    masker = Masker([secret])
    for spelled in (secret, json.dumps(secret)[1:-1]):
        assert MASK in masker.text(f"[{spelled}]")
    encodable = secret.encode("utf-8", "replace").decode()
    assert MASK in Masker([encodable]).text(urlencode({"password": encodable}))


def test_a_url_gives_its_password_away_only_as_a_mask() -> None:
    masker = Masker(["postgres://ddpm:p%40ss-w@db:5432/events"])
    assert masker.text("postgres://ddpm:p%40ss-w@db:5432/events") == MASK
    assert (
        masker.text("login of ddpm with p@ss-w failed, p%40ss-w too") == f"login of ddpm with {MASK} failed, {MASK} too"
    )


def test_lines_of_a_key_are_masked_one_by_one() -> None:
    masker = Masker(["-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----"])
    assert masker.text("2: MIIEvQIBADANBg") == f"2: {MASK}"


def test_values_of_any_kind_are_masked() -> None:
    class Dsn:
        def __str__(self) -> str:
            return "x:hunter2@h"

    event: dict[str, Any] = {
        "event": "e",
        "list": ["hunter2"],
        "object": Dsn(),
        "hunter2": 1,
        "map": {"hunter2": ("hunter2",)},
        "number": 48151623,
        "other": 7,
        "flag": True,
    }
    masked = Masker(["hunter2", "48151623"])(None, "info", event)
    assert "hunter2" not in str(masked)
    assert masked["number"] == MASK
    assert (masked["other"], masked["flag"]) == (7, True)


def test_the_longest_secret_wins() -> None:
    assert Masker(["hunter2", "hunter2-long"]).text("hunter2-long hunter2") == f"{MASK} {MASK}"


def test_without_secrets_nothing_changes() -> None:
    assert Masker(["", ""]).text(shlex.quote("a b")) == "'a b'"


def test_a_hostile_line_costs_no_time() -> None:
    masker = Masker(['p"\\\\w', "@@@@", "  x  "])
    started = time.monotonic()
    masker.text("\\" * 200_000 + "%" * 200_000 + "p" * 200_000)
    assert time.monotonic() - started < 5
