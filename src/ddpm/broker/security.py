"""How kafka-python's clients reach secured brokers, and why brokers do not let a client in.

kafka-python shows every refusal as a time-out, so `refusal` has a look of its own: a connection, a handshake and an
authentication, each as the client would have them.
"""

import base64
import json
import os
import re
import socket
import ssl
import struct
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from kafka.net.sasl import get_sasl_mechanism, register_sasl_mechanism
from kafka.net.sasl.abc import SaslMechanism
from kafka.net.sasl.msk import AwsMskIamClient
from kafka.net.sasl.oauth import AbstractTokenProvider

from ddpm.config.model import Mechanism, OAuth, Sasl, Security, Tls
from ddpm.errors import ConfigError, ServiceError

_TOKEN_SECONDS = 5.0
_LARGEST_ANSWER = 1_000_000
# How long a broker is given to say that it does not take the certificate of a client; it says so after the handshake.
_SECOND_THOUGHTS = 0.3

_API_VERSIONS, _SASL_HANDSHAKE, _SASL_AUTHENTICATE = 18, 17, 36
# As franz-go recognises them, so that the engine signs for the same region.
_REGION = re.compile(r"[a-z]+(-[a-z0-9]+)+-\d+")
_UNSUPPORTED_MECHANISM, _ILLEGAL_STATE = 33, 34

# OpenSSL's codes of why a certificate is not believed.
_NOT_YET_VALID, _EXPIRED, _OTHER_NAMES = 9, 10, (62, 64)


class TokenError(ServiceError):
    """The token server gave no token."""


class Refusal(NamedTuple):
    """Why a broker does not let a client in, and the way out."""

    message: str
    hint: str


def client_options(security: Security) -> dict[str, Any]:
    """The options of kafka-python's clients.

    Raises:
        ConfigError: A file of `tls` cannot be used.

    """
    if security.plain:
        return {}
    tls, sasl = security.tls, security.sasl
    words = ("SASL_" if sasl else "", "SSL" if tls else "PLAINTEXT")
    found: dict[str, Any] = {"security_protocol": "".join(words)}
    if tls is not None:
        found["ssl_context"] = context(tls)
    if sasl is not None:
        found |= _sasl_options(sasl, tls)
    return found


def _sasl_options(sasl: Sasl, tls: Tls | None) -> dict[str, Any]:
    found: dict[str, Any] = {"sasl_mechanism": sasl.mechanism.value}
    if sasl.oauth is not None:
        found["sasl_oauth_token_provider"] = Tokens(sasl.oauth, tls)
    if sasl.username is not None and sasl.password is not None:
        scram = sasl.mechanism in (Mechanism.SCRAM_SHA_256, Mechanism.SCRAM_SHA_512)
        found["sasl_plain_username"] = _in_scram(sasl.username) if scram else sasl.username
        found["sasl_plain_password"] = sasl.password.revealed
    return found


def _in_scram(name: str) -> str:
    """A name as SCRAM's messages have it, whose fields are separated by commas."""
    return name.replace("=", "=3D").replace(",", "=2C")


class MskIam(SaslMechanism):
    """AWS_MSK_IAM with the keys that the configuration names; kafka-python's own takes those that botocore finds."""

    def __init__(self, *, host: str, sasl_plain_username: str, sasl_plain_password: str, **_: object) -> None:
        self._client = AwsMskIamClient(
            host=host, access_key=sasl_plain_username, secret_key=sasl_plain_password, region=region_of(host)
        )
        self._answered: bytes | None = None

    def auth_bytes(self) -> bytes:
        """The signed request."""
        signed: bytes = self._client.first_message()
        return signed

    def receive(self, auth_bytes: bytes) -> None:
        """Take what the broker answers."""
        self._answered = auth_bytes

    def is_done(self) -> bool:
        """One request is all."""
        return self._answered is not None

    def is_authenticated(self) -> bool:
        """An empty answer is a refusal."""
        return bool(self._answered)


register_sasl_mechanism(Mechanism.AWS_MSK_IAM.value, MskIam, overwrite=True)


def region_of(host: str) -> str:
    """The region in the name of a broker of MSK, or else the one that the environment names; raises ConfigError."""
    labels = host.lower().split(".") if "aws" in host.lower() else []
    region = next(filter(_REGION.fullmatch, reversed(labels)), None)
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        msg = f"the name of the broker {host} does not say which region of AWS it is in"
        raise ConfigError(msg, hint="set AWS_REGION in the environment of ddpm")
    return region


