"""What checks say of what they have measured, and how they are run."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from ddpm.errors import ServiceError
from ddpm.orchestrator.doctor.databases import clock_finding, connections_finding
from ddpm.orchestrator.doctor.findings import Check, Finding, examine
from ddpm.orchestrator.doctor.machine import machine_checks
from unit.config.folder import MINIMAL, Folder


def fine(name: str = "one") -> Finding:
    return Finding(name, "", "pass", "it is there")


@pytest.mark.parametrize(
    ("ahead", "uncertain", "verdict", "text"),
    [
        (1.5, 0.0, "pass", "its clock and this machine's agree"),
        (-4.0, 3.0, "pass", "its clock and this machine's agree"),
        (7.4, 0.1, "warn", "its clock is 7 s ahead of this machine's"),
        (-3600.0, 0.1, "fail", "its clock is 3600 s behind this machine's"),
    ],
)
def test_clocks_that_differ_by_more_than_the_question_took(
    ahead: float, uncertain: float, verdict: str, text: str
) -> None:
    found = clock_finding("db", ahead, uncertain)
    assert (found.verdict, found.text) == (verdict, text)


@pytest.mark.parametrize(("left", "verdict"), [(2, "fail"), (3, "warn"), (9, "warn"), (10, "pass")])
def test_connections_that_are_left(left: int, verdict: str) -> None:
    found = connections_finding("db", left, 100)
    assert (found.verdict, found.text) == (verdict, f"{left} of 100 connections are left")


def test_what_follows_is_not_asked_where_it_would_only_fail_too() -> None:
    def away() -> Iterator[Finding]:
        raise ServiceError("nobody is there", hint="start it")
        yield

    after = Check("two", "", lambda: [fine("two")])
    found = examine([Check("one", "db", away, (after,)), Check("one", "", lambda: [fine()], (after,))])
    assert found == [Finding("one", "db", "fail", "nobody is there", "start it"), fine(), fine("two")]


def test_a_check_that_breaks_is_a_finding_too() -> None:
    (found,) = examine([Check("one", "", lambda: [Finding(**{})])])
    assert found.verdict == "fail"
    assert "the check itself failed" in found.text


def test_a_check_that_gets_no_answer_does_not_hold_the_others() -> None:
    release = threading.Event()

    def silent() -> Iterator[Finding]:
        release.wait(30)
        yield fine()

    found = examine([Check("one", "db", silent), Check("two", "", lambda: [fine("two")])], seconds=0.1)
    release.set()
    assert found == [Finding("one", "db", "fail", "no answer within 0.1 s"), fine("two")]


def test_a_check_behind_another_one_is_named_when_it_gets_no_answer() -> None:
    release = threading.Event()

    def silent() -> Iterator[Finding]:
        release.wait(30)
        yield fine()

    found = examine([Check("one", "db", lambda: [fine()], (Check("two", "orders", silent),))], seconds=0.1)
    release.set()
    assert found == [fine(), Finding("two", "orders", "fail", "no answer within 0.1 s")]


def test_checks_behind_one_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(3)

    def meets() -> Iterator[Finding]:
        together.wait(10)
        yield fine("met")

    behind = tuple(Check("met", "orders", meets) for _ in range(3))
    assert examine([Check("one", "db", lambda: [fine()], behind)]) == [fine(), *[fine("met")] * 3]


def test_what_was_not_begun_in_time_is_not_blamed() -> None:
    release = threading.Event()

    def silent() -> Iterator[Finding]:
        release.wait(30)
        yield fine()

    found = examine([Check("one", "db", silent) for _ in range(40)], seconds=0.1)
    release.set()
    assert {each.text for each in found if each.verdict == "fail"} == {"no answer within 0.1 s"}
    (text,) = {each.text for each in found if each.verdict == "warn"}
    assert text == "not looked at: other checks took all of the 0.1 s"
    assert len(found) == 40


def test_the_certificate_of_the_http_server_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    soon = datetime.now(UTC) + timedelta(days=3, hours=1)
    issued = trustme.CA().issue_cert("localhost", not_after=soon)
    issued.private_key_pem.write_to_path(tmp_path / "server.key")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    config = Folder(tmp_path).load(MINIMAL + "  server: {tls: {cert: server.pem, key: server.key}}\n").config
    (found,) = examine([each for each in machine_checks(config) if each.name == "certificates"])
    assert (found.verdict, "server.pem ends in 3 days" in found.text) == ("warn", True)
