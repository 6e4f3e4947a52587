"""The walls around a program that nobody has read: what sandbox.py asks of the Linux kernel.

Each zygote gets, as far as the kernel allows: namespaces with a private read-only root, a uid other
than 0, Landlock, and no capability but one, by which each child gets a pid namespace of its own.
The child gives that one up, and gets resource limits. All of it goes through ctypes, so it needs no
installation and no root. The numbers are those of the kernel's headers, and x86-64 and aarch64
share them.

Left out: programs have no /proc, /dev or /tmp. They get the standard library and, of the installed
packages, which may hold test data, those of jail/packages.py. jail/seccomp.py says which system
calls they may make.
"""

import contextlib
import ctypes
import os
import re
import resource
import signal
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from itertools import cycle
from operator import call, ne, setitem

from jail import seccomp

libc = ctypes.CDLL(None, use_errno=True)
# Looked up and made once: in a child each object that ctypes makes costs more than the call.
current_core = libc.sched_getcpu
python = ctypes.PyDLL(None)  # keeps Python's lock during a call, as os.fork() does
system_call, capset, before_fork = python.syscall, python.capset, python.PyOS_BeforeFork
in_parent, in_child = python.PyOS_AfterFork_Parent, python.PyOS_AfterFork_Child
for function in (system_call, before_fork, in_parent, in_child):
    function.restype = None
NEWNS, NEWUSER = 0x20000, 0x10000000
NEWREST = 0x20000000 | 0x40000000 | 0x8000000 | 0x4000000  # pid, net, ipc, uts
MOUNT_SETATTR, LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 442, 444, 445, 446
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
# Both hold 0 in a parent. The kernel writes to `born` in a child, and to `made` in its parent.
born, made = ctypes.c_int(), (ctypes.c_ubyte * 4)()
CLONE = seccomp.CHILD_CALLS["clone"][seccomp.MACHINE[0]] if seccomp.MACHINE else 0
SIBLING = signal.SIGCHLD | 0x8000 | 0x100000 | 0x1000000  # PARENT, PARENT_SETTID, CHILD_SETTID
NEWPID = 0x20000000
PLACES = (None, ctypes.byref(made), ctypes.byref(born), ctypes.byref(born))  # of either machine
VERSION = (ctypes.c_uint32 * 2)(0x20080522, 0)
NO_RIGHTS = (ctypes.c_uint32 * 6)()
ADMIN = (ctypes.c_uint32 * 6)(1 << 21, 1 << 21)  # SYS_ADMIN, effective and permitted
NOBODY = 65534  # the user that the zygote of a trainer running as root becomes
FILES = 64  # descriptors that one program may have open
TASKS = 16  # processes and threads that one zygote may have, if the kernel counts them apart
LIBRARY = re.compile(r"\.so(\.|$)|\w-linux(-\w+)?$|\blocale$")  # or a folder of such
own_pids = False  # whether fork_siblings() gives each child a pid namespace


def readable_paths() -> dict[str, bool]:
    """{path: True if a program may read all below it, False if it may only list the folder}.

    They hold the standard library and the system's folders of shared libraries, but no installed
    packages.
    """
    shown: dict[str, bool] = {}

    def show(top: str, fits: Callable[[str], object]) -> None:
        if os.path.isdir(top):
            found = [f"{top}/{name}" for name in os.listdir(top) if fits(name)]
            shown.update({path: True for path in found if os.path.exists(path)} | {top: False})

    for top in (sys.base_prefix + "/lib", "/lib", "/lib64", "/usr/lib", "/usr/lib64"):
        show(top, LIBRARY.search)
    paths, packages = sysconfig.get_paths(), ("site-packages", "dist-packages")
    for top in (paths["stdlib"], paths["platstdlib"]):
        show(top, lambda name: name not in packages)
    extra = ["/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo"]
    return shown | {path: True for path in extra if os.path.exists(path)}


