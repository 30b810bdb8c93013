"""What is hidden of records where people look at them, and what is not."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ddpm.config.model import Column, Privacy
from ddpm.deadletters.letter import DeadLetter, LetterId, shown
from ddpm.exact import compact, loads
from ddpm.orchestrator.dryrun.answer import TooDeepError, read_answer
from ddpm.orchestrator.dryrun.answer import shown as answer_shown
from ddpm.privacy import PrivacyFilter
from ddpm.words import counted
from unit.config.folder import MINIMAL, Folder

EMAIL = "bob@example.org"
COLUMNS = {
    "contact": Column.model_validate({"type": "text", "from": "customer.email"}),
    "phone": Column.model_validate({"type": "text", "from": "customer.phone"}),
    "amount": Column.model_validate({"type": "numeric", "from": "amount"}),
}


def hiding(*mask: str, **more: Any) -> PrivacyFilter:
    return PrivacyFilter(Privacy.model_validate({"mask": mask, **more}), COLUMNS)


@pytest.mark.parametrize(
    ("mask", "document", "expected"),
    [
        ("email", {"email": EMAIL, "id": 1}, {"email": "***", "id": 1}),
        ("email", {"a": [{"b": {"email": EMAIL}}]}, {"a": [{"b": {"email": "***"}}]}),
        ("email", {"email": {"of": [1, 2]}}, {"email": "***"}),
        ("email", {"email": None}, {"email": None}),
        ("email", [{"email": 7}], [{"email": "***"}]),
        ("customer.phone", {"phone": 1, "customer": {"phone": 2}}, {"phone": 1, "customer": {"phone": "***"}}),
        ("customer.phone", {"x": {"customer": [{"phone": 2}]}}, {"x": {"customer": [{"phone": "***"}]}}),
        ("a\\.b", {"a.b": 1, "a": {"b": 2}}, {"a.b": "***", "a": {"b": 2}}),
    ],
)
def test_fields_are_hidden_by_their_names_at_any_depth(mask: str, document: Any, expected: Any) -> None:
    assert hiding(mask).document(document) == expected


def test_numbers_keep_their_digits() -> None:
    given = '{"n": 1.10000000000000000001, "email": "x"}'
    value = hiding("email").value(given.encode())
    assert value == b'{ "n": 1.10000000000000000001, "email": "***" }'


@pytest.mark.parametrize("value", [b"bob@example.org", b"\xff\x00", b'"bob@example.org"', b"{", b"a,b\n1,2\n"])
def test_nothing_is_shown_of_a_value_in_which_no_field_can_be_told(value: bytes) -> None:
    assert hiding("email").value(value) == f"({counted(len(value), 'byte')}, not shown: privacy.mask)".encode()
    assert hiding().value(value) == value


def test_columns_are_hidden_with_the_fields_that_they_come_from() -> None:
    privacy = hiding("email")
    assert privacy.cell("contact", EMAIL) == "***"
    assert privacy.cell("contact", None) is None
    assert privacy.cell("phone", "1") == "1"
    assert privacy.cell("document", json.dumps({"email": EMAIL, "n": 1})) == '{ "email": "***", "n": 1 }'
    assert privacy.cell("document", '{"email": "bob@exam…') == "***", "of a document that was cut nothing is known"
    row = privacy.row(json.dumps({"contact": EMAIL, "phone": None, "document": {"email": EMAIL}}))
    assert json.loads(row) == {"contact": "***", "phone": None, "document": {"email": "***"}}


def answer(parsed: Any, document: Any, reason: str | None = None, **columns: str) -> str:
    cells = [{"column": name, "type": "text", "value": value} for name, value in columns.items()]
    said = {"outcome": "dead_letter" if reason else "written", "parsed": parsed, "document": document, "columns": cells}
    said |= {"reason": {"stage": "sink", "code": "22P02", "message": reason}} if reason else {}
    return json.dumps({"record": 1, "size": 9, "head": "Ym9i", "documents": [said]})


def test_a_value_that_was_hidden_is_hidden_in_every_later_step() -> None:
    line = answer(
        {"email": EMAIL, "id": 12345},
        {"who": f"<{EMAIL}>", "id": 12345},
        f'invalid input "{EMAIL}" for id 12345',
        name=EMAIL,
        amount="12345",
    )
    seen = answer_shown(line, hiding("email"))
    assert EMAIL not in seen
    assert "Ym9i" not in seen
    (result,) = read_answer(seen).results
    assert result.document == {"who": "<***>", "id": "12345"}
    assert [cell.value for cell in result.columns] == ["***", "12345"]
    assert result.reason is not None
    assert result.reason.message == 'invalid input "***" for id 12345'
    assert answer_shown(line, hiding()) == line


def letter(value: bytes | None, message: str, column: str | None = None) -> DeadLetter:
    headers = (("user", b"bob"), ("trace", b"1"))
    return DeadLetter(
        LetterId(0, 1), "orders", None, "sink", "22P02", message, None, column, 0, None, 1, None, b"bob", value, headers
    )


def test_a_dead_letter_shows_neither_fields_nor_what_its_reason_quotes_of_them() -> None:
    privacy = hiding("email", mask_key=True, mask_headers=("user",))
    seen = shown(letter(json.dumps({"email": EMAIL}).encode(), f"bad value {EMAIL}"), privacy)
    assert (seen.value, seen.key, seen.message) == (b'{ "email": "***" }', b"***", "bad value ***")
    assert seen.headers == (("user", b"***"), ("trace", b"1"))
    unread = shown(letter(b"\xff", 'not a number: "bob"'), privacy)
    assert unread.message == "not a number: ***"
    named = shown(letter(b"{}", 'invalid input syntax: "bob"', "contact"), privacy)
    assert named.message == "invalid input syntax: ***"
    assert shown(letter(None, "a tombstone"), privacy).value is None


def test_a_pipeline_may_hide_other_fields_than_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    more = "  privacy: {mask: [email], mask_key: true}\npipelines:\n  a: {}\n"
    more += "  b: {postgres: {table: b}, privacy: {mask: [phone]}}\n"
    one, other = Folder(tmp_path).load(MINIMAL + more).config.pipelines
    assert (one.privacy.mask, other.privacy.mask) == (("email",), ("phone",))
    assert other.privacy.mask_key


@pytest.mark.parametrize("depth", [200, 900, 20_000])
def test_a_document_that_is_nested_too_deeply_is_not_shown_and_hinders_nothing(depth: int) -> None:
    value = ('{"a":' * depth + '{"email": "bob@example.org"}' + "}" * depth).encode()
    seen = shown(letter(value, 'not a number: "bob@example.org"'), hiding("email"))
    assert seen.value == f"({counted(len(value), 'byte')}, not shown: privacy.mask)".encode()
    assert EMAIL not in seen.message
    line = f'{{"record": 1, "head": null, "documents": [{{"outcome": "written", "document": {value.decode()}}}]}}'
    with pytest.raises(TooDeepError):
        answer_shown(line, hiding("email"))


@pytest.mark.parametrize(
    "message",
    [
        'invalid input syntax for type integer: "forty"bob two" years"',
        "duplicate key: Key (phone)=((030) bob) already exists.",
        'not a number: "bo\nbob',
    ],
)
def test_values_with_quotes_and_parentheses_are_hidden_in_reasons_as_a_whole(message: str) -> None:
    assert "bob" not in hiding("phone").reason(message, "phone", None)


def test_reasons_about_columns_that_are_shown_keep_what_they_quote() -> None:
    assert hiding("email").reason('no number: "x"', "amount", frozenset()) == 'no number: "x"'
    assert hiding("email").cell("amount", "") == ""


def test_documents_in_texts_are_documents() -> None:
    document = {"customer": json.dumps({"phone": 12345, "n": "{"}), "text": "{email", "list": "[1, 2]"}
    privacy = hiding("customer.phone")
    seen = privacy.document(document)
    assert seen == {**document, "customer": '{ "phone": "***", "n": "{" }'}
    assert privacy.taken(loads(json.dumps(document))) == {"12345"}
    assert "12345" not in privacy.row(json.dumps(document))


def test_what_an_engine_logs_of_refused_records_is_hidden() -> None:
    line = f"Failed to send message: 5 of 8 records refused, the first one: mapping: bad address {EMAIL}"
    assert hiding("email").logged(line) == "Failed to send message: 5 of 8 records refused, the first one: ***"
    assert hiding().logged(line) == line


def test_many_hidden_values_are_hidden_in_little_time() -> None:
    document = [
        {"email": f"user{number}@example.org", "note": f"by user{number}@example.org"} for number in range(5_000)
    ]
    privacy = hiding("email")
    begun = time.process_time()
    seen = privacy.without(document, privacy.taken(document))
    assert time.process_time() - begun < 5
    assert seen == [{"email": "***", "note": "by ***"}] * len(document)


def test_a_path_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = Folder(tmp_path).problems(MINIMAL + "  privacy: {mask: [a..b]}\n")
    assert "app.privacy.mask[0]" in str(said)


def test_compact_documents_are_json() -> None:
    text = '{"a": [1, {"b": "x\\ny  z"}], "c": {}}'
    assert json.loads(compact(loads(text))) == json.loads(text)
