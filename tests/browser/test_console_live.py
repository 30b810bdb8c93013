"""The console on a real ddpm with real servers; with --update-screenshots it makes the pictures of the README."""

import json
import math
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from browser.page import Page
from ddpm.broker.produce import Record, produce
from harness.process import Ddpm
from harness.waiting import eventually
from harness.world import World

IMAGES = Path(__file__).parents[2] / "docs" / "images"
TOPICS = {"orders": 900, "payments": 420, "returns": 130, "stock": 60}
PICTURE_SECONDS = 290.0


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Iterator[Ddpm]:
    """Four pipelines of a shop, all running."""
    config = world.config(
        dead_letter={"topic": "failed-messages"},
        kafka={"consumer_group": "shop", "topics": ["unused"]},
        postgres={"columns": {"id": "bigint"}},
    )
    config["pipelines"] = {name: section(name) for name in TOPICS}
    with Ddpm(config, tmp_path) as ddpm:
        ddpm.wait_healthy()
        yield ddpm
        assert ddpm.stop() == 0


def section(name: str) -> dict[str, Any]:
    """What is special about one of the shop's pipelines."""
    special: dict[str, dict[str, Any]] = {
        "orders": {"replicas": 2, "processors": [{"mapping": 'root = this.without("note")'}]},
        "returns": {
            "processors": [{"filter": "this.id != null"}, {"mapping": "root = this"}],
            "sinks": ["postgres", {"kafka": {"topic": "returns-clean"}}],
        },
    }
    return {"kafka": {"topics": [name]}, "postgres": {"table": name}} | special.get(name, {})


def address(ddpm: Ddpm, name: str = "") -> str:
    base = ddpm.url.removesuffix("/health")
    return f"{base}/#/pipelines/{name}" if name else f"{base}/"


def test_pause_and_resume_from_the_page(shop: Ddpm, world: World, page: Page) -> None:
    produce([world.bootstrap], "orders", [Record(value=b'{"id": %d}' % number) for number in range(500)])
    page.open(address(shop))
    page.sees("All 5 pipelines run.", "h1")
    page.open(address(shop, "orders"))
    page.sees("running", ".title-state")
    page.sees("500 in all", ".tiles")
    page.sees("2 of 2 ready", "svg.flow")
    page.sees("postgres ok", ".card-probes")
    page.press("Pause")
    page.click(page.one("dialog [type=submit]"))
    page.sees("paused", ".title-state")
    page.press("Resume")
    page.click(page.one("dialog [type=submit]"))
    page.sees("running", ".title-state")
    page.sees("paused", ".card-events")


def test_the_sinks_of_one_pipeline_stand_together_and_lead_to_each_other(shop: Ddpm, page: Page) -> None:
    page.open(address(shop))
    page.sees("returns 2 sinks", "tr.whole")
    page.click(page.one("[data-key='pipeline-returns.postgres'] a"))
    page.sees("Sinks of returns", "nav.siblings")
    page.click(page.one("nav.siblings [data-key='returns.kafka']"))
    page.sees("returns.kafka", "h1")
    page.sees("kafka ok", ".card-probes")
    page.press("Pause")
    page.click(page.one("dialog [type=submit]"))
    page.sees("paused", ".title-state")
    page.click(page.one("nav.siblings [data-key='returns.postgres']"))
    page.sees("running", ".title-state")
    page.click(page.one("nav.siblings [data-key='returns.kafka']"))
    page.press("Resume")
    page.click(page.one("dialog [type=submit]"))
    page.sees("running", ".title-state")


def test_a_frozen_engine_is_seen_and_so_is_its_recovery(shop: Ddpm, page: Page) -> None:
    page.open(address(shop, "payments"))
    page.sees("running", ".title-state")
    engine = pid(shop, "payments")
    os.kill(engine, signal.SIGSTOP)
    try:
        page.sees("degraded", ".title-state")
        page.sees("engine 0 failing", ".card-probes")
    finally:
        os.kill(engine, signal.SIGCONT)
    page.sees("running", ".title-state")
    page.sees("engine 0 ok", ".card-probes")


@pytest.mark.timeout(900)
def test_the_pictures_of_the_readme(shop: Ddpm, world: World, page: Page, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--update-screenshots"):
        pytest.skip("makes pictures only with --update-screenshots")
    with traffic(world):
        time.sleep(PICTURE_SECONDS)
        engine = pid(shop, "returns.postgres")
        os.kill(engine, signal.SIGSTOP)
        try:
            page.size(1280, 860, 1.5)
            page.open(address(shop))
            page.sees("returns.postgres is degraded", "h1")
            page.sees("1,", "[data-key='pipeline-returns.postgres'] .cell-lag")
            page.save_picture(IMAGES / "console-overview.png")
        finally:
            os.kill(engine, signal.SIGCONT)
        page.open(address(shop, "returns.postgres"))
        page.sees("running", ".title-state")
        page.size(360, 740, 2)
        eventually(lambda: page.ask("return innerWidth") == 360, "the window is a phone's")
        page.sees("records", ".card-flow")
        page.save_picture(IMAGES / "console-phone.png")
        page.size(1280, 1180, 1.5)
        page.prefer("dark")
        page.open(address(shop, "orders"))
        page.sees("running", ".title-state")
        page.save_picture(IMAGES / "console-pipeline.png")


def pid(ddpm: Ddpm, name: str) -> int:
    """The process of a pipeline's first engine."""

    def running() -> int | None:
        pipelines = ddpm.health()[1].get("pipelines", [])
        found: list[int] = [each["replicas"][0]["pid"] for each in pipelines if each["name"] == name]
        return found[0] if found else None

    return eventually(running, f"an engine of {name} runs")


@contextmanager
def traffic(world: World) -> Iterator[None]:
    """Records for the whole shop, more at times and less at others, now and then one that is broken."""
    over = threading.Event()
    threads = [
        threading.Thread(target=produce, args=([world.bootstrap], name, records(rate, over)))
        for name, rate in TOPICS.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def records(rate: int, over: threading.Event) -> Iterator[Record]:
    dice = random.Random(rate)  # noqa: S311 -- noise for a picture
    number = 0
    while not over.wait(0.1):
        wave = 1 + 0.35 * math.sin(time.monotonic() / 23 + rate) + dice.uniform(-0.08, 0.08)
        for _ in range(int(rate * wave / 10)):
            number += 1
            yield Record(value=json.dumps({"id": number, "note": "x" * 60}).encode(), partition=number % 3)
        if dice.random() < 0.004:
            yield Record(value=b"{broken", partition=0)
