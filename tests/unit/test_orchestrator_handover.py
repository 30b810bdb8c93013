"""Where a group goes on that takes over from others, and how it is known which of them are in use."""

from ddpm.broker.offsets import Committed, Partition, Watermarks
from ddpm.orchestrator.provisioning.handover import last_of, mark_of, sinks_apart

A0, A1, B0 = Partition("a", 0), Partition("a", 1), Partition("b", 0)
MARKS = dict.fromkeys((A0, A1, B0), Watermarks(3, 100))


def test_a_group_of_all_goes_on_where_the_last_of_them_had_come() -> None:
    assert last_of(MARKS, {"x": {A0: 7, A1: 30}, "y": {A0: 20, A1: 10}}, {}, MARKS) == {A0: 7, A1: 10}


def test_what_a_sink_has_not_begun_is_read_from_its_beginning_and_what_it_never_read_is_not_asked_for() -> None:
    assert last_of(MARKS, {"x": {A0: 7}, "y": {A0: 20, A1: 10}}, {}, MARKS) == {A0: 7, A1: 3}


def test_one_that_has_not_begun_at_all_counts_where_its_pipeline_was_put_apart() -> None:
    assert last_of(MARKS, {"x": {A0: 70, A1: 50}, "y": {}}, {A0: 9, A1: 60}, MARKS) == {A0: 9, A1: 50}


def test_only_partitions_that_are_asked_for_are_moved() -> None:
    assert last_of([A1], {"x": {A0: 7, A1: 30}}, {}, MARKS) == {A1: 30}


def test_the_list_of_sinks_is_read_back_and_nothing_else_is_taken_for_it() -> None:
    assert sinks_apart([Committed(1, mark_of(["kafka", "audit"])), Committed(2, "ddpm")]) == {"kafka", "audit"}
    assert sinks_apart([Committed(1, metadata) for metadata in ("", "ddpm", "ddpm apartment", "consumer-1")]) == set()
