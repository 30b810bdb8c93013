"""An engine that the test runs itself and ddpm only watches."""

import json
from pathlib import Path
from typing import Any

import httpx2 as httpx

from ddpm.broker.dump import RawRecord
from ddpm.components.registry import pipeline_type
from ddpm.config.model import Config
from ddpm.contract import Env
from ddpm.engine.launching import EngineSpec
from ddpm.engine.process import EngineProcess, free_port, launch
from ddpm.orchestrator.prepare import rendered
from ddpm.orchestrator.provisioning.provision import provision
from harness.audit import Row, audit
from harness.process import Ddpm, alive
from harness.waiting import eventually
from harness.world import World, json_records

NUMBERED = {"columns": {"n": "integer"}}


def started(world: World, folder: Path, port: int) -> EngineProcess:
    """What somebody else would do: provision, render, hand over, start."""
    app = world.config(postgres=NUMBERED)["app"]
    pipeline = pipeline_type().model_validate(app)
    provisioned = provision(pipeline)
    config = Config(path=Path("app-config.yaml"), pipelines=(pipeline,))
    path = folder / "engine.yaml"
    path.write_text(rendered(config, pipeline).text)
    env = {
        Env.SOURCES: provisioned.sources_json,
        Env.TOPIC_IDS: provisioned.topic_ids_json,
        Env.CONFIG_HASH: "theirs",
        Env.POSTGRES_DSN: world.dsn,
        Env.ENGINE_PORT: str(port),
    }
    return launch(EngineSpec(world.engine, path, env, drain=5.0, memory_limit=800_000_000), lambda _: None)


def test_an_engine_of_others_is_watched_and_left_alone(world: World, tmp_path: Path) -> None:
    port = free_port()
    config = world.config(
        postgres=NUMBERED,
        engine={"binary": str(world.engine), "launcher": "external", "url": f"http://127.0.0.1:{port}"},
    )
    world.create_topic()
    world.produce(json_records([{"n": number} for number in range(300)]))
    with Ddpm(config, tmp_path) as running:
        eventually(lambda: pipeline(running)["state"] == "degraded", "its silence is told")
        assert "engine: does not answer" in pipeline(running)["reason"]
        assert running.health()[0] == 503
        engine = started(world, tmp_path, port)
        try:
            running.wait_healthy()
            world.wait_consumed()
            eventually(lambda: pipeline(running)["totals"]["written"] == 300, "its counters are read")
            for request, body in (("restart", {}), ("pause", {}), ("drain", {}), ("scale", {"replicas": 2})):
                refused = httpx.post(
                    f"{running.url}/v1/pipelines/pipeline/{request}", json=body, timeout=10, trust_env=False
                )
                assert refused.status_code == 409
                assert "started and ended by others" in refused.json()["error"]["message"]
            assert running.stop() == 0
            assert "the engine is left alone" in running.log
            assert engine.exit_code() is None
            assert alive(engine.pid)
        finally:
            engine.terminate()
            engine.wait(30)
    audit(world, as_document)


def as_document(record: RawRecord) -> Row:
    document: Row = json.loads(record.value or b"")
    return document


def pipeline(running: Ddpm) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{running.url}/v1/pipelines/pipeline", timeout=10, trust_env=False).json()
    return found
