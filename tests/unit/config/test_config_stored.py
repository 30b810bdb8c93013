"""The files of pipelines that were made through the API: a change is there as a whole, proven, or not at all."""

from pathlib import Path

import pytest

from ddpm.config.stored import Edit, Expected, NotAsExpectedError, PipelineStore, UnknownPipelineError
from ddpm.errors import MissingToolError


@pytest.fixture
def store(tmp_path: Path) -> PipelineStore:
    return PipelineStore(tmp_path / "pipelines")


def made(store: PipelineStore, text: str = "a: 1\n") -> str:
    store.begin(Edit("made", text))
    store.keep()
    found = store.get("made")
    assert found is not None
    return found.version


def names(store: PipelineStore) -> list[str]:
    return sorted(each.name for each in store.path("made").parent.iterdir())


def test_a_change_is_kept_for_its_user_alone(store: PipelineStore) -> None:
    first = made(store)
    assert store.path("made").stat().st_mode & 0o777 == 0o600
    assert store.path("made").parent.stat().st_mode & 0o777 == 0o700
    assert made(store) != first, "the same text is another version, too"
    assert names(store) == ["made.yaml"]


@pytest.mark.parametrize("text", ["b: 2\n", None])
def test_what_has_not_proven_itself_is_unmade_even_by_the_next_ddpm(store: PipelineStore, text: str | None) -> None:
    before = made(store)
    store.begin(Edit("made", text))
    PipelineStore(store.path("made").parent).revert()
    found = store.get("made")
    assert found is not None
    assert (found.text, found.version) == ("a: 1\n", before)
    assert names(store) == ["made.yaml"]


def test_one_that_was_new_is_gone_again(store: PipelineStore) -> None:
    store.begin(Edit("made", "a: 1\n"))
    store.revert()
    assert store.get("made") is None
    assert names(store) == []
    PipelineStore(Path("nowhere")).revert()


def test_a_change_of_something_else_is_refused(store: PipelineStore) -> None:
    first = made(store)
    for expected in (Expected(absent=True), Expected(frozenset({"other"})), Expected(frozenset())):
        with pytest.raises(NotAsExpectedError, match=f'its ETag is "{first}"'):
            store.begin(Edit("made", "b: 1\n", expected))
    with pytest.raises(NotAsExpectedError, match="it does not exist"):
        store.begin(Edit("other", "b: 1\n", Expected(frozenset({"*"}))))
    with pytest.raises(UnknownPipelineError):
        store.begin(Edit("other", None))
    store.begin(Edit("made", "b: 1\n", Expected(frozenset({"*", "x"}))))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "pipelines").write_text("a file in its place")
    with pytest.raises(MissingToolError, match="the pipeline made cannot be written into"):
        PipelineStore(tmp_path / "pipelines").begin(Edit("made", "a: 1\n"))
