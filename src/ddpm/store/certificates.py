"""Why a server's certificate is not trusted, found by a handshake without a login: libpq says only that it is not."""

import socket
import ssl
from collections.abc import Mapping

_SECONDS = 2.0
# What a client of Postgres sends to begin TLS, and what a server answers that is ready for it.
_REQUEST, _READY = b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"S"
# Codes of OpenSSL, X509_V_ERR_….
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_ANOTHER_NAME = (62, 64)


def untrusted(given: Mapping[str, str]) -> str | None:
    """What is wrong with the certificate of the first server that has a wrong one.

    Args:
        given: An address by libpq's keywords, as `ddpm.store.connection.parts` gives it.

    Returns:
        A sentence without a full stop; None where no certificate is wrong, or no server answers within two seconds.

    """
    for host, port in zip(given["host"].split(","), given["port"].split(","), strict=True):
        said = None if host.startswith("/") else _fault(host, int(port), given)
        if said is not None:
            return f"the certificate of {host}:{port} {said}"
    return None


def _fault(host: str, port: int, given: Mapping[str, str]) -> str | None:
    try:
        context = ssl.create_default_context(cafile=given.get("sslrootcert"))
        context.check_hostname = given.get("sslmode") == "verify-full"
        with socket.create_connection((host, port), timeout=_SECONDS) as plain:
            if given.get("sslnegotiation") == "direct":
                context.set_alpn_protocols(["postgresql"])
            else:
                plain.sendall(_REQUEST)
                if plain.recv(1) != _READY:
                    return None
            context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return _in_words(error)
    except OSError:
        return None
    return None


def _in_words(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "has expired"
    if code == _NOT_YET_VALID:
        return "is not valid yet"
    if code in _UNKNOWN_AUTHORITY:
        return "is signed by an authority that is not among those of sslrootcert"
    if code in _ANOTHER_NAME:
        return f"is for another host name ({error.verify_message})"
    return f"is not trusted: {error.verify_message}"
