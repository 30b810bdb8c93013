"""What the engine says of a mapping, in words that help whoever wrote it."""

import pytest

from ddpm.config.bloblang import Said, explain

CASES = {
    "an assignment for a comparison": (
        "this.test ^= true",
        "required: expected closing bracket, got: = tru",
        '"=" assigns; compare with "=="',
        None,
    ),
    "a colon": (
        "root.a = 1\nname^: this.x",
        "expected whitespace, got: : thi",
        'a mapping assigns with "=", not with ":"',
        "write root.name = …",
    ),
    "nothing to assign to": (
        "root.a = this.b\n^= this.c",
        "expected import, map, or assignment, got: = thi",
        "there is nothing before this = to assign to",
        "write root = or root.NAME =",
    ),
    "an unknown method": (
        "root = this.a.^uper()",
        "unrecognised method 'uper': rest",
        'there is no method "uper"',
        'did you mean "upper"?',
    ),
    "a method called as a function": (
        "root = ^upper(this.a)",
        "unrecognised function 'upper'",
        'there is no function "upper"',
        "it is a method: this.field.upper()",
    ),
    "an open quote": (
        'root.a = ^"abc\nroot.b = "x"',
        "failed to unescape quoted string contents: invalid syntax",
        "a quote is opened here and never closed",
        None,
    ),
    "an open bracket": (
        "root = this.map_each(x -> ^{\n  x.a\nroot.b = 1",
        "required: expected }, but reached end of input",
        "this { is opened here and never closed",
        None,
    ),
    "a text in single quotes": (
        "root.a = ^'x'",
        "expected query, got: 'x'",
        "a text stands in double quotes",
        'write "…"',
    ),
    "a word for an operator": (
        "root.a = this.b ^and this.c",
        "expected line break, got: and t",
        '"and" is written && in a mapping',
        None,
    ),
    "another language's comment": ("root.a = 1 ^// x", "expected query, got: / x", "a comment begins with #", None),
    "a line that assigns nothing": (
        "root.a = 1\n  ^this.b",
        "expected whitespace, but reached end of input",
        "this line assigns nothing",
        "begin it with root = or root.NAME =",
    ),
    "a missing file": (
        'root = file("^countries.json")',
        "open countries.json: no such file or directory: rest",
        "the file countries.json does not exist",
        "a path in a mapping begins at the configuration's folder",
    ),
    "an end too early": (
        "root.a = this.b ^+ ",
        "expected query, but reached end of input",
        "the mapping ends in the middle of an expression",
        None,
    ),
    "anything else": ("root.a = this.b.x(^%)", "required: expected thing, got: %)", "expected thing", None),
}


@pytest.mark.parametrize(("marked", "engine", "message", "hint"), CASES.values(), ids=CASES.keys())
def test_a_mistake_is_told_at_what_has_to_change(marked: str, engine: str, message: str, hint: str | None) -> None:
    text, expected = marked.replace("^", "", 1), marked.index("^")
    # The engine points behind names and files that it does not know, and at the end for what is not closed.
    behind = any(word in engine for word in ("unrecognised", "open ", "unescape", "end of input"))
    at = len(text) if behind else expected + message.startswith("a comment")

    found = explain(text, Said(at, engine, functions=("file",), methods=("upper", "lower")))

    assert (found.index, found.message, found.hint) == (expected, message, hint)


def test_a_second_condition_of_a_filter_is_told_as_such() -> None:
    text = "this.a\nthis.b"

    found = explain(text, Said(7, "required: expected closing bracket, got: this."), condition=True)

    assert (found.index, found.message) == (7, "a filter is one condition, and another begins here")


@pytest.mark.parametrize("index", [-1, 0, 3, 10**9])
@pytest.mark.parametrize("text", ["", "\n", '"', "((", "root = this"])
def test_no_place_of_the_engine_is_out_of_bounds(text: str, index: int) -> None:
    assert 0 <= explain(text, Said(index, "expected query")).index <= len(text)
