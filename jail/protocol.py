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
from collections.abc import Iterator
from dataclasses import dataclass

from jail.values import decode, encode

RUN_STATUSES = ("ok", "error", "timeout", "memory", "output", "killed", "syntax")
STATUSES = (*RUN_STATUSES, "passed", "failed")  # only check() gives the last two
ROW = {"scope": str, "name": str, "line": int, "order": int, "parameter": bool}  # and "value"
REPORT_BYTES = 8 << 20  # the longest message that a child may send


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


def parse_run(report: bytes, statuses: tuple, classes: dict | None = None) -> Run:
    """Read a child's report. It may be anything, and then the Run is an error."""
    try:
        if (
            report.count(b"[") + report.count(b"{") > 1_000_000
        ):  # "[]," is 3 bytes, and 64 once parsed
            raise ValueError("too many values")
        run = Run(**json.loads(report.decode("utf-8", "surrogatepass")))
        texts_ok = type(run.stdout) is type(run.error) is type(run.status) is str
        if not texts_ok or run.status not in statuses:
            raise ValueError("no run")
        run.error = run.error[:500]
        run.value = decode(run.value, classes)
        encode(run.value, classes=classes)  # fails if it is more than an honest child sends
        for row in run.variables or []:
            if {key: type(x) for key, x in row.items() if key != "value"} != ROW:
                raise ValueError("no variable")
            row["value"] = decode(row["value"])
            encode(row["value"])
        return run
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        return Run("error", error=f"malformed report: {error}"[:200])


def messages(buffer: bytearray) -> Iterator[bytes]:
    """Take the complete messages off `buffer`. Each is four bytes of length, then its bytes."""
    while len(buffer) >= 4:
        size = int.from_bytes(buffer[:4], "big")
        if size > REPORT_BYTES:
            buffer.clear()
            yield b"too long"
        elif len(buffer) < 4 + size:
            return
        else:
            message = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            yield message


def cause_of_death(wait_status: int) -> Run:
    """The Run of a child that ended before it reported."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return Run("killed", error="the process ended before the run did")
    by_others = {signal.SIGXCPU: "timeout", signal.SIGKILL: "killed", signal.SIGSYS: "killed"}
    return Run(by_others.get(-code, "error"), error=signal.strsignal(-code) or f"signal {-code}")
