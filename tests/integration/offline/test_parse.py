"""`ddpm parse` with the real engine and no server."""

import gzip
import hmac
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from ddpm.components.parsers import PARSERS
from harness.offline import configure, ddpm

pytestmark = pytest.mark.usefixtures("engine_binary")


def answers(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_good_bad_and_filtered_json_from_standard_input(tmp_path: Path) -> None:
    config = configure(tmp_path)
    records = (
        '{"id": 9007199254740993, "total": 1.50, "address": {"city": "Köln"}}\n\n{"id": "abc"}\nnope\n{"total": 0}\n'
    )
    ran = ddpm("parse", "--each-line", "--config", str(config), cwd=tmp_path, stdin=records.encode())
    assert ran.returncode == 1, ran.stderr
    for expected in (
        r"record 1 \(line 1\): 69 bytes",
        r'"total": 1\.50',
        r"id +bigint +9007199254740993",
        r"city +text +Köln",
        r"record 2 \(line 3\)",
        r'dead letter: sink, 22P02, column id: invalid input syntax for type bigint: "abc"',
        r"dead letter: parse, not_json: ",
        r"filtered: nothing is written",
        r"4 records: 1 written, 1 filtered, 2 dead letters",
    ):
        assert re.search(expected, ran.stdout), ran.stdout


def test_records_that_are_all_good_end_with_0_and_answers_are_json(tmp_path: Path) -> None:
    config = configure(tmp_path)
    (tmp_path / "record.json").write_bytes(b'{"id": 1, "total": 12345678901234567890.5}')
    ran = ddpm("parse", "record.json", "--json", "--config", str(config), cwd=tmp_path)
    assert ran.returncode == 1
    assert '"total":12345678901234567890.5' in ran.stdout
    (answer,) = answers(ran.stdout)
    assert answer["documents"][0]["reason"]["code"] == "22003"
    (tmp_path / "record.json").write_bytes(b'\xef\xbb\xbf{"id": 1, "total": 0.001}')
    ran = ddpm("parse", "record.json", "--json", "--config", str(config), cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "hunter2secret" not in ran.stdout + ran.stderr


SAMPLES = {name: parser.sample for name, parser in PARSERS.items() if parser.sample}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_sample_that_describes_a_parser_is_one_of_its_records(name: str, tmp_path: Path) -> None:
    described = ddpm("plugins", "describe", name, cwd=tmp_path).stdout
    assert indent(SAMPLES[name], "  ") in described.partition("a record:\n")[2]
    ran = ddpm("parse", "--parser", name, "--json", "-", cwd=tmp_path, stdin=SAMPLES[name].encode())
    assert ran.returncode == 0, ran.stdout
    (answer,) = answers(ran.stdout)
    assert answer["documents"]


def test_a_file_of_many_rows_has_one_bad_row(tmp_path: Path) -> None:
    (tmp_path / "orders.csv.gz").write_bytes(gzip.compress(b"id;total\n1;2.50\n2\n3;4\n"))
    parser = ("--parser", "csv", "--option", "delimiter=;", "--compression", "gzip")
    ran = ddpm("parse", "orders.csv.gz", *parser, "--json", cwd=tmp_path)
    assert ran.returncode == 1
    (answer,) = answers(ran.stdout)
    assert [(one["index"], one["outcome"]) for one in answer["documents"]] == [
        (0, "written"),
        (1, "dead_letter"),
        (2, "written"),
    ]
    assert answer["documents"][1]["reason"]["code"] == "wrong_column_count"


def test_a_parser_of_ones_own_without_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "pairs.blobl").write_text('root.words = content().string().split(" ")')
    ran = ddpm("parse", "-", "--parser", "pairs", "--plugin", "pairs.blobl", "--json", cwd=tmp_path, stdin=b"a b")
    assert ran.returncode == 0, ran.stderr
    assert answers(ran.stdout)[0]["documents"][0]["document"] == {"words": ["a", "b"]}


@pytest.mark.parametrize("kind", ["python", "class", "bloblang"])
def test_a_new_plugin_works_as_it_is(kind: str, tmp_path: Path) -> None:
    assert ddpm("plugins", "new", "pairs", "--kind", kind, cwd=tmp_path).returncode == 0
    ran = ddpm("parse", "--parser", "pairs", "--plugin", "parsers", "--json", cwd=tmp_path, stdin=b"id=7 name=Ada")
    assert ran.returncode == 0, ran.stderr
    assert answers(ran.stdout)[0]["documents"][0]["document"] == {"id": "7", "name": "Ada"}


def test_a_plugin_is_answered_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "pairs.py").write_text("def parse(payload, meta):\n    return [{'n': 1 / len(payload)}]\n")
    ran = ddpm("parse", "--parser", "pairs", "--plugin", "pairs.py", cwd=tmp_path)
    assert ran.returncode == 1
    assert "plugin_failed" in ran.stdout
    assert "pairs.py:2: ZeroDivisionError: division by zero" in ran.stdout
    (tmp_path / "pairs.py").write_text("def parse(payload):\n    return []\n")
    ran = ddpm("parse", "--parser", "pairs", "--plugin", "pairs.py", cwd=tmp_path)
    assert ran.returncode == 2
    assert "pairs.py:1: parse must take two arguments" in ran.stderr


