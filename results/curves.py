"""The learning curves of the evidence as SVG; python results/table.py draws them."""

from html import escape

WIDTH, HEIGHT, LEFT, TOP, SMOOTH = 360, 200, 46, 40, 5  # of a panel; steps in a mean
COLOURS = {"grpo": "#bc4c00", "coderl": "#1f6feb", "align": "#2da44e"}
PANELS = [  # metric, axis, title
    ("reward/code", "samples", "programs that pass, by samples"),
    ("reward/code", "minutes", "programs that pass, by minutes"),
    ("reward/align", "samples", "alignment reward, by samples"),
]


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def points(row: dict, metric: str, axis: str) -> list[tuple[float, float]]:
    """(x, mean of the last SMOOTH steps) of one run. x: samples or minutes since its start."""
    found, recent, x = [], [], 0.0
    for step, seconds, value in zip(
        row["curve"]["step"], row["curve"]["time/step"], row["curve"][metric], strict=True
    ):
        x = float(row["samples_per_step"] * step) if axis == "samples" else x + seconds / 60
        if value is not None:
            recent = [*recent, value][-SMOOTH:]
            found.append((x, mean(recent)))
    return found


def panel(runs: dict[str, list[dict]], metric: str, axis: str, title: str, x0: int) -> list[str]:
    """SVG elements of one panel whose left edge is at x0."""
    lines = [
        (arm, points(row, metric, axis))
        for arm, rows in runs.items()
        for row in rows
        if arm in COLOURS and "curve" in row
    ]
    lines = [(arm, line) for arm, line in lines if line]
    right = max((x for _, line in lines for x, _ in line), default=1.0)
    top = max((y for _, line in lines for _, y in line), default=1.0)

    def at(x: float, y: float) -> str:
        return f"{x0 + LEFT + WIDTH * x / right:.1f},{TOP + HEIGHT * (1 - y / top):.1f}"

    left, bottom = x0 + LEFT, TOP + HEIGHT
    parts = [f'<text x="{left}" y="{TOP - 14}">{escape(title)}</text>']
    for y in (0, top / 2, top):
        height = bottom - HEIGHT * y / top
        parts.append(f'<path d="M{left} {height:.1f}h{WIDTH}" stroke="#8884"/>')
        parts.append(
            f'<text x="{left - 6}" y="{height + 4:.1f}" text-anchor="end">{100 * y:.0f} %</text>'
        )
    for x, anchor in ((0.0, "start"), (right, "end")):
        place = left + WIDTH * x / right
        parts.append(
            f'<text x="{place}" y="{bottom + 18}" text-anchor="{anchor}">{x:.0f} {axis}</text>'
        )
    for arm, line in lines:
        path = " ".join(at(x, y) for x, y in line)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{COLOURS[arm]}" stroke-width="1.6"/>'
        )
    return parts


def plot(runs: dict[str, list[dict]], names: dict[str, str]) -> str:
    """The learning curves: a line a run, a colour an arm. runs: arm -> its runs; names: of arms."""
    wide, parts = WIDTH + LEFT + 30, []
    for number, (metric, axis, title) in enumerate(PANELS):
        parts += panel(runs, metric, axis, title, number * wide)
    shown = [arm for arm in runs if arm in COLOURS]
    for number, arm in enumerate(shown):
        x, y = LEFT + number * 170, TOP + HEIGHT + 44
        parts.append(f'<path d="M{x} {y - 4}h22" stroke="{COLOURS[arm]}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 28}" y="{y}">{escape(names[arm])}</text>')
    size = f'width="{len(PANELS) * wide}" height="{TOP + HEIGHT + 60}"'
    style = "<style>text{font:12px sans-serif;fill:#888}</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}{"".join(parts)}</svg>\n'
