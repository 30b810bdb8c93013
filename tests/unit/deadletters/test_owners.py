"""Letters name a pipeline and a sink; whose they are depends on how sinks are run now."""

from dataclasses import replace

import pytest

from ddpm.deadletters.index import DeadLetterIndex
from ddpm.deadletters.letter import DeadLetter
from ddpm.deadletters.owners import Owner, Owners
from ddpm.deadletters.resolution import Resolution, ResolutionRecord, decode, encode
from unit.deadletters.letters import letter

SEPARATE = Owners(
    [Owner("orders.postgres", "orders", ("postgres",)), Owner("orders.kafka", "orders", ("kafka",), first=False)]
)
TOGETHER = Owners([Owner("orders", "orders", ("postgres", "kafka"))])
SINGLE = Owners([Owner("orders", "orders", ("postgres",))])
BOTH = [("orders.postgres", "postgres"), ("orders.kafka", "kafka")]


def books(owners: Owners, *read: DeadLetter | ResolutionRecord) -> DeadLetterIndex:
    """The books of who runs sinks like that and has read this."""
    index = DeadLetterIndex()
    for each in read:
        if isinstance(each, DeadLetter):
            for taken in owners.taken(each):
                index.add(taken)
        else:
            index.note(*owners.taken(each))
    return index


def open_in(owners: Owners, *read: DeadLetter | ResolutionRecord) -> dict[str, list[str | None]]:
    """The sinks of the open letters, by the pipelines that are run."""
    index = books(owners, *read)
    names = [owner for owner in ("orders", "orders.postgres", "orders.kafka") if owners.sinks(owner)]
    return {name: [each.sink for each in index.entries(name)] for name in names}


@pytest.mark.parametrize(
    ("owners", "sink", "stage", "found"),
    [
        (SEPARATE, "kafka", "sink", [("orders.kafka", "kafka")]),
        (SEPARATE, "postgres", "parse", [("orders.postgres", "postgres")]),
        # A record that no sink got is each sink's to get.
        (SEPARATE, None, "parse", BOTH),
        (SEPARATE, None, "process", BOTH),
        # Of before letters named their sink.
        (SEPARATE, None, "sink", [("orders.postgres", "postgres")]),
        (SEPARATE, "gone", "sink", [("orders.postgres", "gone")]),
        (TOGETHER, "kafka", "sink", [("orders", "kafka")]),
        (TOGETHER, None, "parse", [("orders", "postgres"), ("orders", "kafka")]),
        (SINGLE, None, "parse", [("orders", "postgres")]),
        (SINGLE, "gone", "sink", [("orders", "gone")]),
        (Owners(), "kafka", "sink", [("orders", "kafka")]),
    ],
)
def test_a_letter_is_of_the_sinks_that_did_not_get_its_record(
    owners: Owners, sink: str | None, stage: str, found: list[tuple[str, str | None]]
) -> None:
    read = letter(pipeline="orders", sink=sink, stage=stage)
    assert [(each.pipeline, each.sink) for each in owners.taken(read)] == found


def test_letters_of_other_pipelines_stay_theirs() -> None:
    other = letter(pipeline="returns")
    assert SEPARATE.taken(other) == (other,)
    assert SEPARATE.shown(other) is other


def test_a_letter_of_all_sinks_is_one_while_they_are_run_together() -> None:
    read = letter(pipeline="orders", stage="parse")
    assert open_in(TOGETHER, read) == {"orders": [None]}
    assert books(TOGETHER, read).depth("orders").open == 1
    assert TOGETHER.shown(read).sink is None
    assert open_in(SEPARATE, read) == {"orders.postgres": ["postgres"], "orders.kafka": ["kafka"]}
    shown = SEPARATE.shown(read, "orders.kafka")
    assert (shown.pipeline, shown.sink) == ("orders.kafka", "kafka")


def test_what_one_sink_got_by_itself_the_others_still_lack_when_they_are_run_together() -> None:
    read = letter(pipeline="orders", stage="parse")
    (entry,) = books(SEPARATE, read).entries("orders.kafka")
    (written,) = SEPARATE.written(entry.resolved(Resolution.REPLAYED, 5, "run"))
    assert (written.pipeline, written.sink) == ("orders", "kafka")
    for order in ((read, written), (written, read)):
        assert open_in(TOGETHER, *order) == {"orders": ["postgres"]}
        assert open_in(SEPARATE, *order) == {"orders.postgres": ["postgres"], "orders.kafka": []}


def test_what_was_done_for_all_sinks_is_done_for_each() -> None:
    read = letter(pipeline="orders", stage="parse")
    (entry,) = books(TOGETHER, read).entries("orders")
    written = TOGETHER.written(entry.resolved(Resolution.REPLAYED, 5, "run"))
    assert [(each.pipeline, each.sink) for each in written] == [("orders", "postgres"), ("orders", "kafka")]
    assert open_in(SEPARATE, read, *written) == {"orders.postgres": [], "orders.kafka": []}
    index = books(TOGETHER, read, *written)
    assert (index.depth("orders").open, index.depth("orders").replayed) == (0, 1)


