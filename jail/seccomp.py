"""The system calls that a program may make: seccomp filters, which fail all others with EPERM.

A program may start threads. It may not start processes, open sockets, make pipes (the next program
could read in an inode number how many), send signals to others, or change a file's name, owner or
mode. It gets the calls that CPython and glibc need to compute, to import the standard library, and
to use its threads and asyncio. The filters are classic BPF, see seccomp(2).

There are two filters, and the kernel asks both. The zygote's allows all that any of its children
needs, and is installed once. A child adds a short one, which takes away what only the zygote needs.

Left out: machines other than x86-64 and aarch64. They have no such layer.
"""

import ctypes
import functools
import os
import re
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x50000, 0x80000000
EPERM, ENOSYS = 1, 38
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF instructions
NR, ARCH, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

# name: (number on x86-64, on aarch64); None if the machine has no such call
CALLS = {
    # open files, and opening: Landlock and the private root decide which files may be opened
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66),
    "pread64": (17, 67), "pwrite64": (18, 68), "lseek": (8, 62), "close": (3, 57),
    "close_range": (436, 436), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "ftruncate": (77, 46),
    "fadvise64": (221, 223), "open": (2, None), "openat": (257, 56), "getdents64": (217, 61),
    "stat": (4, None), "lstat": (6, None), "fstat": (5, 80), "newfstatat": (262, 79),
    "statx": (332, 291), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getcwd": (79, 17), "chdir": (80, 49),
    "umask": (95, 166),
    # waiting
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None),
    "epoll_pwait": (281, 22), "eventfd2": (290, 19), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "pause": (34, None), "restart_syscall": (219, 128),
    # memory, threads, time
    "mmap": (9, 222), "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226),
    "madvise": (28, 233), "brk": (12, 214), "futex": (202, 98), "set_robust_list": (273, 99),
    "rseq": (334, 293), "membarrier": (324, 283), "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123), "arch_prctl": (158, None), "exit": (60, 93),
    "exit_group": (231, 94), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "getrandom": (318, 278),
    # its own signals and timers
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "sigaltstack": (131, 132),
    "alarm": (37, None), "setitimer": (38, 103), "getitimer": (36, 102),
    # who and where it is
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getpgrp": (111, None),
    "getpgid": (121, 155), "getsid": (124, 156), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158), "uname": (63, 160),
    "getrusage": (98, 165), "getrlimit": (97, 163),
}  # fmt: skip
# the zygote needs these, and so does each child until it is confined
ZYGOTE_CALLS = {
    "fork": (57, None), "vfork": (58, None), "wait4": (61, 260), "waitid": (247, 95),
    "kill": (62, 129), "pidfd_open": (434, 434), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "setsid": (112, 157), "prctl": (157, 167), "seccomp": (317, 277), "memfd_create": (319, 279),
    "sched_setaffinity": (203, 122), "socketpair": (53, 199), "capset": (126, 91),
    "pidfd_send_signal": (424, 424),
}  # fmt: skip
# These do nothing and say that they did it. A flush waits, and no signal ends that, until the disk
# has written what others left in its cache: the zygote could not clean up in time.
IDLE_CALLS = {"fsync": (74, 82), "fdatasync": (75, 83)}
# name: (the two numbers, {word: the values that it may hold}). Word 2 * i is the low half of
# argument i.
CHECKED_CALLS = {
    "ioctl": (16, 29, {2: (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)}),  # isatty and such
    "fcntl": (72, 25, {2: (0, 1, 2, 3, 4, 1030)}),  # DUPFD, GETFD, SETFD, GETFL, SETFL
    "prlimit64": (302, 261, {0: (0,)}),  # its own limits, never above the hard ones
    # Only to the other end, not to an address; and a byte out of band would be counted for ever.
    "sendto": (44, 206, {6: (0, 0x40, 0x4000, 0x4040), 8: (0,), 9: (0,)}),
    "recvfrom": (45, 207, {}),
}
OWN_PID = 0x7FFFFFFF  # restrict_child puts the pid here
CHILD_CALLS = {  # the zygote's filter allows them with any arguments
    "clone": (56, 220, {0: (0x3D0F00, 0x7D0F00)}),  # the flags of a thread, in glibc and in musl
    "tgkill": (234, 131, {0: (OWN_PID,)}),  # abort() and raise_signal()
}
MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
CLONE3 = 435  # on both; if it is unknown, glibc takes clone, whose flags a filter can read
MACHINE = MACHINES.get(os.uname().machine) if sys.maxsize > 2**32 else None  # column, arch, seccomp


