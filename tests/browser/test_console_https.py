"""The console of a real ddpm over HTTPS, with a token."""

from pathlib import Path

from selenium.webdriver import Keys

from browser.page import Page
from harness.https import OPERATOR, Secured
from harness.process import Ddpm
from harness.world import World


def test_the_console_is_used_over_https(world: World, tmp_path: Path, page: Page) -> None:
    world.create_topic()
    made = Secured(tmp_path, world)
    with Ddpm(made.settings(), tmp_path, verify=made.trusting()) as running:
        running.wait_healthy()
        with page.trusting_any_certificate():
            page.open(f"{running.url}/#/pipelines/orders")
            page.sees("This ddpm asks for a token", "dialog")
            assert all("401" in each for each in page.take_errors())
            page.keys(OPERATOR, Keys.ENTER)
            page.sees("running", ".title-state")
            page.sees("shift · operate", "header")
            page.press("Pause")
            page.click(page.one("dialog [type=submit]"))
            page.sees("paused", ".title-state")
            page.sees("paused", ".card-events")
            page.leave()
        assert running.stop() == 0
