"""What is shown of a record besides its bytes."""

import pytest

from ddpm.broker.dump import RawRecord
from ddpm.cli.peek import about


@pytest.mark.parametrize(
    ("timestamp", "said"),
    [
        (0, ["  at 1970-01-01T00:00:00.000Z"]),
        # A producer that was careless.
        (2**62, ["  at 9999-12-31T23:59:59.000Z"]),
        (-1, []),
    ],
)
def test_any_time_can_be_shown(timestamp: int, said: list[str]) -> None:
    lines = list(about(RawRecord("orders", 0, 17, timestamp, b"key", b"{}", (("name", b"\xff\x1b"),))))
    assert lines == [*said, "  key key", r"  header name: \xff\x1b"]
