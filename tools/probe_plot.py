"""Draw what tools/probe.py found: accuracy by layer, a panel a target, a line a model.

    python tools/probe_plot.py probe.svg base=base.json grpo=grpo.json coderl+=coderl.json

The files are those of tools/probe.py. Grey lines are the controls, dashes stand at chance.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import UserError  # noqa: E402
from tools import command  # noqa: E402
from tools.chart import Line, Panel, chart  # noqa: E402
from tools.compare import read_results  # noqa: E402

COLOURS = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#495057")


def plot(rows: dict[str, dict]) -> str:
    """SVG of accuracy by layer: a panel a target, a line a model; grey: control, dashes: chance.

    rows: label -> eval.py's row of the probe, of which `targets` is read.
    """
    panels, colours = [], {label: COLOURS[k % 6] for k, label in enumerate(rows)}
    for target in ("passes", "value", "type"):
        found = {label: row["targets"][target] for label, row in rows.items()}
        lines = [Line("#adb5bd", [*enumerate(t["shuffled"])], 1) for t in found.values()]
        lines += [Line(colours[label], [*enumerate(t["accuracy"])]) for label, t in found.items()]
        panels.append(Panel(target, "layer", lines, next(iter(found.values()))["chance"]))
    return chart(panels, colours)


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
