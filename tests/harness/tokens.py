"""A token server for OAUTHBEARER: client credentials in, a signed JWT out, and the keys to check it with."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://tokens.example.com"
AUDIENCE = "kafka"
CLIENT, SECRET = "ddpm", "client-secret-of-ddpm"
_SECONDS = 30


@dataclass
class TokenServer:
    """Where it answers, and what it was asked for."""

    url: str
    scopes: list[str] = field(default_factory=list)
    # The audience of the tokens that it gives.
    audience: str = AUDIENCE
    # What clients prove who they are with.
    secret: str = SECRET

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    @property
    def keys_url(self) -> str:
        return f"{self.url}/keys"


@contextmanager
def token_server() -> Iterator[TokenServer]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "1", "use": "sig", "alg": "RS256"}

    class Handler(BaseHTTPRequestHandler):
        state: ClassVar[TokenServer]

        def do_GET(self) -> None:
            self._answer(200, {"keys": [public]})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            wanted = base64.b64encode(f"{CLIENT}:{self.state.secret}".encode()).decode()
            if self.headers["Authorization"] != f"Basic {wanted}":
                self._answer(401, {"error": "invalid_client", "error_description": "never shown"})
                return
            assert form["grant_type"] == ["client_credentials"]
            self.state.scopes.append(form.get("scope", [""])[0])
            now = int(time.time())
            claims = {"sub": CLIENT, "iss": ISSUER, "aud": self.state.audience, "iat": now, "exp": now + _SECONDS}
            token = jwt.encode(claims | {"scope": form.get("scope", [""])[0]}, key, "RS256", {"kid": "1"})
            self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": _SECONDS})

        def _answer(self, status: int, body: object) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.state = TokenServer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Handler.state
        finally:
            server.shutdown()
            thread.join()
