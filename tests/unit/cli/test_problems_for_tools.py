"""`ddpm validate --json` and `ddpm explain`: problems for programs, and what their codes mean."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ddpm.cli.main import app
from ddpm.config.codes import CODES
from ddpm.errors import ConfigError

WRONG = """\
app:
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: shop}
  postgres: {url: "postgresql://loader:hunter2@localhost/shop", table: orders}
  replica: 2
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "app-config.yaml"
    path.write_text(WRONG)
    return path


def test_problems_have_their_places(config: Path) -> None:
    ran = CliRunner().invoke(app, ["validate", "--json", "--config", str(config)])
    assert ran.exit_code == 2
    said = json.loads(ran.stdout)
    assert (said["valid"], said["mappings_checked"]) == (False, False)
    (problem,) = said["problems"]
    assert (problem["code"], problem["severity"]) == ("unknown-field", "error")
    assert (problem["file"], problem["line"], problem["column"]) == (str(config), 4, 3)
    assert (problem["path"], problem["source_line"]) == ("app.replica", "  replica: 2")
    assert problem["hint"] == 'did you mean "replicas"?'
    assert "hunter2" not in ran.stdout


def test_what_is_right_has_no_problems(config: Path) -> None:
    config.write_text(WRONG.replace("  replica: 2\n", ""))
    ran = CliRunner().invoke(app, ["validate", "--json", "--config", str(config)])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["valid"] is True


def test_a_code_is_explained() -> None:
    said = CliRunner().invoke(app, ["explain", "shared-table"]).stdout
    about = CODES["shared-table"]
    assert about.cause in said
    assert about.cure in said
    assert "    app:\n" in said
    listed = CliRunner().invoke(app, ["explain"]).stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(CODES)


def test_a_code_that_there_is_not_is_corrected() -> None:
    ran = CliRunner().invoke(app, ["explain", "shaerd-table"])
    assert isinstance(ran.exception, ConfigError)
    assert ran.exception.hint == 'did you mean "shared-table"?'
