"""What the site of the documents shows of the code: every key with its meaning, every path of the API."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "references.py"


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("references")
    subprocess.run([sys.executable, str(SCRIPT), str(folder)], check=True)
    return folder


def test_every_key_has_its_values_its_default_and_the_words_of_the_readme(references: Path) -> None:
    rows = (references / "configuration.md").read_text(encoding="utf-8").splitlines()
    assert "| `kafka.start_from` | `earliest`, `latest` | `earliest` | or `latest`: where a new group begins |" in rows
    assert "| `scale.down_after` | such as `30s` | `10m` | the lag decides on replicas |" in rows
    assert "| `replicas` | integer from 1 to 64 | `1` | engines in the consumer group |" in rows
    # A key below one that the README explains as a whole.
    assert any(row.startswith("| `dead_letter.breaker.records` | integer from 10 to 1,000,000 |") for row in rows)


def test_the_document_of_the_api_has_every_path(references: Path) -> None:
    paths = json.loads((references / "openapi.json").read_text(encoding="utf-8"))["paths"]
    assert {"/health", "/metrics", "/v1/pipelines", "/v1/pipelines/{name}/pause"} <= set(paths)
