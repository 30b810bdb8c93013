import pytest

from ddpm.components.sinks.postgres import Postgres
from unit.config.folder import MINIMAL, Folder


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("", "off"),
        (", evolve: off", "off"),
        (", evolve: 'off'", "off"),
        (", evolve: add", "add"),
        (", evolve: widen", "widen"),
    ],
)
def test_a_table_follows_its_columns_only_when_that_is_asked_for(folder: Folder, written: str, means: str) -> None:
    config = folder.load(MINIMAL.replace("table: orders", f"table: orders{written}")).config
    sink = config.pipelines[0].sinks[0]
    assert isinstance(sink, Postgres)
    assert sink.evolve == means


@pytest.mark.parametrize("written", ["on", "drop", "true"])
def test_another_word_is_refused_with_those_that_there_are(folder: Folder, written: str) -> None:
    problem = folder.error(MINIMAL.replace("table: orders", f"table: orders, evolve: {written}"))
    assert problem.path == "app.postgres.evolve"
    assert all(word in problem.message for word in ("off", "add", "widen"))
