"""Environment files: their lines, and that they are read, watched and masked as secrets are."""

import pytest

from ddpm.config import ConfigProblems
from ddpm.config.envfile import variables_in
from unit.config.folder import Folder

ENTRY = """\
app:
  kafka: {brokers: ["b:1"], topics: [orders], consumer_group: g}
  postgres: {url: "postgresql://u:${DB_PASSWORD}@h/d", table: orders}
"""


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain", "plain"),
        ("export A = spaced out  ", "spaced out"),
        ("A=", ""),
        ("A=x # a comment", "x"),
        ("A=x#no-comment", "x#no-comment"),
        ("A=${B}$C`d`", "${B}$C`d`"),
        (r"A='${B} \n \" #'", r"${B} \n \" #"),
        (r'A="a \"b\" \\ \n ${B} #" # a comment', 'a "b" \\ \n ${B} #'),
        ("A=first\nA=last", "last"),
        ("# A=no\n\nA=yes\r\n", "yes"),
    ],
)
def test_a_line_gives_a_variable(line: str, value: str) -> None:
    assert variables_in(line) == {"A": value}


@pytest.mark.parametrize("line", ["no-equals-sign", "1A=x", 'A="never closed', "A='never closed", "=x"])
def test_what_is_no_line_is_named_without_its_text(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 is not NAME=value") as caught:
        variables_in(f"B=1\n{line}")
    assert line not in str(caught.value)


def test_a_file_goes_before_the_environment_and_is_watched_and_masked(folder: Folder) -> None:
    folder.write("DB_PASSWORD=of-the-file\n", "secrets.env")
    config = folder.load(ENTRY, {"DDPM_ENV_FILE": "secrets.env", "DB_PASSWORD": "of-the-process"}).config
    assert "of-the-file" in config.secrets
    assert [path.name for path in config.secret_files] == ["secrets.env"]


def test_a_file_that_is_not_there_is_a_problem(folder: Folder) -> None:
    with pytest.raises(ConfigProblems, match=r"the environment file absent\.env cannot be read"):
        folder.load(ENTRY, {"DDPM_ENV_FILE": "absent.env", "DB_PASSWORD": "x"})