def test_a_sink_that_refuses_what_all_were_given_again_has_a_letter_of_its_own() -> None:
    read = letter(pipeline="orders", stage="parse")
    (entry,) = books(TOGETHER, read).entries("orders")
    again = replace(letter(7, pipeline="orders", sink="postgres", attempt="2"), origin=read.origin)
    index = books(TOGETHER, read, again)
    latest = index.latest(entry)
    assert latest is not None
    assert (latest.attempt, latest.sink) == (2, "postgres")
    marked = entry.resolved(Resolution.FAILED_AGAIN, 5, "run")
    assert open_in(TOGETHER, read, again, marked) == {"orders": ["postgres"]}


def test_marks_of_several_sinks_of_one_letter_are_all_kept() -> None:
    read = letter(pipeline="orders", stage="parse")
    marks = [
        replace(entry.resolved(Resolution.REPLAYED, 5, "run"), pipeline="orders")
        for name in ("orders.postgres", "orders.kafka")
        for entry in books(SEPARATE, read).entries(name)
    ]
    keys, values = zip(*map(encode, marks), strict=True)
    assert len(set(keys)) == 2, "compaction keeps the last of each key"
    assert [decode(key, value) for key, value in zip(keys, values, strict=True)] == marks


def test_what_was_done_is_remembered_under_names_that_stay() -> None:
    (taken,) = SEPARATE.taken(letter(pipeline="orders", sink="kafka"))
    assert taken.pipeline == "orders.kafka"
    (entry,) = books(SEPARATE, letter(pipeline="orders", sink="kafka")).entries("orders.kafka")
    mark = entry.resolved(Resolution.REPLAYED, 5, "run")
    (written,) = SEPARATE.written(mark)
    assert written.pipeline == "orders"
    assert SEPARATE.taken(written) == (mark,)


THREE = Owners(
    [Owner(f"orders.{name}", "orders", (name,), first=name == "postgres") for name in ("postgres", "kafka", "audit")]
)


def test_what_was_done_for_all_sinks_says_nothing_of_one_that_comes_later() -> None:
    """It reads the record itself, and may refuse it: that is a letter that nothing was done with."""
    read = letter(pipeline="orders", stage="parse")
    (entry,) = books(TOGETHER, read).entries("orders")
    done = TOGETHER.written(entry.resolved(Resolution.REPLAYED, 5, "run"))
    later = replace(letter(9, pipeline="orders", stage="sink", sink="audit"), origin=read.origin)
    index = books(THREE, read, *done, later)
    assert [each.sink for each in index.entries("orders.audit")] == ["audit"]
    assert not list(index.entries("orders.kafka"))


def test_an_id_means_the_letter_that_has_it() -> None:
    read = letter(pipeline="orders", stage="parse")
    again = replace(letter(7, pipeline="orders", sink="kafka", attempt="2"), origin=read.origin)
    index = books(TOGETHER, read, again)
    assert {(str(each.id), each.sink) for each in index.entries("orders")} == {("0:0", "postgres"), ("0:7", "kafka")}
    found = index.entry(TOGETHER.shown(read))
    assert found is not None
    assert found.id == read.id
    (kafka,) = [each for each in index.entries("orders") if each.sink == "kafka"]
    index = books(TOGETHER, read, again, *TOGETHER.written(kafka.resolved(Resolution.DISCARDED, 5, "run")))
    found = index.entry(TOGETHER.shown(read))
    assert found is not None
    assert found.open, "it is still open for the other sink"


def test_a_letter_is_counted_once_however_its_sinks_were_dealt_with() -> None:
    read = letter(pipeline="orders", stage="parse")
    marks = [
        each
        for name in ("orders.postgres", "orders.kafka")
        for entry in books(SEPARATE, read).entries(name)
        for each in SEPARATE.written(entry.resolved(Resolution.REPLAYED, 5, "run"))
    ]
    assert books(TOGETHER, read, *marks).depth("orders").replayed == 1


def test_letters_of_before_sinks_were_named_do_not_depend_on_the_order_of_sinks() -> None:
    read = letter(pipeline="orders", stage="sink")
    for sinks in (("postgres", "kafka"), ("kafka", "postgres")):
        (taken,) = Owners([Owner("orders", "orders", sinks, main="postgres")]).taken(read)
        assert taken.sink == "postgres"


def test_who_asks_for_a_sink_gets_letters_of_all_sinks_too() -> None:
    index = books(TOGETHER, letter(pipeline="orders", stage="parse"))
    assert {each.sink for each in index.entries("orders", one_by_one=True)} == {"postgres", "kafka"}
