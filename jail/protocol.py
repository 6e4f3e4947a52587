"""What crosses the wall between the trainer and its zygotes, and how the trainer reads it.

Jobs go in as marshal data, in memfds. Reports come out of pipes: four bytes of length, then JSON.
A report may be anything, because the program that it reports on can write to the pipe too. This
file imports little, because each program's fork inherits the memory of all that is loaded here.
"""

import json
import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jail.values import OUTPUT_BYTES, caps, decode, encode

RUN_STATUSES = ("ok", "error", "timeout", "memory", "output", "killed", "syntax")
STATUSES = (*RUN_STATUSES, "passed", "failed", "unjudged")  # only check() gives the last three
TRACE_STATUSES = (*RUN_STATUSES, "forgeable")  # the last one if a traced run was to be checked
ROW = {"scope": str, "name": str, "line": int, "order": int, "parameter": bool}  # and "value"
WIDE_BYTES = 1 << 20  # so much we decode unseen
REPORT_BYTES = 8 << 20  # the longest message that a child may send, with room 1


@dataclass
class Run:
    """The result of one input."""

    status: str  # one of STATUSES
    stdout: str = ""
    value: object = None  # functional runs: what the function returned
    error: str = ""  # "ValueError: bad", or a short reason
    variables: list | None = None  # traced runs: the rows of trace.py, with decoded values


def memfd(data: bytes) -> int:
    """An anonymous file in memory, which the next reader reads from its start."""
    fd = os.memfd_create("sandbox")
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def poll_readable(*fds: int, timeout_s: float | None = None) -> list[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(timeout_s and math.ceil(timeout_s * 1000))]


def patiently(start: Callable, *args: object, **options: object) -> object:
    """Call start(...), which makes a process; try for 20 s where the machine has none to give."""
    for wait_s in [0.01 * 2**n for n in range(11)]:
        try:
            return start(*args, **options)
        except BlockingIOError:
            time.sleep(wait_s)
    return start(*args, **options)


def parse_run(report: bytes, statuses: tuple, traced: bool = False, room: int = 1) -> Run:
    """Read a child's report. It may be anything, and then the Run is an error."""
    try:
        # "[]," is 3 bytes, and 64 once parsed
        if report.count(b"[") + report.count(b"{") > 1_000_000 * room:
            raise ValueError("too many values")
        if len(report) > WIDE_BYTES and not report.isascii():
            # beside one emoji each character takes four bytes, so we look at the bytes first
            narrow = json.loads(report.decode("latin-1"))
            encode(decode(narrow.get("value"), max_depth=200 * room), **caps(4 * room))
            if max(len(x) for x in narrow.values() if type(x) is str) > OUTPUT_BYTES * room:
                raise ValueError("more text than a program may print")
        run = Run(**json.loads(report.decode("utf-8", "surrogatepass")))
        texts_ok = type(run.stdout) is type(run.error) is type(run.status) is str
        if not texts_ok or run.status not in statuses:
            raise ValueError("no run")
        run.error = run.error[:500]
        if type(run.value) is not int or abs(run.value) >> 63:  # most values need no look
            run.value = decode(run.value, max_depth=200 * room)
            encode(run.value, **caps(room))  # it may not be more than an honest child sends
        if run.variables and not traced:
            raise ValueError("variables of a run without a trace")
        for row in run.variables or []:
            if {key: type(x) for key, x in row.items() if key != "value"} != ROW:
                raise ValueError("no variable")
            row["value"] = decode(row["value"])
            encode(row["value"])
        return run
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        return Run("error", error=f"malformed report: {error}"[:200])


def messages(buffer: bytearray, room: int = 1) -> Iterator[bytes]:
    """Take the complete messages off `buffer`. Each is four bytes of length, then its bytes."""
    while len(buffer) >= 4:
        size = int.from_bytes(buffer[:4], "big")
        if size > REPORT_BYTES * room:
            buffer.clear()
            yield b"too long"
        elif len(buffer) < 4 + size:
            return
        else:
            message = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            yield message


def cause_of_death(wait_status: int, printed: bytes, job: dict) -> Run:
    """The Run of a child that ended before it reported.

    A program for stdin may leave by os._exit(0), and then what it had printed counts.
    """
    code, text = os.waitstatus_to_exitcode(wait_status), printed.decode(errors="replace")
    if code == 0 and not job["fn_name"] and not job["traced"]:
        return Run("ok" if len(printed) < job["output_bytes"] else "output", text)
    if code >= 0:
        return Run("killed", text, error="the process ended before the run did")
    by_others = {signal.SIGXCPU: "timeout", signal.SIGKILL: "killed", signal.SIGSYS: "killed"}
    error = signal.strsignal(-code) or f"signal {-code}"
    return Run(by_others.get(-code, "error"), text, error=error)
