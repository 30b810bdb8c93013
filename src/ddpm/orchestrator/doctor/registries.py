"""Checks of schema registries: whether one answers, and lets parsers in."""

import ssl
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import httpx2 as httpx

from ddpm.components import parsers
from ddpm.components.parsers.parser import SchemaRegistry
from ddpm.config.model import Pipeline
from ddpm.orchestrator.doctor.findings import Check, Finding

_SECONDS = 5.0
_CHECK = "registry"
# A short answer, that needs a right to read and no schema to be there: Confluent's API, "GET /schemas/types/".
_QUESTION = "/schemas/types"


def registry_checks(pipelines: Sequence[Pipeline]) -> list[Check]:
    """One for each schema registry that a parser asks."""
    found = dict.fromkeys(parsers.schema_registry(each.source) for each in pipelines)
    return [_of_registry(each) for each in found if each is not None]


def _of_registry(registry: SchemaRegistry) -> Check:
    return Check(_CHECK, _shown(registry), lambda: _answers(registry))


def _shown(registry: SchemaRegistry) -> str:
    """Its address without the user and the password."""
    parts = urlsplit(registry.url.revealed)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _answers(registry: SchemaRegistry) -> Iterator[Finding]:
    about = _shown(registry)
    headers = {"Authorization": f"Bearer {registry.token.revealed}"} if registry.token else {}
    url = registry.url.revealed.rstrip("/") + _QUESTION
    try:
        trusted = ssl.create_default_context(cafile=registry.ca) if url.startswith("https:") else False
        # The engine asks through a proxy where the environment names one.
        with httpx.Client(verify=trusted, timeout=_SECONDS, headers=headers) as client:
            status = client.get(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        text = f"the schema registry does not answer: {error or type(error).__name__}"
        hint = "check source.options.registry and registry_ca, and that it runs; until then records wait"
        yield Finding(_CHECK, about, "fail", text, hint)
        return
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        text = f"the schema registry does not let ddpm in: it answers {status}"
        yield Finding(_CHECK, about, "fail", text, "correct the user in source.options.registry, or registry_token")
    elif status >= httpx.codes.INTERNAL_SERVER_ERROR:
        text = f"the schema registry answers {status}"
        yield Finding(_CHECK, about, "fail", text, "its log says why; until it answers otherwise records wait")
    else:
        yield Finding(_CHECK, about, "pass", "the schema registry answers, and lets ddpm in")
