"""Places of a text's characters in the file, however YAML wrote the text."""

from pathlib import Path

import pytest

from ddpm.components.registry import pipeline_type
from ddpm.config import load
from ddpm.config.written import Written

HEAD = """\
app:
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: orders}
  postgres: {url: "postgresql://u@db:5432/shop", table: orders}
"""


def written(folder: Path, yaml: str, env: dict[str, str] | None = None) -> tuple[Written, str, str]:
    file = folder / "app-config.yaml"
    text = HEAD + yaml
    file.write_bytes(text.encode())
    (pipeline,) = load(file, env or {}, model=pipeline_type()).config.pipelines
    step = pipeline.processors[-1]
    assert step.written is not None
    return step.written, step.mapping or step.filter or "", text


FORMS = {
    "plain": "  processors: [{mapping: root.a = this.TARGET}]\n",
    "plain on several lines": "  processors:\n    - mapping: root.a =\n\n        this.TARGET\n",
    "single quotes": "  processors:\n    - filter: 'this.it != \"x''y\" && TARGET'\n",
    "double quotes": '  processors:\n    - mapping: "root.\\u00e4 = 1\\n\\troot.b = TARGET"\n',
    "double quotes, continued": '  processors:\n    - mapping: "root.a = \\\n        TARGET"\n',
    "literal": "  processors:\n    - mapping: | # y\n\n        a = 1\n          # \N{GRINNING FACE}\n        TARGET\n",
    "literal, indented by a figure": "  processors:\n    - mapping: |2-\n          root.a = 1\n          TARGET\n",
    "folded": "  processors:\n    - mapping: >-\n        root.a = this.b\n        + this.TARGET\n\n\n          more\n",
    "an anchor and a tag": "  processors:\n    - mapping: &m !!str |\n        root.a = 1\n        TARGET\n",
    "an alias": "  processors:\n    - mapping: &m |\n        TARGET\n    - mapping: *m\n",
    "CRLF": "  processors:\r\n    - mapping: |\r\n        root.a = 1\r\n        TARGET\r\n",
    "a variable before it": '  processors:\n    - mapping: root.a = "${LONG}" + "$${x}" + "${NONE:-n}" + TARGET\n',
}


@pytest.mark.parametrize("yaml", FORMS.values(), ids=FORMS.keys())
def test_a_character_of_a_text_is_found_in_the_file(tmp_path: Path, yaml: str) -> None:
    found, text, file = written(tmp_path, yaml, {"LONG": "a long value with TARGE in it"})

    place = found.place(text.index("TARGET"))

    before = file[: file.index("TARGET")]
    assert place[:2] == (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def test_the_end_of_a_text_is_behind_its_last_character(tmp_path: Path) -> None:
    found, text, _ = written(tmp_path, "  processors:\n    - mapping: |\n        root.a =\n\n  replicas: 1\n")

    assert found.place(len(text))[:2] == (6, 17)
    assert found.place(len(text) + 99)[:2] == (6, 17)


def test_a_character_of_a_value_from_outside_is_where_its_expression_stands(tmp_path: Path) -> None:
    found, text, _ = written(tmp_path, "  processors:\n    - mapping: root = ${V}\n", {"V": "some words"})

    assert found.place(text.index("words"))[:2] == (5, 23)


def test_a_problem_shows_the_line_without_its_secrets(tmp_path: Path) -> None:
    yaml = '  processors:\n    - mapping: root.a = this.b == 1 && "https://u:hunter2@x" = this.c\n'
    found, text, _ = written(tmp_path, yaml)

    problem = found.problem("mapping", text.index("= this.c"), "wrong")

    assert problem.line == 5
    assert problem.source_line is not None
    assert "hunter2" not in problem.source_line
    assert problem.caret is not None
    assert problem.source_line[problem.caret - 1 :] == "= this.c"
