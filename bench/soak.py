"""Very many programs through one pool, a third of them hostile: is each judged right, does all stay
as it was?

    python bench/soak.py [--programs=100000]    # some minutes; nothing else should run beside it

Prints ten lines, each for a tenth of the programs: programs a second, resident memory, processes
and descriptors of trainer and zygotes, wrong verdicts. Exit status 1 if a verdict was wrong or
something leaked.
"""

import itertools
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from data import Problem
from reward import judge
from sandbox import Pool

INPUTS = [[i, i + 1] for i in range(5)]
FUNCTION = Problem(
    "", "", {"inputs": INPUTS, "outputs": [a * b for a, b in INPUTS], "fn_name": "f"}
)
CHECK = "def check(candidate):\n    assert candidate(3, 4) == 12\n    assert candidate(2, 2) == 4"
ASSERTS = Problem("", "", {"check": CHECK, "entry_point": "f"})
TEXT = Problem("", "", {"inputs": ["3 4", "2 2"], "outputs": ["12", "4"], "fn_name": None})
PRODUCT = "a, b = map(int, input().split())\nprint(a * b)"

RIGHT = "def f(a, b):\n    return a * b"
LOOP = "def f(a, b):\n    total = 0\n    for _ in range(a): total += b\n    return total"
HONEST = [
    (FUNCTION, RIGHT, "passed"),
    (FUNCTION, LOOP, "passed"),
    (FUNCTION, RIGHT.replace("*", "+"), "failed"),
    (FUNCTION, RIGHT.replace("* b", "/ 0"), "error"),
    (FUNCTION, RIGHT.replace(")", ""), "syntax"),
    (ASSERTS, RIGHT, "passed"),
    (ASSERTS, RIGHT.replace("*", "**"), "failed"),
    (TEXT, PRODUCT, "passed"),
    (TEXT, PRODUCT.replace("*", "+"), "failed"),
]
FORGED = """import json, os
data = json.dumps({"status": "passed", "value": 0}).encode()
for fd in range(3, 50):
    try: os.write(fd, len(data).to_bytes(4, "big") + data)
    except OSError: pass
def f(a, b): return 0"""
THREADS = """import threading, time
def f(a, b):
    threads = [threading.Thread(target=time.sleep, args=(9,), daemon=True) for _ in range(40)]
    for t in threads: t.start()"""
EQUAL = "class A:\n    def __eq__(self, o): return True\ndef f(a, b):\n    return A()"
HOSTILE = [
    (FUNCTION, "import os\nos._exit(0)", "killed"),
    (FUNCTION, "import os\nos.closerange(0, 99)\n" + RIGHT, "killed"),
    (FUNCTION, "import os\nos.fork()\n" + RIGHT, "error"),
    (FUNCTION, "def f(a, b):\n    return [0] * 10**10", "memory"),
    (FUNCTION, "def f(a, b):\n    print('y' * 10**6)", "output"),
    (FUNCTION, "import os\nos.kill(os.getppid(), 9)", "error"),
    (FUNCTION, FORGED, None),
    (FUNCTION, THREADS, "error"),
    (ASSERTS, EQUAL, "error"),
    (ASSERTS, "import os\ndef f(a, b):\n    os._exit(0)", "killed"),
    (TEXT, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "error"),
    (TEXT, "open('/tmp/x', 'w').write('x')", "error"),
]  # (problem, program, its status; None: any but passed)
SLOW = [  # one of each in 300
    (FUNCTION, "def f(a, b):\n    while True: pass", "timeout"),
    (FUNCTION, "import sys\nsys.setrecursionlimit(10**9)\ndef f(a, b): return f(a, b)", None),
]


def status_kb(pid: int | str, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def family() -> list[int]:
    """This process and all below it."""
    found = [os.getpid()]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def state() -> dict:
    pids = family()
    return {
        "processes": len(pids),
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        "memory": sum(status_kb(pid, "VmRSS") for pid in pids) / 1024,
        "files": sum(len(os.listdir(folder)) for folder in ("/dev/shm", "/var/tmp")),
    }


def programs() -> list:
    """300 jobs: 198 honest, 100 hostile, two slow."""
    honest, hostile = itertools.cycle(HONEST), itertools.cycle(HOSTILE)
    jobs = [next(hostile) if i % 3 == 0 else next(honest) for i in range(298)]
    return jobs + SLOW


def main() -> None:
    options = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
    if options.keys() - {"programs"}:
        sys.exit("usage: python bench/soak.py [--programs=N]")
    n = int(options.get("programs", 100_000))
    jobs, wrong, rates, states = programs(), 0, [], []
    with Pool(2, timeout_s=0.5, program_timeout_s=1.0, memory_mb=128) as pool:
        for tenth in range(10):
            start, judged = time.perf_counter(), 0
            while judged < n // 10:
                futures = [pool.submit(judge, problem, program) for problem, program, _ in jobs]
                for (_, program, expected), future in zip(jobs, futures, strict=True):
                    status = future.result().status
                    if status != expected and (expected or status == "passed"):
                        wrong += 1
                        print(f"  {status} instead of {expected}:\n{program}")
                judged += len(jobs)
            rates.append(judged / (time.perf_counter() - start))
            states.append(state())
            now = ", ".join(f"{value:.0f} {key}" for key, value in states[-1].items())
            print(
                f"{tenth + 1:2}/10: {rates[-1]:.0f} programs/s, {now} (MiB), {wrong} wrong",
                flush=True,
            )
    first, last = states[0], states[-1]
    leaked = [key for key in ("processes", "descriptors", "files") if last[key] > first[key]]
    ratio = statistics.mean(rates[-2:]) / statistics.mean(rates[:2])
    print(f"rate of the last two tenths / of the first two: {ratio:.2f}")
    print(f"memory at the end - at the start: {last['memory'] - first['memory']:.1f} MiB")
    sys.exit(bool(wrong or leaked))


if __name__ == "__main__":
    main()
