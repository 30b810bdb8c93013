"""The console in a real browser, on a ddpm that only pretends: everything a page can be told, and told wrongly."""

from collections.abc import Iterator

import httpx2 as httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import stories
from browser.fake import NASTY, FakeDdpm, pipeline
from browser.page import Page
from harness.waiting import eventually

RETURNS = "#/pipelines/returns"
NASTY_PAGE = "#/pipelines/a%3F%3Ci%3E%26%23%3Bb"


@pytest.fixture
def ddpm() -> Iterator[FakeDdpm]:
    """Four pipelines, one of them in trouble."""
    well = [
        pipeline("orders"),
        stories.degraded("returns"),
        pipeline("customers"),
        stories.resting("archive", "paused"),
    ]
    with FakeDdpm(*well) as fake:
        stories.past(fake)
        yield fake


@pytest.fixture
def zoo() -> Iterator[FakeDdpm]:
    with FakeDdpm(*stories.zoo()) as fake:
        stories.past(fake)
        yield fake


def row(page: Page, name: str) -> str:
    """The row of a pipeline, as it reads."""
    return page.part(f"[data-key='pipeline-{name}']")


# ---- what it shows


def test_the_overview_says_how_things_are_in_one_sentence_and_a_line_for_each(ddpm: FakeDdpm, page: Page) -> None:
    page.open(ddpm.url)
    page.sees("1 of 4 pipelines needs a look: returns is degraded.", "h1")
    page.sees("0.1.0", "header")
    wanted = "orders records flow running for 2 h 5 min 1,284 /s read 1,284 /s 12 0.4 s 211 open 1 of 1 ready"
    eventually(lambda: row(page, "orders") == wanted, f"the row of orders reads {wanted!r}")
    for text in ("postgres does not answer", "degraded", "61,250 4 min 11 s"):
        page.sees(text, "[data-key=pipeline-returns]")
    page.sees("paused", "[data-key=pipeline-archive]")
    assert page.one("[data-key=pipeline-returns] .cell-lag svg").get_attribute("aria-label") == (
        "lag in records: now 61,250, between 0 and 61,250 lately"
    )
    page.sees("returns postgres does not answer: connection refused", ".card-latest")


def test_while_all_is_well_it_says_so(page: Page) -> None:
    with FakeDdpm(pipeline("orders"), pipeline("customers")) as ddpm:
        page.open(ddpm.url)
        page.sees("All 2 pipelines run. 2,568 records/s are written and 24 wait.", "h1")
        page.leave()


def test_twenty_pipelines_in_every_state_stand_side_by_side(zoo: FakeDdpm, page: Page) -> None:
    page.open(zoo.url)
    page.sees(
        "4 of 20 pipelines need a look: returns is degraded, invoices is failed, refunds is recovering and 1 other."
    )
    eventually(lambda: len(page.all("tr.pipeline")) == 20, "every pipeline has a row")
    states = {cell.text for cell in page.all(".cell-state .state-word")}
    assert states == {"starting", "running", "degraded", "recovering", "paused", "draining", "stopped", "failed"}
    assert "not known" in page.hidden_text("[data-key=pipeline-fresh] .cell-lag")


def test_a_chip_shows_only_the_pipelines_of_its_state(zoo: FakeDdpm, page: Page) -> None:
    page.open(zoo.url)
    page.press("failed 1")
    eventually(lambda: len(page.all("tr.pipeline")) == 1, "only the failed one is left")
    assert "invoices" in row(page, "invoices")
    page.press("failed 1")
    eventually(lambda: len(page.all("tr.pipeline")) == 20, "all are back")


