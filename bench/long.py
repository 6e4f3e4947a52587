"""Many steps of a tiny model on two processes: does memory, a process or a descriptor leak?

    python bench/long.py [--steps=200]    # two minutes; nothing else should run beside it

Looks at the trainers, the samplers in them and their sandboxes every second, and prints ten lines,
medians over a tenth of the steps each. Exit status 1 if memory or descriptors grew by more than
5 % from the third tenth to the last, or if a process is left at the end.
"""

import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

from kills import processes, start, tiny


def look(pids: list[int]) -> tuple[float, int, int]:
    """(resident GiB, open descriptors, processes) of a tree of processes."""
    memory, descriptors, count = 0.0, 0, 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            fields = Path(f"/proc/{pid}/statm").read_text().split()
            opened = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            memory += int(fields[1]) * 4096 / 2**30
            descriptors, count = descriptors + opened, count + 1
    return memory, descriptors, count


def main() -> None:
    options = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
    if options.keys() - {"steps"}:
        sys.exit("usage: python bench/long.py [--steps=N]")
    steps = int(options.get("steps", 200))
    seen: list[list[tuple]] = [[] for _ in range(10)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny.write_problems(folder / "problems.jsonl")
        tiny.make_taught_directory(folder / "model")
        log, metrics = folder / "log", folder / "long" / "metrics.jsonl"
        with log.open("w") as out:
            process = start(folder, "long", steps, out)
            everyone: set[int] = set()
            while process.poll() is None:
                time.sleep(1)
                pids = processes(process.pid)
                everyone |= set(pids)
                done = metrics.read_text().count("\n") if metrics.exists() else 0
                if 0 < done < steps:
                    seen[10 * done // steps].append(look(pids))
        if process.returncode:
            sys.exit(f"the run ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    if not all(seen):
        sys.exit("error: too few steps to look at each tenth of them; give a larger --steps")
    rows = [[statistics.median(column) for column in zip(*part, strict=True)] for part in seen]
    for number, (memory, descriptors, count) in enumerate(rows, start=1):
        print(f"{number:>2}/10 {memory:6.3f} GiB, {descriptors:.0f} descriptors, ", end="")
        print(f"{count:.0f} processes")
    time.sleep(1)
    left = [pid for pid in everyone if Path(f"/proc/{pid}").exists()]
    grown = [b / a for a, b in zip(rows[2], rows[-1], strict=True)]
    print(f"last / third tenth: memory {grown[0]:.3f}, descriptors {grown[1]:.3f}; ", end="")
    print(f"{len(left)} of {len(everyone)} processes left")
    sys.exit(bool(left) or max(grown[:2]) > 1.05)


if __name__ == "__main__":
    main()
