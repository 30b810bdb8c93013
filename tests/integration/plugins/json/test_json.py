"""The json parser: documents of every shape in, everything that is not one in the dead letters."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record
from harness.audit import Poison, Row
from harness.formats import Format, round_trip
from harness.world import World

DOCUMENTS = [
    '{"id": 1, "name": "plain"}',
    '{"id": 9007199254740993, "price": 12345678901234567890.123456789, "unit": "\\u20ac ü 漢 😀"}',
    '{"nested": {"list": [1, [2, {"three": null}]], "empty": {}}}',
    '{"text": "tab\\t line\\n quote\\" back\\\\slash \\\\N \\\\."}',
    "[1, 2, 3]",
    '"only a string"',
    "null",
    "  -0.5e3 ",
    '{"big": "' + "x" * 900_000 + '"}',
]
POISON = {
    b"not json": "not_json",
    b'{"cut": ': "not_json",
    b"{} {}": "not_json",
    b'{"latin": "\xfc"}': "invalid_utf8",
    b'{"zero": "\\u0000"}': "22P05",
    b'{"number": 1e999999}': "22003",
    b"": "empty",
    None: "null_value",
}


def moment(record: RawRecord) -> datetime:
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def loads(value: bytes | None) -> object:
    return json.loads(value or b"", parse_float=Decimal)


def as_document(record: RawRecord) -> Row | Poison:
    if record.value in POISON:
        return Poison(POISON[record.value])
    return {"timestamp": moment(record), "data": loads(record.value)}


def test_document_table(world: World, tmp_path: Path) -> None:
    values = [*(text.encode() for text in DOCUMENTS * 20), *(list(POISON) * 5)]
    records = [
        Record(value=value, key=b"\xff\x00key" if index % 2 else None, partition=index % 3)
        for index, value in enumerate(values)
    ]
    books = round_trip(world, Format({"source": {"parser": "json"}}, records, as_document), tmp_path)
    assert (books.rows, books.dead) == (len(DOCUMENTS) * 20, len(POISON) * 5)


COLUMNS = {
    "id": "bigint",
    "total": "numeric(20,4)",
    "ratio": "double precision",
    "paid": "boolean",
    "day": "date",
    "city": {"type": "text", "from": "address.city"},
    "tags": "jsonb",
    "note": "varchar(10)",
}
GOOD_ORDER = {
    "id": 9007199254740993,
    "total": "12.5000",
    "ratio": 0.1,
    "paid": True,
    "day": "2026-02-28",
    "address": {"city": "Köln\tam Rhein\\N"},
    "tags": ["a", {"b": None}],
    "note": "short",
    "unknown": "ignored",
}
BAD_ORDERS: list[tuple[dict[str, object], str]] = [
    ({"id": "abc"}, "22P02"),
    ({"id": 9223372036854775808}, "22003"),
    ({"total": 1e30}, "22003"),
    ({"day": "2026-02-30"}, "22008"),
    ({"paid": "perhaps"}, "22P02"),
    ({"note": "longer than ten"}, "22001"),
    ({"address": {"city": "zero \x00"}}, "22021"),
]


def as_order(record: RawRecord) -> Row | Poison:
    try:
        order = json.loads(record.value or b"")
    except ValueError:
        return Poison("not_json")
    for change, code in BAD_ORDERS:
        if order.items() >= change.items():
            return Poison(code)
    return {
        "id": order["id"],
        "total": Decimal(order["total"]),
        "ratio": order["ratio"],
        "paid": order["paid"],
        "day": date.fromisoformat(order["day"]),
        "city": order["address"]["city"],
        "tags": order["tags"],
        "note": order["note"],
    }


def test_typed_table(world: World, tmp_path: Path) -> None:
    orders = [GOOD_ORDER | {"id": number} for number in range(500)]
    orders += [GOOD_ORDER | change for change, _ in BAD_ORDERS]
    values = [json.dumps(order).encode() for order in orders] + [b"no order"]
    records = [Record(value=value, partition=index % 3) for index, value in enumerate(values)]
    sections = {"postgres": {"columns": COLUMNS}, "batching": {"count": 100}}
    books = round_trip(world, Format(sections, records, as_order), tmp_path)
    assert (books.rows, books.dead) == (500, len(BAD_ORDERS) + 1)


def test_missing_and_null_fields_are_null(world: World, tmp_path: Path) -> None:
    records = [
        Record(value=value) for value in (b"{}", b'{"id": null, "address": null}', b'{"address": {"city": null}}')
    ]
    empty: Row = dict.fromkeys(COLUMNS)
    round_trip(world, Format({"postgres": {"columns": COLUMNS}}, records, lambda _: empty), tmp_path)
