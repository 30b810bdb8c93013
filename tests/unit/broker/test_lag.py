import pytest

from ddpm.broker.offsets import Watermarks, behind


@pytest.mark.parametrize(
    ("committed", "start", "end", "offsets"),
    [
        (None, 0, 10, 10),
        (None, 4, 10, 6),
        (3, 0, 10, 7),
        (10, 0, 10, 0),
        (2, 5, 10, 5),
        (12, 0, 10, 0),
    ],
    ids=["nothing committed", "…after retention", "on its way", "done", "retention overtook it", "truncated behind it"],
)
def test_lag(committed: int | None, start: int, end: int, offsets: int) -> None:
    lag = behind(committed, Watermarks(start, end))
    assert (lag.committed, lag.end, lag.offsets) == (committed, end, offsets)
