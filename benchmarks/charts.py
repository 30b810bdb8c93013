"""Bars as SVG, with a page of their own behind them in light and in dark, so that they can be read on any ground."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH, LEFT, RIGHT, MARGIN = 820, 270, 150, 16
BAR, STEP, HEAD, LEGEND = 20, 32, 62, 26
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1f24}.title{font-weight:600;font-size:16px}.about{fill:#57606a}"
    ".page{fill:#ffffff;stroke:#d0d7de}.a{fill:#2f6fdb}.b{fill:#b07d2b}.spread{stroke:#1b1f24;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.about{fill:#9da7b1}.page{fill:#161b22;stroke:#3d444d}"
    ".a{fill:#6ea8fe}.b{fill:#e0b15f}.spread{stroke:#e6edf3}}"
)
COLORS = ("a", "b")


@dataclass(frozen=True)
class Bar:
    """A line of a chart: parts that stand one behind the other, and how far single rounds went."""

    name: str
    parts: Sequence[float]
    spread: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """Bars, and what stands around them; `parts` names the colours where there are several."""

    title: str
    about: str
    bars: Sequence[Bar]
    amount: Callable[[float], str]
    parts: Sequence[str] = ()


def draw(chart: Chart) -> str:
    """The SVG of a chart."""
    longest = max(max(sum(bar.parts), *(bar.spread or (0.0,))) for bar in chart.bars) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / longest
    top = HEAD + (LEGEND if chart.parts else 0)
    height = top + STEP * len(chart.bars) + MARGIN
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(chart.title)}</title><style>{STYLE}</style>",
        f'<rect class="page" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        f'<text class="title" x="{MARGIN}" y="28">{escape(chart.title)}</text>',
        f'<text class="about" x="{MARGIN}" y="48">{escape(chart.about)}</text>',
    ]
    for number, part in enumerate(chart.parts):
        x = LEFT + 170 * number
        lines.append(f'<rect class="{COLORS[number]}" x="{x}" y="{HEAD}" width="12" height="12"/>')
        lines.append(f'<text x="{x + 18}" y="{HEAD + 11}">{escape(part)}</text>')
    for number, bar in enumerate(chart.bars):
        lines += _bar(bar, top + STEP * number, scale, chart.amount)
    return "\n".join([*lines, "</svg>\n"])


def _bar(bar: Bar, y: int, scale: float, amount: Callable[[float], str]) -> list[str]:
    middle = y + BAR / 2
    lines = [f'<text x="{LEFT - 10}" y="{middle + 5}" text-anchor="end">{escape(bar.name)}</text>']
    x = float(LEFT)
    for color, part in zip(COLORS, bar.parts, strict=False):
        lines.append(f'<rect class="{color}" x="{x:.1f}" y="{y}" width="{part * scale:.1f}" height="{BAR}"/>')
        x += part * scale
    if bar.spread is not None:
        least, most = (LEFT + value * scale for value in bar.spread)
        lines.append(
            f'<path class="spread" d="M{least:.1f} {middle}H{most:.1f}M{least:.1f} {y + 5}v10M{most:.1f} {y + 5}v10"/>'
        )
        x = max(x, most)
    lines.append(f'<text x="{x + 8:.1f}" y="{middle + 5}">{escape(amount(sum(bar.parts)))}</text>')
    return lines


def save(name: str, chart: Chart, alternative: str) -> str:
    """Write a picture into docs/images and return the Markdown that shows it in docs/benchmarks.md."""
    path = IMAGES / f"bench-{name}.svg"
    path.write_text(draw(chart), encoding="utf-8")
    return f"![{alternative}](images/{path.name})"
