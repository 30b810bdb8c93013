"""Whatever is asked of the API, it answers as its OpenAPI text says, and never with a failure of its own."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ddpm.server.app import create
from ddpm.server.guard import AccessPolicy
from unit.server.pictures import ORDERS, RETURNS, FakeSupervisor, sources

pytestmark = pytest.mark.slow

# Streams end at once: their server is closing.
APP = create(sources(FakeSupervisor(ORDERS, RETURNS), closing=True), tuple, AccessPolicy())
schema = schemathesis.openapi.from_asgi("/openapi.json", APP, headers={"Host": "localhost"})
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def keeps_its_word(operation: str) -> Callable[..., Any]:
    """The test of one operation, `METHOD /path`."""

    @schema.include(name=operation).parametrize()
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def test(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS, headers={"Host": "localhost"})

    return test  # type: ignore[no-any-return]


# A function for each: Schemathesis would give the tests of one function one id.
for each in schema.get_all_operations():
    assert isinstance(each, Ok)
    label = each.ok().label
    globals()["test_" + re.sub(r"\W+", "_", label).strip("_").lower()] = keeps_its_word(label)
