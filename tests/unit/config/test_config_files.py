"""The files a configuration names: its template, what is generated, and the configuration itself."""

from pathlib import Path

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config import find_config_path, load
from ddpm.config.paths import absolute_in_environment, with_absolute_files
from ddpm.errors import ConfigError
from unit.config.folder import MINIMAL, Folder

OLD_TEMPLATE = """\
# Input section
input:
  kafka:
    addresses: ["${KAFKA_BROKERS}"]
    topics: ["${TOPIC}"]
    consumer_group: "${KAFKA_CONSUMER_GROUP}"

pipeline:
  processors:
    - log:
        level: "${LOG_LEVEL}"
        message: 'Inserting ${! json() }'

output:
  sql_insert:
    dsn: "${POSTGRES_URL}"
    table: "${POSTGRES_TABLE}"

logger:
  level: "${LOG_LEVEL:INFO}"

http:
  address: "127.0.0.1:${PORT}"

metrics:
  prometheus: {prefix: "${PREFIX}"}

shutdown_timeout: ${DRAIN}

cache_resources:
  - label: ${LABEL}
    dsn: ${PG_DSN}
"""

ADVICE = """\
ddpm fills whole sections; write the variable in place of the whole body of its section:
line 4    ${KAFKA_BROKERS}        -> input: {{ input | yaml(2) }}
line 5    ${TOPIC}                -> input: {{ input | yaml(2) }}
line 6    ${KAFKA_CONSUMER_GROUP} -> input: {{ input | yaml(2) }}
line 11   ${LOG_LEVEL}            -> pipeline: {{ pipeline | yaml(2) }}
line 16   ${POSTGRES_URL}         -> output: {{ output | yaml(2) }}
line 17   ${POSTGRES_TABLE}       -> output: {{ output | yaml(2) }}
line 20   ${LOG_LEVEL:INFO}       -> logger: {{ logger | yaml(2) }}
line 23   ${PORT}                 -> http: {{ http | yaml(2) }}
line 26   ${PREFIX}               -> metrics: {{ metrics | yaml(2) }}
line 28   ${DRAIN}                -> shutdown_timeout: {{ shutdown_timeout }}
line 31   ${LABEL}                -> no counterpart: write the value itself
line 32   ${PG_DSN}               -> output: {{ output | yaml(2) }}
your own processors go to app.processors; omit pipeline_template to use the template of ddpm"""

WITH_TEMPLATE = MINIMAL + "  pipeline_template: pipelines/pipeline.yaml\n"


def test_a_template_of_the_old_style_is_answered_with_its_jinja_counterpart(folder: Folder) -> None:
    folder.write(OLD_TEMPLATE, "pipelines/pipeline.yaml")
    problem = folder.error(WITH_TEMPLATE)
    assert (problem.code, problem.line, problem.column) == ("old-template", 4, 22)
    assert "pipelines/pipeline.yaml is of the ${PLACEHOLDER} style" in problem.message
    assert problem.hint == ADVICE


@pytest.mark.parametrize(
    "template",
    [
        "input:\n  {{ input | yaml(2) }}\noutput: ${OTHER}\n",
        "{% include 'x' %} ${OTHER}",
        "{# ${OTHER} #}",
        "input: {stdin: {}}\n",
        "message: ${! content() }\n",
        "",
    ],
)
def test_other_templates_are_left_to_rendering(folder: Folder, template: str) -> None:
    folder.write(template, "pipelines/pipeline.yaml")
    assert folder.load(WITH_TEMPLATE).warnings == ()


def test_a_missing_template_says_where_it_was_sought(folder: Folder) -> None:
    problem = folder.error(WITH_TEMPLATE)
    assert (problem.code, problem.line, problem.column) == ("template-missing", 4, 22)
    assert problem.message == "the template pipelines/pipeline.yaml does not exist"
    assert problem.hint == f"looked in {folder.path}; omit the key to use the template of ddpm"


@pytest.mark.parametrize(("content", "reason"), [(b"\xff", "it is not UTF-8"), (b"#" * 2_000_000, "larger than 1 MiB")])
def test_a_template_that_cannot_be_read(folder: Folder, content: bytes, reason: str) -> None:
    (folder.path / "x.yaml").write_bytes(content)
    problem = folder.error(MINIMAL + "  pipeline_template: x.yaml\n")
    assert problem.code == "file-unreadable"
    assert reason in (problem.hint or "")