def test_a_pipelines_page_tells_everything_about_it(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/#/")
    page.click(page.one("[data-key=pipeline-returns] a"))
    page.sees("returns", "h1")
    page.is_called("returns, degraded · ddpm")
    page.sees("postgres does not answer: connection to 10.0.3.7:5432 refused; records wait", ".title-reason")
    for word in ("returns-eu", "returns-us", "avro", "mapping", "filter", "sales.returns", "failed-messages"):
        page.sees(word, "svg.flow")
    page.sees("postgres failing", "svg.flow")
    assert "through the parser avro, a mapping, a filter, to sales.returns" in page.hidden_text("svg.flow desc")
    page.sees("postgres failing", ".card-probes")
    page.sees("connection to 10.0.3.7:5432 refused", ".card-probes")
    page.sees("2 by lag, between 1 and 3", ".card-replicas")
    page.sees("Replica 1 running", ".card-replicas")
    page.sees("ready · pid 4212 · 2 restarts", ".card-replicas")
    page.sees("returns-events 1 3,061,411 3,061,415 4 0.3 s", ".card-partitions")
    page.sees("48 times", ".card-errors")
    page.sees("Replica 1 ended with signal SIGKILL: killed from outside", ".card-exit")
    page.sees("level=warn", ".card-exit pre")
    page.sees("1 → 2: lag 4,100 is above the target", ".card-events")


def test_events_arrive_by_themselves_and_move_the_state(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.sees("running", ".title-state")
    ddpm.happen("orders", "state", "kafka does not answer", "degraded")
    page.sees("kafka does not answer", ".card-events")
    page.sees("degraded", ".title-state")
    announced = "orders is degraded: kafka does not answer."
    eventually(lambda: announced in page.hidden_text("#announcer"), "screen readers hear of it")


def test_the_rendered_configuration_can_be_copied(ddpm: FakeDdpm, page: Page) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.open(f"{ddpm.url}/{RETURNS}")
    page.click(page.one("#config summary"))
    page.sees("password: '***'", "#config")
    page.press("Copy")
    eventually(lambda: page.all("[data-said=Copied]"), "the button says that it is done")
    assert page.ask("return navigator.clipboard.readText()") == ddpm.pipelines[1]["config"]


def test_the_log_is_asked_for_when_it_is_opened(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/{RETURNS}")
    page.click(page.one("#log summary"))
    page.sees(f"warning [0] {NASTY} from the log offset=7 topic=orders", "#log")


def test_an_unknown_pipeline_is_named_with_the_known_ones(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/#/pipelines/nothing")
    page.sees("there is no pipeline of this name; there are: orders, returns, customers, archive", "main")
    assert all("404" in error for error in page.last_errors())


# ---- what it does


@pytest.mark.parametrize(
    ("name", "button", "action"),
    [
        ("orders", "Pause", "pause"),
        ("orders", "Restart", "restart"),
        ("orders", "Drain", "drain"),
        ("archive", "Resume", "resume"),
    ],
)
def test_a_button_asks_first_and_then_says_what_ddpm_answered(
    ddpm: FakeDdpm, page: Page, name: str, button: str, action: str
) -> None:
    page.open(f"{ddpm.url}/#/pipelines/{name}")
    page.press(button)
    page.sees(f"{button} {name}?", "dialog")
    page.press("Cancel")
    eventually(lambda: not page.all("dialog"), "the dialog is gone")
    assert ddpm.posted == []
    page.press(button)
    page.click(page.one("dialog [type=submit]"))
    page.sees(f"{name}: {action} accepted, {action} it is.", "[role=status].notice")
    assert ddpm.posted == [(f"{name}/{action}", {})]


def test_pause_turns_into_resume_and_keeps_the_focus(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.press("Pause")
    page.keys(Keys.TAB, Keys.ENTER)
    page.sees("paused", ".title-state")
    eventually(lambda: page.focused == "Resume", "the focus is on the same button")


@pytest.mark.parametrize(("typed", "sent"), [("3", 3), (None, None)])
def test_replicas_are_set_to_a_number_or_back_to_the_configuration(
    ddpm: FakeDdpm, page: Page, typed: str | None, sent: int | None
) -> None:
    page.open(f"{ddpm.url}/{RETURNS}")
    page.press("Scale")
    page.sees("As configured (between 1 and 3, by lag)", "dialog")
    if typed is not None:
        page.replace("dialog [name=replicas]", typed)
    page.click(page.one("dialog [type=submit]"))
    page.sees("scale accepted", ".notice")
    assert ddpm.posted == [("returns/scale", {"replicas": sent})]


def test_a_refusal_stands_in_the_dialog_with_its_hint(ddpm: FakeDdpm, page: Page) -> None:
    ddpm.refusal = (409, f"9 replicas are more than the 3 partitions {NASTY}", "give the topic more partitions")
    page.open(f"{ddpm.url}/{RETURNS}")
    page.press("Scale")
    page.replace("dialog [name=replicas]", "9")
    page.click(page.one("dialog [type=submit]"))
    page.sees(f"9 replicas are more than the 3 partitions {NASTY}", "dialog [role=alert]")
    page.sees("give the topic more partitions", "dialog [role=alert]")
    ddpm.refusal = None
    page.click(page.one("dialog [type=submit]"))
    page.sees("scale accepted", ".notice")
    assert all("409" in error for error in page.last_errors())


@pytest.mark.parametrize("typed", ["0", "-1", "1.5"])
def test_a_number_that_makes_no_sense_is_not_sent(ddpm: FakeDdpm, page: Page, typed: str) -> None:
    page.open(f"{ddpm.url}/{RETURNS}")
    page.press("Scale")
    page.replace("dialog [name=replicas]", typed)
    page.click(page.one("dialog [type=submit]"))
    page.sees("A whole number from 1 on is needed.", "dialog [role=alert]")
    assert ddpm.posted == []


# ---- when things go wrong


def test_when_ddpm_goes_away_the_page_says_so_and_comes_back_by_itself(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.sees("live", "#link-state")
    ddpm.vanish()
    page.sees("ddpm does not answer. What you see is from", "[role=alert]")
    page.sees("running last known", ".title-state")
    page.sees("not answering", "#link-state")
    eventually(lambda: not page.button("Pause").is_enabled(), "the buttons are off")
    ddpm.pipelines[0]["reason"] = "back again"
    ddpm.appear()
    page.sees("back again", ".title-reason")
    page.no_longer_sees("last known")
    page.no_longer_sees("does not answer")
    ddpm.happen("orders", "control", "seen over the new stream")
    page.sees("seen over the new stream", ".card-events")
    assert all("ERR_" in error for error in page.last_errors())


def test_a_token_is_asked_for_kept_for_the_tab_and_sent_with_everything(ddpm: FakeDdpm, page: Page) -> None:
    ddpm.token = "open sesame".replace(" ", "-")
    page.open(ddpm.url)
    page.sees("This ddpm asks for a token", "dialog")
    page.keys("wrong", Keys.ENTER)
    page.sees("ddpm does not accept this token.", "dialog [role=alert]")
    page.keys(ddpm.token, Keys.ENTER)
    page.sees("1 of 4 pipelines needs a look", "h1")
    page.sees("returns postgres does not answer", ".card-latest")
    page.driver.refresh()
    page.sees("1 of 4 pipelines needs a look", "h1")
    assert page.ask("return [localStorage.length, document.cookie]") == [0, ""]
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.press("Restart")
    page.click(page.one("dialog [type=submit]"))
    page.sees("restart accepted", ".notice")
    page.press("Forget token")
    page.sees("This ddpm asks for a token", "dialog")
    assert all("401" in error for error in page.last_errors())


def test_texts_never_become_html(zoo: FakeDdpm, page: Page) -> None:
    zoo.happen(zoo.pipelines[10]["name"], "alarm", NASTY)
    page.open(zoo.url)
    page.sees(NASTY, "main")
    page.open(f"{zoo.url}/{NASTY_PAGE}")
    page.sees(NASTY, ".title-reason")
    page.sees(NASTY, ".card-events")
    for fold in ("#config", "#log"):
        page.click(page.one(f"{fold} summary"))
    page.sees("</pre><script>document.title='owned'</script>", "#config")
    page.sees(NASTY, "#log")
    page.press("Scale")
    page.sees("a?<i>&#;b?", "dialog")
    page.is_called("a?<i>&#;b, degraded · ddpm")
    assert page.all("main img, main script, main b, dialog i, main i") == []
    assert page.ask("try { document.body.innerHTML = '<b>'; return 'let in' } catch { return 'refused' }") == "refused"
    assert all("TrustedHTML" in error for error in page.last_errors())


# ---- for everybody


@pytest.mark.parametrize("where", ["#/", RETURNS, NASTY_PAGE])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(zoo: FakeDdpm, page: Page, where: str, width: int) -> None:
    page.size(width, 740)
    page.open(f"{zoo.url}/{where}")
    page.one(".card")
    for fold in page.all("summary"):
        page.click(fold)
    too_wide = """
        const parts = document.documentElement.scrollWidth > innerWidth ? [...document.querySelectorAll("body *")] : [];
        return parts.filter((part) => part.getBoundingClientRect().right > innerWidth)
          .map((part) => part.outerHTML.slice(0, 90));"""
    eventually(lambda: page.ask("return innerWidth") == width, "the window has its size")
    eventually(lambda: page.ask(too_wide) == [], "nothing sticks out", 3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["#/", RETURNS, "#/pipelines/invoices", "#/pipelines/refunds"])
def test_every_text_has_contrast_and_everything_has_a_name(zoo: FakeDdpm, page: Page, where: str, scheme: str) -> None:
    page.prefer("dark" if scheme == "dark" else "light")
    page.open(f"{zoo.url}/{where}")
    page.one(".card")
    assert page.audit("contrast") == []
    assert page.audit("names") == []
    for fold in page.all("summary"):
        page.click(fold)
    for button in page.all("[data-action=scale]"):
        page.click(button)
    assert page.audit("contrast") == []
    assert page.audit("names") == []


def test_states_differ_in_shape_and_word(zoo: FakeDdpm, page: Page) -> None:
    page.open(zoo.url)
    page.one(".cell-state")
    shapes = page.ask(
        "return Object.fromEntries([...document.querySelectorAll('.cell-state .state')]"
        ".map((e) => [e.querySelector('.state-word').textContent, e.querySelector('svg').innerHTML]))"
    )
    assert len(shapes) == 8
    assert len(set(shapes.values())) == 8


def test_the_keyboard_reaches_everything_in_order(ddpm: FakeDdpm, page: Page) -> None:
    page.open(ddpm.url)
    page.sees("orders", ".card-pipelines")
    assert page.tab() == "Skip to the pipelines"
    page.keys(Keys.ENTER)
    assert page.tab().startswith("all")
    reached = [page.tab() for _ in range(8)]
    assert reached[3:7] == ["orders", "returns", "customers", "archive"]
    page.one("[data-key=pipeline-returns] a").send_keys(Keys.ENTER)
    page.sees("All pipelines", "main")
    eventually(lambda: page.focused == "returns", "the focus is on the new page's heading")
    page.sees("returns-events", ".card-partitions")
    page.sees("killed from outside", ".card-exit")
    names = [page.tab() for _ in range(9)]
    assert names[:4] == ["Pause", "Restart", "Drain", "Scale"]
    assert names[4:6] == ["Partitions", "Last lines of the engine that ended"]
    visible = page.ask("return getComputedStyle(document.activeElement).outlineStyle")
    assert visible == "solid"


def test_an_update_leaves_the_focus_and_what_is_open_alone(ddpm: FakeDdpm, page: Page) -> None:
    page.open(f"{ddpm.url}/{RETURNS}")
    page.click(page.one("#config summary"))
    page.button("Restart").send_keys("")
    page.ask("window.before = document.activeElement")
    ddpm.pipelines[1]["reason"] = "still waiting for postgres"
    page.sees("still waiting for postgres", ".title-reason")
    assert page.ask("return window.before === document.activeElement && window.before.isConnected")
    assert page.one("#config").get_attribute("open") is not None


def test_the_theme_follows_the_system_until_the_button_says_otherwise(ddpm: FakeDdpm, page: Page) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    page.open(ddpm.url)
    light = page.ask(ground)
    page.prefer("dark")
    eventually(lambda: page.ask(ground) != light, "the page is dark")
    page.press("Switch to the light theme")
    eventually(lambda: page.ask(ground) == light, "the page is light")
    page.driver.refresh()
    eventually(lambda: page.ask(ground) == light, "the page is light again")
    assert page.button("Switch to the dark theme").is_displayed()


def test_who_wants_no_motion_gets_none(ddpm: FakeDdpm, page: Page) -> None:
    page.prefer("light", motion="reduce")
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.one(".edge-moving")
    assert page.ask("return document.getAnimations().length") == 0


# ---- how it is served


def test_the_files_come_with_their_types_and_strict_headers(ddpm: FakeDdpm) -> None:
    for path, media_type in {
        "/": "text/html; charset=utf-8",
        "/console/console.css": "text/css; charset=utf-8",
        "/console/app.js": "text/javascript; charset=utf-8",
        "/console/favicon.svg": "image/svg+xml",
    }.items():
        answer = httpx.get(ddpm.url + path, trust_env=False)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-cache"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        again = httpx.get(ddpm.url + path, headers={"If-None-Match": answer.headers["etag"]}, trust_env=False)
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/console/", "/console/nothing.js", "/console/..%2F__init__.py", "/console/index"])
def test_nothing_else_is_served(ddpm: FakeDdpm, path: str) -> None:
    assert httpx.get(ddpm.url + path, trust_env=False).status_code == 404


def test_the_page_brings_everything_itself(ddpm: FakeDdpm, page: Page) -> None:
    page.open(ddpm.url)
    page.sees("orders")
    sources = [element.get_attribute("src") for element in page.driver.find_elements(By.CSS_SELECTOR, "script")]
    assert all(str(source).startswith(ddpm.url) for source in sources)
    assert page.take_hosts() == {"127.0.0.1"}


@pytest.mark.parametrize("button", ["Restart", "Scale"])
def test_a_dialog_is_about_the_page_that_it_was_opened_on(ddpm: FakeDdpm, page: Page, button: str) -> None:
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.press(button)
    page.sees("orders?", "dialog")
    page.ask("history.pushState(null, '', '#/pipelines/customers'); dispatchEvent(new HashChangeEvent('hashchange'))")
    page.sees("customers", "h1")
    eventually(lambda: not page.all("dialog"), "the dialog is gone")
    assert ddpm.posted == []


def test_an_engine_that_ended_as_asked_is_not_shown_as_trouble(ddpm: FakeDdpm, page: Page) -> None:
    ddpm.happen("orders", "exit", "engine 0 exited with code 0: pause requested")
    ddpm.happen("orders", "exit", "engine 1 exited with code 1")
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.sees("engine 1 exited with code 1", ".card-events")
    colour = (
        "return getComputedStyle([...document.querySelectorAll('.event')]"
        ".find((each) => each.textContent.includes(arguments[0])).querySelector('.event-kind')).color"
    )
    ended, failed = (page.ask(colour, text) for text in ("engine 0 exited", "engine 1 exited"))
    assert ended != failed


def test_that_the_configuration_was_edited_stands_on_every_page(ddpm: FakeDdpm, page: Page) -> None:
    said = "app-config.yaml changed since it was read; `ddpm reload` applies it"
    ddpm.config_changed = said
    page.open(ddpm.url)
    page.sees(said, ".notice")
    page.open(f"{ddpm.url}/#/pipelines/orders")
    page.sees(said, ".notice")
    ddpm.config_changed = None
    eventually(lambda: not page.all(".notice"), "it is gone when the edit is taken back")


def test_partitions_without_an_answer_are_named(ddpm: FakeDdpm, page: Page) -> None:
    ddpm.pipelines[0]["unseen"] = [{"topic": "orders", "partition": 2, "reason": "orders/2 has no leader"}]
    page.open(f"{ddpm.url}/#/pipelines/{ddpm.pipelines[0]['name']}")
    page.sees("orders/2 has no leader", ".card-partitions")
    page.leave()
