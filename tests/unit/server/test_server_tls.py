"""The HTTP server in TLS: who is let in, renewed certificates, and what the commands say when it does not work."""

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
import trustme

from ddpm.cli.address import Address
from ddpm.cli.client import Client, ForeignError
from ddpm.cli.trust import Trust
from ddpm.config.model import ServerTls
from ddpm.errors import ConfigError, MissingToolError
from ddpm.observability.audit_log import this_user
from ddpm.server import connections
from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from ddpm.server.peers import local_user
from ddpm.server.serve import listen, serving
from ddpm.server.tls import Certificates
from unit.server.pictures import ORDERS, FakeSupervisor, sources

AUTHORITY, OTHER = trustme.CA(), trustme.CA()


def issued(
    folder: Path, name: str = "server", by: trustme.CA = AUTHORITY, common_name: str | None = None
) -> tuple[Path, Path]:
    made = by.issue_cert("127.0.0.1", common_name=common_name)
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    made.private_key_pem.write_to_path(key)
    made.cert_chain_pems[0].write_to_path(cert)
    return cert, key


@contextmanager
def server(folder: Path, *, client_ca: trustme.CA | None = None, plain: bool = False) -> Iterator[str]:
    """One with a certificate in `folder`; of clients too, when an authority of theirs is given."""
    cert, key = issued(folder)
    clients = folder / "clients.pem" if client_ca else None
    if client_ca and clients:
        client_ca.cert_pem.write_to_path(clients)
    AUTHORITY.cert_pem.write_to_path(folder / "ca.pem")
    OTHER.cert_pem.write_to_path(folder / "other.pem")
    certificates = None if plain else Certificates(ServerTls(cert=cert, key=key, client_ca=clients))
    app = create(sources(FakeSupervisor(ORDERS)), tuple, AccessPolicy(certificates=client_ca is not None))
    with serving(app, listen("127.0.0.1", 0), threading.Event(), certificates) as url:
        yield url


def ask(url: str, trust: Trust) -> str:
    """The first pipeline's name, as a command would get it."""
    with Client(Address(url, trust=trust)) as client:
        name: str = client.pipelines()["pipelines"][0]["name"]
        return name


