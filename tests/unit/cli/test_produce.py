"""`ddpm produce`: what becomes a record of a file's lines."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import pytest

from ddpm.broker.produce import Record
from ddpm.cli import produce


@pytest.mark.parametrize("name", ["records.ndjson", "records.ndjson.gz"])
def test_a_byte_order_mark_is_no_part_of_the_first_record(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '\ufeff{"id": 1}\r\n\r\n\ufeffx\n'.encode()
    file = tmp_path / name
    file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    sent: list[Record] = []

    def sending(_brokers: object, _topic: str, records: Iterable[Record]) -> int:
        sent.extend(records)
        return len(sent)

    monkeypatch.setattr(produce, "produce", sending)
    assert produce.produce_file(["localhost:9092"], "orders", file) == 2
    assert [record.value for record in sent] == [b'{"id": 1}', "\ufeffx".encode()]
