"""Draw what tools/probe.py found: accuracy by layer, a panel a target, a line a model.

    python tools/probe_plot.py probe.svg base=base.json grpo=grpo.json coderl+=coderl.json

The files are those of tools/probe.py. Grey lines are the controls, dashes stand at chance. Left
out: a plotting library; the SVG is a few paths.
"""

import html
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import UserError  # noqa: E402
from tools import command  # noqa: E402
from tools.compare import read_results  # noqa: E402

COLOURS = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#495057")
WIDTH, HEIGHT, LEFT, TOP = 250, 190, 42, 34


def plot(rows: dict[str, dict]) -> str:
    """SVG of accuracy by layer: a panel a target, a line a model; grey: control, dashes: chance.

    rows: label -> eval.py's row of the probe, of which `targets` is read.
    """
    parts = []
    for column, target in enumerate(("passes", "value", "type")):
        found = {label: row["targets"][target] for label, row in rows.items()}
        x0, chance = LEFT + column * (WIDTH + 34), next(iter(found.values()))["chance"]
        curves = [(COLOURS[k % 6], 2, t["accuracy"]) for k, t in enumerate(found.values())]
        curves = [("#adb5bd", 1, t["shuffled"]) for t in found.values()] + curves
        parts += panel(x0, target, chance, curves)
    for k, label in enumerate(rows):
        y = TOP + HEIGHT + 44 + 18 * k
        parts.append(f'<path d="M{LEFT} {y - 4}h22" stroke="{COLOURS[k % 6]}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + 28}" y="{y}">{html.escape(label)}</text>')
    width, height = LEFT + 3 * (WIDTH + 34), TOP + HEIGHT + 44 + 18 * len(rows)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" fill="none" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n'
        f'<g fill="#343a40">\n{body}\n</g></svg>\n'
    )


def panel(x0: int, title: str, chance: float, curves: list[tuple]) -> list[str]:
    """One target; y from 0 to 1, x from the embeddings to the last layer."""

    def place(layer: int, layers: int, share: float) -> str:
        return f"{x0 + WIDTH * layer / max(1, layers - 1):.1f} {TOP + HEIGHT * (1 - share):.1f}"

    y = TOP + HEIGHT * (1 - chance)
    parts = [f'<text x="{x0}" y="{TOP - 14}" font-weight="bold">{title}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        level = TOP + HEIGHT * (1 - share)
        parts.append(f'<path d="M{x0} {level}h{WIDTH}" stroke="#e9ecef"/>')
        parts.append(f'<text x="{x0 - 6}" y="{level + 4}" text-anchor="end">{share:.0%}</text>')
    parts.append(f'<path d="M{x0} {y:.1f}h{WIDTH}" stroke="#868e96" stroke-dasharray="4 3"/>')
    for colour, width, shares in curves:
        line = " L".join(place(k, len(shares), share) for k, share in enumerate(shares))
        parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    middle, below = x0 + WIDTH / 2, TOP + HEIGHT + 20
    return [*parts, f'<text x="{middle}" y="{below}" text-anchor="middle">layer</text>']


def main(argv: list[str]) -> None:
    if len(argv) < 2 or not argv[0].endswith(".svg") or not all("=" in arg for arg in argv[1:]):
        raise UserError("give a file .svg to write, then label=result.json for each model")
    rows = {}
    for label, _, path in (arg.partition("=") for arg in argv[1:]):
        rows[label] = read_results(path).get("probe", {})
        if "targets" not in rows[label]:
            raise UserError(f"{path} holds no probe; make it with tools/probe.py")
    Path(argv[0]).write_text(plot(rows), encoding="utf-8")


if __name__ == "__main__":
    command.run(main, __doc__)
