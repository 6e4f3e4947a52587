"""Line charts as SVG: panels side by side, shares from 0 to 100 % upwards.

Left out: a plotting library; a chart is a few paths.
"""

import html
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, TOP, GAP = 300, 190, 42, 34, 40


class Line(NamedTuple):
    colour: str
    points: list[tuple[float, float]]  # (x, share)
    width: float = 2


class Panel(NamedTuple):
    title: str
    axis: str  # what x is
    lines: list[Line]
    chance: float | None = None  # a share at which dashes stand


def chart(panels: list[Panel], labels: dict[str, str]) -> str:
    """The whole file. labels: name -> colour, told below the panels."""
    parts = []
    for column, panel in enumerate(panels):
        parts += drawn(panel, LEFT + column * (WIDTH + GAP))
    for k, (name, colour) in enumerate(labels.items()):
        y = TOP + HEIGHT + 44 + 18 * k
        parts.append(f'<path d="M{LEFT} {y - 4}h22" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(LEFT + 28, y, name))
    width, height = LEFT + len(panels) * (WIDTH + GAP), TOP + HEIGHT + 44 + 18 * len(labels)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" fill="none" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n'
        f'<g fill="#343a40">\n{body}\n</g></svg>\n'
    )


def drawn(panel: Panel, left: int) -> list[str]:
    """SVG elements. x goes from 0 to the largest of all lines."""
    right = max([x for line in panel.lines for x, _ in line.points], default=1) or 1
    parts = [text(left, TOP - 14, panel.title, 'font-weight="bold"')]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = TOP + HEIGHT * (1 - share)
        parts.append(f'<path d="M{left} {y}h{WIDTH}" stroke="#e9ecef"/>')
        parts.append(text(left - 6, y + 4, f"{share:.0%}", 'text-anchor="end"'))
    if panel.chance is not None:
        y = TOP + HEIGHT * (1 - panel.chance)
        parts.append(f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#868e96" stroke-dasharray="4 3"/>')
    for colour, points, width in panel.lines:
        places = (f"{left + WIDTH * x / right:.1f} {TOP + HEIGHT * (1 - y):.1f}" for x, y in points)
        path = " L".join(places)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    below = f"{panel.axis}, to {right:.0f}"
    return [*parts, text(left + WIDTH / 2, TOP + HEIGHT + 20, below, 'text-anchor="middle"')]


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" {more}>{html.escape(words)}</text>'
