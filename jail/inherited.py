"""The files that the children of a zygote inherit.

They are the same for each child, and empty, so that none finds a sign of those before it. What was
made anew for each would have an inode number, and so say how many others were made. Left out: the
two sockets between the children of a check.
"""

import builtins
import contextlib
import fcntl
import io
import os
import socket
from collections.abc import Callable

from jail.protocol import memfd

STANDARD = {f"/dev/std{name}": fd for fd, name in enumerate(("in", "out", "err"))}
STANDARD["/dev/null"] = 2  # a child's stderr is that
STANDARD |= {f"{place}/fd/{fd}": fd for fd in range(3) for place in ("/dev", "/proc/self")}
plain_socketpair = socket.socketpair
spare: list[int] = []  # descriptors: of a child's stdin, and of both ends of a pair of sockets


def open_spare() -> None:
    spare.extend([memfd(b""), *(end.detach() for end in plain_socketpair())])


def renew(out: int, report: int) -> None:
    """Let all files be empty, without the flags that the last child has set. out: its stdout;
    report: the pipe to the trainer."""
    stdin, *pair = spare
    for fd in (stdin, out, report, 0):  # 0 is /dev/null, which a child has as its stderr
        fcntl.fcntl(fd, fcntl.F_SETFL, 0)
    for fd in (stdin, out):
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.read(fd, 1)  # now is the time of its last access
    for end in pair:
        fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while os.read(end, 1 << 20):
                pass


def own_pair(*_: object) -> tuple[socket.socket, socket.socket]:
    """socket.socketpair() of a program, through which asyncio wakes itself."""
    one, other = (socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, os.dup(fd))
                  for fd in spare[1:])  # fmt: skip
    return one, other


class Opener:
    """open() or os.open(); it knows the standard files, for programs have no /dev or /proc."""

    def __init__(self, original: Callable, opens_fd: bool) -> None:
        self.original, self.opens_fd = original, opens_fd

    def __call__(self, file: object, *args: object, **kwargs: object) -> object:
        fd = None
        if type(file) is not int and isinstance(file, str | os.PathLike):
            fd = STANDARD.get(os.fspath(file))
        if fd is None:
            return self.original(file, *args, **kwargs)
        return os.dup(fd) if self.opens_fd else self.original(os.dup(fd), *args, **kwargs)


def name_files() -> None:
    """Let programs open /dev/stdin and the like, and asyncio's pair of sockets."""
    builtins.open = io.open = Opener(open, opens_fd=False)
    os.open = Opener(os.open, opens_fd=True)
    socket.socketpair = own_pair
