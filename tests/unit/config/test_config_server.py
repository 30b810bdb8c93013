"""`app.server.tls` and `app.server.tokens`: what is right, and what is wrong with the rest."""

from pathlib import Path

import pytest
import trustme

from ddpm.config.model import Role
from unit.config.folder import MINIMAL, Folder

TOKENS = """
  server:
    tokens:
      - {name: grafana, role: READ, token: "${file:grafana}"}
      - {name: alice@example.org, role: admin, token: "${ALICE}"}
"""
SECRETS = {"ALICE": "token-of-alice-0123"}


def certificates(folder: Path) -> None:
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "server.key")
    issued.cert_chain_pems[0].write_to_path(folder / "server.pem")


def test_tokens_have_a_name_and_a_role_and_are_masked(folder: Folder) -> None:
    folder.write("token-of-grafana-0123", "grafana")
    config = folder.load(MINIMAL + TOKENS, SECRETS).config
    first, second = config.server.tokens
    assert (first.name, first.role, first.token.revealed) == ("grafana", Role.READ, "token-of-grafana-0123")
    assert second.role.covers(Role.OPERATE)
    assert {"token-of-grafana-0123", "token-of-alice-0123"} <= set(config.secrets)
    assert "token-of" not in repr(config)
    assert [path.name for path in config.secret_files] == ["grafana"], "it is watched"
    moved = config.served_at("0.0.0.0", "token-of-the-container").server  # noqa: S104 -- nothing is bound
    assert (moved.tokens, moved.token and moved.token.revealed) == (config.server.tokens, "token-of-the-container")


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (
            "{name: a, role: read, token: 0123456789abcdef}, {name: a, role: read, token: 0123456789abcdeg}",
            "are called",
        ),
        (
            "{name: a, role: read, token: 0123456789abcdef}, {name: b, role: read, token: 0123456789abcdef}",
            "another one",
        ),
        ("{name: a, role: write, token: 0123456789abcdef}", "admin"),
        ("{name: a, role: read, token: short}", "must have at least 16 characters"),
        ("{name: 'a b', role: read, token: 0123456789abcdef}", "is not the name of a token"),
        ("{name: a, token: 0123456789abcdef}", "role"),
    ],
)
def test_what_is_wrong_with_a_token_is_said_and_the_token_is_not(tokens: str, said: str, folder: Folder) -> None:
    problems = folder.errors(f"{MINIMAL}  server: {{tokens: [{tokens}]}}\n")
    text = "\n".join(map(str, problems))
    assert said in text
    assert "0123456789abcde" not in text


def test_the_files_of_tls_are_looked_at_and_named_absolutely(folder: Folder) -> None:
    tls = "  server: {tls: {cert: server.pem, key: server.key}}\n"
    assert [problem.code for problem in folder.errors(MINIMAL + tls)] == ["file-missing", "file-missing"]
    certificates(folder.path)
    server = folder.load(MINIMAL + tls).config.server
    assert server.tls is not None
    assert (server.tls.cert, server.tls.key) == (folder.path / "server.pem", folder.path / "server.key")
    kept = (folder.path / "server.pem").read_bytes()
    certificates(folder.path)
    (folder.path / "server.pem").write_bytes(kept)
    (problem,) = folder.errors(MINIMAL + tls)
    assert "is not the key of the certificate" in problem.message


def test_tls_false_is_none(folder: Folder) -> None:
    assert folder.load(f"{MINIMAL}  server: {{tls: false}}\n").config.server.tls is None
