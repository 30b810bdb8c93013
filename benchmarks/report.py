"""docs/benchmarks.md: each benchmark writes the part between its own two marks."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

REPORT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def machine() -> str:
    """When and where something was measured."""
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}"


def write_section(name: str, section: str) -> None:
    """Replace what was measured before; `name` is the word in the marks."""
    mark = f"<!-- measured: {name} -->"
    before, _, rest = REPORT.read_text(encoding="utf-8").partition(mark)
    _, _, after = rest.partition(mark)
    REPORT.write_text(f"{before}{mark}\n{section}\n{mark}{after}", encoding="utf-8")
