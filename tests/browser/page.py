"""A page as its user knows it: by the words on it, its buttons, and the keyboard."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from harness.waiting import eventually

SECONDS = 20.0
_SCRIPTS = Path(__file__).parent


class Page:
    """One tab of the browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def reset(self) -> None:
        """A new tab without any past; what was logged before is forgotten."""
        old = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        new = self.driver.current_window_handle
        self.driver.switch_to.window(old)
        self.driver.close()
        self.driver.switch_to.window(new)
        self._take_log("browser")
        self._take_log("performance")
        self.driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        self.size(1280, 900)
        self.prefer("light")

    def leave(self) -> None:
        """End every request of the page."""
        self.driver.get("about:blank")

    def close(self) -> None:
        """Forget what was emulated."""
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    @contextmanager
    def trusting_any_certificate(self) -> Iterator[None]:
        """Open pages whose certificates the browser's own authorities did not sign, in the block."""
        try:
            self.driver.execute_cdp_cmd("Security.setIgnoreCertificateErrors", {"ignore": True})
            yield
        finally:
            self.driver.execute_cdp_cmd("Security.setIgnoreCertificateErrors", {"ignore": False})

    # ---- looking

    @property
    def text(self) -> str:
        """All text that can be seen."""
        body: str = self.driver.find_element(By.TAG_NAME, "body").text
        return body

    def sees(self, text: str, selector: str = "body") -> None:
        """Wait until a text stands on the page."""
        eventually(lambda: text in self.part(selector), f"{text!r} can be read in {selector}", SECONDS)

    def no_longer_sees(self, text: str, selector: str = "body") -> None:
        """Wait until a text is gone from the page."""
        eventually(lambda: text not in self.part(selector), f"{text!r} is gone from {selector}", SECONDS)

    def is_called(self, title: str) -> None:
        """Wait until the tab has a title."""
        eventually(lambda: self.driver.title == title, f"the tab is called {title!r}", SECONDS)

    def part(self, selector: str) -> str:
        """The text of a part of the page; empty when there is no such part now."""
        try:
            return " ".join(str(self.driver.find_element(By.CSS_SELECTOR, selector).text).split())
        except (NoSuchElementException, StaleElementReferenceException):
            return ""

    def all(self, selector: str) -> list[WebElement]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def one(self, selector: str) -> WebElement:
        found: WebElement = eventually(lambda: self.all(selector), f"there is a {selector}", SECONDS)[0]
        return found

    def button(self, name: str) -> WebElement:
        """The button that says `name`, by its text or its label."""
        path = f"//button[normalize-space()='{name}' or @aria-label='{name}']"
        found: WebElement = eventually(
            lambda: self.driver.find_elements(By.XPATH, path), f"there is a button {name}", SECONDS
        )[-1]
        return found

    def hidden_text(self, selector: str) -> str:
        """A part's text as it stands in the page, whether it can be seen or not."""
        return str(self.one(selector).get_attribute("textContent"))

    def ask(self, script: str, *arguments: Any) -> Any:
        """What a piece of JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def audit(self, name: Literal["contrast", "names"]) -> list[str]:
        """What one of the accessibility checks beside this file finds."""
        found: list[str] = self.ask((_SCRIPTS / f"{name}.js").read_text())
        return found

    # ---- doing

    def open(self, url: str) -> None:
        self.driver.get(url)

    def press(self, name: str) -> None:
        """Click the button that says `name`."""
        self.click(self.button(name))

    def click(self, element: WebElement) -> None:
        """Click something, in the middle of the window: not under the bar that stays at its top."""
        self.ask("arguments[0].scrollIntoView({ block: 'center' })", element)
        element.click()

    def replace(self, selector: str, text: str) -> None:
        """Type a text into a field instead of what it holds."""
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    def keys(self, *keys: str) -> None:
        """Type on whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def tab(self) -> str:
        """Go on to the next thing that takes the focus; returns its name or text."""
        self.keys(Keys.TAB)
        return self.focused

    @property
    def focused(self) -> str:
        """The label or text of what has the focus."""
        script = "const e = document.activeElement; return e.getAttribute('aria-label') ?? e.textContent.trim();"
        return str(self.ask(script))

    def size(self, width: int, height: int, scale: float = 1) -> None:
        """Give the page's window a size, in pixels of style sheets."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: Literal["light", "dark"], motion: str = "no-preference") -> None:
        """Set what the user's system prefers."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def save_picture(self, path: Path) -> None:
        """Save what the window shows as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        path.write_bytes(base64.b64decode(picture["data"]))

    # ---- what happened behind it

    def last_errors(self) -> list[str]:
        """Leave the page and return what the console complained about: for tests in which something must fail."""
        self.leave()
        return self.take_errors()

    def take_errors(self) -> list[str]:
        """What the browser's console complained about since the last call."""
        return [entry["message"] for entry in self._take_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def take_hosts(self) -> set[str]:
        """The hosts that pages sent requests to since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self._take_log("performance")]
        urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return {urlsplit(url).hostname or "" for url in urls if urlsplit(url).scheme in ("http", "https", "ws", "wss")}

    def _take_log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries
