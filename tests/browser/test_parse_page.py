"""The page of `ddpm parse --serve` in a real browser, with a real engine behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from browser.page import Page
from harness.offline import Served, configure, serving

pytestmark = pytest.mark.usefixtures("engine_binary")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving("--config", str(configure(tmp_path)), cwd=tmp_path) as running:
        yield running


def choose(page: Page, kind: str) -> None:
    page.click(page.one(f"input[value={kind}]"))


def test_a_pasted_record_is_shown_step_by_step(served: Served, page: Page) -> None:
    page.open(served.url)
    page.sees("pipeline, parser json", "header")
    page.replace("#record", '{"id": 9007199254740993, "total": 1.50, "address": {"city": "<b>Köln</b>"}}')
    page.press("Parse")
    page.sees("1 written, 0 filtered, 0 dead letters", ".summary")
    page.sees('"id": 9007199254740993', "#answer")
    page.sees('"total": 1.50', "#answer")
    page.sees("columns of orders column type value", "#answer")
    page.sees("city text <b>Köln</b>", "#answer table")
    page.sees("7b 22 69 64", ".hex")
    assert page.all("#answer b") == []


def test_a_refused_record_says_why(served: Served, page: Page) -> None:
    page.open(served.url)
    page.replace("#record", '{"id": "abc"}')
    page.press("Parse")
    page.sees('dead letter: sink, 22P02, column id: invalid input syntax for type bigint: "abc"', ".verdict")
    page.sees("id bigint abc", ".refused")
    page.replace("#record", '{"total": 0}')
    page.press("Parse")
    page.sees("filtered: nothing is written", ".verdict")


def test_records_come_as_base64_hex_and_files(served: Served, page: Page, tmp_path: Path) -> None:
    page.open(served.url)
    choose(page, "base64")
    page.replace("#record", "eyJpZCI6 MX0=")
    page.press("Parse")
    page.sees('{ "id": 1 }', "#answer")
    choose(page, "hex")
    page.replace("#record", "7b22 6964 223a 327d")
    page.press("Parse")
    page.sees('{ "id": 2 }', "#answer")
    page.replace("#record", "7b2")
    page.press("Parse")
    page.sees("this is not hexadecimal", "#answer")
    (tmp_path / "record").write_bytes(b"\xff\x00")
    page.one("#file").send_keys(str(tmp_path / "record"))
    page.press("Parse")
    page.sees("ff 00", ".hex")
    page.sees("dead letter: parse, invalid_utf8", ".verdict")
    page.press("Forget the file")
    assert page.one("#record").is_enabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_light_and_dark(served: Served, page: Page, scheme: Literal["light", "dark"]) -> None:
    page.prefer(scheme)
    page.open(served.url)
    for record in ('{"id": 1, "total": 1}', '{"id": "abc"}', '{"total": 0}', "nope"):
        page.replace("#record", record)
        page.press("Parse")
        size = len(record)
        page.sees(f"{size} bytes", "#answer")
        assert page.audit("contrast") == []
        assert page.audit("names") == []


def test_a_page_whose_ddpm_has_gone_says_so(served: Served, page: Page) -> None:
    page.open(served.url)
    page.sees("pipeline, parser json", "header")
    assert served.stop() == 0
    page.press("Parse")
    page.sees("ddpm does not answer is `ddpm parse --serve` still running?", "[role=alert]")
    assert all("Failed to load resource" in error for error in page.last_errors())
