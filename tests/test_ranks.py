"""Ranks that wait for each other, not for ever; memory that goes missing."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny

from tools.memory import GROWTH, SETTLE, MemoryWatch

ROOT = Path(__file__).parent.parent


def ranks(tmp_path: Path, body: str, processes: int) -> subprocess.CompletedProcess:
    """Run `body` in so many processes; each finds dist, gather and its rank."""
    script = tmp_path / "ranks_script.py"
    head = f"import sys, time; sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]!r}\n"
    head += (
        "import torch.distributed as dist\nfrom ranks import gather, leave_ranks, set_up_ranks\n"
    )
    script.write_text(head + body)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, f"--nproc_per_node={processes}", str(script)],
        env=tiny.environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_gather_gives_everybody_everything_in_rank_order(tmp_path):
    body = "set_up_ranks(20)\nrank = dist.get_rank()\ntime.sleep(0.3 * (2 - rank))\n"
    body += "assert gather({'rank': rank}, 'x') == [{'rank': n} for n in range(3)]\nleave_ranks()\n"
    done = ranks(tmp_path, body, 3)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_rank_that_does_not_come_is_named(tmp_path):
    """Not a hang, and not NCCL's ten minutes: one sentence with the task and the culprit.

    Also where rank 0, which knows the culprit, is the last to come.
    """
    body = "set_up_ranks(3)\ntime.sleep([3.5, 100, 0][dist.get_rank()])\n"
    body += "try: gather(1, 'sampling')\nexcept Exception as error:\n"
    # one write a line: what ranks print in pieces may mix
    body += "    line = f'{type(error).__name__} | {error}\\n'\n"
    body += "    print(line, end='', flush=True)\n    raise\n"
    start = time.monotonic()
    done = ranks(tmp_path, body, 3)
    assert time.monotonic() - start < 60 and done.returncode
    said = [line for line in done.stdout.splitlines() if line.startswith("UserError | sampling")]
    assert any("Ranks 1 failed" in line for line in said), done.stdout + done.stderr[-2000:]


# ------------------------------------------------------------------ memory
def watch(free: list[float], total: float = 80.0) -> MemoryWatch:
    left = iter(free)
    memory = MemoryWatch(lambda: (next(left), total, 0.0, 0.0))
    for _ in free:
        memory.look("asleep")
    return memory


def test_memory_may_settle_in_the_first_steps_and_waver_after():
    steady = [70, 62, *[60] * (SETTLE - 2), 58, 61, 57, 60]
    assert watch(steady).advice is None
    assert watch(steady).free == {"asleep": 60}


@pytest.mark.parametrize("each", [0.5, 1.0, 3.0])
def test_memory_that_goes_missing_step_by_step_stops_the_run_early(each):
    free = [60 - each * step for step in range(20)]
    assert watch(free[:SETTLE]).advice is None
    limit = SETTLE + int(GROWTH * 80 / each)
    assert watch(free[:limit]).advice is None
    advice = watch(free[: limit + 1]).advice
    assert advice and "--resume" in advice and "asleep" in advice and "\n" not in advice


def test_moments_are_compared_with_themselves():
    left = iter([60, 20] * 9)
    memory = MemoryWatch(lambda: (next(left), 80.0, 0.0, 0.0))
    for _ in range(9):
        memory.look("asleep")
        memory.look("synced")
    assert memory.advice is None and memory.free == {"asleep": 60, "synced": 20}


def test_a_sleeping_sampler_does_not_count_as_used():
    """40 GiB of sampler, which torch counts also asleep; the update adds 30 to the 10 that stay."""
    found = iter([(30, 80, 50, 50), (70, 80, 50, 50), (30, 80, 50, 80)])
    memory = MemoryWatch(lambda: next(found))
    for moment in ("sampled", "asleep", "synced"):
        memory.look(moment)
    assert memory.peak_gb() == 50  # sampling: 80 - 30; the update: 10 + (80 - 50) = 40


def test_without_a_gpu_nothing_is_watched():
    memory = MemoryWatch(lambda: None)
    memory.look("asleep")
    assert memory.free == {} and memory.advice is None
