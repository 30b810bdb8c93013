"""The files that `tls` names: whether they are there, are what they should be, and fit each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from ddpm.config import tree
from ddpm.config.model import Pipeline, ServerTls, Sink, Tls
from ddpm.config.paths import existing_file, unfit
from ddpm.config.problems import Finding
from ddpm.config.tree import Scalar, text_at

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

_T = TypeVar("_T", Tls, ServerTls)

_LARGEST = 4_194_304
_JKS = b"\xfe\xed\xfe\xed"
# An ASN.1 sequence: PKCS12, or a certificate in DER.
_BINARY = b"\x30"
_OLD_ENCRYPTION = b"Proc-Type: 4,ENCRYPTED"


@dataclass(frozen=True, slots=True)
class _Given:
    """A file that is there, with what it holds."""

    named: Scalar
    content: bytes

    def finding(self, message: str, hint: str | None = None) -> Finding:
        return Finding("invalid-file", self.named.at, self.named.path, f"{self.named.text} {message}", hint)


def has_tls(kind: type[Sink]) -> bool:
    """Whether a kind of sinks has brokers of its own that may be spoken to in TLS."""
    field = kind.model_fields.get("tls")
    return field is not None and Tls in get_args(field.annotation)


def certificate_findings(
    node: tree.Mapping, folders: Sequence[Path], kind: type[Tls | ServerTls] = Tls
) -> Iterator[Finding]:
    """What is wrong with the files of one `tls`.

    Args:
        node: The keys below `tls`.
        folders: Where relative paths are looked up.
        kind: Whose it is: that of a client, or of ddpm's own server.

    """
    given: dict[str, _Given] = {}
    for name in kind.files:
        named = text_at(node, name)
        if named is None or named.value == "" or unfit(Path(str(named.value))):
            continue  # the model says so
        found = _read(named, folders)
        if isinstance(found, Finding):
            yield found
        else:
            given[name] = found
    password = text_at(node, "key_password")
    yield from _in_them(given, str(password.value) if password is not None else None)


def _read(named: Scalar, folders: Sequence[Path]) -> _Given | Finding:
    path = existing_file(Path(str(named.value)), folders)
    if path is None:
        looked = f"looked in {' and '.join(map(str, folders))}"
        return Finding("file-missing", named.at, named.path, f"the file {named.text} does not exist", looked)
    try:
        with path.open("rb") as file:
            return _Given(named, file.read(_LARGEST))
    except OSError as error:
        why = error.strerror or type(error).__name__
        return Finding("file-unreadable", named.at, named.path, f"the file {named.text} cannot be read", why)


def _in_them(given: Mapping[str, _Given], password: str | None) -> Iterator[Finding]:
    now = datetime.now(UTC)
    for name, signed in (("ca", "the brokers'"), ("client_ca", "the clients'")):
        if (ca := given.get(name)) is None:
            continue
        all_ = _certificates(ca)
        if isinstance(all_, Finding):
            yield all_
        elif all(each.not_valid_after_utc < now for each in all_):
            ended = max(each.not_valid_after_utc for each in all_)
            yield ca.finding(f"expired on {ended:%Y-%m-%d}", f"name the CA that signs {signed} certificates now")
    own: Certificate | None = None
    if (cert := given.get("cert")) is not None:
        chain = _certificates(cert)
        if isinstance(chain, Finding):
            yield chain
        else:
            own = chain[0]
            if own.not_valid_after_utc < now:
                ended = own.not_valid_after_utc
                yield cert.finding(f"expired on {ended:%Y-%m-%d}", "have a new certificate issued")
            elif own.not_valid_before_utc > now:
                begins = own.not_valid_before_utc
                yield cert.finding(f"is not valid before {begins:%Y-%m-%d %H:%M} UTC", "check this machine's clock")
    if (named := given.get("key")) is not None:
        key = _key(named, password)
        if isinstance(key, Finding):
            yield key
        elif own is not None and own.public_key() != key.public_key():
            yield named.finding(
                f"is not the key of the certificate {given['cert'].named.text}",
                "the two belong together as they were issued; the certificate comes first in its file",
            )


def _certificates(given: _Given) -> "list[Certificate] | Finding":
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(given.content)
    except ValueError:
        return given.finding("holds no certificate in PEM", _other_form(given.content))


def _other_form(content: bytes) -> str:
    if content.startswith(_JKS):
        return "it is a Java keystore: keytool -exportcert -rfc -keystore FILE -alias ALIAS writes a certificate as PEM"
    if content.startswith(_BINARY):
        return (
            "it is binary: openssl pkcs12 -in FILE -nodes writes what is in a PKCS12 file as PEM, "
            "openssl x509 -inform der -in FILE a single certificate"
        )
    return "it begins with -----BEGIN CERTIFICATE-----"


def _key(given: _Given, password: str | None) -> "PrivateKeyTypes | Finding":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PRIVATE KEY-----" not in given.content:
        return given.finding("holds no private key in PEM", "it begins with -----BEGIN PRIVATE KEY-----")
    if _OLD_ENCRYPTION in given.content:
        hint = "write it again as PKCS8: openssl pkcs8 -topk8 -in FILE -out NEW"
        return given.finding("is encrypted in the old form of OpenSSL", hint)
    encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in given.content
    if encrypted and password is None:
        return given.finding("is encrypted", "give its password: key_password: ${NAME}")
    try:
        return load_pem_private_key(given.content, password.encode() if encrypted and password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            return given.finding("cannot be decrypted", "check key_password")
        return given.finding("holds a private key that cannot be read", "write it again as PKCS8: openssl pkcs8 -topk8")


def with_absolute_certificates(pipeline: Pipeline, folders: Sequence[Path]) -> Pipeline:
    """The same pipeline, in which the files of every `tls` are named absolutely."""

    def absolute(tls: _T) -> _T:
        paths = {name: getattr(tls, name) for name in tls.files}
        found = {name: existing_file(path, folders) or path for name, path in paths.items() if path is not None}
        return tls.model_copy(update=found)

    def in_sink(sink: Sink) -> Sink:
        tls = getattr(sink, "tls", None)
        return sink.model_copy(update={"tls": absolute(tls)}) if isinstance(tls, Tls) else sink

    if pipeline.kafka.tls is not None:
        kafka = pipeline.kafka.model_copy(update={"tls": absolute(pipeline.kafka.tls)})
        pipeline = pipeline.model_copy(update={"kafka": kafka})
    if pipeline.server.tls is not None:
        server = pipeline.server.model_copy(update={"tls": absolute(pipeline.server.tls)})
        pipeline = pipeline.model_copy(update={"server": server})
    return pipeline.with_sinks(in_sink)
