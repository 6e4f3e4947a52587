"""Reward curves of several runs in one SVG, a panel for each objective.

    python bench/curves.py curves.svg out/demo out/demo-1 out/grpo-0 out/grpo-1

A faint dot is the mean reward of one step, a line the mean of the last five steps.
"""

import json
import sys
from html import escape
from pathlib import Path

PANELS = {"reward/code": "code reward (share of programs that pass)", "reward/align": "alignment"}
COLOURS = ("#1f6feb", "#6cb6ff", "#bc4c00", "#e8a06a")
WIDTH, HEIGHT, LEFT, TOP = 360, 200, 40, 40  # of a panel, and its margins


def panel(key: str, title: str, runs: dict[str, list[dict]], x0: int) -> list[str]:
    """SVG elements of one panel whose left edge is at x0; the y axis goes from 0 to the maximum."""
    last = max(row["step"] for rows in runs.values() for row in rows)
    values = [row[key] for rows in runs.values() for row in rows if row[key] is not None]
    top = max([0.1, *values])

    def at(step: float, value: float) -> tuple[float, float]:
        x = x0 + LEFT + WIDTH * (step - 1) / max(1, last - 1)
        return round(x, 1), round(TOP + HEIGHT * (1 - value / top), 1)

    parts = [f'<text x="{x0 + LEFT}" y="{TOP - 14}">{escape(title)}</text>']
    for value in (0, top / 2, top):
        (x1, y), (x2, _) = at(1, value), at(last, value)
        parts.append(f'<path d="M{x1} {y}H{x2}" stroke="#8884"/>')
        parts.append(f'<text x="{x1 - 6}" y="{y + 4}" text-anchor="end">{value:.2f}</text>')
    for step in (1, last):
        x, y = at(step, 0)
        parts.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">step {step}</text>')
    for rows, colour in zip(runs.values(), COLOURS, strict=False):
        points = [(row["step"], row[key]) for row in rows if row[key] is not None]
        means = []
        for n in range(1, len(points) + 1):
            recent = [value for _, value in points[max(0, n - 5) : n]]
            means.append(at(points[n - 1][0], sum(recent) / len(recent)))
        for x, y in (at(*point) for point in points):
            parts.append(f'<circle cx="{x}" cy="{y}" r="2" fill="{colour}" opacity=".35"/>')
        line = " ".join(f"{x},{y}" for x, y in means)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts


def draw(runs: dict[str, list[dict]]) -> str:
    """The whole picture. runs: name -> rows of metrics.jsonl."""
    wide = WIDTH + LEFT + 30
    parts = []
    for n, (key, title) in enumerate(PANELS.items()):
        parts += panel(key, title, runs, n * wide)
    for n, (name, colour) in enumerate(zip(runs, COLOURS, strict=False)):
        x, y = LEFT + n * 160, TOP + HEIGHT + 44
        parts.append(f'<path d="M{x} {y - 4}h22" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 28}" y="{y}">{escape(name)}</text>')
    size = f'width="{2 * wide}" height="{TOP + HEIGHT + 60}"'
    style = "<style>text{font:12px sans-serif;fill:#888}</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}{"".join(parts)}</svg>\n'


def main() -> None:
    if not 3 <= len(sys.argv) <= 2 + len(COLOURS):
        sys.exit(f"usage: python bench/curves.py FILE.svg RUN_DIR ... (up to {len(COLOURS)})")
    runs = {}
    for folder in map(Path, sys.argv[2:]):
        try:
            lines = (folder / "metrics.jsonl").read_text().splitlines()
        except OSError as error:
            sys.exit(f"error: {folder} is no run directory: {error}")
        if not lines:
            sys.exit(f"error: {folder} holds no step yet")
        runs[folder.name] = [json.loads(line) for line in lines]
    Path(sys.argv[1]).write_text(draw(runs))


if __name__ == "__main__":
    main()
