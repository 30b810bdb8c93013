"""A mistake in a mapping, told by every command at its place in the user's file; and files that mappings read."""

import json
from pathlib import Path

import pytest

from ddpm.orchestrator.prepare import default_template
from harness.offline import ddpm

HEAD = """\
app:
  kafka: {brokers: ["kafka.invalid:9092"], topics: [orders], consumer_group: orders}
  postgres:
    url: postgresql://loader:hunter2secret@db.invalid:5432/shop
    table: orders
    columns: {id: bigint}
  processors:
"""
COMMANDS = {"validate": ("validate",), "run": ("run",), "test": ("test",), "parse": ("parse",)}


def configure(folder: Path, processors: str, more: str = "") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "app-config.yaml").write_text(HEAD + processors + more)
    (folder / "x.cases.yaml").write_text("cases: [{name: one, input: {json: {id: 1}}, rows: [{id: 1}]}]\n")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.usefixtures("engine_binary")
def test_every_command_tells_all_mistakes_at_their_lines(command: tuple[str, ...], tmp_path: Path) -> None:
    configure(
        tmp_path, "    - filter: this.test = true\n    - mapping: |\n        root.id = this.id\n        root.a: 1\n"
    )

    ended = ddpm(*command, "--config", "app-config.yaml", cwd=tmp_path, stdin=b"{}")

    assert ended.returncode == 2
    first = 'app-config.yaml:8:25: error[mapping] app.processors[0].filter: "=" assigns; compare with "=="\n'
    assert first + "    8 |     - filter: this.test = true\n      |                         ^\n" in ended.stderr
    assert "app-config.yaml:11:15: error[mapping] app.processors[1].mapping: " in ended.stderr
    assert ended.stderr.endswith("2 errors\n")


@pytest.mark.usefixtures("engine_binary")
def test_mistakes_of_all_pipelines_are_told_together(tmp_path: Path) -> None:
    pipelines = "pipelines:\n  a: {}\n  b:\n    postgres: {table: b}\n    processors: [{filter: this.b = 2}]\n"
    configure(tmp_path, "    - filter: this.a = 1\n", pipelines)

    said = ddpm("validate", "--config", "app-config.yaml", cwd=tmp_path).stderr

    assert "app-config.yaml:8:22: error[mapping]" in said
    assert "app-config.yaml:13:34: error[mapping] pipelines.b.processors[0].filter" in said


@pytest.mark.usefixtures("engine_binary")
def test_a_mistake_in_a_file_of_bloblang_is_told_in_that_file(tmp_path: Path) -> None:
    configure(tmp_path, '    - mapping: |\n        import "lib/all.blobl"\n        root = this\n')
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "all.blobl").write_text("# ää\nmap one {\n  root = this.a = 1\n}\n")
    (tmp_path / "own.blobl").write_text("root.id = this.id.numbr()\n")
    text = (tmp_path / "app-config.yaml").read_text()
    (tmp_path / "app-config.yaml").write_text(f"{text}  source: {{parser: own, plugin_path: own.blobl}}\n")

    said = ddpm("validate", "--config", "app-config.yaml", cwd=tmp_path).stderr

    assert 'lib/all.blobl:3:17: error[mapping] "=" assigns; compare with "=="' in said
    assert 'own.blobl:1:19: error[mapping] there is no method "numbr"\n' in said
    assert 'did you mean "number"?' in said


@pytest.mark.usefixtures("engine_binary")
def test_files_in_mappings_are_relative_to_the_configuration(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    elsewhere.mkdir()
    configure(project, '    - mapping: root.id = file("ids.json").parse_json().get(this.id)\n')
    config = str(project / "app-config.yaml")

    missing = ddpm("validate", "--config", config, cwd=elsewhere)
    (project / "ids.json").write_text('{"x": 7}')
    found = ddpm("validate", "--config", config, cwd=elsewhere)
    parsed = ddpm("parse", "--json", "--config", config, cwd=elsewhere, stdin=b'{"id": "x"}')

    assert missing.returncode == 2
    assert ":8:32: error[mapping] app.processors[0].mapping: the file ids.json does not exist\n" in missing.stderr
    assert f"looked in {project}, the folder of the configuration" in missing.stderr
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(parsed.stdout)["documents"][0]["document"] == {"id": 7}


@pytest.mark.usefixtures("engine_binary")
def test_the_reason_of_a_dead_letter_names_step_and_line(tmp_path: Path) -> None:
    configure(
        tmp_path,
        "    - filter: this.id != 2\n    - mapping: |\n\n        root = this\n        root.a = this.b.uppercase()\n",
    )

    parsed = ddpm("parse", "--json", "--config", "app-config.yaml", cwd=tmp_path, stdin=b'{"id": 1, "b": 3}')

    message = json.loads(parsed.stdout)["documents"][0]["reason"]["message"]
    assert message.startswith("app-config.yaml:12: processors[1].mapping: failed assignment: expected string value")


@pytest.mark.parametrize("command", [("validate",), ("plan",), ("run",)])
@pytest.mark.usefixtures("engine_binary")
def test_what_the_engine_does_not_accept_of_a_template_is_told_in_the_template(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    configure(tmp_path, "    []\n", "  pipeline_template: mine.yaml.j2\n")
    skeleton = default_template().read_text()
    (tmp_path / "mine.yaml.j2").write_text(skeleton.replace("logger:", "bogus: {{ name }}\nlogger:", 1))

    ended = ddpm(*command, "--config", "app-config.yaml", cwd=tmp_path)

    line = skeleton[: skeleton.index("\nlogger:")].count("\n") + 2
    assert ended.returncode == 2
    expected = (
        f"mine.yaml.j2:{line}:1: error[template] app.pipeline_template: the engine does not accept this: field bogus"
    )
    assert expected in ended.stderr
    assert f"{line:>5} | bogus: {{{{ name }}}}\n" in ended.stderr
