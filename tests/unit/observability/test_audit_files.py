"""The audit log as it lies on the disk: bounded, masked, for its owner, and not in anyone's way."""

import json
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ddpm.observability import audit_log
from ddpm.observability.audit_log import Actor, AuditLog, Record

ALICE = Actor("alice", "token", "10.0.0.7", "operate")
PAUSE = Record(ALICE, "pause", pipeline="orders")
ATTEMPT = replace(PAUSE, outcome="refused", reason="a token is needed")


def lines(folder: Path, name: str = "changes") -> list[dict[str, Any]]:
    text = (folder / "audit" / f"{name}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines() if line]


def test_a_record_is_there_for_another_process_and_for_its_owner_alone(tmp_path: Path) -> None:
    AuditLog(tmp_path).add(replace(PAUSE, parameters={"replicas": 2}, reason="it drains"))
    (read,) = AuditLog(tmp_path).newest(10)
    assert read == replace(PAUSE, parameters={"replicas": 2}, reason="it drains", id=read.id, at=read.at)
    (line,) = lines(tmp_path)
    assert (line["who"], line["from"], line["action"], line["outcome"]) == ("alice", "10.0.0.7", "pause", "ok")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "audit").iterdir()}
    assert (modes, stat.S_IMODE((tmp_path / "audit").stat().st_mode)) == ({0o600}, 0o700)


def test_files_are_bounded_and_the_newest_records_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "LARGEST_BYTES", 1_000)
    monkeypatch.setattr(audit_log, "KEPT_FILES", 3)
    log = AuditLog(tmp_path)
    for number in range(60):
        log.add(replace(PAUSE, parameters={"n": number}))
    sizes = [path.stat().st_size for path in (tmp_path / "audit").glob("changes*.jsonl")]
    assert (len(sizes), max(sizes) <= 1_000) == (3, True)
    kept = [record.parameters["n"] for record in log.newest(1_000)]
    assert kept == list(range(60 - len(kept), 60))
    newest = log.newest(3)
    assert [record.parameters["n"] for record in newest] == [57, 58, 59]
    assert log.newest(10, after=newest[1].id) == [newest[2]]
    assert log.newest(10, since=newest[2].at + 1) == []


def test_attempts_are_limited_counted_and_push_out_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("ddpm.observability.audit_log.time.monotonic", lambda: now)
    log = AuditLog(tmp_path)
    log.add(PAUSE)
    for _ in range(1_000):
        log.add_attempt(ATTEMPT)
    assert len(lines(tmp_path, "refused")) == audit_log.REFUSED_AT_ONCE
    now = audit_log.REFUSED_EVERY_SECONDS
    log.add_attempt(ATTEMPT)
    assert lines(tmp_path, "refused")[-1]["omitted"] == 1_000 - audit_log.REFUSED_AT_ONCE
    assert len(lines(tmp_path)) == 1
    assert [record.outcome for record in log.newest(2)] == ["refused", "refused"]


def test_no_secret_gets_in_and_long_things_are_cut(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.mask(["a-token-of-sixteen"])
    said = {"message": "a-token-of-sixteen", "ids": [str(number) for number in range(10_000)], "text": "x" * 10_000}
    log.add(replace(PAUSE, pipeline="a-token-of-sixteen", parameters=said, reason="it is a-token-of-sixteen"))
    log.add(replace(PAUSE, parameters={f"key {number}": "y" * 200 for number in range(1_000)}))
    text = (tmp_path / "audit" / "changes.jsonl").read_text()
    assert "a-token-of-sixteen" not in text
    assert max(map(len, text.splitlines())) < 5_000
    first, second = lines(tmp_path)
    assert first["parameters"]["ids"][-1] == "… and 9980 more"
    assert second["parameters"] == {"left out": "they are too long"}


@pytest.mark.parametrize("torn", [b'{"id": 1, "who": "al', b"\xff\xfe\n", b'{"id": 1}\n', b"[[[\n"])
def test_what_a_crash_left_spoils_no_other_line(torn: bytes, tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.add(PAUSE)
    with (tmp_path / "audit" / "changes.jsonl").open("ab") as file:
        file.write(torn)
    log.add(replace(PAUSE, action="resume"))
    assert [record.action for record in AuditLog(tmp_path).newest(10)] == ["pause", "resume"]


def refuse(_descriptor: int, _data: bytes) -> int:
    raise OSError(28, "No space left on device")


def half(descriptor: int, data: bytes) -> int:
    return _WRITE(descriptor, data[: len(data) // 2])


_WRITE = os.write


@pytest.mark.parametrize("write", [refuse, half])
def test_a_full_disk_is_told_and_leaves_no_half_line(
    write: Callable[[int, bytes], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path)
    log.add(PAUSE)
    before = (tmp_path / "audit" / "changes.jsonl").read_bytes()
    with monkeypatch.context() as full:
        full.setattr("ddpm.observability.audit_log.os.write", write)
        log.add(PAUSE)
    told = log.trouble or ""
    assert told.startswith("the audit log cannot be written: ")
    assert (tmp_path / "audit" / "changes.jsonl").read_bytes() == before
    log.add(PAUSE)
    after = log.trouble
    assert (after, len(lines(tmp_path))) == (None, 2)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "else").touch()
    (tmp_path / "audit" / "changes.jsonl").symlink_to(tmp_path / "else")
    log = AuditLog(tmp_path)
    log.add(PAUSE)
    assert (tmp_path / "else").read_bytes() == b""
    assert log.trouble is not None


def test_the_newest_records_are_found_behind_more_than_one_block(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    for number in range(400):
        log.add(replace(PAUSE, parameters={"n": number}, reason="x" * 250))
    assert (tmp_path / "audit" / "changes.jsonl").stat().st_size > 2 * 64 * 1024
    for count in (1, 130, 399, 1_000):
        kept = [record.parameters["n"] for record in log.newest(count)]
        assert kept == list(range(400))[-count:]
    assert log.newest(0) == []


def test_the_user_is_the_one_whom_the_kernel_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "mallory")
    monkeypatch.setenv("LOGNAME", "mallory")
    assert audit_log.this_user() == pwd.getpwuid(os.getuid()).pw_name
    assert audit_log.user_named(2**31 - 7) == f"uid {2**31 - 7}"
