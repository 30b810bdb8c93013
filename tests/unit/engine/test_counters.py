"""What an engine's metrics tell about its records, on pages that real engines gave."""

from pathlib import Path

from ddpm.engine.counters import Counters, SinkWait
from ddpm.engine.counters import counters as counters_of

PAGES = Path(__file__).parent / "pages"
PLUGIN = 'label="",path="root.output.fallback.0.reject_errored"'


def counters(text: str) -> Counters:
    return counters_of(text, ["postgres_copy", "kafka_out"])


def page(name: str) -> str:
    """A page of an engine that read 1013 records: 1 filtered out, 8 broken in processors, 5 refused by Postgres."""
    return (PAGES / f"{name}.prom").read_text()


def test_one_sink_counts_its_rows_and_its_dead_letters() -> None:
    assert counters(page("postgres")) == Counters(read=1013, written=999, dead=13, duplicates=0, waiting=())


def test_with_several_sinks_a_record_counts_once_all_have_it() -> None:
    assert counters(page("three-sinks")) == Counters(read=1013, written=999, dead=13, duplicates=0, waiting=())


def test_what_postgres_skipped_was_not_written_again() -> None:
    text = f"postgres_copy_rows_committed{{{PLUGIN}}} 0\npostgres_copy_duplicates_skipped{{{PLUGIN}}} 40\n"
    text += f"output_sent{{{PLUGIN}}} 40\n"
    assert counters(text) == Counters(read=0, written=0, dead=0, duplicates=40, waiting=())


def test_a_kafka_sink_counts_what_it_wrote_and_tells_what_it_waits_for() -> None:
    lines = [f'kafka_out_waiting{{{PLUGIN},reason="{reason}"}} {n}' for reason, n in (("topic", 0), ("timeout", 1))]
    text = "\n".join([*lines, f"kafka_out_rows_committed{{{PLUGIN}}} 30", f"output_sent{{{PLUGIN}}} 20", ""])
    assert counters(text) == Counters(0, 30, 0, 0, (SinkWait("kafka_out", "timeout"),))


def test_the_reason_that_most_batches_wait_for_is_named() -> None:
    lines = [f'postgres_copy_waiting{{{PLUGIN},reason="{reason}"}} {n}' for reason, n in (("login", 1), ("lock", 3))]
    assert counters("\n".join(lines)).waiting == (SinkWait("postgres_copy", "lock"),)


def test_what_the_sink_says_of_a_reason_goes_with_it() -> None:
    lines = [f'postgres_copy_waiting{{{PLUGIN},reason="refused"}} 1']
    lines += [
        f'postgres_copy_waiting_why{{{PLUGIN},reason="{reason}",text="{text}"}} {now}'
        for reason, text, now in (("refused", "before", 0), ("refused", 'a \\"b\\"', 1), ("lock", "locked", 1))
    ]
    seen = counters("\n".join(lines))
    assert seen.waiting == (SinkWait("postgres_copy", "refused", 'a "b"'),)


def test_what_the_parser_waits_for_is_told_apart() -> None:
    path = 'path="root.pipeline.processors.1"'
    lines = [f'parser_waiting{{{path},reason="{reason}"}} {n}' for reason, n in (("plugin", 0), ("record", 2))]
    seen = counters("\n".join(lines))
    assert (seen.waiting, seen.parser_waiting) == ((), "record")


def test_columns_that_no_document_has_a_value_for_are_named() -> None:
    lines = [f'postgres_copy_column_never_found{{{PLUGIN},column="{name}"}} {n}' for name, n in (("b", 1), ("a", 0))]
    assert counters("\n".join(lines)).never_found == ("b",)


def test_a_page_without_any_of_it_is_all_zeros() -> None:
    assert counters("<html>busy</html>") == Counters(0, 0, 0, 0)
