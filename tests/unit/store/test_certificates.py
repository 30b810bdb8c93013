"""What is said of a certificate that is not trusted, by a server that gets as far as the handshake."""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from ddpm.store.certificates import untrusted

TRUSTED, OTHER = trustme.CA(), trustme.CA()
LATER = datetime.now(UTC) + timedelta(days=2)
DAY = timedelta(days=1)


@contextmanager
def server(issued: trustme.LeafCert | None) -> Iterator[int]:
    """The port of a server that answers a request for TLS as Postgres does; without a certificate it refuses."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            assert self.request.recv(8)[4:] == b"\x04\xd2\x16\x2f"
            self.request.sendall(b"N" if issued is None else b"S")
            if issued is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                issued.configure_cert(context)
                try:
                    context.wrap_socket(self.request, server_side=True).close()
                except OSError as error:
                    print(f"as wanted: {error}")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,)).start()
        yield listening.server_address[1]
        listening.shutdown()


@pytest.mark.parametrize(
    ("issued", "mode", "says"),
    [
        (TRUSTED.issue_cert("localhost"), "verify-full", None),
        (
            OTHER.issue_cert("localhost"),
            "verify-full",
            "is signed by an authority that is not among those of sslrootcert",
        ),
        (
            OTHER.issue_cert("localhost"),
            "verify-ca",
            "is signed by an authority that is not among those of sslrootcert",
        ),
        (TRUSTED.issue_cert("elsewhere"), "verify-full", "is for another host name (Hostname mismatch, "),
        (TRUSTED.issue_cert("elsewhere"), "verify-ca", None),
        (TRUSTED.issue_cert("localhost", not_after=LATER - 3 * DAY), "verify-full", "has expired"),
        (TRUSTED.issue_cert("localhost", not_before=LATER - DAY, not_after=LATER), "verify-ca", "is not valid yet"),
        (None, "verify-full", None),
    ],
)
def test_what_is_wrong(tmp_path: Path, issued: trustme.LeafCert | None, mode: str, says: str | None) -> None:
    roots = tmp_path / "roots.pem"
    TRUSTED.cert_pem.write_to_path(roots)
    with server(issued) as port:
        given = {"host": "/run/pg,localhost", "port": f"5432,{port}", "sslmode": mode, "sslrootcert": str(roots)}
        said = untrusted(given)
    assert said == says if says is None else f"the certificate of localhost:{port} {says}" in (said or "")


def test_nobody_who_answers_has_no_wrong_certificate(tmp_path: Path) -> None:
    given = {"host": "127.0.0.1", "port": "1", "sslmode": "verify-full", "sslrootcert": str(tmp_path / "nothing")}
    assert untrusted(given) is None