@functools.cache
def available() -> bool:
    """True if this kernel has filters that answer with an error number."""
    action = ctypes.c_uint32(ERRNO)
    return bool(MACHINE) and libc.syscall(MACHINE[2], 2, 0, ctypes.byref(action)) == 0


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One BPF instruction. if_true, if_false: how many to skip after a comparison."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def rule(number: int, words: dict[int, tuple]) -> bytes:
    """Allow call `number` if each word holds one of its values; leave other calls to the next."""
    body = b""
    for word, values in words.items():
        body += instruction(LOAD, ARGUMENTS + 4 * word)
        for left, value in zip(range(len(values), 0, -1), values, strict=True):
            body += instruction(EQUAL, value, if_true=left)
        body += instruction(RETURN, ERRNO | EPERM)
    body += instruction(RETURN, ALLOW)
    return instruction(EQUAL, number, if_false=len(body) // 8) + body


def zygote_filter(machine: tuple) -> bytes:
    column, arch, _ = machine
    code = instruction(LOAD, ARCH) + instruction(EQUAL, arch, if_true=1)
    code += instruction(RETURN, KILL) + instruction(LOAD, NR)
    code += instruction(EQUAL, CLONE3, if_false=1) + instruction(RETURN, ERRNO | ENOSYS)
    for entry in IDLE_CALLS.values():
        code += instruction(EQUAL, entry[column], if_false=1) + instruction(RETURN, ERRNO)
    for number in (entry[column] for entry in (*CALLS.values(), *ZYGOTE_CALLS.values())):
        code += b"" if number is None else rule(number, {})
    for *numbers, words in CHECKED_CALLS.values():
        code += rule(numbers[column], words)
    for *numbers, _ in CHILD_CALLS.values():
        code += rule(numbers[column], {})
    return code + instruction(RETURN, ERRNO | EPERM)


def child_filter(machine: tuple) -> bytes:
    """Take away from the process OWN_PID what only the zygote needs."""
    column, code = machine[0], instruction(LOAD, NR)
    for *numbers, words in CHILD_CALLS.values():
        code += rule(numbers[column], words)
    denied = [entry[column] for entry in ZYGOTE_CALLS.values() if entry[column] is not None]
    for left, number in zip(range(len(denied), 0, -1), denied, strict=True):
        code += instruction(EQUAL, number, if_true=left)
    return code + instruction(RETURN, ALLOW) + instruction(RETURN, ERRNO | EPERM)


class Filter:
    """BPF code as the kernel takes it. To make one costs more than to install it."""

    def __init__(self, code: bytes) -> None:
        self.code = ctypes.create_string_buffer(code, len(code))
        self.program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(self.code))

    def install(self) -> None:
        """Put it on this process for good. Needs no_new_privs; raises OSError."""
        if libc.syscall(MACHINE[2], 1, 0, self.program):  # SECCOMP_SET_MODE_FILTER
            raise OSError(ctypes.get_errno(), "seccomp")


def restrict_zygote() -> None:
    Filter(zygote_filter(MACHINE)).install()


READY = Filter(child_filter(MACHINE) if MACHINE else b"")  # made once, not in each child
OWN_PIDS = [found.start() for found in re.finditer(OWN_PID.to_bytes(4, sys.byteorder), READY.code)]


def restrict_child() -> None:
    for place in OWN_PIDS:
        struct.pack_into("=I", READY.code, place, os.getpid())
    READY.install()
