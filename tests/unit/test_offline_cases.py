"""Case files: what is read from them, every problem with its place, and what counts as a difference."""

from pathlib import Path
from typing import Any

import pytest

from ddpm.config import ConfigProblems
from ddpm.orchestrator.dryrun import differences, read_answer, read_cases

ROW = (
    '{"outcome":"written","parsed":{},"document":{"id":9007199254740993,"x":1.50,"tags":["a"],"n":null},"columns":['
    '{"column":"id","type":"bigint","value":"9007199254740993"},{"column":"x","type":"numeric","value":"1.50"},'
    '{"column":"ok","type":"boolean","value":"t"},{"column":"n","type":"text","value":null},'
    '{"column":"tags","type":"jsonb","value":"[\\"a\\", 1.0]"}]}'
)
LETTER = (
    '{"index":3,"outcome":"dead_letter","reason":{"stage":"sink","code":"22P02","message":"bad bigint","column":"id"}}'
)
FILTERED = '{"outcome":"filtered","parsed":{}}'


def answer(*documents: str, left_out: int = 0) -> Any:
    return read_answer(f'{{"record":1,"size":0,"head":"","documents":[{",".join(documents)}],"left_out":{left_out}}}')


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.cases.yaml"
    path.write_text(text)
    return path


def expecting(folder: Path, expected: str) -> Any:
    return read_cases(written(folder, f"cases:\n  - name: one\n    input: {{text: x}}\n{expected}")).cases[0]


def test_inputs_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\0\xff")
    file = read_cases(
        written(
            tmp_path,
            """
pipeline: shop
cases:
  - {name: a, input: {text: 007}, key: 12, topic: t, headers: {h: v, n: 1}, timestamp: 2026-11-23T04:05:06.5Z,
     filtered: true}
  - {name: b, input: {base64: "AP8="}, filtered: true, timestamp: 1000}
  - {name: c, input: {file: bytes}, filtered: true}
  - {name: d, input: {tombstone: true}, filtered: true}
  - {name: e, input: {json: {id: 9007199254740993, x: 1.50, e: 1e5, s: "1", y: true, z: null, l: [.5]}}, filtered: true}
""",
        )
    )
    assert file.pipeline == "shop"
    records = [case.record for case in file.cases]
    assert [record.payload for record in records[:4]] == [b"007", b"\0\xff", b"\0\xff", None]
    assert records[4].payload == b'{"id":9007199254740993,"x":1.50,"e":1e5,"s":"1","y":true,"z":null,"l":[0.5]}'
    first = records[0]
    assert (first.key, first.topic, first.headers) == ("12", "t", {"h": ("v",), "n": ("1",)})
    assert (first.timestamp_ms, records[1].timestamp_ms) == (1_795_406_706_500, 1000)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ":1:1: error[wrong-type]"),
        ("cases: []\n", ":1:8: error[missing-field] cases: no cases are listed"),
        ("cases:\n  - name: [\n", "error[yaml-syntax]"),
        ("cases:\n  - nmae: a\n", ":2:5: error[unknown-field] cases[0].nmae: unknown field"),
        ("cases:\n  - {name: a, input: {text: x}}\n", ":2:5: error[missing-field] cases[0]: nothing is expected"),
        ("cases:\n  - {name: a, filtered: true}\n", ":2:5: error[missing-field] cases[0]: a case needs an input"),
        ("cases:\n  - {input: {text: x}, filtered: true}\n", "a case needs a name"),
        ("cases:\n  - {name: a, input: {text: x, json: 1}, filtered: true}\n", ":2:22: error[invalid-value]"),
        ("cases:\n  - {name: a, input: {base64: '?'}, filtered: true}\n", "base64 cannot be read: this is not base64"),
        ("cases:\n  - {name: a, input: {file: nix}, filtered: true}\n", "file cannot be read: No such file"),
        ("cases:\n  - {name: a, input: {text: [1]}, filtered: true}\n", "it is a list or a mapping"),
        ("cases:\n  - {name: a, input: {text: x}, filtered: no}\n", "filtered can only be true"),
        ("cases:\n  - {name: a, input: {text: x}, filtered: true, rows: []}\n", "has nothing else"),
        (
            "cases:\n  - {name: a, input: {text: x}, rows: {a: 1}}\n",
            ":2:39: error[wrong-type] cases[0].rows: expected a",
        ),
        ("cases:\n  - {name: a, input: {text: x}, reason: {index: x}}\n", "index counts documents from 0"),
        ("cases:\n  - {name: a, input: {text: x}, timestamp: 2026-11-23, filtered: true}\n", "is not a moment"),
    ],
)
def test_every_problem_has_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read_cases(written(tmp_path, text))
    assert problem in str(caught.value)


