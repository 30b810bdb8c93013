"""Records of topics as records to be tried. A module of its own, since what else tries records needs no Kafka."""

from ddpm.broker.dump import RawRecord
from ddpm.orchestrator.dryrun.trials import Record


def consumed(record: RawRecord) -> Record:
    """A record as it lies in its topic, to be tried."""
    headers: dict[str, list[str]] = {}
    for name, value in record.headers:
        headers.setdefault(name, []).append((value or b"").decode(errors="replace"))
    return Record(
        record.value,
        topic=record.topic,
        key=(record.key or b"").decode(errors="replace"),
        headers=headers,
        timestamp_ms=record.timestamp if record.timestamp >= 0 else None,
    )
