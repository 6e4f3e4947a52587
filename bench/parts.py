"""Parts of a measurement, each in a process of its own: rows on the console and in a JSON file.

A part that fails, hangs or leaves CUDA broken takes no other with it: it ends as a row. Processes
are forked, so that torch is imported once; the parent must not touch CUDA.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from shapes import ROOT  # noqa: F401  puts the project on the path

from run import leave_ranks, set_up_ranks


class Row(NamedTuple):
    """One figure of a part; it passes if it is at most its limit."""

    what: str
    value: object
    limit: float | None = None
    failed: bool = False

    @property
    def passed(self) -> bool:
        return not self.failed and (self.limit is None or self.value <= self.limit)  # NaN fails

    def line(self, part: str) -> str:
        value = f"{self.value:.4g}" if type(self.value) in (int, float) else str(self.value)[:160]
        limit = "" if self.limit is None else f"at most {self.limit:.3g}"
        verdict = "" if self.passed else "FAILED"
        return f"{part:<13} {self.what:<62} {value:<12} {limit:<15} {verdict}".rstrip()


Rows = Iterator[Row]


class Part(NamedTuple):
    seconds: int  # its share of the time
    body: Callable[[Path, torch.device], Rows]


def attempt(body: Callable, scratch: Path, device: torch.device | None = None) -> Rows:
    """The rows of a part; where it raises, the last of them says so, on one line."""
    try:
        yield from body(scratch, device or set_up_ranks())
    except (Exception, SystemExit) as problem:
        text = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
        yield Row("ended early", text, failed=True)


def child(body: Callable, scratch: Path, pipe) -> None:
    os.setsid()  # what it starts ends with it
    for row in attempt(body, scratch):
        pipe.send(row)
    pipe.close()
    with contextlib.suppress(Exception):
        leave_ranks()
    os._exit(0)  # whatever a library wants to do at the end


def in_time(body: Callable, scratch: Path, seconds: float) -> Rows:
    """The same from a process of its own, which is killed when its time is up."""
    if seconds < 1:
        yield Row("left out", "no time was left", failed=True)
        return
    end = time.monotonic() + seconds
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=child, args=(body, scratch, theirs))
    process.start()
    theirs.close()
    try:
        while ours.poll(max(0.0, end - time.monotonic())):
            yield ours.recv()
        yield Row("stopped", f"its time was up after {seconds:.0f} s", failed=True)
    except EOFError:
        process.join(10)
        if process.exitcode:
            yield Row("died", f"exit status {process.exitcode}", failed=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()


def measure_parts(parts: dict[str, Part], seconds: float, out: Path) -> bool:
    """Run the parts in turn, print their rows, write them to `out`; did all pass?

    A part may take its share and what those before it have left over, within `seconds` for all.
    """
    begin, share, found = time.monotonic(), 0, []
    out.parent.mkdir(parents=True, exist_ok=True)

    def add(name: str, row: Row) -> None:
        found.append({"part": name} | row._asdict() | {"passed": row.passed})
        print(row.line(name), flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        for name, part in parts.items():
            share += part.seconds
            spent = time.monotonic() - begin
            for row in in_time(part.body, Path(scratch), min(share, seconds) - spent):
                add(name, row)
            add(name, Row("seconds of this part", time.monotonic() - begin - spent))
            out.write_text(json.dumps(found, indent=1, default=str))
    failed = sum(not row["passed"] for row in found)
    print(f"{len(found)} rows, {failed} failed, {time.monotonic() - begin:.0f} s; written to {out}")
    return not failed
