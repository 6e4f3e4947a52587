"""Runs programs that nobody has read, and says what they printed or returned.

A Sandbox owns one warm zygote (jail/zygote.py), shut in by jail/isolation.py, that forks one child
a program. Expected values never enter that child: it gets the program and the inputs, and what it
prints, or returns as a value of exact builtin types, is compared on this side. So an early exit,
an `__eq__` that says True or a look through the frames earns nothing. An assert-style check runs
in a second, trusted child, where the function under test is a proxy that asks the first one.
Time is taken on this side too, and ended with SIGKILL: no program is asked to stop.

Left out: running a failed test again on its own (the grader does), and installed packages. State
can leak between the inputs of one run(), never from one run() to the next.

    python sandbox.py program.py < stdin    # prints the Run as JSON; exit status 0 if it is "ok"
"""

import contextlib
import json
import marshal
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict

from jail.protocol import RUN_STATUSES, STATUSES, Run, memfd, messages, parse_run, poll_readable
from jail.values import NO_CAPS, encode

ANSWER_S = 60  # for the zygote to start, or to clean up after a program
TICK_S = 0.02  # how often we look whether a program has reported; a limit may be exceeded by it
OUTPUT_BYTES = 4 << 20  # that a program may print on one input; some contests want 1e5 numbers
PIPE_BYTES = 1 << 16  # that a pipe holds: a child that has more to say waits for us
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
ENVIRONMENT |= {"LD_BIND_NOW": "1"}  # else every child links the C functions it calls once more
BOOT = "import sys; sys.path.insert(0, {!r}); from jail import zygote; zygote.main({}, {!r})"


class SandboxUnavailable(RuntimeError):
    """This machine cannot isolate a program, and mode="weak" was not asked for."""


class SandboxBroken(RuntimeError):
    """The zygote is gone or does not answer. Make a new Sandbox."""


def patiently(start: Callable, *args: object, **options: object) -> object:
    """start(...), which makes a process, tried for 20 s where the machine has none to give."""
    for wait_s in [0.01 * 2**n for n in range(11)]:
        try:
            return start(*args, **options)
        except BlockingIOError:
            time.sleep(wait_s)
    return start(*args, **options)


