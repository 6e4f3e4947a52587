"""Python processes that start at once, forked from one that has imported the large libraries.

Importing torch, transformers and vLLM takes ten seconds of a core, and the tests start forty
processes that need them. What users type is started as they do once in test_runs.py (torchrun) and
once in test_eval.py.
"""

import atexit
import contextlib
import faulthandler
import multiprocessing
import os
import resource
import runpy
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

LIBRARIES = ["torch.distributed.fsdp", "torch.distributed.checkpoint.state_dict", "vllm"]
LIBRARIES += ["transformers.models.llama.modeling_llama", "transformers.generation.utils"]
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(LIBRARIES)
RANK_KEYS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def run_script(command: Sequence[str], log: Path, environment: dict, file_limit: int) -> None:
    """What `python *command` does, in the forked process."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.enable(2)
    for key in RANK_KEYS:  # those of this process's parent
        os.environ.pop(key, None)
    os.environ |= environment
    if file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    sys.argv = list(command)
    sys.path.insert(0, str(Path(command[0]).parent))
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves without them


class Python:
    """`python *command` in the background, as far as the tests need a Popen. file_limit: bytes that
    a file may have, 0 for any."""

    def __init__(self, command: Sequence, log: Path, file_limit: int = 0, **environment: str):
        self.log = log
        arguments = [str(word) for word in command], log, environment, file_limit
        self.process = context.Process(target=run_script, args=arguments)
        self.process.start()

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def finish(self, code: int | None = 0, timeout: float = 300) -> str:
        """Wait for its end, with this exit status; returns what it printed."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        assert code is None or self.poll() == code, self.output()[-6000:]
        return self.output()


def start_ranks(
    count: int, command: Sequence, log: Path, per_node: int = 0, **more: str
) -> list[Python]:
    """`command` as so many ranks of one group. per_node: ranks that think they are on one machine;
    0 for all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    where |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(per_node or count)} | more
    own = [{"RANK": str(k), "LOCAL_RANK": str(k % (per_node or count))} for k in range(count)]
    return [
        Python(command, log.with_suffix(f".{k}"), **keys, **where) for k, keys in enumerate(own)
    ]


def finish_ranks(count: int, command: Sequence, log: Path, code: int = 0, **more) -> str:
    """Run `command` as so many ranks, to the end of all; one that fails ends the others, as with
    torchrun. Returns what all printed. code: 1 if one has to fail. more: see start_ranks."""
    ranks = start_ranks(count, command, log, **more)
    deadline = time.monotonic() + 300
    while any(rank.poll() is None for rank in ranks) and time.monotonic() < deadline:
        if any(rank.poll() for rank in ranks):
            time.sleep(1.0)  # for the last words of the others
            break
        time.sleep(0.05)
    else:
        deadline += 30
    for rank in ranks:
        if rank.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                rank.process.terminate()
    output = "".join(rank.finish(None) for rank in ranks)
    codes = [rank.poll() for rank in ranks]
    assert any(codes) == bool(code), f"exit statuses {codes}\n{output[-6000:]}"
    return output
