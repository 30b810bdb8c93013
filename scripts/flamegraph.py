"""Draws weighted stacks as a flame graph: an SVG with the root on top, each bar as wide as its share of the whole."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH = 1200
BAR = 18
MARGIN = 12
HEAD = 74
LETTER = 6.7
# A bar of less than a pixel shows nothing, and there can be tens of thousands of them.
NARROWEST = 1.0
# Only recursion goes deeper.
DEEPEST = 32

STYLE = (
    "text{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#1b1f24}"
    ".title{font:600 17px system-ui,sans-serif}.about{font:12px system-ui,sans-serif;fill:#57606a}"
    "rect{stroke:#fff;stroke-width:.6}"
)


@dataclass(frozen=True)
class Kind:
    """A kind of code: what the legend calls it, and its colour."""

    name: str
    color: str


@dataclass(frozen=True)
class Picture:
    """What is drawn besides the stacks."""

    title: str
    about: str
    kinds: Sequence[Kind]
    kind_of: Callable[[str], Kind]
    label: Callable[[str], str]
    amount: Callable[[float], str]


@dataclass
class _Node:
    weight: float = 0
    children: dict[str, "_Node"] = field(default_factory=dict)


def draw(stacks: Iterable[tuple[Sequence[str], float]], picture: Picture) -> str:
    """The SVG of stacks (outermost frame first) and their weights."""
    root = _Node()
    for frames, weight in stacks:
        node = root
        node.weight += weight
        for frame in frames:
            node = node.children.setdefault(frame, _Node())
            node.weight += weight
    scale = (WIDTH - 2 * MARGIN) / (root.weight or 1)
    bars = list(_bars(root, picture, root.weight, scale))
    height = HEAD + BAR * (1 + max((depth for depth, _ in bars), default=0)) + MARGIN
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<title>{escape(picture.title)}</title><style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            f'<text class="title" x="{MARGIN}" y="26">{escape(picture.title)}</text>',
            f'<text class="about" x="{MARGIN}" y="45">{escape(picture.about)}</text>',
            *_legend(_shares(root, picture), picture),
            *(bar for _, bar in bars),
            "</svg>\n",
        ]
    )


def _bars(root: _Node, picture: Picture, total: float, scale: float) -> Iterable[tuple[int, str]]:
    waiting: list[tuple[_Node, int, float]] = [(root, 0, MARGIN)]
    while waiting:
        parent, depth, x = waiting.pop()
        for frame, node in sorted(parent.children.items()):
            width = node.weight * scale
            if width >= NARROWEST and depth < DEEPEST:
                yield depth, _bar(frame, picture, (x, HEAD + depth * BAR, width), node.weight, total)
                waiting.append((node, depth + 1, x))
            x += width


def _bar(frame: str, picture: Picture, place: tuple[float, int, float], weight: float, total: float) -> str:
    x, y, width = place
    tip = f"{frame}\n{picture.amount(weight)}, {weight / total:.1%}"
    rect = (
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{picture.kind_of(frame).color}" rx="2"/>'
    )
    label = picture.label(frame)
    room = int((width - 6) / LETTER)
    if room < min(len(label), 4):
        return f"<g><title>{escape(tip)}</title>{rect}</g>"
    shown = label if len(label) <= room else label[: room - 1] + "…"
    return f'<g><title>{escape(tip)}</title>{rect}<text x="{x + 3:.1f}" y="{y + 13}">{escape(shown)}</text></g>'


def _shares(root: _Node, picture: Picture) -> Mapping[Kind, float]:
    """The part of the whole that each kind of code has used itself, without what it called."""
    shares = dict.fromkeys(picture.kinds, 0.0)
    waiting = list(root.children.items())
    while waiting:
        frame, node = waiting.pop()
        own = node.weight - sum(child.weight for child in node.children.values())
        shares[picture.kind_of(frame)] += own / (root.weight or 1)
        waiting.extend(node.children.items())
    return shares


def _legend(shares: Mapping[Kind, float], picture: Picture) -> Iterable[str]:
    x = float(MARGIN)
    for kind in picture.kinds:
        text = f"{kind.name} {shares[kind]:.0%}"
        yield f'<rect x="{x:.0f}" y="55" width="12" height="12" fill="{kind.color}" rx="2"/>'
        yield f'<text x="{x + 17:.0f}" y="65">{escape(text)}</text>'
        x += 17 + (len(text) + 3) * LETTER
