"""Files that nobody writes on purpose: each becomes problems at places, in a time that grows with the file alone."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ddpm.components.parsers import OPTIONS
from ddpm.components.registry import pipeline_type
from ddpm.config import ConfigProblems, load
from ddpm.config.problems import Problem

APP = """\
app:
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: orders}
  postgres: {url: "postgresql://u@db:5432/shop", table: orders}
"""


def problems(folder: Path, text: str | bytes) -> tuple[Problem, ...]:
    file = folder / "app-config.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigProblems) as raised:
        load(
            file,
            {},
            model=pipeline_type(),
            parsers=OPTIONS,
            inspect=lambda *_: pytest.fail("no plugin is to be looked at"),
        )
    return raised.value.problems


LONG = "x" * 300
DATUM = "{{parser: avro, options: {{framing: datum, schema_file: {}}}}}"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (f"pipeline_template: {LONG}", "app.pipeline_template"),
        (f"pipeline_template: {'x/' * 3000}", "app.pipeline_template"),
        ('pipeline_template: "a\\0b"', "app.pipeline_template"),
        (f"generated_pipeline_config: {LONG}", "app.generated_pipeline_config"),
        (f"engine: {{binary: {LONG}}}", "app.engine.binary"),
        (f"source: {{parser: own, plugin_path: {LONG}}}", "app.source.plugin_path"),
        (f"source: {DATUM.format(LONG)}", "app.source.options.schema_file"),
        (f"name: ${{file:{LONG}}}", "app.name"),
    ],
)
def test_a_path_that_no_file_can_have_is_a_problem_with_its_place(line: str, path: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{APP}  {line}\n")
    assert (problem.path, problem.line) == (path, 4)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (problem,) = problems(tmp_path, f"{APP}  name: ${{file:{tmp_path}/pipe}}\n")
    assert problem.message.endswith("cannot be read: it is a pipe, which may never end")


def seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        lambda n: f"app: {{{', '.join(['a: 1'] * n)}}}\n",
        lambda n: f"app: {{{', '.join(f'a{i}: {chr(39)}postgresql://u:p{i}@h/x{chr(39)}' for i in range(n))}}}\n",
        lambda n: f"{APP}  name: {'a' * 50 * n}\n",
        lambda n: f'{APP}  name: "{"token" * 50 * n}\n',
    ],
    ids=["equal keys on a line", "urls on a line", "one long value", "one long open quote"],
)
def test_time_grows_with_the_file(text: Callable[[int], str], tmp_path: Path) -> None:
    few, many = text(250), text(2000)

    # Eight times the file; were it quadratic, 64 times the time.
    small = max(seconds(lambda: problems(tmp_path, few)), 0.02)
    assert seconds(lambda: problems(tmp_path, many)) < 30 * small


def test_a_line_without_end_is_not_shown(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{APP}  name: {'Secret:x@' * 2000}\n")
    assert (problem.line, problem.column, problem.source_line) == (4, 9, None)
    assert len(problem.message) < 2100
    assert ":x@" not in problem.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (APP.encode("utf-16"), "the file is UTF-16, not UTF-8"),
        (APP.encode("utf-16-le"), "the file is UTF-16, not UTF-8"),
        (APP.encode("utf-32"), "the file is UTF-32, not UTF-8"),
        (b"app:\n  name: caf\xe9\n", "the byte 0xe9 here is not UTF-8"),
        (b"\xef\xbb\xbf", "the file is empty"),
    ],
)
def test_an_encoding_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, content)
    assert problem.message == message


@pytest.mark.parametrize("content", ["\ufeff" + APP, APP.replace("\n", "\r\n"), APP.replace("\n", "\r")])
def test_other_line_ends_and_a_mark_at_the_beginning_are_fine(content: str, tmp_path: Path) -> None:
    (tmp_path / "app-config.yaml").write_bytes(content.encode())
    assert load(tmp_path / "app-config.yaml", {}, model=pipeline_type()).config.pipelines


SYNTAX = {
    "a quote that another value's closes": (
        'app:\n  name: "orders\n  kafka:\n    consumer_group: "a"\n',
        (2, 9),
        "a quote is opened here and closed only by that of another value",
    ),
    "the same with single quotes": (
        "app:\n  name: 'orders\n  kafka:\n    x: 'y'\n",
        (2, 9),
        "a quote is opened here and closed only by that of another value",
    ),
    "a bracket": (
        "app:\n  kafka: {brokers: [a:1\n  postgres: x\n",
        (2, 20),
        "this bracket is opened here and not closed before line 3",
    ),
    "something behind a quoted value": (
        'app:\n  x: "a" b\n',
        (2, 10),
        "nothing can follow a quoted value on its line",
    ),
}


@pytest.mark.parametrize(("text", "at", "message"), SYNTAX.values(), ids=SYNTAX.keys())
def test_what_was_opened_is_named_and_not_where_it_is_noticed(
    text: str, at: tuple[int, int], message: str, tmp_path: Path
) -> None:
    (problem,) = problems(tmp_path, text)
    assert ((problem.line, problem.column), problem.message) == (at, message)


def test_one_mistake_in_the_parsers_name_is_one_problem(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{APP}  source: {{parser: xml}}\n")
    assert problem.message == 'there is no parser "xml"'


def test_all_missing_sections_are_named(tmp_path: Path) -> None:
    found = problems(tmp_path, "app: {}\n")
    assert [(each.path, each.hint) for each in found] == [
        ("app.kafka", "write kafka: and below it brokers, topics, consumer_group"),
        ("app.postgres", "write postgres: and below it url, table"),
    ]