def test_a_command_verifies_by_an_authority_or_by_the_certificate_itself(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        assert ask(url, Trust(ca=tmp_path / "ca.pem")) == "orders"
        assert ask(url, Trust(own=tmp_path / "server.pem")) == "orders"
        # Whatever it is called: only the server of this configuration has the key.
        assert ask(url.replace("127.0.0.1", "localhost"), Trust(own=tmp_path / "server.pem")) == "orders"


def test_what_is_wrong_is_said_in_words(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        other, _ = issued(tmp_path, "another")
        for asked, trust, said in (
            (url, Trust(ca=tmp_path / "other.pem"), "is not signed by an authority in"),
            (url, Trust(own=other), f"shows another certificate than {other}"),
            (url.replace("127.0.0.1", "localhost"), Trust(ca=tmp_path / "ca.pem"), "is for another name"),
            (url.replace("https", "http"), Trust(), "speaks TLS, and is spoken to in plain HTTP"),
        ):
            with pytest.raises(ForeignError, match=said):
                ask(asked, trust)


def test_tls_against_plain_is_said_in_words(tmp_path: Path) -> None:
    with (
        server(tmp_path, plain=True) as url,
        pytest.raises(ForeignError, match="speaks plain HTTP, and is spoken to in TLS"),
    ):
        ask(url.replace("http", "https"), Trust(ca=tmp_path / "ca.pem"))


def test_clients_need_a_certificate_where_an_authority_of_theirs_is_named(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    with server(tmp_path, client_ca=OTHER) as url:
        cert, key = issued(tmp_path, "alice", OTHER, common_name="alice")
        assert ask(url, Trust(ca=ca, cert=cert, key=key)) == "orders"
        without = ssl.create_default_context(cafile=ca)
        assert httpx.get(f"{url}/readyz", verify=without, trust_env=False).status_code == 200
        refused = httpx.get(f"{url}/v1/pipelines", verify=without, trust_env=False)
        assert refused.json()["error"]["message"] == "this ddpm wants a certificate of the client"
        cert, key = issued(tmp_path, "mallory")
        with pytest.raises(ForeignError, match=r"ended the handshake: it may not take the certificate in .*mallory"):
            ask(url, Trust(ca=ca, cert=cert, key=key))


def test_renewed_files_are_shown_and_broken_ones_are_not(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        issued(tmp_path, by=OTHER)
        assert ask(url, Trust(ca=tmp_path / "other.pem")) == "orders"
        (tmp_path / "server.pem").write_text("nothing of that kind")
        assert ask(url, Trust(ca=tmp_path / "other.pem")) == "orders"
        issued(tmp_path)
        assert ask(url, Trust(ca=tmp_path / "ca.pem")) == "orders"


def test_old_versions_of_tls_are_not_spoken(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        parts = urlsplit(url)
        with pytest.warns(DeprecationWarning):
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection((parts.hostname, parts.port)) as raw,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            context.wrap_socket(raw, server_hostname=parts.hostname)


def test_who_begins_no_handshake_is_closed_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr("ddpm.server.serve.most_connections", lambda: 4)
    with server(tmp_path) as url:
        parts = urlsplit(url)
        idle = [socket.create_connection((parts.hostname, parts.port), timeout=10) for _ in range(6)]
        try:
            assert ask(url, Trust(ca=tmp_path / "ca.pem")) == "orders"
            assert [each.recv(1) for each in idle[2:]] == [b""] * 4
        finally:
            for each in idle:
                each.close()


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        parts, context = urlsplit(url), ssl.create_default_context(cafile=tmp_path / "ca.pem")
        for _ in range(20):
            with (
                socket.create_connection((parts.hostname, parts.port)) as raw,
                context.wrap_socket(raw, server_hostname=parts.hostname) as secured,
            ):
                secured.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert secured.recv(12) == b"HTTP/1.1 200"


def test_a_certificate_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    cert, _ = issued(tmp_path)
    _, key = issued(tmp_path, "another")
    with pytest.raises(MissingToolError, match="of the HTTP server cannot be used: key values mismatch"):
        Certificates(ServerTls(cert=cert, key=key))


def test_half_of_a_client_certificate_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DDPM_CERT is set and DDPM_KEY is not"):
        Trust.of({"DDPM_CERT": str(tmp_path / "client.pem")})
    with pytest.raises(MissingToolError, match=r"ca.pem, which DDPM_CA names, cannot be used: No such file"):
        Trust.of({"DDPM_CA": str(tmp_path / "ca.pem")}).context()


def test_the_health_check_of_the_image_asks_in_tls_too(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "deployments" / "docker" / "Dockerfile").read_text()
    (found,) = re.findall(r"HEALTHCHECK.*\n *CMD (\[.*\])", text)
    _, *arguments = json.loads(found)

    def asks(url: str) -> int:
        env = {"DDPM_HEALTH_URL": f"{url}/livez"}
        return subprocess.run([sys.executable, *arguments], env=env, check=False, capture_output=True).returncode

    with server(tmp_path) as url:
        assert asks(url) == 0
        assert asks(url.replace("https", "http")) == 1
    with server(tmp_path, plain=True) as url:
        assert asks(url) == 0


def test_the_kernel_says_whose_connection_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as mine:
        assert local_user(*mine.getsockname()) == this_user()
        assert local_user("127.0.0.1", 1) is None
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        host, port = listener.getsockname()[:2]
        with socket.create_connection((host, port)) as mine:
            assert local_user(*mine.getsockname()[:2]) == this_user()
    assert local_user("192.0.2.1", 80) is None
    assert local_user("testclient", 50_000) is None
