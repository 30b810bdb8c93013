"""Finding the first record in what a fetch brought, built with the batches that a broker stores."""

import struct

import pytest
from kafka.errors import CorruptRecordError
from kafka.record.memory_records import MemoryRecordsBuilder

from ddpm.broker.wire import Record, first_record

TIMESTAMP = 1_790_000_000_000
NONE, GZIP, SNAPPY, LZ4, ZSTD, FUTURE = 0, 1, 2, 3, 4, 5
_ATTRIBUTES_AT, _CONTROL = 21, 0x20


def batch(base: int, deltas: list[int], compression: int = NONE) -> bytes:
    """A batch as compaction leaves it: records at some offsets, and a header that remembers how many there were."""
    builder = MemoryRecordsBuilder(2, compression, 1_000_000)
    position = 0
    for delta in deltas:
        builder.skip(delta - position)
        builder.append(TIMESTAMP, b"key", b"value")
        position = delta + 1
    builder.close()
    data = bytearray(builder.buffer())
    struct.pack_into(">q", data, 0, base)
    return bytes(data)


def marker(offset: int) -> bytes:
    data = bytearray(batch(offset, [0]))
    (attributes,) = struct.unpack_from(">h", data, _ATTRIBUTES_AT)
    struct.pack_into(">h", data, _ATTRIBUTES_AT, attributes | _CONTROL)
    return bytes(data)


def unreadable(data: bytes) -> bytes:
    """The batch with the number of a compression on it that nobody knows yet."""
    changed = bytearray(data)
    struct.pack_into(">h", changed, _ATTRIBUTES_AT, FUTURE)
    return bytes(changed)


def test_a_fetch_may_begin_before_the_offset_that_was_asked_for() -> None:
    assert first_record(batch(100, [0, 1, 2, 3]), 102) == (Record(102, TIMESTAMP), 103)


@pytest.mark.parametrize("compression", [NONE, GZIP, SNAPPY, LZ4, ZSTD])
def test_the_record_after_a_compacted_gap(compression: int) -> None:
    assert first_record(batch(100, [0, 7], compression), 101) == (Record(107, TIMESTAMP), 108)


def test_a_gap_between_two_batches() -> None:
    assert first_record(batch(10, [0]) + batch(50, [0, 1]), 11) == (Record(50, TIMESTAMP), 51)


def test_markers_are_no_records() -> None:
    assert first_record(marker(7) + marker(8), 7) == (None, 9)
    assert first_record(marker(7) + batch(8, [0]), 7) == (Record(8, TIMESTAMP), 9)


def test_nothing_fetched_leaves_the_offset_where_it_is() -> None:
    assert first_record(b"", 7) == (None, 7)


def test_a_batch_that_was_cut_off_is_not_counted() -> None:
    assert first_record(batch(7, [0]) + batch(8, [0])[:-3], 8) == (None, 8)


def test_records_count_though_their_compression_cannot_be_read_here() -> None:
    assert first_record(unreadable(batch(100, [0, 1, 2])), 101) == (Record(101, TIMESTAMP), 102)


def test_what_cannot_be_told_is_no_record() -> None:
    assert first_record(unreadable(batch(100, [0, 7])) + batch(108, [0]), 101) == (Record(108, TIMESTAMP), 109)


def test_records_of_old_formats() -> None:
    builder = MemoryRecordsBuilder(1, NONE, 1_000_000, offset=5)
    for _ in range(3):
        builder.append(TIMESTAMP, b"key", b"value")
    builder.close()
    assert first_record(bytes(builder.buffer()), 6) == (Record(6, TIMESTAMP), 7)


def test_corrupt_data_are_said_to_be_corrupt() -> None:
    data = bytearray(batch(100, [0, 7]))
    data[-20:] = b"\xff" * 20
    with pytest.raises(CorruptRecordError):
        first_record(bytes(data), 101)


def test_what_cannot_be_decompressed_is_said_to_be_corrupt() -> None:
    data = bytearray(batch(100, [0, 7]))
    struct.pack_into(">h", data, _ATTRIBUTES_AT, ZSTD)
    with pytest.raises(CorruptRecordError):
        first_record(bytes(data), 101)
