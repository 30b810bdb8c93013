"""The catalogue of problems: each code is in it, and each example has the problem that it is an example of."""

from typing import get_args

import pytest

from ddpm.config import ConfigProblems
from ddpm.config.codes import CODES, Code
from unit.config.folder import Folder


def test_every_code_is_explained() -> None:
    assert list(CODES) == list(get_args(Code))
    assert [code for code, each in CODES.items() if not (each.cause.endswith(".") and each.cure.endswith("."))] == []


@pytest.mark.parametrize("code", [code for code, each in CODES.items() if each.example])
def test_an_example_has_its_problem_and_no_other(folder: Folder, code: Code) -> None:
    with pytest.raises(ConfigProblems) as caught:
        folder.load(CODES[code].example)
    assert {problem.code for problem in caught.value.problems} == {code}
