"""`app.source`: what a parser is told must fit the table that its documents fill."""

import pytest

from ddpm.components.parsers import OPTIONS
from ddpm.components.registry import pipeline_type
from ddpm.config import ConfigProblems, load
from unit.config.folder import MINIMAL, Folder

TYPED = """\
app:
  kafka: {brokers: ["localhost:9092"], topics: [orders], consumer_group: group}
  postgres: {url: embedded, table: orders, columns: {id: bigint, city: {type: text, from: address.city}}}
"""


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        ("[nr, title]", "app.source.options.columns", "none of these names fills a column of the table"),
        ("[Id, title]", "app.source.options.columns[0]", '"Id" fills no column of the table; "id" would'),
        ('[id, " address"]', "app.source.options.columns[1]", '" address" fills no column of the table; "address"'),
    ],
)
def test_given_names_that_fill_no_column_are_a_problem(folder: Folder, given: str, path: str, message: str) -> None:
    file = folder.write(TYPED + f"  source: {{parser: csv, options: {{columns: {given}}}}}\n")
    with pytest.raises(ConfigProblems) as raised:
        load(file, {}, model=pipeline_type(), parsers=OPTIONS)
    (problem,) = raised.value.problems
    assert (problem.line, problem.path) == (4, path)
    assert message in problem.message


@pytest.mark.parametrize(
    "more",
    [
        "  source: {parser: csv, options: {columns: [more, id]}}\n",
        "  source: {parser: csv, options: {columns: [nr]}}\n  processors: [{mapping: root.id = this.nr}]\n",
    ],
)
def test_given_names_may_be_more_than_the_table_wants_and_a_mapping_may_rename_them(folder: Folder, more: str) -> None:
    assert load(folder.write(TYPED + more), {}, model=pipeline_type(), parsers=OPTIONS).warnings == ()


def test_what_the_table_is_filled_from_is_known_without_processors_alone(folder: Folder) -> None:
    def filled_from(text: str) -> tuple[str, ...]:
        (pipeline,) = folder.load(text).config.pipelines
        return pipeline.filled_from

    assert filled_from(TYPED) == ("id", "address")
    assert filled_from(TYPED + "  processors: [{mapping: root = this}]\n") == ()
    assert filled_from(MINIMAL) == ()
