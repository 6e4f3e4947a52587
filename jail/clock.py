"""The CPU time of the processes that a program runs in, read from outside.

A program is limited by the time that it computes, not by the clock on the wall, so that it gets the
same verdict beside other work. The kernel keeps a clock for each process, which counts all of its
threads, and anybody may read it who knows the process's number. The zygote lives in a pid namespace
and knows other numbers than we do, so it sends pidfds, and /proc says which numbers these are here.

A program that sleeps computes nothing, so a looser limit holds for the time on the wall: five times
what it has computed, and what one input may take beside that. The time in which it was ready to
compute and had no core does not count.

Left out: the time of processes that the program forks. Seccomp forbids them; where it is missing,
RLIMIT_CPU limits each of them, and the limit on the wall all together.
"""

import math
import os
import re
import time

PATIENCE_S = 0.1  # most programs have ended by then, and we need not ask who they are
MOST_CALLS = 100  # of whose time any program may take: some data sets have thousands of tests
WALL_FACTOR, WALL_S = 5, 5.0  # a program of 2 s of CPU time may take 15 s beside other work


class Clock:
    """Two limits of CPU time in seconds: for each input or call, and for all together.

    before: the clock of the process before this one, which ended and left inputs to do.
    """

    def __init__(self, each_s: float, calls: int, before: "Clock | None" = None) -> None:
        self.limits = each_s, each_s * min(calls, MOST_CALLS)
        self.used = before.taken() if before else (0.0, 0.0)  # (CPU, wall) of those before
        self.found_at = 0.0  # on the wall; what was before it may be our own time
        self.backstop_s = math.ceil(self.limits[1]) + 1  # RLIMIT_CPU, should we look no more
        self.clocks, self.pids = [], []  # of the processes, once they are known
        self.waited_s = 0.0  # for a core
        self.seen = 0.0, time.monotonic()  # (CPU, wall)
        self.starts = [self.seen] * 2  # of this input or call, and of the first

    def is_blind(self) -> bool:
        """Is it time to find the processes?"""
        waited_s = time.monotonic() - self.starts[1][1]
        return not self.clocks and waited_s > min(PATIENCE_S, self.limits[0] / 4)

    def watch(self, pidfds: list[int]) -> None:
        for fd in pidfds:
            with open(f"/proc/self/fdinfo/{fd}") as file:
                pid = int(re.search(r"^Pid:\s*(-?\d+)", file.read(), re.MULTILINE)[1])
            os.close(fd)
            if pid > 0:  # the kernel's id for the CPU clock of a process
                self.clocks.append(~pid << 3 | 2)
                self.pids.append(pid)
        self.found_at = self.now()[1]
        if self.starts[0] is not self.starts[1]:  # the inputs before this one have taken their part
            self.restart()

    def now(self) -> tuple[float, float]:
        try:
            cpu = sum(map(time.clock_gettime, self.clocks))
        except OSError:  # a process is gone, and then we hear of its end at once
            cpu = self.seen[0]
        self.waited_s = max(self.waited_s, sum(map(waited_s, self.pids)))
        return cpu, time.monotonic() - self.waited_s

    def look(self) -> None:
        """Read the time. Read the reports after it, or one that was in time may look late."""
        self.seen = self.now()

    def restart(self) -> None:
        """The next input starts, or the next call."""
        self.starts[0] = self.now()

    def taken(self) -> tuple[float, float]:
        """(CPU, wall) of all processes so far, but for those that were too short to be found."""
        if not self.clocks:
            return self.used
        return self.used[0] + self.seen[0], self.used[1] + self.seen[1] - self.found_at

    def late(self) -> bool:
        """Was a limit over at the last look?"""
        idle_s = WALL_FACTOR * self.limits[0] + WALL_S
        before = (0.0, 0.0), self.used
        for start, used, limit_s in zip(self.starts, before, self.limits, strict=True):
            cpu, wall = (
                u + now - then for u, now, then in zip(used, self.seen, start, strict=True)
            )
            if cpu > limit_s or wall > WALL_FACTOR * cpu + idle_s:
                return True
        return False


def waited_s(pid: int) -> float:
    """How long the first thread of a process was ready to run and had no core; 0 if it is gone, or
    the kernel does not count it."""
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9  # time on a core, time in its queue, turns
    except (OSError, IndexError):
        return 0.0