def cause_of_death(wait_status: int) -> Run:
    """For a child that ended before it reported."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return Run("killed", error="the process ended before the run did")
    by_others = {signal.SIGXCPU: "timeout", signal.SIGKILL: "killed", signal.SIGSYS: "killed"}
    return Run(by_others.get(-code, "error"), error=signal.strsignal(-code) or f"signal {-code}")


class Sandbox:
    """One zygote. For one thread at a time; after any exception from run() or check() it is closed.

    timeout_s is for one input (or one call of a check), program_timeout_s for all of them. mode
    "auto" raises SandboxUnavailable where the kernel isolates nothing; "weak" uses resource limits
    only.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 2.0,
        program_timeout_s: float = 10.0,
        memory_mb: int = 512,
        mode: str = "auto",
    ) -> None:
        self.timeout_s, self.program_timeout_s = timeout_s, program_timeout_s
        self._limits = {
            "memory_mb": memory_mb,
            "cpu_s": math.ceil(program_timeout_s) + 1,
            "output_bytes": OUTPUT_BYTES,
            "walls": mode != "weak",
        }
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        boot = BOOT.format(os.path.dirname(os.path.abspath(__file__)), theirs.fileno(), mode)
        with theirs:
            self._zygote = patiently(
                subprocess.Popen,
                [sys.executable, "-s", "-P", "-S", "-c", boot],
                env=ENVIRONMENT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is for the trainer
            )
        with self._closed_on_error():
            self.layers = self._answer()  # one line: the walls that hold
            if not self.layers:
                raise SandboxUnavailable(
                    "this kernel allows neither Landlock nor a private mount, so programs could "
                    "read and write your files: run where one is allowed, or accept that with "
                    'sandbox="weak"'
                )
        if mode == "weak":
            warnings.warn('sandbox="weak": programs run as you, with limits only', stacklevel=2)

    def run(
        self, program: str, inputs: list, fn_name: str | None = None, traced: str = ""
    ) -> list[Run]:
        """One Run an input: stdin text or, for fn_name ("f", "Solution().f"), a list of arguments.

        traced: "end" or "binding", when the values of variables are read; "" does not trace.

        After the first timeout the rest is not run: such a program has failed, and would cost most.
        """
        data = [encode(x, **NO_CAPS) for x in inputs] if fn_name else inputs
        job = self._limits | {"program": program, "fn_name": fn_name, "traced": traced}
        deadline = time.monotonic() + self.program_timeout_s
        runs = []
        while len(runs) < len(inputs):
            if time.monotonic() > deadline or (runs and runs[-1].status == "timeout"):
                return runs + [Run("timeout", error="not run") for _ in inputs[len(runs) :]]
            todo = data[len(runs) :]
            runs += self._children(len(todo), deadline, job | {"inputs": todo})
        return runs

    def check(self, program: str, check: str, entry_point: str, preamble: str = "") -> Run:
        """Run check(candidate), which `check` defines. `preamble` and `check` must be trusted."""
        deadline = time.monotonic() + self.program_timeout_s
        untrusted = self._limits | {"program": program, "fn_name": entry_point}
        trusted = self._limits | {"preamble": preamble, "check": check}
        return self._children(1, deadline, untrusted, trusted)[0]

    def _children(self, n: int, deadline: float, *jobs: dict) -> list[Run]:
        """Fork, watch the clock, kill. Runs of the first inputs, at least one and at most n."""
        runs, buffer, late = [], bytearray(), False
        control = self._control.fileno()
        statuses = RUN_STATUSES if len(jobs) == 1 else STATUSES
        limit = min(time.monotonic() + self.timeout_s, deadline)
        with self._closed_on_error(), contextlib.ExitStack() as stack:
            report, write_end = os.pipe()  # write_end stays open here: no end of file to handle
            out = memfd(b"")
            first, *more = [memfd(marshal.dumps(job)) for job in jobs]
            for fd in (report, write_end, out, first, *more):
                stack.callback(os.close, fd)
            os.set_blocking(report, False)
            socket.send_fds(self._control, [b"run"], [first, out, write_end, *more])
            wake_for = [control]  # news that a child ended; until then we look in now and then
            while len(runs) < n and not late:
                wait = max(0, min(TICK_S, limit - time.monotonic()))
                ended, data = control in poll_readable(*wake_for, timeout_s=wait), b""
                with contextlib.suppress(BlockingIOError):
                    data = os.read(report, 1 << 20)
                buffer += data
                for message in messages(buffer):  # empty: a call of the check starts
                    if message or len(jobs) == 2:
                        limit = min(time.monotonic() + self.timeout_s, deadline)
                    runs += [parse_run(message, statuses)] if message else []
                if ended:
                    break  # and all that was reported is read
                late = time.monotonic() > limit
                wake_for = [control, report] if len(data) >= PIPE_BYTES else [control]
            if late or (len(runs) >= n and not poll_readable(control, timeout_s=0.05)):
                self._control.send(b"kill")  # it does not end by itself
            death = cause_of_death(self._answer())
            if len(runs) < n or (len(jobs) == 2 and runs[0].status == "killed"):
                death = Run("timeout", error="out of time") if late else death
                printed = os.pread(out, self._limits["output_bytes"], 0)
                death.stdout = printed.decode(errors="replace")
                runs = [*runs[: n - 1], death]
        return runs[:n]

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            raise SandboxBroken(f"lost the zygote: {error}") from error
        except BaseException:
            self.close()
            raise

    def _answer(self) -> object:
        if not poll_readable(self._control.fileno(), timeout_s=ANSWER_S):
            raise SandboxBroken(f"the zygote did not answer for {ANSWER_S} s")
        if not (message := self._control.recv(4096)):
            raise SandboxBroken("the zygote died; if it never started, its error is on stderr")
        return json.loads(message)

    def close(self) -> None:
        """End the zygote and all that it started."""
        self._control.close()
        try:
            self._zygote.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait()


class Pool(contextlib.AbstractContextManager):
    """N threads, each with a Sandbox of its own, made when first needed and when one broke."""

    def __init__(self, workers: int, **limits: object) -> None:
        self._limits, self._own, self._made = limits, threading.local(), []
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")

    def submit(self, fn: Callable, *args: object) -> Future:
        """fn(sandbox, *args) in some thread. A SandboxBroken is retried once, in a new Sandbox."""
        return self._threads.submit(self._work, fn, args)

    def _work(self, fn: Callable, args: tuple) -> object:
        try:
            return fn(self._sandbox(), *args)
        except SandboxBroken:
            return fn(self._sandbox(new=True), *args)

    def _sandbox(self, new: bool = False) -> Sandbox:
        if new or not hasattr(self._own, "sandbox"):
            self._own.sandbox = Sandbox(**self._limits)
            self._made.append(self._own.sandbox)
        return self._own.sandbox

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for sandbox in self._made:
            sandbox.close()

    def __exit__(self, *exc: object) -> None:
        self.close()


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python sandbox.py program.py < stdin")
    sandbox = Sandbox()
    with open(sys.argv[1], encoding="utf-8") as file:
        (run,) = sandbox.run(file.read(), [sys.stdin.read()])
    sandbox.close()
    print(json.dumps(asdict(run)))
    sys.exit(run.status != "ok")


if __name__ == "__main__":
    main()
