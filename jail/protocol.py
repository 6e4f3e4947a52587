"""What crosses the wall between the trainer and its zygotes, and how the trainer reads it.

Jobs go in as marshal data, in memfds. Reports come out of pipes: four bytes of length, then JSON.
A report may be anything, because the program that it reports on can write to the pipe too. This
file imports little, because each program's fork inherits the memory of all that is loaded here.
"""

import contextlib
import json
import math
import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jail.recorder import CAPS
from jail.values import OUTPUT_BYTES, caps, decode, encode, share

RUN_STATUSES = ("ok", "error", "timeout", "memory", "output", "killed", "syntax")
STATUSES = (*RUN_STATUSES, "passed", "failed", "unjudged")  # only check() gives the last three
TRACE_STATUSES = (*RUN_STATUSES, "nondeterministic", "forgeable")  # the last one if it was checked
ROW = {"scope": str, "name": str, "line": int, "order": int, "parameter": bool, "last": bool}
LONGEST_NAME = 200
WIDE_BYTES = 1 << 20  # so much we decode unseen
MOST = 125_000  # of each of b"[{," in a report with room 1
MALFORMED = "malformed report"  # how the error of such a Run begins
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)  # in JSON; it may lack its end
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
        if len(report) > MOST:  # most reports are short
            refuse_many(report, room)
        if len(report) > WIDE_BYTES and not report.isascii():
            # beside one emoji each character takes four bytes, so we look at the bytes first
            narrow = json.loads(report.decode("latin-1"))
            read_value(narrow.get("value"), room, 4 * room)
            if max(len(x) for x in narrow.values() if type(x) is str) > OUTPUT_BYTES * room:
                raise ValueError("more text than a program may print")
        run = Run(**json.loads(report.decode("utf-8", "surrogatepass")))
        texts_ok = type(run.stdout) is type(run.error) is type(run.status) is str
        if not texts_ok or run.status not in statuses:
            raise ValueError("no run")
        run.error = run.error[:500]
        if type(run.value) is not int or abs(run.value) >> 63:  # most values need no look
            run.value = read_value(run.value, room, room)
        if run.variables and not traced:
            raise ValueError("variables of a run without a trace")
        rows = run.variables or []
        values = decode([row["value"] for row in rows]) if rows else []
        for row, value in zip(rows, values, strict=True):
            kinds = {key: type(x) for key, x in row.items() if key != "value"}
            if kinds != ROW or not row["name"].isidentifier() or len(row["name"]) > LONGEST_NAME:
                raise ValueError("no variable")
            row["value"] = value
            encode(value, **CAPS, ordered=False)
        return run
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        return Run("error", error=f"{MALFORMED}: {error}"[:200])


def refuse_many(report: bytes, room: int) -> None:
    """ValueError if the JSON has more values than an honest child sends, which are 100,000.

    "{}," is 3 bytes, and 64 once parsed.
    """
    for look in (bytes, lambda report: STRING.sub(b"", report, 2 * MOST * room)):
        seen = look(report)  # second without the texts, which may hold more of them
        if all(seen.count(mark) <= MOST * room for mark in (b"[", b"{", b",")):
            return
    raise ValueError("too many values")


def read_value(data: object, depth_room: int, room: int) -> object:
    """The decoded value; ValueError if it is more than an honest child sends."""
    value = decode(data, max_depth=200 * depth_room, max_nodes=caps(room)["max_nodes"])
    if share(value) > room:
        raise ValueError("a value over the caps")
    return value


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


def emptied(read_end: int, write_end: int) -> tuple[int, int]:
    """A pipe that nobody else writes to any more, without what was left in it, and last used now.
    read_end will not block."""
    os.set_blocking(read_end, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(read_end, 1 << 20):
            pass
    os.write(write_end, b"-")
    os.read(read_end, 1)
    return read_end, write_end


def cause_of_death(how: int, status: int, printed: bytes, job: dict) -> Run:
    """The Run of a child that ended before it reported. how, status: see zygote.end_children().

    A program for stdin may leave by os._exit(0), and then what it had printed counts.
    """
    exited, text = how == os.CLD_EXITED, printed.decode(errors="replace")
    if exited and status == 0 and not job["fn_name"] and not job["traced"]:
        return Run("ok" if len(printed) < job["output_bytes"] else "output", text)
    if exited:
        return Run("killed", text, error="the process ended before the run did")
    by_others = {signal.SIGXCPU: "timeout", signal.SIGKILL: "killed", signal.SIGSYS: "killed"}
    error = signal.strsignal(status) or f"signal {status}"
    return Run(by_others.get(status, "error"), text, error=error)
