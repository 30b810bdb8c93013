"""A real Chromium without a window, and what tests ask of a page in it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from browser.page import Page
from harness.tools import CHROMEDRIVER, CHROMIUM, require


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    binary, driver = require(CHROMIUM), require(CHROMEDRIVER)
    profile = Path(tempfile.mkdtemp(prefix="ddpm-chromium-"))
    options = webdriver.ChromeOptions()
    options.binary_location = str(binary)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--hide-scrollbars",
        "--no-proxy-server",
        "--lang=en-GB",
        f"--user-data-dir={profile}",
        # A page that asks for anything but this machine must fail here, too.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(str(driver)))
    yield browser
    browser.quit()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def page(chromium: webdriver.Chrome) -> Iterator[Page]:
    """A fresh page of a desktop's size, in light colours; whatever went wrong in it unnoticed fails the test."""
    page = Page(chromium)
    page.reset()
    yield page
    page.leave()
    errors = page.take_errors()
    hosts = page.take_hosts()
    page.close()
    assert not errors, "the page's console has errors"
    assert hosts <= {"127.0.0.1"}, "the page asked another machine"
