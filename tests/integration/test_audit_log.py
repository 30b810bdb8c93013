"""HTTPS, tokens with roles and the audit log of a real ddpm, asked by real clients and its own commands."""

import json
import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from ddpm.devstack import EmbeddedKafka, EmbeddedPostgres
from harness.https import ADMIN, OPERATOR, READER, ROTATED, Secured
from harness.process import Ddpm, ddpm
from harness.prometheus import Prometheus
from harness.waiting import eventually
from harness.world import World


@pytest.fixture(scope="module")
def secured(
    kafka: EmbeddedKafka, postgres: EmbeddedPostgres, engine_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Secured, Ddpm]]:
    world = World(kafka.bootstrap, postgres.dsn, engine_binary)
    world.create_topic()
    made = Secured(tmp_path_factory.mktemp("secured"), world)
    with Ddpm(made.settings(), made.folder, verify=made.trusting()) as running:
        running.wait_healthy()
        yield made, running
        assert running.stop() == 0
    shown = running.log + "".join(path.read_text(errors="replace") for path in (made.folder / ".ddpm").rglob("*.jsonl"))
    assert not [token for token in (ADMIN, READER, OPERATOR, ROTATED) if token in shown]


def asked(running: Ddpm, path: str, token: str | None, method: str = "GET", **more: Any) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body: dict[str, Any] = {"json": {}} if method == "POST" else {}
    url = f"{running.url}{path}"
    return httpx.request(
        method, url, headers=headers, timeout=10, trust_env=False, **{"verify": running.verify} | body | more
    )


def records(running: Ddpm) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(running, "/v1/audit?lines=1000", ADMIN).json()["records"]
    return found


def configurations(running: Ddpm) -> list[dict[str, Any]]:
    return [each for each in records(running) if each["action"] == "take configuration"]


