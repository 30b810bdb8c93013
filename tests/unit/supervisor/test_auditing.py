"""Histories of what engines say and what is committed, replayed with a clock of their own."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from ddpm.engine.books import Book, Key, books
from ddpm.supervisor.audit import APART_SECONDS, GAP_SECONDS, SETTLING_SECONDS, Auditor, Skip
from ddpm.supervisor.status import PartitionStatus

STEP = 2.0
KEY = ("events", 0)
# A loss that engines report at once: 7 of 100 documents.
LOST = Book(read=100, documents=100, rows=93, open_end=100, open_records=7)


def at(committed: int | None, partition: int = 0) -> PartitionStatus:
    return PartitionStatus("events", partition, committed, 1000, 0, 0.0)


class Replay:
    """A pipeline over time: every two seconds engine 0 says what its books hold."""

    def __init__(self, *, settles: bool = True, committed: int | None = 0) -> None:
        self.auditor = Auditor(settles=settles)
        self.now = 1000.0
        self.changed_at = self.now
        self.alarms: list[str] = []
        self.auditor.committed([at(committed)])

    def run(
        self, seconds: float, say: Callable[[float], Mapping[Key, Book]], *, replica: int = 0, waiting: bool = False
    ) -> None:
        begun = self.now
        while self.now - begun < seconds:
            self.now += STEP
            said = say(self.now - begun)
            self.alarms += self.auditor.engine_said(
                self.now, replica, said, waiting=waiting, changed_at=self.changed_at
            )


def always(book: Book) -> Callable[[float], Mapping[Key, Book]]:
    return lambda _: {KEY: book}


def test_what_is_missing_behind_a_committed_offset_is_a_gap() -> None:
    replay = Replay(committed=100)
    replay.run(GAP_SECONDS, always(LOST))
    assert (replay.alarms, replay.auditor.present) == ([], None)
    replay.run(60, always(LOST))
    assert len(replay.alarms) == 1
    assert replay.alarms[0].startswith(
        "audit: at least 7 documents of events/0 are committed, and neither rows nor dead"
    )
    assert replay.auditor.present == replay.alarms[0]
    assert replay.auditor.totals()[KEY].missing == 7


def test_many_partitions_with_gaps_are_one_alarm_and_one_reason() -> None:
    replay = Replay()
    replay.auditor.committed([at(100, partition) for partition in range(50)])
    replay.run(60, lambda _: {("events", partition): LOST for partition in range(50)})
    assert len(replay.alarms) == 1
    assert replay.alarms[0].count("documents of ") == 1
    assert replay.alarms[0].endswith("; other partitions alike")
    assert replay.auditor.present == replay.alarms[0]


def test_a_loss_is_seen_while_records_keep_flowing() -> None:
    replay = Replay(committed=100_000)
    # Up to 45 are on their way besides the 7 that are lost.
    replay.run(60, lambda t: {KEY: replace(LOST, read=int(1000 * t), open_records=7 + int(t) % 10 * 5)})
    assert len(replay.alarms) == 1
    assert "at least 7 documents" in replay.alarms[0]


def test_what_is_not_committed_yet_is_on_its_way_however_long_it_takes() -> None:
    replay = Replay(committed=99)
    replay.run(3600, always(LOST))
    assert replay.alarms == []


def test_what_waits_for_a_sink_is_not_missing_though_another_engine_has_committed_it() -> None:
    replay = Replay(committed=100)
    replay.run(3600, always(LOST), waiting=True)
    replay.run(GAP_SECONDS - STEP, always(LOST))
    replay.run(60, always(Book(read=100, documents=100, redelivered=100)))
    assert replay.alarms == []


def test_a_sink_that_takes_its_time_has_always_something_open_and_never_the_same() -> None:
    replay = Replay(committed=100_000)
    replay.run(3600, lambda t: {KEY: Book(read=int(100 * t), documents=int(100 * t), open_end=int(t), open_records=9)})
    assert replay.alarms == []


def test_what_only_took_its_time_is_taken_back() -> None:
    replay = Replay(committed=100)
    replay.run(60, always(LOST))
    replay.run(STEP, always(Book(read=100, documents=100, rows=100)))
    assert replay.auditor.present is None
    assert replay.auditor.totals()[KEY].missing == 0


def test_while_engines_come_and_go_nothing_is_missing() -> None:
    replay = Replay(committed=100)
    for _ in range(20):
        replay.changed_at = replay.now
        replay.run(GAP_SECONDS - STEP, always(LOST))
    assert replay.alarms == []


def test_an_engine_that_was_frozen_is_given_its_time_again() -> None:
    replay = Replay(committed=100)
    for _ in range(20):
        replay.now += 60
        replay.run(GAP_SECONDS - STEP, always(LOST))
    assert replay.alarms == []


def test_what_an_engine_had_in_flight_when_it_ended_is_not_missing() -> None:
    replay = Replay(committed=100)
    replay.run(GAP_SECONDS, always(LOST))
    replay.auditor.ended(0)
    replay.run(600, always(Book(read=50, documents=50, rows=7, redelivered=43)))
    assert replay.alarms == []
    total = replay.auditor.totals()[KEY]
    assert (total.read, total.rows, total.redelivered, total.missing) == (150, 100, 43, 0)


def test_a_replica_that_starts_again_counts_from_zero() -> None:
    replay = Replay(committed=100)
    replay.run(STEP, always(Book(read=90, documents=90, rows=90)))
    replay.run(STEP, always(Book(read=10, documents=10, rows=10)))
    assert replay.auditor.totals()[KEY].rows == 100


def test_a_gap_stays_when_its_engine_is_gone_until_a_person_acknowledges_it() -> None:
    replay = Replay(committed=100)
    replay.run(60, always(LOST))
    replay.auditor.ended(0)
    replay.run(600, always(Book(read=10, documents=10, rows=10)))
    assert replay.auditor.present is not None
    assert replay.auditor.totals()[KEY].missing == 7
    replay.auditor.acknowledged()
    replay.run(600, always(Book(read=20, documents=20, rows=20)))
    assert replay.auditor.present is None
    assert replay.auditor.totals()[KEY].missing == 0
    assert len(replay.alarms) == 1


def test_a_gap_that_grows_is_counted_and_told_once() -> None:
    replay = Replay(committed=100_000)
    replay.run(600, lambda t: {KEY: replace(LOST, open_records=7 + int(t))})
    assert len(replay.alarms) == 1
    assert replay.auditor.totals()[KEY].missing == 607


def test_where_the_books_are_not_complete_nothing_is_missing() -> None:
    replay = Replay(settles=False, committed=100)
    replay.run(600, always(LOST))
    assert replay.alarms == []


@pytest.mark.parametrize(
    "book",
    [
        Book(read=100, documents=100, rows=60, filtered=40),
        Book(read=3, documents=3000, rows=2990, dead=10),
        Book(read=3),
        Book(read=200, documents=200, rows=100, redelivered=100),
        Book(read=100, documents=100, dead=100),
    ],
    ids=["filters", "many documents a record", "empty files", "redelivered", "poison"],
)
def test_what_is_explained_is_no_alarm(book: Book) -> None:
    replay = Replay(committed=1000)
    replay.run(600, always(book))
    assert (replay.alarms, replay.auditor.present) == ([], None)


def growing(unexpected_each_second: float) -> Callable[[float], Mapping[Key, Book]]:
    return lambda t: {KEY: Book(read=1000, documents=1000, unexpected=int(unexpected_each_second * t))}


def test_duplicates_that_cannot_have_been_read_before_are_an_alarm_when_they_go_on() -> None:
    replay = Replay()
    replay.run(SETTLING_SECONDS + APART_SECONDS - STEP, growing(10))
    assert replay.alarms == []
    replay.run(600, lambda t: growing(10)(t + 60))
    assert len(replay.alarms) == 1
    assert "new records of events/0 were not written" in replay.alarms[0]
    assert "another pipeline writes this topic to the same table" in replay.alarms[0]
    assert replay.auditor.present == replay.alarms[0]


def test_one_burst_may_be_a_rebalance_of_others() -> None:
    replay = Replay()
    replay.run(SETTLING_SECONDS, always(Book(read=1)))
    replay.run(600, always(Book(read=1000, documents=1000, unexpected=500)))
    assert replay.alarms == []


def test_right_after_engines_have_changed_no_duplicate_is_a_surprise() -> None:
    replay = Replay()
    for round_ in range(20):
        replay.changed_at = replay.now
        replay.run(SETTLING_SECONDS - STEP, lambda t, base=300 * round_: growing(10)(t + base))  # type: ignore[misc]
    assert replay.alarms == []


def test_duplicates_that_were_redelivered_are_never_an_alarm() -> None:
    replay = Replay()
    replay.run(600, lambda t: {KEY: Book(read=1000, documents=1000, redelivered=int(10 * t))})
    assert replay.alarms == []


def test_rows_that_were_there_before_the_group_are_told_once() -> None:
    replay = Replay(committed=None)
    replay.run(600, always(Book(read=500, documents=500, redelivered=500)))
    assert len(replay.alarms) == 1
    assert replay.alarms[0].startswith("audit: 500 records of events/0 were in the table before the consumer group had")
    assert replay.auditor.present is None


def test_rows_that_a_rebalance_made_a_new_group_write_again_were_not_there_before() -> None:
    replay = Replay(committed=None)
    replay.run(STEP, always(Book(read=1, documents=1, redelivered=1)), replica=1)
    replay.run(STEP, always(Book(read=600, documents=600, rows=600)))
    replay.run(600, always(Book(read=500, documents=500, redelivered=500)), replica=1)
    assert replay.alarms == []


def test_rows_that_an_engine_wrote_before_it_was_killed_were_not_there_before() -> None:
    replay = Replay(committed=None)
    replay.run(STEP, always(Book(read=1, documents=1, rows=1)))
    replay.auditor.ended(0)
    replay.run(600, always(Book(read=500, documents=500, redelivered=500)))
    assert replay.alarms == []


def lost_offsets(committed: int | None, end: int = 1000, lag: int = 1000) -> PartitionStatus:
    return PartitionStatus("events", 0, committed, end, lag, 0.0)


def test_records_that_were_skipped_where_nothing_was_committed_are_told() -> None:
    replay = Replay(committed=400)
    replay.auditor.committed([lost_offsets(None)])
    assert replay.auditor.skips() == ()
    replay.run(STEP, always(Book(read=1, first=1000)))
    assert replay.auditor.skips() == (Skip("events", 0, 400, 1000),)
    alarms = replay.auditor.probed(replay.auditor.skips()[0], 417)
    assert len(alarms) == 1
    assert alarms[0].startswith("audit: offsets 417 to 999 of events/0 were skipped")
    assert replay.auditor.present == alarms[0]
    assert replay.auditor.skips() == ()


def test_offsets_without_a_record_are_not_skipped() -> None:
    for readable in (None, 1000, 1001):
        replay = Replay(committed=None)
        replay.auditor.committed([lost_offsets(None)])
        replay.run(STEP, always(Book(read=1, first=1000)))
        assert replay.auditor.probed(replay.auditor.skips()[0], readable) == []
        assert (replay.auditor.skips(), replay.auditor.present) == ((), None)


def test_what_another_replica_has_read_is_not_skipped() -> None:
    replay = Replay(committed=None)
    replay.auditor.committed([lost_offsets(None)])
    replay.run(STEP, always(Book(read=400, first=0)), replica=1)
    replay.run(STEP, always(Book(read=1, first=400)))
    assert replay.auditor.skips() == ()


def test_what_a_replica_may_have_read_before_it_ended_is_not_skipped() -> None:
    replay = Replay(committed=None)
    replay.auditor.committed([lost_offsets(None)])
    replay.run(STEP, lambda _: {}, replica=1)
    replay.auditor.ended(1)
    replay.run(STEP, always(Book(read=1, first=400)))
    assert replay.auditor.skips() == ()


def test_an_engine_that_had_long_not_read_a_partition_did_not_read_it_in_its_last_moment() -> None:
    replay = Replay(committed=None)
    replay.auditor.committed([lost_offsets(None)])
    replay.run(SETTLING_SECONDS + STEP, lambda _: {})
    replay.auditor.ended(0)
    replay.auditor.committed([lost_offsets(1010)])
    replay.run(STEP, always(Book(read=10, first=1000)))
    assert replay.auditor.skips() == (Skip("events", 0, 0, 1000),)


def test_what_retention_has_removed_was_not_skipped() -> None:
    replay = Replay(committed=400)
    replay.auditor.committed([lost_offsets(None, lag=100)])
    replay.run(STEP, always(Book(read=1, first=900)))
    assert replay.auditor.skips() == ()


def test_the_books_are_read_from_an_engines_page() -> None:
    place = 'label="",partition="3",path="root.pipeline.processors.0",topic="events"'
    page = "\n".join(
        [
            f"audit_records_read{{{place}}} 10",
            f"audit_documents{{{place}}} 30",
            f"audit_documents_filtered{{{place}}} 4",
            f"audit_rows{{{place}}} 20",
            f'audit_duplicates{{kind="redelivered",{place}}} 2',
            f'audit_duplicates{{kind="unexpected",{place}}} 1',
            f"audit_dead_letters{{{place}}} 1",
            f"audit_first_offset{{{place}}} 70",
            f"audit_open_end{{{place}}} 77",
            f"audit_open_records{{{place}}} 2",
            'audit_rows{topic="events",partition="x"} 20',
            "input_received 10",
        ]
    )
    assert books(page) == {("events", 3): Book(10, 30, 4, 20, 2, 1, 1, 77, 2, 70)}
    assert books("<html>busy</html>") == {}
