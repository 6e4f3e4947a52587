"""Runs programs that nobody has read, and reports what they printed or returned.

A Sandbox owns one warm zygote (jail/zygote.py). The zygote lives behind the walls of
jail/isolation.py and forks one child per program. The expected values never enter that child: it
gets the program and the inputs, and we compare on this side what it printed, or the value of exact
builtin types that it returned. So an early exit, an `__eq__` that always says True or a look
through the frames earns nothing. An assert-style check runs in a second, trusted child, where the
function under test is a proxy that asks the first child. We keep the time on this side too, and
end a late program with SIGKILL: no program is asked to stop.

Left out: a failed test is not run again on its own (reward.py does that), and programs cannot
import installed packages. State can leak between the inputs of one run(), but never from one run()
to the next.

    python sandbox.py program.py < stdin    # prints the Run as JSON; exit status 0 if it is "ok"
"""

import argparse
import contextlib
import json
import marshal
import math
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict

from jail import protocol
from jail.protocol import Run, memfd, messages, parse_run, poll_readable
from jail.terminal import command_line, read_text
from jail.values import NO_CAPS, encode

ANSWER_S = 60  # the zygote may take as long to start, or to clean up after a program
TICK_S = 0.02  # we look this often for a report, so a program may exceed its limit by as much
OUTPUT_BYTES = 4 << 20  # a program may print as much per input; some contests want 1e5 numbers
PIPE_BYTES = 1 << 16  # a pipe holds as much; a child that has more to say waits for us
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
ENVIRONMENT |= {"LD_BIND_NOW": "1"}  # else each child links the C functions that it calls again
BOOT = "import sys; sys.path.insert(0, {!r}); from jail import zygote; zygote.main({}, {!r})"


class SandboxUnavailable(RuntimeError):
    """This machine cannot isolate a program, and mode="weak" was not asked for."""


class SandboxBroken(RuntimeError):
    """The zygote is gone or does not answer. Make a new Sandbox."""


def patiently(start: Callable, *args: object, **options: object) -> object:
    """Call start(...), which makes a process; try for 20 s where the machine has none to give."""
    for wait_s in [0.01 * 2**n for n in range(11)]:
        try:
            return start(*args, **options)
        except BlockingIOError:
            time.sleep(wait_s)
    return start(*args, **options)


class Sandbox:
    """One zygote, for one thread at a time. Any exception from run() or check() closes it.

    timeout_s limits one input (or one call of a check), program_timeout_s all of them together.
    mode "auto" raises SandboxUnavailable where the kernel isolates nothing; mode "weak" limits
    resources and isolates nothing.
    """

    def __init__(
        self, *, timeout_s: float = 2.0, program_timeout_s: float = 10.0, memory_mb: int = 512,
        mode: str = "auto",
    ) -> None:  # fmt: skip
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
            self.layers = self._answer()  # one line, which names the walls that hold
            if not self.layers:
                raise SandboxUnavailable(
                    "this kernel allows neither Landlock nor a private mount, so programs could "
                    "read and write your files; run where one of them is allowed, or accept the "
                    'risk with sandbox="weak"'
                )
        if mode == "weak":
            warnings.warn('sandbox="weak": programs run as you, within limits', stacklevel=2)

    def run(
        self, program: str, inputs: list, fn_name: str | None = None, traced: bool = False
    ) -> list[Run]:
        """One Run per input: a text for stdin, or a list of arguments for fn_name, such as "f" or
        "Solution().f". traced: the Runs also hold the values of the program's variables.

        After a timeout the other inputs are not run: the program has failed, and they cost most.
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
        """Fork, watch the clock, kill. Returns the Runs of the first inputs, from one to n."""
        runs, buffer, late = [], bytearray(), False
        control = self._control.fileno()
        statuses = protocol.RUN_STATUSES if len(jobs) == 1 else protocol.STATUSES
        limit = min(time.monotonic() + self.timeout_s, deadline)
        with self._closed_on_error(), contextlib.ExitStack() as stack:
            report, write_end = os.pipe()  # we keep write_end open, so `report` never ends
            out = memfd(b"")
            first, *more = [memfd(marshal.dumps(job)) for job in jobs]
            for fd in (report, write_end, out, first, *more):
                stack.callback(os.close, fd)
            os.set_blocking(report, False)
            socket.send_fds(self._control, [b"run"], [first, out, write_end, *more])
            wake_for = [control]  # tells that a child ended; until then we look in now and then
            while len(runs) < n and not late:
                wait = max(0, min(TICK_S, limit - time.monotonic()))
                ended, data = control in poll_readable(*wake_for, timeout_s=wait), b""
                with contextlib.suppress(BlockingIOError):
                    data = os.read(report, 1 << 20)
                buffer += data
                for message in messages(buffer):  # an empty one: a call of the check starts
                    if message or len(jobs) == 2:
                        limit = min(time.monotonic() + self.timeout_s, deadline)
                    runs += [parse_run(message, statuses)] if message else []
                if ended:
                    break  # we have read all that it reported
                late = time.monotonic() > limit
                wake_for = [control, report] if len(data) >= PIPE_BYTES else [control]
            if late or (len(runs) >= n and not poll_readable(control, timeout_s=0.05)):
                self._control.send(b"kill")  # the child does not end by itself
            death = protocol.cause_of_death(self._answer())
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
            raise SandboxBroken("the zygote died; if it never started, stderr says why")
        return json.loads(message)

    def close(self) -> None:
        """End the zygote and everything that it started."""
        self._control.close()
        try:
            self._zygote.wait(timeout=min(5, ANSWER_S))
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait()


class Pool(contextlib.AbstractContextManager):
    """N threads. Each makes a Sandbox of its own when it first needs one, and when one broke."""

    def __init__(self, workers: int, **limits: object) -> None:
        self._limits, self._own, self._made = limits, threading.local(), []
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")

    def submit(self, fn: Callable, *args: object) -> Future:
        """Call fn(sandbox, *args) in some thread; after a SandboxBroken once more, in a new one."""
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
    parser = argparse.ArgumentParser(description="Run a program; print what came of it as JSON.")
    parser.add_argument("program", help="a Python file; its input is read from standard input")
    source, stdin = read_text(parser.parse_args().program), read_text(None)
    with contextlib.closing(Sandbox()) as sandbox:
        (run,) = sandbox.run(source, [stdin])
    print(json.dumps(asdict(run)))
    sys.exit(run.status != "ok")


if __name__ == "__main__":
    command_line(main)