def test_relative_paths_are_sought_in_the_working_directory_first(folder: Folder) -> None:
    path = folder.write(WITH_TEMPLATE + "  generated_pipeline_config: pipelines/out.yaml\n", "conf/app.yaml")
    beside = folder.path / folder.write("beside", "conf/pipelines/pipeline.yaml")
    assert load(path, {}, model=pipeline_type()).config.pipelines[0].pipeline_template == beside
    assert (
        load(path, {}, model=pipeline_type()).config.pipelines[0].generated_pipeline_config
        == beside.parent / "out.yaml"
    )
    here = folder.path / folder.write("here", "pipelines/pipeline.yaml")
    assert load(path, {}, model=pipeline_type()).config.pipelines[0].pipeline_template == here
    assert (
        load(path, {}, model=pipeline_type()).config.pipelines[0].generated_pipeline_config == here.parent / "out.yaml"
    )


def test_absolute_paths_stay(folder: Folder) -> None:
    template = folder.path / folder.write("", "t.yaml")
    binary = folder.path / folder.write("", "bin/engine")
    text = MINIMAL + "  generated_pipeline_config: /no/where.yaml\n  engine: {binary: bin/engine}\n"
    pipeline = folder.load(f"{text}  pipeline_template: {template}\n").config.pipelines[0]
    assert pipeline.pipeline_template == template
    assert pipeline.generated_pipeline_config == Path("/no/where.yaml")
    assert pipeline.engine.binary == binary


def test_the_option_wins_over_the_variable(folder: Folder) -> None:
    a, b = folder.write("", "a.yaml"), folder.write("", "b.yaml")
    assert find_config_path(a, {"CONFIG_PATH": str(b)}) == a
    assert find_config_path(None, {"CONFIG_PATH": str(b)}) == b


@pytest.mark.parametrize("env", [{}, {"CONFIG_PATH": ""}, {"CONFIG_PATH": "  "}])
def test_without_a_name_the_error_tells_both_ways(folder: Folder, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config_path(None, env)
    assert "--config" in str(caught.value)
    assert "CONFIG_PATH" in str(caught.value)
    assert caught.value.hint == "`ddpm init` writes one to begin with"
    folder.write("", "config/app-config.yaml")
    with pytest.raises(ConfigError, match=r"export CONFIG_PATH=config/app-config\.yaml"):
        find_config_path(None, env)


def test_without_a_name_it_is_the_file_of_the_usual_name_here(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("", "app-config.yaml")
    monkeypatch.chdir(folder.path)
    assert find_config_path(None, {}) == Path("app-config.yaml")


@pytest.mark.parametrize(("name", "state"), [("none.yaml", "does not exist"), ("/dev/null", "is not a file")])
def test_a_name_without_a_file_says_who_gave_it(folder: Folder, name: str, state: str) -> None:
    with pytest.raises(ConfigError, match=f"which CONFIG_PATH names, {state}"):
        find_config_path(None, {"CONFIG_PATH": name})
    with pytest.raises(ConfigError, match=f"which --config names, {state}"):
        find_config_path(Path(name), {})
    assert find_config_path(folder.path, {}) == folder.path, "a folder of files"


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("postgresql://u:p@db/x", "postgresql://u:p@db/x"),
        ("postgresql://u:p@db/x?sslmode=verify-full", "postgresql://u:p@db/x?sslmode=verify-full"),
        ("postgresql://db/x?sslrootcert=system", "postgresql://db/x?sslrootcert=system"),
        (
            "postgresql://db/x?sslrootcert=/etc/ca.pem&sslkey=a%20b.key",
            "postgresql://db/x?sslrootcert=/etc/ca.pem&sslkey={}/a%20b.key",
        ),
    ],
)
def test_files_of_a_url_are_named_absolutely(
    url: str, absolute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_absolute_files(url) == absolute.format(tmp_path)


def test_files_of_the_environment_are_named_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = absolute_in_environment({"PGPASSFILE": ".pgpass", "PGSSLROOTCERT": "system", "PGHOST": "db"})
    assert found == {"PGPASSFILE": str(tmp_path / ".pgpass"), "PGSSLROOTCERT": "system", "PGHOST": "db"}
