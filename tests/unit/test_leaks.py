"""The search for secrets of the integration tests finds them, in each spelling."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from harness.leaks import assert_nowhere

SECRET = "p@:/?#%${}'\"\\ w"
SPELLED = {
    "plain": SECRET,
    "URL": quote(SECRET, safe=""),
    "form": quote_plus(SECRET),
    "JSON": json.dumps(SECRET),
    "JSON in JSON": json.dumps(json.dumps(SECRET)),
    "YAML": "'" + SECRET.replace("'", "''") + "'",
    "Python": repr(SECRET),
    **{
        f"base64 behind {count}": base64.b64encode(b"user"[:count] + b":" + SECRET.encode() + b"\0end").decode()
        for count in range(3)
    },
}


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED.keys())
def test_it_is_found(spelled: str) -> None:
    with pytest.raises(AssertionError, match="a place shows a secret"):
        assert_nowhere([("a place", f"before {spelled} behind".encode())], SECRET)


def test_what_is_no_secret_is_not() -> None:
    assert_nowhere([("a place", b"before *** behind")], SECRET)
