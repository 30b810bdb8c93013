"""A ddpm whose console and API speak TLS and ask for tokens: its files and settings."""

import ssl
from pathlib import Path
from typing import Any

import trustme

from harness.world import World

ADMIN, READER, OPERATOR, ROTATED = (f"token-of-the-{who}-0123" for who in ("admin", "reader", "operator", "new-reader"))


class Secured:
    """A ddpm that speaks TLS and knows four tokens, with the files that it reads."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self.world = folder, world
        self.authority, self.other = trustme.CA(), trustme.CA()
        self.authority.cert_pem.write_to_path(folder / "ca.pem")
        self.other.cert_pem.write_to_path(folder / "other.pem")
        self.certify("127.0.0.1")
        self.give("reader", READER)

    def certify(self, name: str, by: trustme.CA | None = None) -> None:
        """Have a certificate issued for a name."""
        issued = (by or self.authority).issue_cert(name)
        # As tools do that renew them: written beside, and put in its place.
        for file, content in (("server.key", issued.private_key_pem), ("server.pem", issued.cert_chain_pems[0])):
            (self.folder / f"new-{file}").write_bytes(content.bytes())
            (self.folder / f"new-{file}").replace(self.folder / file)

    def give(self, name: str, token: str) -> None:
        (self.folder / f"{name}.token").write_text(token + "\n")

    def settings(self, **server: Any) -> dict[str, Any]:
        tokens = [
            {"name": "grafana", "role": "read", "token": "${file:reader.token}"},
            {"name": "shift", "role": "operate", "token": OPERATOR},
        ]
        own = {
            "token": ADMIN,
            "tokens": tokens,
            "tls": {"cert": "server.pem", "key": "server.key"},
            "protect_metrics": True,
        }
        return self.world.config(name="orders", server={"port": 0, **own, **server})

    def trusting(self, file: str = "ca.pem") -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / file)
