"""What is told offline is what a run on real servers does, record by record."""

from pathlib import Path

from ddpm.broker.dump import RawRecord
from ddpm.broker.produce import Record as Produced
from ddpm.components.parsers import OPTIONS
from ddpm.components.registry import pipeline_type
from ddpm.config import load
from ddpm.engine.progress import Silent
from ddpm.orchestrator.dryrun import Answer, Record, Trials, configured, read_answer
from harness.audit import headers
from harness.process import Ddpm
from harness.world import World

COLUMNS = {
    "id": "bigint",
    "total": "numeric(12,2)",
    "at": "timestamptz",
    "day": "date",
    "ok": "boolean",
    "code": "varchar(3)",
    "ref": "uuid",
    "raw": "bytea",
    "doc": "jsonb",
    "tags": "text[]",
    "ratio": "real",
}
PROCESSORS = [{"filter": "this.drop != true"}, {"mapping": 'root = this\nroot.id = this.id | throw("no id")'}]
RECORDS: tuple[bytes | None, ...] = (
    b'{"id": 9007199254740993, "total": 1.50, "at": "2026-11-23T04:05:06.789123Z", "day": "2024-02-29", "ok": "yes"}',
    b'{"id": 1, "code": "abc", "ref": "0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70", "raw": "\\\\x00ff", "doc": [1.10]}',
    b'{"id": 1, "tags": "{a,b}", "ratio": 1e10, "at": "now"}',
    b'{"id": 1, "drop": true}',
    b'{"total": 1}',
    b"nope",
    b'{"latin": "\xfc"}',
    b"",
    None,
    b"[1]",
    b'{"id": "abc"}',
    b'{"id": 9223372036854775808}',
    b'{"id": 1, "total": 12345678901}',
    b'{"id": 1, "at": 1700000000123}',
    b'{"id": 1, "at": "soon"}',
    b'{"id": 1, "day": "2026-02-30"}',
    b'{"id": 1, "ok": 2}',
    b'{"id": 1, "code": "abcd"}',
    b'{"id": 1, "ref": "0191f3c0"}',
    b'{"id": 1, "raw": "\\\\xzz"}',
    b'{"id": 1, "doc": {"a": "\\u0000"}}',
    b'{"id": 1, "doc": 1e999999}',
    b'{"id": 1, "tags": ["a", "b"]}',
    b'{"id": 1, "ratio": 1e99}',
    b'{"id": "a", "total": "b"}',
)

Told = tuple[str, ...]


def offline(config_path: Path) -> list[Told]:
    choice = configured(load(config_path, {}, model=pipeline_type(), parsers=OPTIONS).config, None)
    with Trials(choice, Silent()) as trials:
        return [told(read_answer(trials.answer(Record(payload)))) for payload in RECORDS]


def told(answer: Answer) -> Told:
    (result,) = answer.results
    reason = result.reason
    return (
        (reason.stage, reason.code, reason.column or "", _start(reason.message)) if reason else (result.outcome.value,)
    )


def happened(world: World) -> list[Told]:
    """The same of a run: what is in neither the dead letters nor the table was filtered."""
    fates: dict[int, Told] = {}
    for letter in world.dead():
        found = _texts(letter)
        names = ("stage", "exception.class.name", "exception.message")
        stage, code, message = (found[f"__connect.errors.{name}"] for name in names)
        fates[int(found["__connect.errors.offset"])] = (
            stage,
            code,
            found.get("ddpm.errors.column", ""),
            _start(message),
        )
    fates |= {row["offset"]: ("written",) for row in world.rows()}
    return [fates.get(offset, ("filtered",)) for offset in range(len(RECORDS))]


def _texts(letter: RawRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in headers(letter).items()}


def _start(message: str) -> str:
    # What stands in parentheses is the detail, which JSON errors word in their own way.
    return message.partition(" (")[0]


def test_offline_and_in_a_run_the_same_becomes_of_each_record(world: World, tmp_path: Path) -> None:
    small = World(world.bootstrap, world.dsn, world.engine, partitions=1)
    small.create_topic()
    small.produce(Produced(value=payload, key=None, partition=0) for payload in RECORDS)
    with Ddpm(small.config(postgres={"columns": COLUMNS}, processors=PROCESSORS), tmp_path) as ddpm:
        ddpm.wait_healthy()
        small.wait_consumed()
        assert ddpm.stop() == 0
    assert offline(tmp_path / "app-config.yaml") == happened(small)
