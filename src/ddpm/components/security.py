"""How brokers are spoken to, as an engine is given it: JSON in a variable of its environment, which components name.

No file of ddpm's has it: passwords would stand there. The engine reads the certificates itself, each time it connects.
"""

import json

from ddpm.component import Component
from ddpm.config.model import OAuth, Sasl, Secret, Security, Tls
from ddpm.contract import Env, OAuthField, SaslField, SecurityField, TlsField


def names_security(security: Security, variable: str = Env.KAFKA_SECURITY) -> Component:
    """The field of a component that connects to brokers; none where it does so in plain text.

    Args:
        security: How they are spoken to.
        variable: The variable that `handed_over` fills.

    """
    return {} if security.plain else {"security_env": variable}


def handed_over(security: Security, variable: str = Env.KAFKA_SECURITY) -> dict[str, str]:
    """The variable for an engine whose components name it; none where they connect in plain text."""
    if security.plain:
        return {}
    found: dict[str, object] = {}
    if security.tls is not None:
        found[SecurityField.TLS] = _tls(security.tls)
    if security.sasl is not None:
        found[SecurityField.SASL] = _sasl(security.sasl)
    return {variable: json.dumps(found)}


def _tls(tls: Tls) -> dict[str, object]:
    return {
        TlsField.CA: str(tls.ca or ""),
        TlsField.CERT: str(tls.cert or ""),
        TlsField.KEY: str(tls.key or ""),
        TlsField.KEY_PASSWORD: _revealed(tls.key_password),
        TlsField.SERVER_NAME: tls.server_name or "",
        TlsField.VERIFY: tls.verify,
    }


def _sasl(sasl: Sasl) -> dict[str, object]:
    return {
        SaslField.MECHANISM: sasl.mechanism.value,
        SaslField.USERNAME: sasl.username or "",
        SaslField.PASSWORD: _revealed(sasl.password),
        SaslField.OAUTH: None if sasl.oauth is None else _oauth(sasl.oauth),
    }


def _oauth(oauth: OAuth) -> dict[str, object]:
    return {
        OAuthField.TOKEN_URL: oauth.token_url,
        OAuthField.CLIENT_ID: oauth.client_id,
        OAuthField.CLIENT_SECRET: _revealed(oauth.client_secret),
        OAuthField.SCOPES: list(oauth.scopes),
    }


def _revealed(secret: Secret | None) -> str:
    return secret.revealed if secret is not None else ""
