"""The page about sinks shows sinks that are compiled and tested."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "writing-a-sink.md"
EXAMPLES = ROOT / "cmd" / "engine" / "sink" / "example"
CODE = [EXAMPLES / "example.go", EXAMPLES / "files" / "files.go"]


def test_the_page_shows_whole_sinks_as_they_are() -> None:
    shown = re.findall(r"^```go\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert "\n".join(shown) == "\n".join(path.read_text(encoding="utf-8") for path in CODE)
