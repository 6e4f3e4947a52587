"""Does a program get the verdict that it gets on an idle machine, beside work that burns the cores?

    python bench/busy.py mbpp.jsonl leetcode.jsonl.gz [--programs=1000] [--burners=5]

References, and mutants of them that loop, fail or pass, are judged twice by reward.judge with the
limits of the default config: alone, and beside processes that compute without end. We name each
program whose status differs, and exit with status 1 if there is one. A program whose CPU time is
at the limit itself may get either verdict, and is then named here.
"""

import contextlib
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.agreement import mutants
from config import Config
from problems.load import load_problems
from problems.problem import Problem
from reward import judge
from sandbox import Pool
from tools.command import options, run

Work = list[tuple[Problem, str]]


def burn() -> None:
    while True:
        pass


@contextlib.contextmanager
def burning(count: int) -> Iterator[None]:
    processes = [multiprocessing.Process(target=burn, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def programs(sources: list[str], count: int) -> Work:
    """As many references as mutants, drawn from all problems by a fixed seed."""
    problems = [problem for source in sources for problem in load_problems(source)]
    random.Random(0).shuffle(problems)
    work: Work = []
    for problem in problems:
        changed = [source for _, source in mutants(problem, 1)]
        work += [(problem, source) for source in [problem.solution, *changed]]
    return work[:count]


def verdicts(work: Work, burners: int) -> list[str]:
    cfg, start = Config(), time.monotonic()
    with burning(burners), Pool(2, timeout_s=cfg.timeout_s, memory_mb=cfg.memory_mb) as pool:
        futures = [pool.submit(judge, problem, program) for problem, program in work]
        statuses = [future.result().status for future in futures]
    told = ", ".join(f"{count} {status}" for status, count in Counter(statuses).most_common())
    print(f"beside {burners} burners: {told} ({time.monotonic() - start:.0f} s)", flush=True)
    return statuses


def main() -> None:
    sources, flags = options(__doc__, programs=1000, burners=5)
    if not sources:
        sys.exit(__doc__)
    work = programs(sources, flags["programs"])
    idle, busy = verdicts(work, 0), verdicts(work, flags["burners"])
    differ = [i for i, pair in enumerate(zip(idle, busy, strict=True)) if len(set(pair)) > 1]
    for i in differ:
        print(f"  {work[i][0].task_id}: {idle[i]} alone, {busy[i]} beside the others")
    print(f"{len(work)} programs, {len(differ)} verdicts differ")
    sys.exit(bool(differ))


if __name__ == "__main__":
    run(lambda _: main(), __doc__)