def test_two_cases_of_one_name_and_unknown_columns_are_refused(tmp_path: Path) -> None:
    case = "  - {name: a, input: {text: x}, rows: [{totl: 1}]}\n"
    with pytest.raises(ConfigProblems, match='another case is called "a"'):
        read_cases(written(tmp_path, f"cases:\n{case}{case}"))
    file = read_cases(written(tmp_path, f"cases:\n{case}"))
    with pytest.raises(ConfigProblems, match=r'2:41: error\[unknown-column\] totl(?s:.*)did you mean "total"'):
        file.check_columns(["id", "total"])
    with pytest.raises(ConfigProblems, match="writes no table"):
        file.check_columns([])


@pytest.mark.parametrize(
    ("expected", "documents"),
    [
        ("    rows: [{id: 9007199254740993, x: 1.50, ok: true, n: null, tags: [a, 1]}]", [ROW]),
        ("    rows: [{}]", [ROW]),
        ("    documents: [{x: 1.5, id: 9007199254740993, tags: [a], n: null}]", [ROW]),
        ("    filtered: true", [FILTERED]),
        ("    reason: {stage: sink, code: 22P02, column: id, message: bigint, index: 3}", [LETTER]),
        ("    rows: [{}]\n    reason: [{}]", [ROW, LETTER, FILTERED]),
        ("    rows: []", []),
    ],
)
def test_what_is_as_expected_passes(tmp_path: Path, expected: str, documents: list[str]) -> None:
    assert differences(expecting(tmp_path, expected), answer(*documents)) == []


@pytest.mark.parametrize(
    ("expected", "documents", "lines"),
    [
        ("    rows: [{x: 1.5}]", [ROW], ["row 1, x:", "- 1.5", "+ 1.50"]),
        ("    rows: [{ok: false, n: x}]", [ROW], ["row 1, ok:", "- false", "+ t", "row 1, n:", "- x", "+ NULL"]),
        ("    rows: [{tags: [a, 2]}]", [ROW], ["row 1, tags:", '- ["a",2]', '+ ["a", 1.0]']),
        ("    rows: [{}]", [], ["- 1 row written", "+ 0 rows written"]),
        ("    filtered: true", [ROW], ["- 0 rows written", "+ 1 row written", "- filtered", "+ not filtered"]),
        (
            "    reason: {code: 22003}",
            [LETTER],
            ["- dead letter: 22003", "+ dead letter: document 3, sink, 22P02, column id: bad bigint"],
        ),
        ("    rows: []", [LETTER], ["+ dead letter: document 3, sink, 22P02, column id: bad bigint"]),
    ],
)
def test_a_difference_is_shown(tmp_path: Path, expected: str, documents: list[str], lines: list[str]) -> None:
    assert differences(expecting(tmp_path, expected), answer(*documents)) == lines


def test_documents_are_compared_line_by_line(tmp_path: Path) -> None:
    case = expecting(tmp_path, "    documents: [{id: 9007199254740992, x: 1.5, tags: [a], n: null}]")
    lines = differences(case, answer(ROW))
    assert lines[0] == "document 1:"
    assert '-   "id": 9007199254740992,' in lines
    assert '+   "id": 9007199254740993,' in lines
    assert differences(case, answer(ROW, left_out=5)) == ["the record has 6 documents, too many to be compared"]