def command(running: Ddpm, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return ddpm(*words, cwd=running.folder, env=env)


def test_roles_and_what_the_audit_log_says_of_them(secured: tuple[Secured, Ddpm]) -> None:
    _, running = secured
    assert running.url.startswith("https://")
    assert asked(running, "/livez", None).status_code == 200
    assert [asked(running, "/metrics", token).status_code for token in (None, READER)] == [401, 200]
    who = asked(running, "/v1/whoami", READER).json()
    assert (who["name"], who["role"], who["address"]) == ("grafana", "read", "127.0.0.1")
    refused = asked(running, "/v1/pipelines/orders/pause", READER, "POST")
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
    assert (refused.json()["role_needed"], refused.json()["role"]) == ("operate", "read")
    assert asked(running, "/v1/pipelines/orders/pause", "a-wrong-token-0123456", "POST").status_code == 401
    assert asked(running, "/v1/audit", OPERATOR).status_code == 403
    assert asked(running, "/v1/pipelines/orders/dead-letters/discard", OPERATOR, "POST").status_code == 403
    assert asked(running, "/v1/pipelines/orders/scale", OPERATOR, "POST", json={"replicas": 1}).status_code == 202
    headers = {"Authorization": f"Bearer {READER}"}
    live = httpx.stream(
        "GET", f"{running.url}/v1/events", headers=headers, verify=running.verify, timeout=10, trust_env=False
    )
    with live as stream:
        assert any(line.startswith("data:") for line in stream.iter_lines())
    newest = records(running)
    (scaled,) = [each for each in newest if each["action"] == "scale"]
    assert (scaled["who"], scaled["role"], scaled["address"]) == ("shift", "operate", "127.0.0.1")
    assert (scaled["pipeline"], scaled["parameters"], scaled["outcome"]) == ("orders", {"replicas": 1}, "ok")
    attempts = [(each["who"], each["action"]) for each in newest if each["outcome"] == "refused"]
    assert ("grafana", "pause") in attempts
    assert ("shift", "discard dead letters") in attempts
    assert any(who != "grafana" and action == "pause" for who, action in attempts), "the wrong token is one, too"


def test_a_real_prometheus_scrapes_it_in_tls_with_a_token_as_its_password(
    secured: tuple[Secured, Ddpm], tmp_path: Path
) -> None:
    made, running = secured
    access = {
        "scheme": "https",
        "tls_config": {"ca_file": str(made.folder / "ca.pem")},
        "basic_auth": {"username": "grafana", "password": READER},
    }
    with Prometheus(tmp_path, running.url, **access) as prometheus:
        eventually(lambda: prometheus.query("ddpm_pipeline_state"), "it has metrics", 30)
        assert prometheus.target()["scrapeUrl"].startswith("https://")


def test_the_commands_find_and_verify_it(secured: tuple[Secured, Ddpm]) -> None:
    made, running = secured
    port = running.url.rpartition(":")[2]
    ca, token = str(made.folder / "ca.pem"), ADMIN

    def status(url: str = running.url, **env: str) -> "subprocess.CompletedProcess[str]":
        return command(running, "status", "--url", url, **{"DDPM_TOKEN": token} | env)

    assert status(DDPM_CA=ca).returncode == 0
    unknown = status(DDPM_CA=str(made.folder / "other.pem"))
    assert unknown.returncode != 0
    assert f"is not signed by an authority in {made.folder / 'other.pem'}" in unknown.stderr
    assert "is not signed by an authority that this system trusts" in status().stderr
    assert "is for another name" in status(f"https://localhost:{port}", DDPM_CA=ca).stderr
    plain = status(f"http://127.0.0.1:{port}")
    assert "speaks TLS, and is spoken to in plain HTTP" in plain.stderr
    assert f"write https://127.0.0.1:{port}" in plain.stderr
    reader = command(running, "pause", "orders", "--url", running.url, DDPM_CA=ca, DDPM_TOKEN=READER)
    assert (reader.returncode, "needs the role operate" in reader.stderr) == (1, True)
    # With its port in the configuration nothing else needs to be said, though the certificate is for another name.
    own = made.folder / "own.yaml"
    own.write_text(running.config_path.read_text().replace("port: 0", f"port: {port}"))
    made.certify("ddpm.example.org")
    found = command(running, "audit", "--config", str(own), "--json", "-n", "500")
    made.certify("127.0.0.1")
    assert found.returncode == 0, found.stderr
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert lines[0]["action"] == "start ddpm"
    assert "take renewed certificate" in [each["action"] for each in lines]


def test_a_token_that_was_rotated_and_a_certificate_that_was_renewed_are_taken_up(
    secured: tuple[Secured, Ddpm],
) -> None:
    made, running = secured
    engine = running.engine_pid
    made.give("reader", ROTATED)
    taken = eventually(lambda: configurations(running), "it is recorded", 20)[-1]
    assert asked(running, "/v1/pipelines", ROTATED).status_code == 200
    assert asked(running, "/v1/pipelines", READER).status_code == 401
    assert (taken["who"], taken["outcome"]) == ("file watcher", "ok")
    assert taken["reason"] == "other tokens of the API are in force"
    made.certify("127.0.0.1", made.other)
    assert asked(running, "/livez", None, verify=made.trusting("other.pem")).status_code == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        asked(running, "/livez", None)
    made.certify("127.0.0.1")
    assert asked(running, "/livez", None).status_code == 200
    assert running.engine_pid == engine
    # Tests come in any order.
    made.give("reader", READER)
    eventually(lambda: len(configurations(running)) > 1, "the former token is back", 20)


def kept(folder: Path) -> str:
    return (folder / ".ddpm" / "audit" / "changes.jsonl").read_text()


def test_it_is_kept_for_its_owner_alone(secured: tuple[Secured, Ddpm]) -> None:
    _, running = secured
    folder = running.folder / ".ddpm" / "audit"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_changes_without_the_api_are_recorded_and_outlive_ddpm(world: World, tmp_path: Path) -> None:
    world.create_topic()
    with Ddpm(world.config(name="orders", server={"port": 0}), tmp_path) as running:
        running.wait_healthy()
        local = httpx.post(f"{running.url}/v1/pipelines/orders/restart", json={}, trust_env=False)
        assert local.status_code == 202
        running.popen.send_signal(signal.SIGHUP)
        eventually(lambda: "take configuration" in kept(tmp_path), "the signal is recorded", 20)
        good = running.config_path.read_text()
        running.config_path.write_text("app: {}")
        assert command(running, "reload", "--url", running.url).returncode == 1
        running.config_path.write_text(good.replace("port: 0", "port: 1"))
        assert running.stop() == 0
    assert command(running, "provision").returncode == 0
    shown = command(running, "audit", "--json")
    assert (shown.returncode, shown.stderr.startswith("no ddpm answers at")) == (0, True)
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    user = pwd.getpwuid(os.getuid()).pw_name
    assert [(each["who"], each["kind"], each["action"], each["outcome"]) for each in lines] == [
        (user, "local user", "start ddpm", "ok"),
        (user, "local user", "restart", "ok"),
        ("SIGHUP", "signal", "take configuration", "ok"),
        (user, "local user", "ask for a reload", "ok"),
        (user, "local user", "take configuration", "failed"),
        ("SIGTERM", "signal", "stop ddpm", "ok"),
        (user, "local user", "provision", "ok"),
    ]
