"""Ranks that wait for each other, not for ever."""

import subprocess
import sys
import time
from pathlib import Path

import tiny

ROOT = Path(__file__).parent.parent


def ranks(tmp_path: Path, body: str, processes: int) -> subprocess.CompletedProcess:
    """Run `body` in so many processes; each finds dist, gather and its rank."""
    script = tmp_path / "ranks_script.py"
    head = f"import sys, time; sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]!r}\n"
    head += "import torch.distributed as dist\nfrom run import gather, leave_ranks, set_up_ranks\n"
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
