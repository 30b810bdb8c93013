"""The HTTP endpoints with statuses of the test's making."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from ddpm.errors import MissingToolError
from ddpm.server.app import create
from ddpm.server.serve import listen, serving
from ddpm.supervisor.runner import Status
from ddpm.supervisor.states import State

ORDERS = Status("orders", State.RUNNING, "connected", 1_700_000_000.0, 2, True, 41, 5001)
RETURNS = replace(ORDERS, name="returns", restarts=0, pid=42, port=5002)
ENGINE = '# HELP input_received Benthos Counter metric\n# TYPE input_received counter\ninput_received{label=""} 7\n'


def client(*statuses: Status) -> TestClient:
    return TestClient(create(lambda: statuses, lambda port: ENGINE if port == 5001 else None))


def test_health_is_200_while_every_pipeline_runs() -> None:
    answer = client(ORDERS, RETURNS).get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["pipelines"][0] == {
        "name": "orders",
        "state": "running",
        "reason": "connected",
        "since": "2023-11-14T22:13:20+00:00",
        "restarts": 2,
        "engine": {"ready": True, "pid": 41},
    }


@pytest.mark.parametrize("changes", [{"state": State.RECOVERING}, {"ready": False}])
def test_health_is_503_as_soon_as_one_does_not(changes: dict[str, object]) -> None:
    assert client(ORDERS, replace(RETURNS, **changes)).get("/health").status_code == 503  # type: ignore[arg-type]


def test_metrics_are_one_page_of_ddpm_and_of_every_engine_that_answers() -> None:
    text = client(ORDERS, RETURNS).get("/metrics").text
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ddpm_pipeline_up", (("pipeline", "orders"),)] == 1
    assert samples["ddpm_engine_restarts_total", (("pipeline", "orders"),)] == 2
    assert samples["input_received_total", (("label", ""), ("pipeline", "orders"))] == 7
    assert not [key for key in samples if key[0] == "input_received_total" and ("pipeline", "returns") in key[1]]


def test_a_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MissingToolError, match=f"cannot listen on 127.0.0.1:{port}: the port is in use"):
            listen("127.0.0.1", port)


def test_the_server_answers_on_a_socket_bound_before() -> None:
    import httpx2 as httpx

    with serving(create(lambda: (ORDERS,), lambda _: None), listen("127.0.0.1", 0)) as url:
        assert httpx.get(f"{url}/health", trust_env=False).json()["status"] == "ok"
