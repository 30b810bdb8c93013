"""The spade parser: events in every spelling of base64; rubbish is a dead letter, a bad event one of its own."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Outcome, Poison, Row
from harness.formats import Format, round_trip
from harness.world import World

UUID = "0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70"
AT = datetime(2026, 11, 23, 4, 5, 6, 789000, UTC)
COLUMNS = {"ip": "text", "time": "timestamptz", "uuid": "text", "event": "text", "properties": "jsonb"}
EVENT: Row = {"event": "play?>", "properties": {"n": 2**53 + 1, "text": "ü~?>ÿ"}}


def line(data: str) -> bytes:
    return f"192.0.2.1 [{int(AT.timestamp())}.789] data={data} {UUID}".encode()


def good(event: Row) -> Row:
    return {"ip": "192.0.2.1", "time": AT, "uuid": UUID, **event}


def encoded(document: object) -> str:
    return base64.b64encode(json.dumps(document, ensure_ascii=False).encode()).decode()


STANDARD = encoded(EVENT)
URL_SAFE = STANDARD.replace("+", "-").replace("/", "_")
SAMPLES: dict[bytes, list[Outcome] | Poison] = {
    **{line(data): [good(EVENT)] for data in (STANDARD, STANDARD.rstrip("="), URL_SAFE, URL_SAFE.rstrip("="))},
    line(encoded([EVENT, {"event": "end"}, EVENT])): [good(EVENT), Poison("not_an_event"), good(EVENT)],
    line(STANDARD[:-7] + "*"): Poison("not_base64"),
    line(encoded("text")[:-2]): Poison("not_base64"),
    line(base64.b64encode(b'{"cut": ').decode()): Poison("not_json"),
    b"hello": Poison("not_spade"),
    b"": Poison("empty"),
}


def expected(record: RawRecord) -> list[Outcome] | Poison:
    outcome = SAMPLES[record.value or b""]
    if isinstance(outcome, list):
        return [one if isinstance(one, Poison) else dict(one) for one in outcome]
    return outcome


def test_lines_of_the_edge_servers(world: World, tmp_path: Path) -> None:
    records = [Record(value=value, partition=index % 3) for index, value in enumerate([*SAMPLES] * 20)]
    sections = {"source": {"parser": "spade"}, "postgres": {"columns": COLUMNS}}
    books = round_trip(world, Format(sections, records, expected), tmp_path)
    assert books.dead == 20 * 6
    assert books.rows == 20 * (len([data for data in SAMPLES if SAMPLES[data] == [good(EVENT)]]) + 2)
