"""The dead letters of a pipeline in the console, on a ddpm that only pretends."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from browser import stories
from browser.fake import NASTY, FakeDdpm, iso, letter, pipeline
from browser.page import Page
from harness.waiting import eventually

ORDERS = "#/pipelines/orders"
EARLY = "parse/not_json: not JSON: the document ends early at byte N"
CARD = ".card-letters"


@pytest.fixture
def ddpm() -> Iterator[FakeDdpm]:
    with FakeDdpm(pipeline("orders"), pipeline("customers"), stories.nasty()) as fake:
        stories.past(fake)
        yield fake


def opened(page: Page, ddpm: FakeDdpm) -> None:
    """Open the letters of one reason."""
    page.open(f"{ddpm.url}/{ORDERS}")
    page.sees("parse/not_json", CARD)
    page.click(page.all(".reason-toggle")[0])
    page.sees("0:0 orders-events:2:3061000", CARD)


def test_reasons_stand_with_their_counts_and_times(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/{ORDERS}")
    page.sees("34 open · 12 replayed · 3 discarded · in failed-messages", CARD)
    page.sees("parse/not_json not JSON: the document ends early at byte N 30", CARD)
    page.sees('sink/22P02 invalid input syntax for type integer: "…" 3', CARD)
    page.open(f"{ddpm.url}/#/pipelines/customers")
    page.sees("None is open.", CARD)


def test_letters_are_opened_and_shown_as_text_and_in_hexadecimal(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/{ORDERS}")
    page.sees("sink/22P02", CARD)
    page.click(page.all(".reason-toggle")[1])
    page.click(page.button("Dead letter 0:101"))
    page.sees("Dead letter 0:101", "dialog")
    for text in (
        'sink/22P02: invalid input syntax for type integer: "x1"',
        "orders-events:2:3061101",
        "trace",
        "1f0c9a5b",
    ):
        page.sees(text, "dialog")
    wanted = (
        '{\n  "id": "x1",\n  "total": 12345678901234567890.10,\n  "tags": [],\n  "lines": [\n    {\n      "sku": "a"\n'
    )
    assert page.hidden_text("dialog pre[aria-label=Value]").startswith(wanted)
    page.press("Hexadecimal")
    page.sees("00000000 7b 22 69 64 22 3a 20 22", "dialog pre[aria-label=Value]")
    page.sees("00000000 6f 72 64 65 72 2d 31 37 order-17", "dialog pre[aria-label=Key]")
    page.keys(Keys.ESCAPE)
    eventually(lambda: not page.all("dialog"), "the dialog is gone")


def test_the_list_says_how_many_more_there_are(ddpm: FakeDdpm, page: Page) -> None:
    opened(page, ddpm)
    assert len(page.all(".letter")) == 20
    page.sees("and 10 older ones; ddpm dlq list --letters shows all", CARD)
    page.click(page.all(".reason-toggle")[0])
    eventually(lambda: not page.all(".letter"), "they are closed again")


@pytest.mark.parametrize(("button", "deed"), [("Replay", "replay"), ("Discard", "discard")])
def test_letters_of_a_reason_are_asked_about_first(ddpm: FakeDdpm, page: Page, button: str, deed: str) -> None:
    page.open(f"{ddpm.url}/{ORDERS}")
    page.press(f"{button} {EARLY}")
    page.sees(f"{button} 30 dead letters?", "dialog")
    page.press("Cancel")
    eventually(lambda: not page.all("dialog"), "the dialog is gone")
    assert ddpm.posted == []
    page.press(f"{button} {EARLY}")
    page.click(page.one("dialog [type=submit]"))
    page.sees(f"orders: {deed} it is.", ".notice")
    wanted = {"reasons": ["parse/not_json"], "message": "not JSON: the document ends early at byte N"}
    assert ddpm.posted == [(f"orders/dead-letters/{deed}", wanted)]


def test_one_letter_or_all_of_them(ddpm: FakeDdpm, page: Page) -> None:
    opened(page, ddpm)
    page.click(page.button("Dead letter 0:3"))
    page.click(page.one("dialog [data-deed=replay]"))
    page.sees("Replay dead letter 0:3?", "dialog")
    page.click(page.one("dialog [type=submit]"))
    page.sees("orders: replay it is.", ".notice")
    page.press("Discard all")
    page.sees("Discard all 34 open dead letters?", "dialog")
    page.click(page.one("dialog [type=submit]"))
    page.sees("None is open.", CARD)
    assert ddpm.posted == [("orders/dead-letters/replay", {"ids": ["0:3"]}), ("orders/dead-letters/discard", {})]


def test_a_replay_shows_how_far_it_is_and_how_it_ended(ddpm: FakeDdpm, page: Page) -> None:
    replay = {"id": "r", "state": "running", "started": iso(), "ended": None, "total": 30, "done": 12}
    ddpm.letters["orders"]["replay"] = replay | {"landed": 0, "failed_again": 0, "waiting": None, "message": ""}
    page.open(f"{ddpm.url}/{ORDERS}")
    page.sees("Replaying: 12 of 30 letters", CARD)
    assert page.one("progress").get_attribute("value") == "12"
    assert not page.button("Replay all").is_enabled(), "one at a time"
    ddpm.letters["orders"]["replay"] |= {"state": "failed", "message": f"the engine died {NASTY}"}
    page.sees(f"failed: the engine died {NASTY}", CARD)
    eventually(lambda: page.button("Replay all").is_enabled(), "another may begin")


def test_a_refusal_stands_in_the_dialog(ddpm: FakeDdpm, page: Page) -> None:
    ddpm.refusal = (409, "a replay of orders runs already: 1 of 2 letters are done", "wait until it has ended")
    page.open(f"{ddpm.url}/{ORDERS}")
    page.press("Replay all")
    page.click(page.one("dialog [type=submit]"))
    page.sees("a replay of orders runs already", "dialog [role=alert]")
    assert all("409" in error for error in page.last_errors())


def test_a_letter_that_is_gone_is_told(ddpm: FakeDdpm, page: Page) -> None:
    opened(page, ddpm)
    ddpm.letters["orders"]["letters"] = [letter(9)]
    page.click(page.button("Dead letter 0:0"))
    page.sees("orders has no dead letter 0:0.", ".notice")
    assert all("404" in error for error in page.last_errors())


def test_an_update_leaves_what_is_open_and_the_focus_alone(ddpm: FakeDdpm, page: Page) -> None:
    opened(page, ddpm)
    page.button("Dead letter 0:2").send_keys("")
    ddpm.letters["orders"]["open"] = 35
    page.sees("35 open", CARD)
    assert page.focused == "Dead letter 0:2"
    page.keys(Keys.ENTER)
    page.sees("Dead letter 0:2", "dialog")


def test_nothing_in_a_letter_becomes_html_or_hides(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/#/pipelines/a%3F%3Ci%3E%26%23%3Bb")
    page.sees(NASTY, CARD)
    page.click(page.one(".reason-toggle"))
    page.click(page.one(".letter"))
    page.sees(NASTY, "dialog")
    page.sees("\\u202e\\u001b[2J", "dialog pre[aria-label=Value]")
    assert page.all("dialog img, dialog script, dialog b, .card-letters img, .card-letters b") == []
    assert "owned" not in page.driver.title


@pytest.mark.parametrize("width", [360, 375, 768, 1280])
@pytest.mark.parametrize("where", [ORDERS, "#/pipelines/a%3F%3Ci%3E%26%23%3Bb"])
def test_nothing_is_wider_than_the_window(ddpm: FakeDdpm, page: Page, where: str, width: int) -> None:
    page.size(width, 740)
    page.open(f"{ddpm.url}/{where}")
    page.click(page.one(".reason-toggle"))
    page.one(".letter")
    too_wide = "return document.documentElement.scrollWidth - innerWidth"
    eventually(lambda: page.ask("return innerWidth") == width, "the window has its size")
    eventually(lambda: page.ask(too_wide) <= 0, "nothing sticks out", 3)
    page.click(page.one(".letter"))
    page.press("Hexadecimal")
    box = page.ask(
        "const d = document.querySelector('dialog'); const b = d.getBoundingClientRect();"
        "return [b.left >= 0, b.right <= innerWidth, d.scrollWidth <= d.clientWidth]"
    )
    assert box == [True, True, True]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_and_everything_has_a_name(ddpm: FakeDdpm, page: Page, scheme: str) -> None:
    page.prefer("dark" if scheme == "dark" else "light")
    replay = {"id": "r", "state": "running", "started": iso(), "ended": None, "total": 30, "done": 12}
    ddpm.letters["orders"]["replay"] = replay | {"landed": 0, "failed_again": 0, "waiting": None, "message": ""}
    opened(page, ddpm)
    assert page.audit("contrast") == []
    assert page.audit("names") == []
    page.click(page.one(".letter"))
    page.one("dialog")
    assert page.audit("contrast") == []
    assert page.audit("names") == []
