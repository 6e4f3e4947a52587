"""Ranks that wait for each other, not for ever."""

import time
from pathlib import Path

from forked import finish_ranks

ROOT = Path(__file__).parent.parent


def ranks(tmp_path: Path, body: str, count: int = 3, code: int = 0, per_node: int = 0) -> str:
    """What so many ranks print that run `body`; each finds dist, gather and its rank."""
    script = tmp_path / "ranks_script.py"
    head = f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
    head += "import torch.distributed as dist\nfrom run import gather, leave_ranks, set_up_ranks\n"
    script.write_text(head + body)
    return finish_ranks(count, [script], tmp_path / "log", code, per_node=per_node)


def test_gather_gives_everybody_everything_in_rank_order(tmp_path):
    body = "set_up_ranks(20)\nrank = dist.get_rank()\ntime.sleep(0.3 * (2 - rank))\n"
    body += "assert gather({'rank': rank}, 'x') == [{'rank': n} for n in range(3)]\nleave_ranks()\n"
    ranks(tmp_path, body)


def test_a_rank_that_does_not_come_is_named(tmp_path):
    """Not a hang, and not NCCL's ten minutes: one sentence with the task and the culprit.

    Also where rank 0, which knows the culprit, is the last to come.
    """
    body = "set_up_ranks(2)\ntime.sleep([2.5, 100, 0][dist.get_rank()])\n"
    body += "try: gather(1, 'sampling')\nexcept Exception as error:\n"
    # one write a line: what ranks print in pieces may mix
    body += "    line = f'{type(error).__name__} | {error}\\n'\n"
    body += "    print(line, end='', flush=True)\n    raise\n"
    start = time.monotonic()
    output = ranks(tmp_path, body, code=1)
    assert time.monotonic() - start < 60
    said = [line for line in output.splitlines() if line.startswith("UserError | sampling")]
    assert any("Ranks 1 failed" in line for line in said), output[-2000:]


FIND = """
import os
from pathlib import Path
import startup.start
from config import UserError

set_up_ranks(20)
rank, local, folder = dist.get_rank(), os.environ["LOCAL_RANK"], Path({folder!r})
disk = folder / f"node.{{rank // 2}}"

def model_directory(model):
    if model == "none":
        if rank == 2:
            raise UserError("the hub has no such model")
        return ""
    time.sleep(0.2)
    first = not disk.exists()
    disk.mkdir(exist_ok=True)
    assert first is (local == "0"), "all of a node download, or another rank before the first"
    return str(disk)

startup.start.model_directory = model_directory
assert startup.start.find_model("one") == str(disk)
try:
    startup.start.find_model("none")
except UserError as error:
    (folder / f"said.{{rank}}").write_text(str(error))
leave_ranks()
"""


def test_the_first_rank_of_each_node_downloads_a_model_alone(tmp_path):
    """And where one cannot, all ranks say why."""
    ranks(tmp_path, FIND.format(folder=str(tmp_path)), count=4, per_node=2)
    said = [path.read_text() for path in sorted(tmp_path.glob("said.*"))]
    assert said == ["the hub has no such model"] * 4