class _Context(ssl.SSLContext):
    """A context that compares certificates with one name, whatever host is connected to."""

    server_name: str | None = None

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:  # noqa: ANN401 -- as it is
        if self.server_name is not None:
            options["server_hostname"] = self.server_name
        return super().wrap_socket(sock, *args, **options)


def context(tls: Tls) -> ssl.SSLContext:
    """What a TLS client needs to know.

    Raises:
        ConfigError: A file cannot be read, or is not what it should be.

    """
    made = _Context(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.server_name = tls.server_name
    if not tls.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    try:
        if tls.ca is not None:
            made.load_verify_locations(tls.ca)
        elif tls.verify:
            made.load_default_certs()
    except (OSError, ValueError) as error:
        raise ConfigError(f"the certificates in {tls.ca} cannot be used: {_why(error)}") from error
    if tls.cert is not None:
        password = tls.key_password.revealed if tls.key_password else ""
        try:
            # With no password at all OpenSSL would ask for it on the terminal.
            made.load_cert_chain(tls.cert, tls.key, lambda: password)
        except (OSError, ValueError) as error:
            msg = f"the certificate {tls.cert} with the key {tls.key} cannot be used: {_why(error)}"
            raise ConfigError(msg) from error
    return made


class Tokens(AbstractTokenProvider):
    """Tokens of a server for OAUTHBEARER, each kept for the first half of its life. Any thread may ask."""

    def __init__(self, oauth: OAuth, tls: Tls | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._oauth = oauth
        self._tls = tls
        self._lock = threading.Lock()
        self._last = ""
        self._until = 0.0

    def token(self) -> str:
        """A token that a session can begin with; raises TokenError."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._last, seconds = self._asked()
                self._until = time.monotonic() + seconds / 2
            return self._last

    def _asked(self) -> tuple[str, float]:
        oauth = self._oauth
        form = {"grant_type": "client_credentials"} | ({"scope": " ".join(oauth.scopes)} if oauth.scopes else {})
        who = f"{urllib.parse.quote_plus(oauth.client_id)}:{urllib.parse.quote_plus(oauth.client_secret.revealed)}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(who.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(oauth.token_url, data, headers)  # noqa: S310 -- the model takes http and https
        try:
            with urllib.request.urlopen(request, timeout=_TOKEN_SECONDS, context=self._context()) as answer:  # noqa: S310
                said = json.loads(answer.read(_LARGEST_ANSWER))
        except urllib.error.HTTPError as error:
            raise self._failed(f"answers {error.code}{_oauth_error(error)}", error) from error
        except urllib.error.URLError as error:
            cause = error.reason
            why = _why(cause) if isinstance(cause, OSError) else str(cause)
            raise self._failed(f"cannot be reached: {why}", error) from error
        except OSError as error:
            raise self._failed(f"cannot be reached: {_why(error)}", error) from error
        except ValueError as error:
            raise self._failed("answers what is not JSON", error) from error
        token = said.get("access_token") if isinstance(said, dict) else None
        if not isinstance(token, str) or not token:
            raise self._failed("answers without an access_token", None)
        seconds = said.get("expires_in")
        return token, float(seconds) if isinstance(seconds, int | float) else 0.0

    def _context(self) -> ssl.SSLContext:
        made = ssl.create_default_context()
        if self._tls is not None and self._tls.ca is not None:
            made.load_verify_locations(self._tls.ca)
        return made

    def _failed(self, why: str, error: Exception | None) -> TokenError:
        refused = isinstance(error, urllib.error.HTTPError)
        hint = "check kafka.sasl.oauth" + (".client_id and client_secret" if refused else ".token_url")
        return TokenError(f"the token server {self._oauth.token_url} {why}", hint=hint)


def _oauth_error(error: urllib.error.HTTPError) -> str:
    """What OAuth calls the error (RFC 6749, 5.2); nothing else of an answer is shown."""
    with suppress(ValueError, OSError):
        said = json.loads(error.read(_LARGEST_ANSWER))
        if isinstance(said, dict) and isinstance(said.get("error"), str) and said["error"].isascii():
            return f" ({said['error'][:60]})"
    return ""


def refusal(address: str, security: Security, timeout: float) -> Refusal | None:
    """Why a broker does not let a client in; None where it does, cannot be reached, or does not say.

    Nothing is concluded from a connection that ends: a broker that dies, or a proxy before it, ends them as well.

    Args:
        address: Of the broker, `host:port`.
        security: How the client would reach it.
        timeout: Seconds that it may take.

    Raises:
        ConfigError: A file of `tls` cannot be used.

    """
    look = _Look(address, time.monotonic() + timeout)
    try:
        if security.tls is None:
            return look.in_plain_text(security)
        return look.in_tls(security, security.tls)
    except TokenError as error:
        return Refusal(error.message, error.hint or "")
    except (OSError, EOFError, struct.error, ValueError):
        return None


class _Look:
    """One look at one broker."""

    def __init__(self, address: str, deadline: float) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._who = f"the broker at {address}"
        self._deadline = deadline

    def in_plain_text(self, security: Security) -> Refusal | None:
        with self._connected() as sock:
            try:
                _ask(sock, _API_VERSIONS, 0, b"")
            except TimeoutError:
                raise
            except (OSError, EOFError, struct.error, ValueError):
                if not self._speaks_tls():
                    raise
                return Refusal(
                    f"{self._who} speaks TLS, and is spoken to in plain text",
                    "set kafka.tls: true, or kafka.tls.ca where its certificate is signed by a CA of your own",
                )
            return self._in_sasl(sock, security)

    def in_tls(self, security: Security, tls: Tls) -> Refusal | None:
        made = context(tls)
        with self._connected() as plain:
            try:
                sock = made.wrap_socket(plain, server_hostname=self._host)
            except ssl.SSLCertVerificationError as error:
                return self._not_believed(error, tls)
            except TimeoutError:
                raise
            except OSError as error:
                if (alert := _alert(error)) is not None:
                    return self._not_taken(alert, tls)
                if not self._speaks_plain_text():
                    raise
                return Refusal(
                    f"{self._who} speaks plain text, and kafka.tls is set",
                    "name the port of its TLS listener, or remove kafka.tls",
                )
            with sock:
                try:
                    self._await_second_thoughts(sock)
                    _ask(sock, _API_VERSIONS, 0, b"")
                except OSError as error:
                    if (alert := _alert(error)) is not None:
                        return self._not_taken(alert, tls)
                    raise
                return self._in_sasl(sock, security, tls)

    def _not_believed(self, error: ssl.SSLCertVerificationError, tls: Tls) -> Refusal:
        code = error.verify_code
        whose = f"the certificate of {self._who}"
        if code == _EXPIRED:
            return Refusal(f"{whose} has expired", "have it renewed on the broker")
        if code == _NOT_YET_VALID:
            return Refusal(f"{whose} is not valid yet", "check the clocks of this machine and of the broker's")
        if code in _OTHER_NAMES:
            name = tls.server_name or self._host
            return Refusal(
                f'{whose} is for other names than "{name}"',
                "name the broker as its certificate does, in kafka.brokers and in its advertised.listeners, or set "
                "kafka.tls.server_name",
            )
        by = f"by a CA in {tls.ca}" if tls.ca else "by a CA that the system trusts"
        why = error.verify_message
        return Refusal(f"{whose} is not signed {by} ({why})", "name the CA that signed it in kafka.tls.ca")

    def _not_taken(self, alert: str, tls: Tls) -> Refusal:
        if tls.cert is None:
            return Refusal(
                f"{self._who} wants a certificate of the client, and there is none ({alert})",
                "set kafka.tls.cert and kafka.tls.key",
            )
        return Refusal(
            f"{self._who} does not take the certificate {tls.cert} ({alert})",
            "see whether it has expired, and whether the broker's truststore has the CA that signed it",
        )

    def _await_second_thoughts(self, sock: ssl.SSLSocket) -> None:
        """Read the alert with which a broker refuses a certificate; what is sent meanwhile would drive it away."""
        sock.settimeout(min(_SECOND_THOUGHTS, self._left))
        with suppress(TimeoutError, ssl.SSLWantReadError):
            sock.recv(1)
        sock.settimeout(self._left)

    def _in_sasl(self, sock: socket.socket, security: Security, tls: Tls | None = None) -> Refusal | None:
        sasl = security.sasl
        # A listener without SASL answers so whatever mechanism is named.
        mechanism = sasl.mechanism.value if sasl else Mechanism.PLAIN.value
        answer = _ask(sock, _SASL_HANDSHAKE, 1, _text(mechanism))
        code, taken = _handshake(answer)
        if sasl is None:
            if code == _ILLEGAL_STATE:
                return None
            return Refusal(
                f"{self._who} wants to know who its clients are (SASL {', '.join(taken)})",
                "set kafka.sasl with mechanism, username and password",
            )
        if code == _ILLEGAL_STATE:
            return Refusal(
                f"{self._who} takes no SASL on this listener, and kafka.sasl is set",
                "name the port of its SASL listener, or remove kafka.sasl",
            )
        if code == _UNSUPPORTED_MECHANISM:
            return Refusal(
                f"{self._who} takes SASL {', '.join(taken)}, not {mechanism}", "correct kafka.sasl.mechanism"
            )
        return self._authenticated(sock, sasl, tls) if code == 0 else None

    def _authenticated(self, sock: socket.socket, sasl: Sasl, tls: Tls | None) -> Refusal | None:
        exchange = get_sasl_mechanism(sasl.mechanism.value)(**_sasl_options(sasl, tls), host=self._host)
        while not exchange.is_done():
            said = exchange.auth_bytes()
            answer = _ask(sock, _SASL_AUTHENTICATE, 0, struct.pack(">i", len(said)) + said)
            code, why, challenge = _authentication(answer)
            if code:
                return self._unknown(sasl, why)
            exchange.receive(challenge)
        return None

    def _unknown(self, sasl: Sasl, why: str) -> Refusal:
        said = f": {why}" if why else ""
        if sasl.oauth is not None:
            return Refusal(
                f"{self._who} does not take the token of {sasl.oauth.token_url}{said}",
                "compare its issuer, audience and scopes with what the broker expects",
            )
        return Refusal(
            f'{self._who} refuses the user "{sasl.username}" ({sasl.mechanism}){said}',
            "check kafka.sasl.username and kafka.sasl.password",
        )

    @property
    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _connected(self) -> socket.socket:
        return socket.create_connection((self._host, self._port), self._left)

    def _speaks_tls(self) -> bool:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        with self._connected() as plain:
            try:
                made.wrap_socket(plain, server_hostname=self._host).close()
            except OSError as error:
                return _alert(error) is not None
        return True

    def _speaks_plain_text(self) -> bool:
        with self._connected() as sock:
            try:
                _ask(sock, _API_VERSIONS, 0, b"")
            except (OSError, EOFError, struct.error, ValueError):
                return False
        return True


def _alert(error: OSError) -> str | None:
    """What the other side said in TLS before it ended the connection; None where it said nothing."""
    reason = getattr(error, "reason", None)
    if not isinstance(error, ssl.SSLError) or not isinstance(reason, str) or "ALERT" not in reason:
        return None
    return reason.partition("ALERT_")[2].lower().replace("_", " ")


def _ask(sock: socket.socket, key: int, version: int, body: bytes) -> bytes:
    """Send a request of Kafka's protocol and return the body of its answer. Raises ValueError for what is none."""
    client = b"ddpm"
    number = key
    head = struct.pack(">hhih", key, version, number, len(client)) + client
    sock.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
    size, echoed = struct.unpack(">ii", _exactly(sock, 8))
    if echoed != number or not 4 <= size <= _LARGEST_ANSWER:  # noqa: PLR2004 -- the number itself
        msg = "not an answer of Kafka's"
        raise ValueError(msg)
    return _exactly(sock, size - 4)


def _exactly(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = sock.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text.encode())) + text.encode()


def _handshake(answer: bytes) -> tuple[int, list[str]]:
    code, count = struct.unpack_from(">hi", answer)
    at, found = 6, []
    for _ in range(count):
        (size,) = struct.unpack_from(">h", answer, at)
        found.append(answer[at + 2 : at + 2 + size].decode())
        at += 2 + size
    return code, found


def _authentication(answer: bytes) -> tuple[int, str, bytes]:
    code, size = struct.unpack_from(">hh", answer)
    at = 4 + max(size, 0)
    (length,) = struct.unpack_from(">i", answer, at)
    return code, answer[4:at].decode(errors="replace"), answer[at + 4 : at + 4 + max(length, 0)]


def _why(error: OSError | ValueError) -> str:
    """Why a file or a server is of no use, without the numbers of OpenSSL and the system."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def only_security(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of kafka-python's options that say how brokers are reached."""
    return {name: value for name, value in options.items() if name.startswith(("security_", "ssl_", "sasl_"))}
