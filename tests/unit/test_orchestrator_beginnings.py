"""Where a consumer group begins, and what ddpm remembers of it."""

from pathlib import Path

import pytest

from ddpm.broker.offsets import Partition, Watermarks
from ddpm.config.model import StartFrom
from ddpm.errors import NewerStateError
from ddpm.orchestrator.provisioning.beginnings import Beginnings, beginnings
from ddpm.orchestrator.provisioning.progress import Progress, ProgressFile, TopicProgress
from ddpm.orchestrator.provisioning.provision import back_to

A0, A1, B0 = Partition("a", 0), Partition("a", 1), Partition("b", 0)
MARKS = {A0: Watermarks(5, 100), A1: Watermarks(0, 50), B0: Watermarks(0, 7)}
IDS = {"a": "id-a", "b": "id-b"}


def begin(
    reached: dict[Partition, int | None], remembered: Progress | None = None, start_from: StartFrom = StartFrom.LATEST
) -> Beginnings:
    return beginnings("group", start_from, reached, MARKS, topic_ids=IDS, remembered=remembered)


def progress(topic_id: str = "id-a", group: str = "group", **committed: int) -> Progress:
    return Progress(group, {"a": TopicProgress(topic_id, {int(key[1:]): at for key, at in committed.items()})})


def test_a_new_group_is_settled_at_the_end_of_every_partition() -> None:
    assert begin({A0: None, A1: None}) == Beginnings({A0: 100, A1: 50}, {}, frozenset("a"))


def test_a_new_group_that_begins_at_the_beginning_commits_nothing() -> None:
    assert begin({A0: None, A1: None}, start_from=StartFrom.EARLIEST) == Beginnings()


def test_a_partition_that_a_known_group_has_not_committed_is_not_settled() -> None:
    assert begin({A0: 10, A1: None}) == Beginnings()


def test_a_topic_that_is_added_to_a_known_group_is_settled_by_itself() -> None:
    assert begin({A0: 10, A1: None, B0: None}, progress(p0=10)).settled == {B0: 7}


@pytest.mark.parametrize("start_from", StartFrom)
def test_what_the_brokers_forgot_is_restored_and_a_partition_beside_it_is_new(start_from: StartFrom) -> None:
    assert begin({A0: None, A1: None}, progress(p0=60), start_from) == Beginnings({}, {A0: 60})


def test_a_topic_that_was_made_again_gets_neither_old_offsets_nor_the_end() -> None:
    assert begin({A0: None, A1: None}, progress("id-of-before", p0=60)) == Beginnings()


def test_another_group_is_a_new_one_though_something_is_remembered() -> None:
    assert begin({A0: None}, progress(group="of-before", p0=60)) == Beginnings({A0: 100})


def test_progress_outlives_ddpm_and_a_newer_one_is_not_taken_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "progress" / "orders.json"
    assert ProgressFile(path).load() is None
    ProgressFile(path).save(progress(p0=3, p10=4))
    assert ProgressFile(path).load() == progress(p0=3, p10=4)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(NewerStateError, match="offsets in"):
        ProgressFile(path).load()
    path.write_text("{")
    assert ProgressFile(path).load() is None


def test_a_group_that_was_forgotten_with_its_log_reads_on_where_it_had_come() -> None:
    places, b1 = {A0: 80, A1: 40, B0: 3}, Partition("b", 1)
    reached = {A0: None, A1: 100, B0: None, b1: None}
    assert back_to(places, reached, {A0: 50, A1: 20}) == {A0: 50, A1: 40}, "nothing of B0 was read"
    assert back_to(places, {A0: None}, {A0: 90}) == {A0: 80}


def test_what_is_remembered_of_a_topic_of_before_says_nothing_of_this_one() -> None:
    assert progress(p0=60).committed(IDS) == {A0: 60}
    assert progress("id-of-before", p0=60).committed(IDS) == {}
