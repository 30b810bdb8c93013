"""Whether a secret stands anywhere, in whatever spelling."""

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx2 as httpx
import psutil

_NAME = "pipeline"


def spellings(secret: str) -> set[bytes]:
    """How a secret may be written: plain, in a URL, in JSON, in YAML, in Python, in base64 wherever it begins there."""
    quoted = json.dumps(secret)[1:-1]
    texts = {secret, quote(secret, safe=""), quote_plus(secret), quote(secret), quoted, json.dumps(quoted)[1:-1]}
    texts |= {secret.replace("'", "''"), repr(secret)[1:-1], secret.replace("\\", "\\\\").replace("'", "\\'")}
    found = {each.encode() for each in texts}
    for before in range(3):
        # What depends on the bytes around it is left out.
        whole = base64.b64encode(b"\0" * before + secret.encode())
        found.add(whole[(before * 8 + 5) // 6 : (before + len(secret.encode())) * 8 // 6])
    return found


def assert_nowhere(texts: Iterable[tuple[str, bytes]], *secrets: str) -> None:
    """No text, each with the name of its place, holds one of the secrets."""
    forms = {form for secret in secrets for form in spellings(secret)}
    for place, content in texts:
        assert not any(form in content for form in forms), f"{place} shows a secret"


def files(folder: Path, *but: Path) -> Iterator[tuple[str, bytes]]:
    """All files below a folder, and how they are called."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in but:
            yield str(path), path.read_bytes()


def answers(url: str) -> Iterator[tuple[str, bytes]]:
    """Everything that a running ddpm answers to GET, its metrics and its console among it."""
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
        paths = client.get("/openapi.json").json()["paths"]
        known = [path for path, methods in paths.items() if "get" in methods and "follow" not in path]
        for path in {*known, "/metrics", "/health", "/"}:
            # Streams have no end.
            with client.stream("GET", path.replace("{name}", _NAME)) as answer:
                kind = answer.headers.get("content-type", "")
                yield path, b"" if kind.startswith("text/event-stream") else answer.read()


def processes(pid: int) -> Iterator[tuple[str, bytes]]:
    """The command lines of a process and all that it has started, as every user of the machine sees them."""
    parent = psutil.Process(pid)
    for each in (parent, *parent.children(recursive=True)):
        yield f"/proc/{each.pid}/cmdline", Path(f"/proc/{each.pid}/cmdline").read_bytes()
