"""The Compose file, loaded by the library that Docker Compose loads it with."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config.load import load
from ddpm.engine.cache import cache_dir, make_once
from ddpm.engine.progress import Progress
from ddpm.engine.toolchain import find_go

CHECKOUT = Path(__file__).parents[2]
DOCKER = CHECKOUT / "deployments" / "docker"
LOADER = CHECKOUT / "tests" / "compose"
SECRETS = {"PGPASSWORD": "p" * 16, "DDPM_TOKEN": "t" * 16, "GRAFANA_PASSWORD": "g" * 16}
# What else may stand in the folder of ddpm: its drain, and five seconds.
LONGEST_STOP = 25


@pytest.fixture(scope="module")
def loader(progress: Progress) -> Path:
    def build(folder: Path) -> None:
        go = find_go(progress)
        command = [
            str(go.path),
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            "-s -w",
            "-o",
            str(folder / "compose"),
            ".",
        ]
        subprocess.run(command, cwd=LOADER, env=go.environment(), check=True)

    key = hashlib.sha256(b"\0".join(file.read_bytes() for file in sorted(LOADER.iterdir()))).hexdigest()[:16]
    return make_once(cache_dir() / "test-tools" / f"compose-{key}", build) / "compose"


def loaded(loader: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    bare = {name: value for name, value in os.environ.items() if name not in (*SECRETS, "CONFIG", "DDPM_VERSION")}
    command = [loader, DOCKER / "docker-compose.yml"]
    return subprocess.run(command, env=bare | env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def services(loader: Path) -> dict[str, Any]:
    ran = loaded(loader, **SECRETS)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)["services"]
    return found


def test_it_has_all_that_a_try_out_needs(services: dict[str, Any]) -> None:
    assert set(services) == {"ddpm", "redpanda", "postgres", "prometheus", "grafana"}
    built = services["ddpm"]["build"]
    assert (Path(built["context"]) / built["dockerfile"]).is_file()
    mounts = [mount for each in services.values() for mount in each.get("volumes", ()) if mount["type"] == "bind"]
    assert all(Path(mount["source"]).exists() for mount in mounts)


def test_nothing_is_open_beyond_this_machine(services: dict[str, Any]) -> None:
    ports = [port for each in services.values() for port in each.get("ports", ())]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_versions_are_pinned(services: dict[str, Any]) -> None:
    images = [each["image"] for name, each in services.items() if name != "ddpm"]
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_ddpm_is_kept_small_and_has_time_to_drain(services: dict[str, Any]) -> None:
    ddpm = services["ddpm"]
    assert (ddpm["read_only"], ddpm["cap_drop"]) == (True, ["ALL"])
    assert int(ddpm["stop_grace_period"].removesuffix("s")) > LONGEST_STOP
    waits = {name: each["condition"] for name, each in ddpm["depends_on"].items()}
    assert waits == {"redpanda": "service_healthy", "postgres": "service_healthy"}


def test_its_configuration_names_the_other_services(services: dict[str, Any]) -> None:
    (mounted,) = [mount for mount in services["ddpm"]["volumes"] if mount["target"] == "/etc/ddpm/app-config.yaml"]
    config = load(Path(mounted["source"]), services["ddpm"]["environment"], model=pipeline_type()).config
    (pipeline,) = config.pipelines
    assert pipeline.kafka.brokers == ("redpanda:9092",)
    assert pipeline.table is not None
    assert "@postgres:5432/" in pipeline.table.url


def test_a_secret_that_is_missing_is_named(loader: Path) -> None:
    ran = loaded(loader, **{name: value for name, value in SECRETS.items() if name != "DDPM_TOKEN"})
    assert ran.returncode != 0
    assert "DDPM_TOKEN is missing" in ran.stderr
