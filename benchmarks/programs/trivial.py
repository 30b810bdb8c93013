"""The parser function that the benchmark of Python workers measures: nothing but the standard library's JSON."""

import json
from collections.abc import Iterable
from typing import Any

from ddpm.plugins import Meta


def parse(payload: bytes, meta: Meta) -> Iterable[dict[str, Any]]:
    """One row a record."""
    del meta
    return [json.loads(payload)]
