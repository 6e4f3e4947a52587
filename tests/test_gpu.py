"""bench/gpu.py, as far as a CPU goes; the sums of docs/gpus.md stand there as they are computed."""

import json
import os
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import gpu  # noqa: E402
import parts  # noqa: E402
import shapes  # noqa: E402

# Whole runs are test_train.py's, and on a CPU both shapes are the same tiny one.
ELSEWHERE = {"training", "vllm-runner-1", "vllm-runner-2", "updates-1.5b"}


def test_every_part_but_whole_runs_passes_on_a_cpu(one_process, tmp_path):
    for name in gpu.PARTS.keys() - ELSEWHERE:
        rows = list(parts.attempt(gpu.PARTS[name].body, tmp_path, one_process))
        assert len(rows) > 1 and all(row.passed for row in rows), rows


def body(*rows, then=lambda: None):
    def one(scratch, device):
        yield from rows
        then()

    return parts.Part(120, one)


def test_a_part_that_raises_dies_or_hangs_ends_as_a_row(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(parts, "set_up_ranks", lambda: torch.device("cpu"))
    monkeypatch.setattr(parts, "leave_ranks", lambda: None)  # the group is the parent's
    fine, out, found = parts.Row("fine", 1.5, 2.0), tmp_path / "gpu.json", []

    def measure(seconds, **cases):
        passed = parts.measure_parts(cases, seconds, out)
        found.extend(row for row in json.loads(out.read_text()) if "seconds" not in row["what"])
        return passed

    dies, hangs = body(fine, then=lambda: os._exit(3)), body(fine, then=lambda: time.sleep(300))
    assert not measure(300, raises=body(fine, then=lambda: 1 / 0), dies=dies)
    assert "2 failed" in capsys.readouterr().out
    assert not measure(8, hangs=hangs, late=body(fine))  # the first has seconds to begin in
    assert measure(300, early=body(fine))
    assert [(row["part"], row["what"], row["passed"]) for row in found] == [
        *(("raises", "fine", True), ("raises", "ended early", False)),
        *(("dies", "fine", True), ("dies", "died", False)),
        *(("hangs", "fine", True), ("hangs", "stopped", False)),
        *(("late", "left out", False), ("early", "fine", True)),
    ]
    assert found[1]["value"] == "ZeroDivisionError: division by zero"


def test_a_figure_above_its_limit_or_not_a_number_fails():
    values = (1.0, 2.0, float("nan"))
    assert [parts.Row("x", value, 1.0).passed for value in values] == [True, False, False]


def test_the_tables_of_cards_are_what_the_sums_say():
    page = (ROOT / "docs" / "gpus.md").read_text()
    assert all(table.strip() in page for table in shapes.tables().split("\n\n"))
