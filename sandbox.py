"""Runs programs that nobody has read, and reports what they printed or returned.

A Sandbox owns one warm zygote (jail/zygote.py). The zygote lives behind the walls of
jail/isolation.py and forks one child per program. The expected values never enter that child: it
gets the program and the inputs, and we compare on this side what it printed, or the value of exact
builtin types that it returned. So an early exit, an `__eq__` that always says True or a look
through the frames earns nothing. An assert-style check runs in a second, trusted child, where the
function under test is a proxy that asks the first child. We keep the (CPU) time on this side too,
and end a late program with SIGKILL: no program is asked to stop.

Left out: caches and clocks are shared, so a program may leave a sign for the next. Each runs once,
whatever comes of it, and what depends on a result, such as a trace, runs later and in a twin().

    python sandbox.py program.py < stdin    # prints the Run as JSON; exit status 0 if it is "ok"
"""

import argparse
import contextlib
import json
import marshal
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict

from jail import protocol
from jail.chance import hash_seed
from jail.checking import compiled
from jail.clock import Clock
from jail.packages import PACKAGES, locate
from jail.protocol import Run, memfd, messages, parse_run, patiently, poll_readable
from jail.terminal import command_line, read_text
from jail.values import NO_CAPS, OUTPUT_BYTES, encode

ANSWER_S = 60  # the longest that the zygote may take to start, or to clean up after a program
TICK_S = 0.02  # we look this often for a report, so a program may exceed its limit by as much
CHECK_ROOM = 8  # of what it passes and gets back (values.room_for), for it need not say how much
CHECK_CALLS = 30  # a check may take the time of this many calls, or of one for each of its lines
PIPE_BYTES = 1 << 16  # what a pipe holds; a child that has more to say waits for us
LARGE_BYTES = 1 << 20  # longer reports are read one at a time: each takes ten times its length
one_large = threading.Lock()
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
ENVIRONMENT |= {"LD_BIND_NOW": "1"}  # else each child links the C functions that it calls again
ENVIRONMENT |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # threads share their time
ENVIRONMENT |= {"MALLOC_ARENA_MAX": "1"}  # else each thread reserves 64 MB of the limit
BOOT = "import sys; sys.path.insert(0, {!r}); from jail import zygote; zygote.main({}, {!r}, {!r})"


class SandboxUnavailable(RuntimeError):
    """This machine cannot isolate a program, and mode="weak" was not asked for."""


class SandboxBroken(RuntimeError):
    """The zygote is gone or does not answer. Make a new Sandbox."""


