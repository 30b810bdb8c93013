"""The page about sinks shows a sink that is compiled and tested."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "writing-a-sink.md"
CODE = ROOT / "cmd" / "engine" / "sink" / "example" / "example.go"


def test_the_page_shows_the_whole_sink_as_it_is() -> None:
    shown = re.findall(r"^```go\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert "\n".join(shown) == CODE.read_text(encoding="utf-8")
