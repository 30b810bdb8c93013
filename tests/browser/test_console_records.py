"""The newest records of a pipeline on its page."""

from collections.abc import Iterator

import pytest

from browser.fake import NASTY, FakeDdpm, pipeline, record, steps
from browser.page import Page
from harness.waiting import eventually

FIRST = record(17, '{"id": 17, "email": "***"}', steps("written", {"id": 17}, {"id": 17, "note": NASTY}))
POISON = record(18, NASTY, steps("dead_letter", None, reason=f"not JSON: {NASTY}"), key="")


@pytest.fixture
def ddpm() -> Iterator[FakeDdpm]:
    with FakeDdpm(pipeline("orders")) as fake:
        fake.records["orders"] = [POISON, FIRST]
        yield fake


def test_records_are_shown_as_they_lie_and_as_written(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.sees("Records", "#title-records")
    page.press("Show the newest")
    page.sees("orders:0:17", ".records")
    page.sees('{"id": 17, "email": "***"}', ".records")
    page.sees(NASTY, ".records")
    page.press("As written")
    page.sees(f"id=17 note={NASTY}", ".records")
    page.sees("dead letter: parse/not_json: not JSON", ".records")
    page.click(page.all(".record > summary")[1])
    page.sees("Processed", ".records")
    page.sees("trace", ".records")
    assert page.audit("contrast") + page.audit("names") == []
    page.prefer("dark")
    assert page.audit("contrast") == []
    page.leave()


def test_live_shows_what_comes_and_an_opened_record_stays_open(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.press("Live")
    page.sees("orders:0:17", ".records")
    page.click(page.all(".record > summary")[1])
    page.sees("Parsed", ".records")
    ddpm.records["orders"] = [record(19, '{"id": 19}', steps("written", {"id": 19}, {"id": 19})), POISON, FIRST]
    page.sees("orders:0:19", ".records")
    page.sees("Parsed", ".records")
    ddpm.refusal = (503, "others look at records now", "try again in a moment")
    page.sees("others look at records now; try again in a moment", ".card-records")
    assert all("503" in each for each in page.take_errors())
    ddpm.refusal = None
    page.no_longer_sees("others look", ".card-records")
    page.press("Live")
    page.take_errors()
    page.leave()


def test_who_may_not_look_is_told(ddpm: FakeDdpm, page: Page) -> None:
    ddpm.who |= {"name": "grafana", "kind": "token", "role": "read"}
    page.open(f"{ddpm.url}/#/pipelines/orders")
    button = page.button("Show the newest")
    eventually(lambda: not button.is_enabled(), "it is disabled")
    assert "operate" in (button.get_attribute("title") or "")
    page.leave()
