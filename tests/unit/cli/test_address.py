"""Which ddpm a command talks to, and with which token."""

from pathlib import Path

import pytest
import trustme
import yaml

from ddpm.cli.address import DEFAULT_URL, resolve
from ddpm.cli.sources import Given
from ddpm.cli.trust import Trust
from ddpm.errors import ConfigError, DdpmError, ExitCode

TOKEN = "a-token-of-some-length"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path, host="127.0.0.1", port=4567, token=TOKEN)


def written(folder: Path, **server: object) -> Path:
    path = folder / "app-config.yaml"
    app = {
        "kafka": {"brokers": ["localhost:9092"], "topics": ["t"], "consumer_group": "g"},
        "sinks": ["stdout"],
        "server": server,
    }
    path.write_text(yaml.safe_dump({"app": app}))
    return path


def test_without_anything_it_is_the_default() -> None:
    address = resolve(None, None, None, {})
    assert (address.url, address.token) == (DEFAULT_URL, None)


def test_the_configuration_says_where_and_with_what(config: Path) -> None:
    for option, env in ((Given(config), {}), (None, {"CONFIG_PATH": str(config)})):
        address = resolve(None, None, option, env)
        assert (address.url, address.token) == ("http://127.0.0.1:4567", TOKEN)


def test_a_url_wins_over_the_configuration_which_still_gives_the_token(config: Path) -> None:
    address = resolve("http://other:1/", None, Given(config), {})
    assert (address.url, address.token) == ("http://other:1", TOKEN)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:4567"),  # noqa: S104 -- nothing is bound
        ("::", "http://[::1]:4567"),
        ("::1", "http://[::1]:4567"),
        ("10.1.2.3", "http://10.1.2.3:4567"),
        ("ddpm.internal", "http://ddpm.internal:4567"),
    ],
)
def test_a_bound_address_becomes_one_to_call(host: str, url: str, tmp_path: Path) -> None:
    path = written(tmp_path, host=host, port=4567, token=TOKEN)
    assert resolve(None, None, Given(path), {}).url == url


def test_a_port_that_only_the_running_ddpm_knows_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, port=0)
    with pytest.raises(ConfigError, match="--url"):
        resolve(None, None, Given(path), {})
    assert resolve("http://127.0.0.1:1", None, Given(path), {}).url == "http://127.0.0.1:1"


def test_a_token_comes_from_its_file_before_the_environment_before_the_configuration(
    config: Path, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    env = {"DDPM_TOKEN": "from-the-environment"}
    assert resolve(None, file, Given(config), env).token == "from-the-file"
    assert resolve(None, None, Given(config), env).token == "from-the-environment"
    assert resolve(None, None, Given(config), {}).token == TOKEN
    assert TOKEN not in repr(resolve(None, None, Given(config), {}))


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", "tok\u00e9n".encode(), b"\xff\xfe"])
def test_a_file_that_holds_no_token_is_refused_without_showing_it(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(DdpmError) as refused:
        resolve(None, file, None, {})
    assert str(file) in str(refused.value)
    assert "lines" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:4195", "ftp://host", "http://", "http://host:0", "http://host:99999", "http://h/?a=b", "http://["],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not the URL of a ddpm"):
        resolve(url, None, None, {})


@pytest.mark.parametrize("url", ["http://me:hunter2@host:1", "http://me:hunter2@[", "me:hunter2@host"])
def test_a_password_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        resolve(url, None, None, {})
    assert "hunter2" not in str(refused.value)


def test_a_configuration_that_cannot_be_read_names_the_way_around_it(tmp_path: Path) -> None:
    path = tmp_path / "app-config.yaml"
    path.write_text("app: {kafka: {brokers: ['${UNSET_HERE}']}}")
    with pytest.raises(ConfigError, match=r"UNSET_HERE[^$]*--url") as refused:
        resolve(None, None, Given(path), {})
    assert refused.value.exit_code is ExitCode.CONFIG
    # Named by the environment only, it may belong to another ddpm.
    assert resolve("http://host:1", None, None, {"CONFIG_PATH": str(path)}).token is None
    with pytest.raises(ConfigError):
        resolve("http://host:1", None, Given(path), {})


def test_a_configuration_with_tls_is_asked_over_https_and_its_certificate_is_trusted(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("ddpm.example.org")
    issued.private_key_pem.write_to_path(tmp_path / "server.key")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    tls = {"cert": str(tmp_path / "server.pem"), "key": str(tmp_path / "server.key")}
    path = written(tmp_path, port=4567, tls=tls)
    address = resolve(None, None, Given(path), {})
    assert (address.url, address.trust.own) == ("https://127.0.0.1:4567", tmp_path / "server.pem")
    assert resolve(None, None, Given(path), {"DDPM_CA": "ca.pem"}).trust == Trust(ca=Path("ca.pem"))
    assert resolve("https://other:1", None, Given(path), {}).trust.usual


def test_of_several_tokens_the_one_that_may_do_most_is_sent(tmp_path: Path) -> None:
    tokens = [{"name": role, "role": role, "token": f"token-of-{role}-0123"} for role in ("read", "admin", "operate")]
    address = resolve(None, None, Given(written(tmp_path, tokens=tokens)), {})
    assert (address.token, '"admin"' in address.token_from) == ("token-of-admin-0123", True)
