"""What documents show of the code: every key with its meaning, every path of the API."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from ddpm.components.parsers import PARSERS
from ddpm.components.registry import Sinks

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "references.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_file_location("references", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["references"] = module
    spec.loader.exec_module(module)
    return module


def test_the_documents_are_those_of_the_code(script: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    out_of_date = "run `make generate`"
    assert script.configuration() == (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"), out_of_date
    assert script.with_table(readme) == readme, out_of_date
    assert script.problems() == (ROOT / "docs" / "problems.md").read_text(encoding="utf-8"), out_of_date


def test_every_key_has_its_values_a_default_or_an_example_and_words(script: ModuleType) -> None:
    keys = {key.name: key for key in script.all_keys()}
    start_from = keys["kafka.start_from"]
    assert (start_from.takes, start_from.default) == ("`earliest`, `latest`", "`earliest`")
    assert start_from.words == "where a group begins in topics that are new to it"
    assert (keys["scale.down_after"].takes, keys["scale.down_after"].default) == ("such as `30s`", "`10m`")
    assert (keys["engine.memory_limit"].default, keys["source.max_decompressed"].default) == ("`800MB`", "`64MiB`")
    assert keys["batching.period"].default == "`100ms`"
    assert keys["dead_letter.breaker.records"].takes == "integer from 10 to 1,000,000"
    assert keys["kafka.topics"].default == keys["postgres.url"].default == "required"
    assert keys["sinks"].default == "`[postgres]`"
    assert [name for name, key in keys.items() if not key.words] == []
    assert [name for name, key in keys.items() if not key.default and not key.example] == []


def test_links_lead_from_where_the_words_are_shown(script: ModuleType) -> None:
    assert "([operations.md](docs/operations.md#several-sinks))" in script.table()
    assert "([operations.md](operations.md#several-sinks))" in script.configuration()


def test_sinks_and_parsers_are_there_with_their_own_keys(script: ModuleType) -> None:
    rows = script.configuration().splitlines()
    assert {f"### {kind}" for kind in Sinks()} <= set(rows)
    assert {f"### {name}" for name in PARSERS} <= set(rows)
    assert "| `delimiter` | text | `,` |  | the character between two values |" in rows
    assert any(row.startswith("| `topic` | text | required |") for row in rows)
    assert any(row.startswith("| `write_timeout` | such as `30s` | `30s` |") for row in rows)


def test_the_document_of_the_api_has_every_path(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], check=True)
    paths = json.loads((tmp_path / "openapi.json").read_text(encoding="utf-8"))["paths"]
    assert {"/health", "/metrics", "/v1/pipelines", "/v1/pipelines/{name}/pause"} <= set(paths)
