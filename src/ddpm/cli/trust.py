"""Whether a ddpm that answers in TLS is the one that is meant, and in words why a connection did not come about."""

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ddpm.errors import ConfigError, MissingToolError

CA_VARIABLE = "DDPM_CA"
CERT_VARIABLE, KEY_VARIABLE, KEY_PASSWORD_VARIABLE = "DDPM_CERT", "DDPM_KEY", "DDPM_KEY_PASSWORD"

_PROBE_SECONDS = 2.0
_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# Codes of OpenSSL, X509_V_ERR_….
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_ANOTHER_NAME = (62, 64)


@dataclass(frozen=True, slots=True)
class Trust:
    """What a certificate is compared with, and the client's own.

    Attributes:
        ca: Certificates of authorities, instead of those that the system trusts.
        own: The certificate that the server has by its configuration: it alone is trusted, under any name.
        cert: The client's certificate.
        key: Its private key.
        key_password: What that is encrypted with.

    """

    ca: Path | None = None
    own: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_password: str = ""

    @classmethod
    def of(cls, env: Mapping[str, str], own: Path | None = None) -> "Trust":
        """What the environment says; without an authority there the server's own certificate.

        Raises:
            ConfigError: A certificate has no key, or a key no certificate.

        """
        ca, cert, key = (_path(env, name) for name in (CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE))
        if (cert is None) != (key is None):
            given, missing = (CERT_VARIABLE, KEY_VARIABLE) if key is None else (KEY_VARIABLE, CERT_VARIABLE)
            raise ConfigError(f"{given} is set and {missing} is not", hint="a certificate and its key belong together")
        return cls(ca, own if ca is None else None, cert, key, env.get(KEY_PASSWORD_VARIABLE, ""))

    @property
    def usual(self) -> bool:
        """Whether it is what any client does."""
        return self == Trust()

    def context(self) -> ssl.SSLContext:
        """What connections are made with.

        Raises:
            MissingToolError: A file cannot be used.

        """
        file, name = self.ca, CA_VARIABLE
        try:
            if self.own is not None:
                file, name = self.own, "app.server.tls.cert of the configuration"
                context = _pinned(self.own)
            else:
                context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                file, name = self.cert, f"{CERT_VARIABLE}, with the key of {KEY_VARIABLE}"
                context.load_cert_chain(self.cert, self.key, password=lambda: self.key_password)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
            msg = f"the certificate in {file}, which {name} names, cannot be used: {why or 'it is no PEM that fits'}"
            raise MissingToolError(msg, hint=f"correct {name}") from error
        return context


def _path(env: Mapping[str, str], name: str) -> Path | None:
    named = env.get(name, "").strip()
    return Path(named) if named else None


def _pinned(certificate: Path) -> ssl.SSLContext:
    """Trust one certificate alone: who has its key is the server that is meant, whatever it is called by."""
    first = _FIRST.search(certificate.read_text(encoding="utf-8", errors="replace"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # Without it an authority would be needed, and whatever that signs would be trusted.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=first.group() if first else "")
    return context


def why_not(url: str, trust: Trust, error: BaseException) -> tuple[str, str] | None:
    """What is wrong about TLS, and the way out; None where it is something else.

    Args:
        url: What was asked.
        trust: What was trusted.
        error: What the client of HTTP said.

    """
    refused = next((each for each in _chain(error) if isinstance(each, ssl.SSLError)), None)
    if isinstance(refused, ssl.SSLCertVerificationError):
        return _untrusted(url, trust, refused)
    if refused is not None and refused.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return f"{url} speaks plain HTTP, and is spoken to in TLS", f"write {_with_scheme(url, 'http')}"
    if url.lower().startswith("http:") and _speaks_tls(url):
        return f"{url} speaks TLS, and is spoken to in plain HTTP", f"write {_with_scheme(url, 'https')}"
    if trust.cert is not None and url.lower().startswith("https:") and not _refused_connection(error):
        msg = f"{url} ended the handshake: it may not take the certificate in {trust.cert}"
        return msg, f"{CERT_VARIABLE} names a certificate that an authority of app.server.tls.client_ca signed"
    return None


def _untrusted(url: str, trust: Trust, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    by = trust.ca or trust.own
    code = error.verify_code
    if code == _EXPIRED:
        return f"the certificate of {url} has expired", "have it renewed; ddpm takes up the new files by itself"
    if code == _NOT_YET_VALID:
        return f"the certificate of {url} is not valid yet", "check this machine's clock"
    if code in _ANOTHER_NAME:
        message = f"the certificate of {url} is for another name: {error.verify_message.rstrip('.')}"
        return message, "call it by a name in its certificate: --url or DDPM_URL"
    if trust.own is not None and code in _UNKNOWN_AUTHORITY:
        return f"{url} shows another certificate than {by}", "is it the ddpm of this configuration?"
    if code in _UNKNOWN_AUTHORITY:
        whom = f"in {by}" if by else "that this system trusts"
        hint = f"name the file of the one that signed it in {CA_VARIABLE}"
        return f"the certificate of {url} is not signed by an authority {whom}", hint
    return f"the certificate of {url} is not trusted: {error.verify_message}", f"{CA_VARIABLE} names who is trusted"


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _refused_connection(error: BaseException) -> bool:
    return any(isinstance(each, ConnectionRefusedError | socket.gaierror) for each in _chain(error))


def _speaks_tls(url: str) -> bool:
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent there: it is asked only whether it answers.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_PROBE_SECONDS) as plain:
            context.wrap_socket(plain, server_hostname=parts.hostname).close()
    except (OSError, ValueError):
        return False
    return True


def _with_scheme(url: str, scheme: str) -> str:
    return f"{scheme}:{url.partition(':')[2]}"