def test_a_mapping_may_begin_with_an_empty_line(tmp_path: Path) -> None:
    config = configure(tmp_path, processors=[{"mapping": '\nroot = this\nroot.note = "a: b"\n'}])
    ran = ddpm("parse", "--config", str(config), "--json", cwd=tmp_path, stdin=b'{"id": 1}')
    assert ran.returncode == 0, ran.stderr


def test_a_mistake_in_a_mapping_is_told_before_any_record(tmp_path: Path) -> None:
    config = configure(tmp_path, processors=[{"filter": "true"}, {"mapping": "root = this\nroot.a = this.b.nope()"}])
    for command in (("parse", "-"), ("validate",)):
        ran = ddpm(*command, "--config", str(config), cwd=tmp_path, stdin=b"{}")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "error[mapping] app.processors[1].mapping: there is no method" in ran.stderr
        assert "root.a = this.b.nope()" in ran.stderr, "the line of the user's file"


def test_a_schema_that_cannot_be_used_is_found_by_validate(tmp_path: Path) -> None:
    (tmp_path / "order.avsc").write_text('{"type": "recor"}')
    config = configure(
        tmp_path, source={"parser": "avro", "options": {"framing": "datum", "schema_file": "order.avsc"}}
    )
    ran = ddpm("validate", "--config", str(config), cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert 'order.avsc: the schema has no type "recor"' in ran.stderr
    assert "error[parser] app.source.options.schema_file: the parser avro cannot start" in ran.stderr


def test_a_record_that_no_answer_comes_to_is_told_with_what_the_engine_said(tmp_path: Path) -> None:
    source = {
        "parser": "avro",
        "options": {"framing": "confluent", "registry": "http://user:hunter2secret@127.0.0.1:9"},
    }
    config = configure(tmp_path, source=source)
    ran = ddpm("parse", "-", "--config", str(config), "--patience", "2", cwd=tmp_path, stdin=b"\0\0\0\0\1x")
    assert ran.returncode == 1
    assert "the engine did not answer within 2 s" in ran.stderr
    assert "waiting for the schema registry" in ran.stderr
    assert "hunter2secret" not in ran.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing_behind(tmp_path: Path, signum: int) -> None:
    (tmp_path / "temporary").mkdir()
    popen = subprocess.Popen(
        [sys.executable, "-m", "ddpm", "parse", "--each-line", "--json", "--parser", "json"],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert popen.stdin is not None
    assert popen.stdout is not None
    with popen.stdin, popen.stdout:
        popen.stdin.write(b'{"id": 1}\n')
        popen.stdin.flush()
        assert popen.stdout.readline().startswith(b'{"record":1,')
        popen.send_signal(signum)
        popen.stdout.read()
        assert popen.wait(60) == 128 + signum
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_secret_in_a_mapping_reaches_the_engine_and_nothing_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = 'hmac"key\\5f1e\nof two lines'
    monkeypatch.setenv("HMAC_KEY", key)
    (tmp_path / "pin").write_text("file-secret-77")
    mapping = (
        'root.a = "x".hash("hmac_sha256", "${HMAC_KEY}").encode("hex")\n'
        "root.b = ${HMAC_KEY}.length()\n"
        'root.c = if this.bad { "${file:pin}".number() } else { "${file:pin}".length() }\n'
    )
    config = configure(tmp_path, processors=[{"mapping": mapping}])
    records = b'{"bad": false}\n{"bad": true}\n'
    ran = ddpm("parse", "--each-line", "--json", "--config", str(config), cwd=tmp_path, stdin=records)
    good, bad = answers(ran.stdout)
    expected = hmac.new(key.encode(), b"x", "sha256").hexdigest()
    assert good["documents"][0]["document"] == {"a": expected, "b": len(key), "c": 14}
    assert "***" in bad["documents"][0]["reason"]["message"]
    rendered = ddpm("render", "--config", str(config), cwd=tmp_path)
    assert "${DDPM_VALUE_1}" in rendered.stdout
    broken = configure(tmp_path, processors=[{"mapping": "root.x = ${HMAC_KEY} ${HMAC_KEY}"}])
    refused = ddpm("parse", "--config", str(broken), cwd=tmp_path, stdin=b"{}")
    assert refused.returncode == 2
    for shown in (ran.stdout, ran.stderr, rendered.stdout, rendered.stderr, refused.stdout, refused.stderr):
        assert not re.search("5f1e|of two lines|file-secret-77", shown), shown
