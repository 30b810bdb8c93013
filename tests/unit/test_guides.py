"""The pages about sinks, parsers and sources show code that is compiled and tested."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "writing-a-sink.md"
EXAMPLES = ROOT / "cmd" / "engine" / "internal" / "sink" / "example"
OUTSIDE = ROOT / "tests" / "harness" / "outside" / "text_sink.py"
CODE = [EXAMPLES / "example.go", EXAMPLES / "files" / "files.go", EXAMPLES / "latest" / "latest.go"]


def test_the_page_shows_whole_sinks_as_they_are() -> None:
    shown = re.findall(r"^```go\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert "\n".join(shown) == "\n".join(path.read_text(encoding="utf-8") for path in CODE)


def test_the_page_shows_the_sink_from_the_outside_as_it_is() -> None:
    shown = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown == [OUTSIDE.read_text(encoding="utf-8")]


def test_the_page_about_sources_shows_one_as_it_is() -> None:
    text = (ROOT / "docs" / "writing-a-source.md").read_text(encoding="utf-8")
    source = OUTSIDE.with_name("table_source.py").read_text(encoding="utf-8")
    assert f"```python\n{source}```" in text


def test_the_page_about_parsers_shows_one_as_it_is() -> None:
    text = (ROOT / "docs" / "writing-a-parser.md").read_text(encoding="utf-8")
    for language, path in (
        ("go", "cmd/engine/internal/formats/lines/lines.go"),
        ("python", "tests/integration/plugins/lines/test_lines.py"),
    ):
        assert f"```{language}\n{(ROOT / path).read_text(encoding='utf-8')}```" in text
    shown = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    there = "".join(
        re.sub(r"\s", "", (ROOT / path).read_text(encoding="utf-8"))
        for path in ("cmd/engine/internal/formats/formats.go", "src/ddpm/components/parsers/plain.py")
    )
    for piece in re.split(r"\n\n", "\n".join(shown)):
        assert re.sub(r"\s", "", piece) in there
