"""Options of kafka-python's clients, what is signed for AWS, and that a connection that ends says nothing."""

import datetime
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from kafka.net.sasl import get_sasl_mechanism

from ddpm.broker.rights import Operation, grant, principal
from ddpm.broker.security import client_options, refusal, region_of
from ddpm.config.model import Cluster, Security
from ddpm.errors import ConfigError

PLAIN = {"mechanism": "PLAIN", "username": "ddpm", "password": "hunter2-of-kafka"}


def security(**keys: Any) -> Security:
    return Security.model_validate(keys)


@contextmanager
def ending(*, with_reset: bool) -> Iterator[str]:
    """Something that accepts, reads a little and ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client:
                        if with_reset:
                            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        else:
                            client.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("with_reset", [False, True])
@pytest.mark.parametrize("keys", [{}, {"tls": {}}, {"sasl": PLAIN}, {"tls": {}, "sasl": PLAIN}])
def test_nothing_is_concluded_from_a_connection_that_ends(keys: dict[str, Any], with_reset: bool) -> None:
    with ending(with_reset=with_reset) as address:
        assert refusal(address, security(**keys), 2.0) is None


def test_what_cannot_be_reached_refuses_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert refusal(address, security(tls={}), 0.3) is None
        assert refusal(address, security(), 0.3) is None
    assert refusal(address, security(tls={}), 0.3) is None


def test_options_say_what_the_configuration_does(tmp_path: Path) -> None:
    assert client_options(security()) == {}
    assert client_options(security(tls={}))["security_protocol"] == "SSL"
    assert client_options(security(sasl=PLAIN)) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "ddpm",
        "sasl_plain_password": "hunter2-of-kafka",
    }
    assert client_options(security(tls={}, sasl=PLAIN))["security_protocol"] == "SASL_SSL"
    odd = client_options(security(sasl=PLAIN | {"mechanism": "SCRAM-SHA-512", "username": "a,b=c"}))
    assert odd["sasl_plain_username"] == "a=2Cb=3Dc"
    missing = security(tls={"ca": str(tmp_path / "no.pem")})
    with pytest.raises(ConfigError, match="no such file"):
        client_options(missing)


def test_a_request_for_aws_is_signed_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The known answer is that of kafka-python's own tests."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Clock":
            return cls.fromtimestamp(1629321911, tz)

    monkeypatch.setattr("kafka.net.sasl.msk.datetime.datetime", Clock)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    keys = {"mechanism": "AWS_MSK_IAM", "username": "X" * 20, "password": "X" * 40}
    options = client_options(security(tls={}, sasl=keys))
    exchange = get_sasl_mechanism(options["sasl_mechanism"])(host="localhost", **options)
    signed = json.loads(exchange.auth_bytes())
    assert signed["x-amz-signature"] == "0fa42ae3d5693777942a7a4028b564f0b372bafa2f71c1a19ad60680e6cb994b"
    assert not exchange.is_done()
    exchange.receive(b"{}")
    assert exchange.is_done()
    assert exchange.is_authenticated()


def test_the_region_is_in_the_name_of_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert region_of("b-1.orders.x1y2z3.c2.kafka.eu-central-1.amazonaws.com") == "eu-central-1"
    assert region_of("boot-abc.c1.kafka-serverless.us-gov-west-1.amazonaws.com") == "us-gov-west-1"
    assert region_of("vpce-1.kafka.us-east-1.vpce.amazonaws.com") == "us-east-1"
    with pytest.raises(ConfigError, match="does not say which region"):
        region_of("kafka.example.com")


def test_the_line_that_grants_names_the_user(tmp_path: Path) -> None:
    brokers = Cluster(["kafka:9092"], security(sasl=PLAIN))
    assert grant(brokers, "topic", "orders", [Operation.READ, Operation.DESCRIBE_CONFIGS]) == (
        "kafka-acls --bootstrap-server kafka:9092 --add --allow-principal User:ddpm --operation Read "
        "--operation DescribeConfigs --topic orders"
    )
    made = trustme.CA().issue_cert("ddpm.example.com", common_name="loader")
    made.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    made.private_key_pem.write_to_path(tmp_path / "client.key")
    own = {"cert": str(tmp_path / "client.pem"), "key": str(tmp_path / "client.key")}
    assert principal(Cluster(["kafka:9092"], security(tls=own))).startswith("User:CN=loader")
    assert principal(["kafka:9092"]) == "User:ANONYMOUS"
