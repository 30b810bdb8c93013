"""What Python and the engine call the same is written once, and both agree on it."""

import ast
import re
import runpy
from pathlib import Path

from ddpm import contract

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "src" / "ddpm" / "contract.py"
# A class or a field can be called like something else; these cannot.
VALUES = contract.Env.ALL | contract.Header.ALL | contract.Prefix.ALL | contract.Metric.ALL


def test_python_has_what_the_engine_prints(engine_binary: Path) -> None:
    generator = runpy.run_path(str(ROOT / "scripts" / "contract.py"))
    assert MODULE.read_text(encoding="utf-8") == generator["module"](engine_binary), "run `make generate`"


def test_no_name_of_it_stands_in_python_once_more() -> None:
    again = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path in (ROOT / "src").rglob("*.py")
        if path != MODULE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in VALUES
    ]
    assert not again


def test_no_name_of_it_stands_in_go_once_more() -> None:
    again = [
        f"{path.relative_to(ROOT)} {value}"
        for path in (ROOT / "cmd" / "engine").rglob("*.go")
        if path.parent.name != "contract" and not path.name.endswith("_test.go")
        for value in re.findall(r'"([^"\n]*)"', path.read_text(encoding="utf-8"))
        if value in VALUES
    ]
    assert not again
