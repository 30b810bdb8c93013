"""What the benchmarks compute of what they see: rates, ratios, expected rows, pictures, the report's sections."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from benchmarks import charts, compare, readers, records, report, rig, workloads

SVG = "{http://www.w3.org/2000/svg}"


def steady(seconds: int, *, per_second: int = 1_000_000) -> list[rig.Sample]:
    """A table that grows evenly after two idle seconds, half a core for the client and a quarter for Postgres."""
    return [
        rig.Sample(float(at), max(0, at - 2) * per_second, 0.5 * at, 0.25 * at, 10_000_000 + at, 4_000_000)
        for at in range(seconds + 3)
    ]


def test_a_rate_is_that_of_the_growth_and_costs_are_of_the_same_span() -> None:
    measured = rig.evaluate(steady(10), rows=100_000)
    assert measured.rows_per_second == pytest.approx(10_000)
    assert measured.cpu == pytest.approx(50)
    assert measured.postgres_cpu == pytest.approx(25)
    assert measured.memory == pytest.approx(10.000012)
    assert measured.own_memory == pytest.approx(4.0)


def test_neither_a_slow_start_nor_a_slow_end_changes_a_rate() -> None:
    samples = steady(10)
    late = [rig.Sample(100.0, samples[-1].size, 90.0, 90.0)]
    early = [rig.Sample(-50.0, 0)]
    assert rig.evaluate([*early, *samples, *late], 100_000).rows_per_second == pytest.approx(10_000)


def test_a_run_between_two_samples_is_measured_from_the_one_before() -> None:
    samples = [rig.Sample(0.0, 8), rig.Sample(1.0, 8), rig.Sample(2.0, 108)]
    assert rig.evaluate(samples, 108).rows_per_second == pytest.approx(100)


def test_a_table_that_never_grew_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="use more records"):
        rig.evaluate([rig.Sample(0.0, 8), rig.Sample(1.0, 8)], 100)


def test_ratios_are_taken_round_by_round() -> None:
    assert rig.ratio([2, 9, 4], [1, 3, 4]) == (2, 1, 3)
    with pytest.raises(ValueError, match="shorter"):
        rig.ratio([1, 2], [1])


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((1, None, "a\tb"), b"1\t\\N\ta\\tb\n"),
        (("back\\slash", "line\nfeed\r"), b"back\\\\slash\tline\\nfeed\\r\n"),
        (("København", True, 2.5), "København\tTrue\t2.5\n".encode()),
    ],
)
def test_lines_for_copy_are_escaped(values: tuple[object, ...], line: bytes) -> None:
    assert records.copy_line(values) == line


@pytest.mark.parametrize("workload", records.WORKLOADS, ids=lambda workload: workload.name)
def test_records_are_the_same_each_time_and_become_the_rows_that_the_workload_says(workload: records.Workload) -> None:
    values = list(workload.values(3))
    assert values == list(workload.values(3))
    rows = list(readers.READERS[workload.reader](values[1]))
    assert len(rows) == workload.rows_a_record
    assert all(len(row) == len(workload.compared) for row in rows)


def test_one_record_in_a_hundred_is_poison() -> None:
    read = readers.READERS["order"]
    refused = []
    for number, value in enumerate(records.poisoned(250)):
        try:
            list(read(value))
        except ValueError:
            refused.append(number)
    assert refused == [0, 100, 200]


def test_every_name_of_a_workload_is_known_and_others_are_refused() -> None:
    assert [workload.name for workload in workloads.chosen(workloads.QUICK)] == list(workloads.QUICK)
    with pytest.raises(ValueError, match="there is no workload tea; there are direct, "):
        workloads.chosen(["direct", "tea"])


def test_bars_are_as_long_as_their_values_and_names_are_escaped() -> None:
    bars = [charts.Bar("<script>", [20.0, 20.0]), charts.Bar("b & c", [10.0], (5.0, 20.0))]
    picture = charts.draw(charts.Chart("a < b", "about", bars, str, ("one", "two")))
    root = ET.fromstring(picture)  # noqa: S314 -- drawn above
    widths = [float(bar.get("width", 0)) for bar in root.findall(f"{SVG}rect") if bar.get("height") == str(charts.BAR)]
    assert widths == [pytest.approx(2 * widths[2]), pytest.approx(2 * widths[2]), widths[2]]
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert {"<script>", "b & c", "40.0", "10.0", "one", "two"} <= set(texts)
    assert "prefers-color-scheme:dark" in picture


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "benchmarks.md"
    monkeypatch.setattr(report, "REPORT", path)
    return path


def test_a_section_takes_the_place_of_the_one_before(document: Path) -> None:
    mark = "<!-- measured: speed -->"
    document.write_text(f"before\n{mark}\nold\n{mark}\nafter\n")
    report.write_section("speed", "new")
    report.write_section("speed", "newer")
    assert document.read_text() == f"before\n{mark}\nnewer\n{mark}\nafter\n"


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_document_without_two_marks_is_left_alone(document: Path, times: int) -> None:
    text = "text\n" + "<!-- measured: speed -->\n" * times
    document.write_text(text)
    with pytest.raises(ValueError, match=f"twice, and has it {times} times"):
        report.write_section("speed", "new")
    assert document.read_text() == text


def test_the_document_has_a_place_for_every_part() -> None:
    text = report.REPORT.read_text(encoding="utf-8")
    for part in ("throughput", "workloads", "recovery", "reload", "operation"):
        assert text.count(f"<!-- measured: {part} -->") == 2


def test_a_comparison_shows_rates_and_what_is_better_when_it_is_less() -> None:
    def runs(*rates: float) -> list[rig.Measured]:
        return [rig.Measured(rate, 1.0, 2.0, 300.0, 100.0) for rate in rates]

    lines = compare.report(
        "abc123",
        {"direct": (runs(200_000, 300_000), runs(100_000, 100_000))},
        {"recovery": ([{"kill": 2.0, "none": 1.0}], [{"kill": 8.0, "none": 0.0}])},
    )
    assert any("200.0 to 300.0) | 100.0 (100.0 to 100.0) | **2.50** (2.00 to 3.00) |" in line for line in lines)
    assert "| kill | 2.00 | 8.00 | **0.25** (0.25 to 0.25) |" in lines
    assert "| none | 1.00 | 0.00 |  |" in lines


@pytest.mark.parametrize(
    ("effort", "says", "rough"),
    [
        (report.Effort(rounds=5, records=1_000_000, quick=False, write=True), "`make bench`", False),
        (report.Effort(rounds=5, records=1_000_000, quick=True, write=True), "`make bench-quick`", True),
        (report.Effort(rounds=1, records=1_000_000, quick=False, write=True), "1 interleaved round.", True),
        (report.Effort(rounds=5, records=10_000, quick=False, write=True), "5 interleaved rounds.", True),
    ],
)
def test_a_section_says_how_it_was_measured(effort: report.Effort, says: str, rough: bool) -> None:
    assert says in effort.about
    assert ("Rough" in effort.about) is rough


def test_what_a_contender_says_is_shown_when_it_is_broken(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("fine\nTask threw an uncaught error\n")
    with rig.running(["sleep", "60"], tmp_path / "other", broken="uncaught") as client:
        client.check()
        broken = rig.Client(client.process, log, broken="uncaught")
        with pytest.raises(AssertionError, match="runs on, but does nothing more:\nfine"):
            broken.check()
    with pytest.raises(AssertionError, match="ended with -15"):
        client.check()


def test_a_program_that_should_end_may(tmp_path: Path) -> None:
    with rig.running(["true"], tmp_path / "log", ends=True) as client:
        client.process.wait(10)
        client.check()
        assert client.ended
