"""Records lost to retention: told once, counted, and named as long as the pipeline stands before the gap."""

from ddpm.supervisor.expiry import Expiry
from ddpm.supervisor.status import PartitionStatus


def at(committed: int | None, start: int, end: int = 1_000) -> PartitionStatus:
    expired = 0 if committed is None else max(0, start - committed)
    return PartitionStatus("orders", 0, committed, end, end - max(start, committed or 0), 0.0, expired)


def test_nothing_is_lost_while_retention_is_behind() -> None:
    expiry = Expiry()
    assert expiry.seen([at(None, 50), at(60, 50)]) == []
    assert (expiry.lost, expiry.present) == ({}, None)


def test_a_loss_is_told_once_and_counted_as_it_grows() -> None:
    expiry = Expiry()
    assert [str(loss) for loss in expiry.seen([at(60, 100)])] == [
        "40 offsets of orders/0 (60 to 99) were removed by the topic's retention before they were read"
    ]
    assert expiry.seen([at(60, 100)]) == []
    assert [loss.offsets for loss in expiry.seen([at(60, 130)])] == [30]
    assert expiry.lost == {("orders", 0): 70}
    assert expiry.present == (
        "retention: 70 offsets of orders/0 (60 to 129) were removed by the topic's retention before they were read"
    )
    assert expiry.seen([at(500, 130)]) == []
    assert expiry.lost == {("orders", 0): 70}
    assert not expiry.present


def test_a_reset_to_what_is_gone_is_no_second_loss_of_the_same() -> None:
    expiry = Expiry()
    expiry.seen([at(60, 100)])
    expiry.seen([at(500, 100)])
    assert expiry.seen([at(60, 100)]) == []


def test_where_nothing_is_left_the_loss_is_told_and_nothing_stands_in_the_way() -> None:
    expiry = Expiry()
    assert [loss.offsets for loss in expiry.seen([at(60, 1_000)])] == [940]
    assert not expiry.present
    assert expiry.seen([at(60, 1_000, 1_001)]) == []
    assert expiry.present, "there is a record to go on from"
    assert expiry.seen([at(1_001, 1_000, 1_001)]) == []
    assert expiry.lost == {("orders", 0): 940}
