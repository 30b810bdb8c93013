"""What commands change by themselves stands in the audit log of the folder in which they are called."""

from pathlib import Path

import pytest

from ddpm.errors import ServiceError
from ddpm.observability.audit_log import AuditLog, Record
from unit.cli.fake_ddpm import call, error_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".ddpm" / "generated").mkdir(parents=True)
    (tmp_path / ".ddpm" / "state.json").write_text("{}")
    return tmp_path / ".ddpm"


def newest(folder: Path) -> Record:
    (record,) = AuditLog(folder).newest(1)
    return record


def test_a_reset_is_recorded_and_leaves_the_audit_log(folder: Path) -> None:
    assert call("reset", "--yes").output == "removed what was in .ddpm, but for the audit log\n"
    assert [each.name for each in folder.iterdir()] == ["audit"]
    assert (newest(folder).action, newest(folder).outcome) == ("reset", "ok")
    assert call("reset").output == "there is no embedded data\n"


def test_records_that_could_not_be_produced_are_recorded_as_that(folder: Path) -> None:
    (folder.parent / "orders.jsonl").write_text("{}\n")
    error = error_of(call("produce", "orders.jsonl", "--brokers", "127.0.0.1:1", "--topic", "orders"))
    assert isinstance(error, ServiceError)
    record = newest(folder)
    assert (record.action, record.outcome) == ("produce", "failed")
    assert record.parameters == {"by": "the command line", "topic": "orders", "file": "orders.jsonl"}
    assert "127.0.0.1:1" in (record.reason or "")
