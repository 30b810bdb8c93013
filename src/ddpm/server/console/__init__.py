"""The console: one page at `/`, and the files it is made of under `/console/`.

It only hands out what lies in `static`; the page itself asks the API under `/v1`. The headers let the page run no code
but its own, and turn text into HTML nowhere: names, reasons and configurations come from outside.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

PAGE = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of a page, as it is sent."""

    content: bytes
    media_type: str
    etag: str


def mount(app: FastAPI) -> None:
    """Add the console's routes to an application; they stay out of its OpenAPI text."""
    serve_page(app, mount_files(app)[PAGE])


def mount_files(app: FastAPI) -> dict[str, File]:
    """Add only the files that the console is made of, for a page that looks like it; returns them."""
    static = files_in(__name__)
    serve_files(app, "/console", static)
    return static


def files_in(package: str) -> dict[str, File]:
    """What lies in the folder `static` of a package, by name."""
    found = {}
    for entry in files(package).joinpath("static").iterdir():
        content = entry.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        found[entry.name] = File(content, MEDIA_TYPES[PurePath(entry.name).suffix], etag)
    return found


def serve_page(app: FastAPI, page: File) -> None:
    """Answer `/` with a page."""

    def root(request: Request) -> Response:
        return _answer(request, page)

    app.add_api_route("/", root, methods=["GET", "HEAD"], include_in_schema=False)


def serve_files(app: FastAPI, prefix: str, static: Mapping[str, File]) -> None:
    """Answer `prefix/NAME` with a file."""

    def file(request: Request, name: str) -> Response:
        if name not in static:
            raise HTTPException(404, f"there is no file {prefix}/{name}")
        return _answer(request, static[name])

    app.add_api_route(f"{prefix}/{{name}}", file, methods=["GET", "HEAD"], include_in_schema=False)


def _answer(request: Request, file: File) -> Response:
    headers = HEADERS | {"ETag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
