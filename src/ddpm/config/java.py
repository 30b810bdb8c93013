"""Settings of Kafka's Java client and of librdkafka, as people paste them: what ddpm's own keys for them are."""

import re

_PROPERTY = re.compile(r"(?m)^[ \t]*(?:-[ \t]+)?(?P<name>[a-z][a-z0-9]*(?:\.[a-z0-9]+)+)[ \t]*=[ \t]*(?P<value>.*)$")
_IN_JAAS = re.compile(r"\busername\s*=\s*[\"']?(?P<name>[^\"';\s]+)")

_NAMES_ARE_COMPARED = "names of certificates are compared anyway; omit it"
_OTHER_NAME = "write tls: { server_name: NAME } with a name that the certificate has, or verify: false"
_SASL = "sasl: { mechanism: …, username: …, password: ${KAFKA_PASSWORD} }"
_KERBEROS = (
    "ddpm does not speak Kerberos (GSSAPI); PLAIN, SCRAM, OAUTHBEARER, AWS_MSK_IAM and client certificates it does"
)
_OAUTH = "sasl: { mechanism: OAUTHBEARER, oauth: { token_url: …, client_id: …, client_secret: ${CLIENT_SECRET} } }"
_KEYS_OF_AWS = "username: ${AWS_ACCESS_KEY_ID}, password: ${AWS_SECRET_ACCESS_KEY}"
_MSK = f"tls: true, and sasl: {{ mechanism: AWS_MSK_IAM, {_KEYS_OF_AWS} }}"
_PROTOCOLS = {
    "PLAINTEXT": "plain text is what there is without tls and sasl; omit it",
    "SSL": "write tls: true, or tls: { ca: ca.pem }",
    "SASL_PLAINTEXT": f"write {_SASL}",
    "SASL_SSL": f"write tls: true, or tls: {{ ca: ca.pem }}, and {_SASL}",
}
_PEM = "in PEM; from a Java keystore: keytool -exportcert -rfc -keystore FILE -alias ALIAS"
_PEM_KEY = "both in PEM; from PKCS12: openssl pkcs12 -in FILE -nodes"
_ALIKE = {
    "bootstrap.servers": "write brokers: [host:port]",
    "metadata.broker.list": "write brokers: [host:port]",
    "group.id": "write consumer_group",
    "auto.offset.reset": "write start_from: earliest, or latest",
    "isolation.level": "write isolation_level",
    "sasl.username": f"write {_SASL}",
    "sasl.password": f"write {_SASL}",
    "ssl.truststore.location": f"write tls: {{ ca: ca.pem }}, {_PEM}",
    "ssl.truststore.certificates": "write the certificates into a file: tls: { ca: ca.pem }",
    "ssl.ca.location": "write tls: { ca: ca.pem }",
    "ssl.ca.pem": "write the certificates into a file: tls: { ca: ca.pem }",
    "ssl.truststore.password": "a file in PEM needs none; omit it",
    "ssl.truststore.type": "tls takes PEM; omit it",
    "ssl.keystore.type": "tls takes PEM; omit it",
    "ssl.keystore.location": f"write tls: {{ cert: client.pem, key: client.key }}, {_PEM_KEY}",
    "ssl.keystore.certificate.chain": "write it into a file: tls: { cert: client.pem, key: client.key }",
    "ssl.keystore.key": "write it into a file: tls: { cert: client.pem, key: client.key }",
    "ssl.certificate.location": "write tls: { cert: client.pem, key: client.key }",
    "ssl.key.location": "write tls: { cert: client.pem, key: client.key }",
    "ssl.keystore.password": "write tls: { key_password: ${NAME} } where the key in PEM is encrypted; else omit it",
    "ssl.key.password": "write tls: { key_password: ${NAME} }",
    "enable.ssl.certificate.verification": "write tls: { verify: false }",
    "sasl.oauthbearer.token.endpoint.url": f"write {_OAUTH}",
    "sasl.oauthbearer.client.id": f"write {_OAUTH}",
    "sasl.oauthbearer.client.secret": f"write {_OAUTH}",
    "sasl.oauthbearer.scope": "write sasl: { oauth: { scopes: […] } }",
}


def equivalent(name: str, value: str) -> str | None:
    """What to write below `kafka` in place of a setting of another client; None for what is none of theirs.

    Args:
        name: Its name, such as `security.protocol`.
        value: Its value; nothing of it but the name of a user is shown.

    """
    found = _ALIKE.get(name) or _by_value(name, value.strip().strip("\"'"))
    return None if found is None else f"a setting of another Kafka client; below kafka: {found}"


def _by_value(name: str, value: str) -> str | None:
    # In a text of several lines the next setting may follow.
    word = (value.split() or [""])[0].upper()
    found: str | None = None
    match name:
        case "security.protocol":
            found = _PROTOCOLS.get(word, f"write tls and sasl; {_SASL}")
        case "sasl.mechanism" | "sasl.mechanisms":
            found = _mechanism(word)
        case "sasl.jaas.config":
            found = _jaas(value)
        case "ssl.endpoint.identification.algorithm":
            found = _NAMES_ARE_COMPARED if value else _OTHER_NAME
        case "sasl.login.callback.handler.class" | "sasl.client.callback.handler.class":
            found = f"write {_MSK if 'IAM' in value else _OAUTH}"
        case _ if name.startswith("sasl.kerberos."):
            found = _KERBEROS
        case _ if name.startswith(("ssl.", "sasl.")):
            found = "tls and sasl need no such thing; omit it"
    return found


def _mechanism(value: str) -> str:
    if value == "GSSAPI":
        return _KERBEROS
    if value == "OAUTHBEARER":
        return f"write {_OAUTH}"
    if value == "AWS_MSK_IAM":
        return f"write {_MSK}"
    return f"write {_SASL.replace('…', value, 1) if value in _KNOWN else _SASL}"


_KNOWN = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def _jaas(value: str) -> str:
    if "IAMLoginModule" in value:
        return f"write {_MSK}"
    if "OAuthBearer" in value:
        return f"write {_OAUTH}"
    if "Krb5" in value:
        return _KERBEROS
    mechanism = "PLAIN" if "PlainLoginModule" in value else "SCRAM-SHA-512" if "ScramLoginModule" in value else "…"
    user = _IN_JAAS.search(value)
    return f"write {_SASL.replace('…', mechanism, 1).replace('…', user['name'] if user else '…', 1)}"


def pasted(text: str) -> tuple[int, str] | None:
    """The place of the first line `name=value` of another client's properties, and what to write in its place."""
    for match in _PROPERTY.finditer(text):
        if found := equivalent(match["name"], match["value"]):
            return match.start("name"), found
    return None
