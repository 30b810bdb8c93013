"""The page of `ddpm parse --serve` and its API, with answers of the test's making."""

from collections.abc import Iterator

import httpx2 as httpx
import pytest

from ddpm.errors import ConfigError, EngineError
from ddpm.server.parsing import About, Question, create
from unit.cli.fake_ddpm import served

ANSWER = '{"record":1,"n":9007199254740993.10}'


def answer(question: Question) -> str:
    if question.payload == b"hang":
        raise EngineError("the engine did not answer within 30 s", hint="look at it")
    if question.payload == b"large":
        raise ConfigError("the record is too large")
    assert question.payload == b"x"
    assert (question.key, question.headers, question.timestamp_ms) == ("k", {"h": ["v"]}, 5)
    return ANSWER


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    about = About(pipeline="shop", parser="csv", table=None)
    with served(create(about, answer, 1000)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def test_the_answer_comes_as_it_is(client: httpx.Client) -> None:
    said = client.post("/v1/parse", json={"payload": "eA==", "key": "k", "headers": {"h": ["v"]}, "timestamp_ms": 5})
    assert (said.status_code, said.text) == (200, ANSWER)
    assert client.get("/v1/parse").json() == {"pipeline": "shop", "parser": "csv", "table": None}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"payload": "aGFuZw=="}, 502, "the engine did not answer within 30 s"),
        ({"payload": "bGFyZ2U="}, 400, "the record is too large"),
        ({"payload": "x" * 1000}, 413, "the request has more than 1000 bytes"),
        ({"payload": "x"}, 400, "payload: Value error, this is not base64"),
        ({"payload": "", "timestamp_ms": -1}, 400, "timestamp_ms: Input should be greater than or equal to 0"),
        ({}, 400, "payload: Field required"),
    ],
)
def test_refusals_say_why(client: httpx.Client, body: object, status: int, message: str) -> None:
    said = client.post("/v1/parse", json=body)
    assert (said.status_code, said.json()["error"]["message"]) == (status, message)


def test_the_page_and_all_that_it_asks_for_are_there(client: httpx.Client) -> None:
    files = (
        "/",
        "/parsing/parsing.js",
        "/parsing/parsing.css",
        "/console/console.css",
        "/console/theme.js",
        "/openapi.json",
    )
    for path in files:
        assert client.get(path).status_code == 200, path
    assert client.get("/parsing/nothing.js").json()["error"]["message"] == "there is no file /parsing/nothing.js"