def enter_namespaces() -> bool:
    """Enter mount, pid, net, ipc and uts namespaces; without root, a user namespace first."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and libc.unshare(NEWNS | NEWREST) == 0:
        return True
    if libc.unshare(NEWUSER | NEWNS | NEWREST):
        return False
    maps = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
    for name, line in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)
    return True


def mount(source: str | None, target: str, kind: str | None, flags: int) -> bool:
    names = [name and os.fsencode(name) for name in (source, target, kind)]
    return libc.mount(*names, ctypes.c_ulong(flags), None) == 0


def private_root(paths: dict[str, bool]) -> bool:
    """Change to a read-only root that holds `paths` at their own places and nothing else."""
    root = "/proc"  # any folder that exists and holds none of the paths will do
    if not mount(None, "/", None, 0x44000):  # MS_REC | MS_PRIVATE
        return False
    if not mount("tmpfs", root, "tmpfs", 0x6):  # MS_NOSUID | MS_NODEV
        return False
    os.chmod(root, 0o755)
    os.umask(0o022)
    for path, read in paths.items():
        folder = os.path.isdir(path)
        os.makedirs(root + (path if folder else os.path.dirname(path)), exist_ok=True)
        if not folder:
            os.close(os.open(root + path, os.O_CREAT, 0o444))
        if read and not mount(path, root + path, None, 0x5000):  # MS_BIND | MS_REC
            return False
    os.chdir(root)
    locked = (ctypes.c_uint64 * 4)(0x7)  # MOUNT_ATTR_RDONLY | NOSUID | NODEV, AT_RECURSIVE
    if libc.syscall(MOUNT_SETATTR, -100, b".", 0x8000, locked, ctypes.c_size_t(32)):
        return False
    if libc.pivot_root(b".", b".") or libc.umount2(b".", 2):  # MNT_DETACH; the old root is on top
        return False
    os.chdir("/")
    return True


def landlock(paths: dict[str, bool], scope_only: bool = False) -> int:
    """Forbid files other than `paths`, TCP, and signals to the outside. Returns the ABI, or 0.

    scope_only forbids the signals only. A child adds this layer to its zygote's, and then it can
    neither signal nor trace the zygote, nor the trusted child of a check.
    """
    abi = libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if abi < (6 if scope_only else 1):
        return 0
    files = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}.get(abi, 0xFFFF)  # all rights of that ABI
    rights = (0, 0, 2) if scope_only else (files, 3 * (abi >= 4), 3 * (abi >= 6))
    size = ctypes.c_size_t(8 if abi < 4 else 16 if abi < 6 else 24)
    ruleset = libc.syscall(LANDLOCK_CREATE, (ctypes.c_uint64 * 3)(*rights), size, 0)
    for path, read in paths.items():
        # READ_DIR is 8, READ_FILE 4; a rule is the packed struct {u64 rights; s32 fd}
        allowed = 8 * os.path.isdir(path) | 4 * read
        fd = os.open(path, os.O_PATH)
        rule = allowed.to_bytes(8, sys.byteorder) + fd.to_bytes(4, sys.byteorder)
        if libc.syscall(LANDLOCK_ADD, ruleset, 1, rule, 0):
            raise OSError(ctypes.get_errno(), "landlock_add_rule", path)
        os.close(fd)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # the next call wants it
    if libc.syscall(LANDLOCK_RESTRICT, ruleset, 0):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    return abi


def drop_privileges(private: bool) -> str:
    """Give up uid 0 if Python's files stay readable without it, and all capabilities for good: if
    we are `private`, all but the one that fork_siblings() needs."""
    global own_pids
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # root in a container may lack the right to
            os.seteuid(NOBODY)
            readable = os.access(os.__file__, os.R_OK, effective_ids=True)
            os.seteuid(0)
            if readable:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
    apart = libc.unshare(NEWUSER) == 0  # makes RLIMIT_NPROC count this zygote's tasks only
    own_pids = apart and private and may_nest_pids()
    keep_rights(ADMIN if own_pids else NO_RIGHTS)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # no child can trace the zygote or another child
    return f"uid {os.getuid()}"


def keep_rights(rights: ctypes.Array) -> None:
    if capset(VERSION, rights):
        raise OSError("capset")


def may_nest_pids() -> bool:
    """Try whether a child can have a pid namespace of its own."""
    pid = libc.syscall(CLONE, ctypes.c_ulong(NEWPID | signal.SIGCHLD), None, None, None, None)
    if pid == 0:
        os._exit(0)
    return pid > 0 and os.waitpid(pid, 0) == (pid, 0)


def fork_siblings(bell: int) -> bool:
    """Fork a child of our parent for each byte that comes, if we may into a pid namespace of its
    own. True in a child; False if the other end is closed, or no process can be started.

    We do not learn its number, and our parent hears of its end. A child has our memory, where
    nothing may differ from one to the next: it could read how many there were, and each program
    chooses how many it takes. But Python's bytecode counts how often it ran (PEP 659). So all turns
    of the loop are within one call of any(), which returns when a step does so otherwise than in a
    parent.
    """
    place, flags = ctypes.c_ubyte(), ctypes.c_ulong(SIBLING | NEWPID * own_pids)
    steps, usual = zip(
        (partial(python.read, bell, ctypes.byref(place), 1), 1),
        (before_fork, None),
        (partial(system_call, CLONE, flags, *PLACES), None),
        (partial(getattr, born, "value"), 0),
        (in_parent, None),
        (partial(any, made), True),
        (partial(setitem, made, slice(4), bytes(4)), None),
        strict=True,
    )
    any(map(ne, map(call, cycle(steps)), cycle(usual)))
    if born.value:
        in_child()
        if own_pids:
            keep_rights(NO_RIGHTS)
    return born.value > 0


def die_with_parent() -> None:
    libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)


def shut_in(private: bool, packages: dict[str, bool]) -> list[str]:
    """Put up all other walls and name those that hold.

    private: we are in namespaces already. packages: the paths of packages that may be read.
    """
    paths = readable_paths() | packages
    root = private and private_root(paths)
    user = drop_privileges(private)
    abi = landlock(paths)
    if not root and not abi:
        return []
    layers = ["pid, mount, net, ipc and uts namespaces"] * private + ["private root"] * root
    layers += [f"Landlock (ABI {abi})"] * bool(abi) + ["seccomp"] * seccomp.available()
    return [*layers, user]


def stay_on_one_core() -> None:
    """Bind this child, and the threads that it will start, to the core on which it runs now.

    Else a program with 15 threads takes all cores from the programs that are judged beside it. The
    kernel has just put the child where there is least to do.
    """
    core = current_core()
    if core >= 0:
        os.sched_setaffinity(0, {core})


def limit_resources(memory_mb: int, cpu_s: int, file_bytes: int) -> None:
    """Set the limits of one child, which cannot raise them again."""
    memory = memory_mb << 20
    tasks = TASKS if os.getppid() < 2 else 0  # else it counts all that the user runs
    for name, soft, hard in (
        ("AS", memory, memory + (32 << 20)),  # the rest lets a child report that memory ran out
        ("CPU", cpu_s, cpu_s + 1),
        ("FSIZE", file_bytes, file_bytes),
        ("NOFILE", FILES, FILES),
        ("NPROC", tasks, tasks),
        ("CORE", 0, 0),
    ):
        kind = getattr(resource, f"RLIMIT_{name}")
        most = resource.getrlimit(kind)[1]  # what this shell allows; only root may go above
        most = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(kind, (min(soft, most), most))