class Sandbox:
    """One zygote, for one thread at a time. Any exception from run() or check() closes it.

    timeout_s, of CPU time, limits one input (or call of a check); n, of up to 100, n times it.
    packages may be imported, besides the standard library.
    mode "auto" raises SandboxUnavailable where the kernel isolates nothing; mode "weak" limits
    resources and isolates nothing.
    """

    def __init__(
        self, *, timeout_s: float = 2.0, memory_mb: int = 512, mode: str = "auto",
        packages: tuple = PACKAGES, seed: int = 0,
    ) -> None:  # fmt: skip
        self.timeout_s = timeout_s
        self._limits = {"memory_mb": memory_mb, "walls": mode != "weak", "seed": seed}
        self._twins, self._settings = {}, {"mode": mode, "packages": packages}
        self._out = os.fdopen(memfd(b""), "rb")  # what programs print
        self._pipe = [*os.pipe()]  # what they report. If new, its inode number would count them
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        boot = os.path.dirname(os.path.abspath(__file__)), theirs.fileno(), mode, locate(packages)
        with theirs:
            self._zygote = patiently(
                subprocess.Popen,
                [sys.executable, "-s", "-P", "-S", "-c", BOOT.format(*boot)],
                env=ENVIRONMENT | {"PYTHONHASHSEED": str(seed)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is for the trainer
            )
        with self._closed_on_error():
            self.layers = self._answer().decode()  # one line, which names the walls that hold
            if self.layers == "none":
                raise SandboxUnavailable(
                    "this kernel allows neither Landlock nor a private mount, so programs could "
                    "read and write your files; run where one of them is allowed, or accept the "
                    'risk with sandbox="weak"'
                )
        if mode == "weak" and not seed:
            warnings.warn('sandbox="weak": programs run as you, within limits', stacklevel=2)

    def run(
        self, program: str, inputs: list, fn_name: str | None = None, traced: int = 0,
        room: int = 1, vet: tuple = (), keep: Callable[[int, Run], object] = lambda i, run: run,
    ) -> list[Run]:  # fmt: skip
        """One Run per input: a text for stdin, or a list of arguments for fn_name, such as "f" or
        "Solution().f". traced: 0, or a way of jail/chance.py to hold variables, too. room: what
        values.room_for() says of the expected values. vet: the arguments of forgery.forgeable().
        keep(i, run) is asked when input i is done, and its answer kept in place of the Run: all
        runs together may be larger than our memory.

        After a timeout or a malformed report the other inputs are not run: they would cost us most.
        """
        data = [encode(x, **NO_CAPS) for x in inputs] if fn_name else inputs
        job = {"program": program, "fn_name": fn_name, "traced": traced, "vet": vet}
        runs, clock = [], None
        while len(runs) < len(inputs):
            job["inputs"] = data[len(runs) :]
            clock = Clock(self.timeout_s, len(inputs), clock)
            lost = self._children(runs, len(inputs), clock, room, keep, job)
            if lost:
                rest = Run(lost, error="not run")
                runs += [keep(i, rest) for i in range(len(runs), len(inputs))]
        return runs

    def twin(self, number: int | None = None) -> "Sandbox":
        """Another one, whose runs leave no sign in this one. With a number, strings hash otherwise
        in it, objects lie elsewhere and limits differ."""
        if number not in self._twins:
            limits = {"memory_mb": self._limits["memory_mb"]}
            if number is not None:
                limits = {"memory_mb": limits["memory_mb"] * 7 // 8, "seed": hash_seed(number)}
            self._twins[number] = Sandbox(**self._settings, **limits)
        self._twins[number].timeout_s = self.timeout_s
        return self._twins[number]

    def check(self, program: str, check: str, entry_point: str, preamble: str = "") -> Run:
        """Run check(candidate), which `check` defines. `preamble` and `check` must be trusted. The
        Run's value is Odd.report()."""
        untrusted = {"program": program, "fn_name": entry_point, "room": CHECK_ROOM}
        trusted = {"preamble": preamble, "check": check, "entry_point": entry_point}
        trusted |= {"room": CHECK_ROOM, "compiled": compiled(preamble, check)}
        clock, runs = Clock(self.timeout_s, max(CHECK_CALLS, len(check.splitlines()))), []
        self._children(runs, 1, clock, 1, lambda i, run: run, untrusted, trusted)
        return runs[0]

    def _children(
        self, runs: list, n: int, clock: Clock, room: int, keep: Callable, *jobs: dict
    ) -> str:
        """Fork, watch the clock, kill. Adds the next Runs to `runs`, until it has n or one is lost.
        Returns the status of the others if they are not worth a try, else ""."""
        buffer, late, lost = bytearray(), False, ""
        limits = self._limits | {"cpu_s": clock.backstop_s, "room": room}
        limits["output_bytes"] = OUTPUT_BYTES * room
        control = self._control.fileno()
        statuses = protocol.RUN_STATUSES if len(jobs) == 1 else protocol.STATUSES
        statuses = protocol.TRACE_STATUSES if jobs[0].get("traced") else statuses
        with self._closed_on_error(), contextlib.ExitStack() as stack:
            out = self._out.fileno()
            report, write_end = protocol.emptied(*self._pipe)  # we keep both, so it never ends
            first, *more = fds = [memfd(marshal.dumps(limits | job)) for job in jobs]
            stack.callback(lambda: [os.close(fd) for fd in fds])
            socket.send_fds(self._control, [b"run"], [first, out, write_end, *more])
            wake_for = [control]  # tells that a child ended; until then we look in now and then
            while len(runs) < n and not late and not lost:
                ended, data = control in poll_readable(*wake_for, timeout_s=TICK_S), b""
                if not ended and clock.is_blind():
                    self._find_processes(clock)
                clock.look()
                with contextlib.suppress(BlockingIOError):
                    data = os.read(report, 1 << 20)
                buffer += data
                for message in messages(buffer, room):
                    clock.restart()
                    if not message and len(jobs) == 2:
                        continue  # a call of the check starts
                    with one_large if len(message) > LARGE_BYTES else contextlib.nullcontext():
                        run = parse_run(message, statuses, jobs[0].get("traced"), room=room)
                        runs.append(keep(len(runs), run))
                    lost = "error" if run.error.startswith(protocol.MALFORMED) else ""
                    if lost or len(runs) == n:
                        break
                if ended:
                    break  # we have read all that it reported
                late = clock.late()
                wake_for = [control, report] if len(data) >= PIPE_BYTES else [control]
            if late or lost or (len(runs) >= n and not poll_readable(control, timeout_s=0.05)):
                self._control.send(b"kill")  # the child does not end by itself
            how, status = self._answer()
            if (len(runs) < n and not lost) or (len(jobs) == 2 and runs[0].status == "killed"):
                printed = os.pread(out, limits["output_bytes"], 0)
                death = protocol.cause_of_death(how, status, printed, limits | jobs[0])
                if late:
                    death = Run("timeout", death.stdout, error="out of time")
                lost = "timeout" if death.status == "timeout" else ""
                runs[n - 1 :] = [keep(min(len(runs), n - 1), death)]  # append, or replace the last
        return lost

    def _find_processes(self, clock: Clock) -> None:
        """Let `clock` watch the children, unless they have just ended."""
        self._control.send(b"pids")
        self._wait()
        if self._control.recv(4, socket.MSG_PEEK) == b"pids":
            clock.watch(socket.recv_fds(self._control, 4, 2)[1])

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # the latter of a file that is closed
            self.close()
            raise SandboxBroken(f"lost the zygote: {error}") from error
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        if not poll_readable(self._control.fileno(), timeout_s=ANSWER_S):
            raise SandboxBroken(f"the zygote did not answer for {ANSWER_S} s")

    def _answer(self) -> bytes:
        self._wait()
        if not (message := self._control.recv(4096)):
            raise SandboxBroken("the zygote died; if it never started, stderr says why")
        return message

    def close(self) -> None:
        """End the zygote and everything that it started."""
        for twin in self._twins.values():
            twin.close()
        self._control.close()
        self._out.close()
        while self._pipe:
            os.close(self._pipe.pop())
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
        own = getattr(self._own, "sandbox", None)  # None if it never started
        if own and new:
            own.close()  # its twins, too, of which one may have broken
        if new or not own:
            own = self._own.sandbox = Sandbox(**self._limits)
            self._made.append(own)
        return own

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
