"""The picture of weighted stacks: proportions, what is left out, and that any name can stand in it."""

import importlib.util
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def flamegraph() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("flamegraph", SCRIPTS / "flamegraph.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["flamegraph"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["flamegraph"]


def bars(flamegraph: Any, *stacks: tuple[list[str], float]) -> dict[str, tuple[float, float, float]]:
    """Where each bar stands (x, y) and how wide it is, by the text that is shown when one points at it."""
    ours, theirs = flamegraph.Kind("ours", "#111111"), flamegraph.Kind("theirs", "#222222")
    picture = flamegraph.Picture(
        title="Where <time> goes",
        about="10 & more",
        kinds=[ours, theirs],
        kind_of=lambda frame: ours if frame.startswith("ours") else theirs,
        label=str.upper,
        amount=lambda weight: f"{weight:.0f} s",
    )
    root = ET.fromstring(flamegraph.draw(stacks, picture))  # noqa: S314 -- made above
    found = {}
    for group in root.iter(f"{SVG}g"):
        tip, rect = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert tip is not None
        assert rect is not None
        found[str(tip.text)] = (float(rect.attrib["x"]), float(rect.attrib["y"]), float(rect.attrib["width"]))
    return found


def test_a_bar_is_as_wide_as_its_share(flamegraph: ModuleType) -> None:
    found = bars(flamegraph, (["main", "ours"], 6), (["main", "ours", "deep"], 2), (["main"], 2))
    assert set(found) == {"main\n10 s, 100.0%", "ours\n8 s, 80.0%", "deep\n2 s, 20.0%"}
    main, ours, deep = found["main\n10 s, 100.0%"], found["ours\n8 s, 80.0%"], found["deep\n2 s, 20.0%"]
    assert ours[2] == pytest.approx(main[2] * 0.8, abs=0.1)
    assert deep[2] == pytest.approx(main[2] * 0.2, abs=0.1)
    assert main[1] < ours[1] < deep[1], "the callee stands below its caller"


def test_names_of_functions_cannot_break_the_picture(flamegraph: ModuleType) -> None:
    assert list(bars(flamegraph, (['<module> "&"'], 1))) == ['<module> "&"\n1 s, 100.0%']


def test_what_nobody_could_see_is_left_out(flamegraph: ModuleType) -> None:
    found = bars(flamegraph, (["main"], 1_000_000), (["tiny"], 1), ([f"level {n}" for n in range(1000)], 1_000_000))
    assert not any(tip.startswith("tiny") for tip in found)
    assert len(found) < 100


def test_nothing_to_draw_is_a_picture_too(flamegraph: ModuleType) -> None:
    assert bars(flamegraph) == {}
