"""The inside of the sandbox: a warm Python that forks one child for every program.

It is two processes: the template forks children; the keeper waits for them, and kills. Sources come
and results go through memfds and a pipe that the trainer made, so that no later child inherits
them, or the tests of a check, in its memory. Nothing here decides whether a program is right,
because whatever runs in a program's child may lie. A child costs the memory that it writes, 2 us a
page, so it does little itself.

Left out: a new child for every input, which would take eight times as long with ten inputs. Each
input of a program gets a fresh module instead and, if it is for stdin, fresh standard files.
"""

# ruff: noqa: SIM115 - the children's standard files stay open until their end

import _thread
import atexit
import contextlib
import functools
import gc
import importlib
import json
import marshal
import os
import re
import resource
import signal
import site
import socket
import sys
import traceback
import types
from collections.abc import Callable
from dataclasses import asdict
from time import monotonic

from jail import chance, forgery, inherited, instrument, isolation, packages, seccomp
from jail.checking import FAILED, asks_numpy
from jail.objects import Uncarried
from jail.peer import Lost, Peer, last_line, receive, to_json
from jail.protocol import REPORT_BYTES, Run, memfd, poll_readable
from jail.values import NO_CAPS, caps, decode, encode

# what programs import most
PRELOAD = """math collections itertools functools heapq bisect re string random typing json datetime
    statistics operator copy decimal fractions"""
compile_once = functools.lru_cache(maxsize=1)(compile)
plain_open, collect = open, gc.collect
CALL_S = 0.005  # of calls that follow on one another sooner than that only the first is told
LARGE_KB = 128 << 10  # a child that has become so large frees what an earlier input has left
old_stdouts = []  # kept: when one is collected it writes its rest into the next input's output
OWN_FILES = re.compile("open|TextIOWrapper|FileIO")  # in a program that may have files of its own
strewn = []  # see differ_by
latest = ""  # the name of the program's module
files_are_new = True  # this child's standard files are as the zygote opened them


def main(control_fd: int, mode: str, places: dict[str, str]) -> None:
    """Two processes: the outer one waits for the trainer's end, the inner one forks children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    stack = 1 << 30 if hard == resource.RLIM_INFINITY else min(hard, 1 << 30)
    if soft not in (resource.RLIM_INFINITY, stack):  # a larger stack needs an exec
        resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    # Slurm ends a job by a SIGTERM for each of its processes: the trainer still finishes its step.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    trainer = os.pidfd_open(os.getppid())
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # if memory runs out, the kernel kills this and not the trainer
    private = mode != "weak" and isolation.enter_namespaces()
    pid = os.fork()
    if pid == 0:
        os.close(trainer)
        serve(socket.socket(fileno=control_fd), mode, private, places)
        os._exit(0)
    os.close(control_fd)
    poll_readable(trainer, os.pidfd_open(pid))  # PDEATHSIG watches only one thread of the trainer
    os.kill(pid, signal.SIGKILL)  # all of a pid namespace dies with its first process
    os.waitpid(pid, 0)
    os._exit(0)


def serve(control: socket.socket, mode: str, private: bool, places: dict[str, str]) -> None:
    """Preload, shut ourselves in, and become two: the template and the keeper."""
    readable = packages.readable_paths(places)
    for name in PRELOAD.split():
        importlib.import_module(name)
    del sys.path[0]  # our own folder, put there by sandbox.BOOT
    sys.argv = ["program.py"]
    site.setquit()  # for -S, which keeps installed packages away, also drops quit() and exit()
    layers = ["no isolation"] if mode == "weak" else isolation.shut_in(private, readable)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # says who sends: give_work()
    isolation.die_with_parent()
    if "seccomp" in layers:
        seccomp.restrict_zygote()  # each child adds a second filter; a small one costs less time
    packages.install({name: path for name, path in places.items() if path in readable})
    inherited.name_files()
    _thread.stack_size(16 << 20)  # the default is that of the main thread, now 1 GB
    open_standard_files()
    warm_up()
    re.purge()  # of the patterns that others have compiled
    gc.collect()
    with contextlib.suppress(AttributeError):  # only glibc has it; a freed page is not copied
        isolation.libc.malloc_trim(0)
    inherited.open_spare()
    gc.freeze()
    bell, rope = (end.detach() for end in inherited.plain_socketpair())
    if os.fork() == 0:
        for end in (control, ours):
            end.close()
        os.close(rope)
        isolation.die_with_parent()
        fork_on_request(bell, theirs)
    theirs.close()
    os.close(bell)
    os.write(rope, bytes(1))
    end_children(give_work(ours, {no_work: ()}))  # so that no later one is the first
    control.send(", ".join([*layers, "resource limits"] if layers else ["none"]).encode())
    with contextlib.suppress(ConnectionError):  # the template is gone: a new zygote starts
        keep(control, ours, rope)


def keep(control: socket.socket, letters: socket.socket, rope: int) -> None:
    """The keeper: per request of the trainer start children, wait (or be told to kill), clean up.

    letters: to the children; rope: a byte in it has one forked. One waits for the next letter: it
    was forked while the trainer compared, which saves a twentieth of the time.
    """
    while True:
        os.write(rope, bytes(1))
        message = b"kill"
        while message in (b"kill", b"pids"):  # they cross our message that the child had ended
            message, fds, _, _ = socket.recv_fds(control, 64, 4)
        if not message:
            return  # the trainer closed its end
        if len(fds) > 3:
            os.write(rope, bytes(1))  # a check has two
        inherited.renew(*fds[1:3])
        children = start_children(letters, *fds)
        for fd in fds:
            os.close(fd)
        pidfds = [pidfd for _, _, pidfd in children]
        told = wait_for_end(control, pidfds)
        end = end_children(children)
        for fd in pidfds:
            os.close(fd)
        if not told:
            return
        control.send(end)


def start_children(
    letters: socket.socket, job: int, out: int, report: int, *check: int
) -> list[tuple[int, int, int]]:
    """Start the untrusted child and, for a check, the trusted one."""
    if not check:
        return give_work(letters, {run_inputs: (job, out, report)})
    ours, theirs = inherited.plain_socketpair()
    with ours, theirs:
        works = {answer_calls: (job, out, theirs.fileno())}
        works[run_check] = (*check, ours.fileno(), report)
        return give_work(letters, works)


def give_work(
    letters: socket.socket, works: dict[Callable, tuple[int, ...]]
) -> list[tuple[int, int, int]]:
    """Write to the children that wait. Each takes a letter, and has no more files than those in it.

    Returns for each: its place in WORKS, its pid, a pidfd.
    """
    for work, fds in works.items():
        socket.send_fds(letters, [b"%d" % WORKS.index(work)], fds)
    children = []
    for _ in works:
        message, senders, _, _ = letters.recvmsg(64, 64)
        if not message:
            raise ConnectionError("the template is gone")
        pid, _, _ = memoryview(senders[0][2]).cast("i")  # the kernel says it, as a number of ours
        children.append((int(message), pid, os.pidfd_open(pid)))
    return sorted(children)


def fork_on_request(bell: int, letters: socket.socket) -> None:
    """The template: fork a child of the keeper for each byte that comes. Never returns.

    A child has our memory, so all that hangs on a program is for the keeper and that child alone:
    what it is, which files it has, how it ends. To us each is like the one before.
    """
    try:
        if isolation.fork_siblings(bell):
            os.close(bell)
            be_child(letters)
    finally:  # the keeper is gone, or the machine has no process left
        os._exit(0)


def be_child(letters: socket.socket) -> None:
    """Take a letter, answer it, so that the keeper knows us, and do what it says. Never returns."""
    try:
        os.setsid()
        if os.getppid() > 1:  # else a pid namespace already ends us with the zygote
            isolation.die_with_parent()
        place, files, _, _ = letters.recvmsg(64, 64)  # socket.recv_fds() writes to more memory
        fds = [fd for _, _, data in files for fd in memoryview(data).cast("i")]
        letters.send(place)
        os.dup2(0, 2)  # /dev/null
        letters.close()
        WORKS[int(place)](*fds)
        os._exit(0)
    finally:
        os._exit(1)  # so that 0 says that the program, or we, chose to end


def warm_up() -> None:
    """Do what a child does until Python has specialized our bytecode, which writes to its pages."""
    chance.shown_by_address()  # looks at all types
    null = os.dup(0)
    job = {"program": "def f(x): return x", "fn_name": "f", "room": 1, "output_bytes": 1}
    for _ in range(30):
        out = memfd(b"")
        send(out, run_input(job, [[1, "a"]], out, null))
        os.close(out)
    del sys.modules["program"]
    for fd in (0, 1):
        os.dup2(null, fd)
    os.close(null)
    open_standard_files()


def wait_for_end(control: socket.socket, pidfds: list[int]) -> bool:
    """Wait for the last child's end, or to be told to kill; meanwhile say who the children are.

    False if the trainer is gone.
    """
    told = b"pids"
    while told == b"pids":
        if pidfds[-1] in poll_readable(pidfds[-1], control.fileno()):
            break
        if (told := control.recv(64)) == b"pids":
            socket.send_fds(control, [told], pidfds)
    return bool(told)


def end_children(children: list[tuple[int, int, int]]) -> bytes:
    """Kill everything that a program left. Returns how the untrusted child ended, in two bytes:
    os.CLD_EXITED or another, and its exit status or signal."""
    for _, pid, pidfd in children:
        with contextlib.suppress(ProcessLookupError):
            if not isolation.own_pids:  # else all others of its pid namespace end with it
                os.killpg(pid, signal.SIGKILL)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    ends = [os.waitid(os.P_PIDFD, pidfd, os.WEXITED) for _, _, pidfd in children]
    with contextlib.suppress(ChildProcessError):  # what a program left may have become ours
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
            pass
    return bytes((ends[0].si_code, ends[0].si_status))


# --- Inside a child -----------------------------------------------------------------------------


class NotRun(Exception):
    """(status, why): the program is not valid Python, or may not be asked about."""


def send(fd: int, message: object, room: int = 1) -> None:
    """Write four bytes of length, then JSON. None has length 0 and says that a call starts."""
    data = b""
    if message is not None:
        data = to_json(message).encode("utf-8", "surrogatepass")
    if len(data) > REPORT_BYTES * room:
        data = b'{"status": "error", "error": "ValueError: a value too large to send"}'
    data = len(data).to_bytes(4, "big") + data
    while data:
        data = data[os.write(fd, data) :]


def read_job(fd: int) -> dict:
    data = os.pread(fd, os.lseek(fd, 0, os.SEEK_END), 0)
    os.close(fd)
    return marshal.loads(data)


def confine(job: dict, stdin_bytes: int = 0, trusted: bool = False) -> None:
    """Put up the walls of one child. Call it last, after all that the child needs is open."""
    file_bytes = max(job["output_bytes"], stdin_bytes)
    isolation.limit_resources(job["memory_mb"], job["cpu_s"], file_bytes)
    sys.set_int_max_str_digits(0)
    if not trusted:
        isolation.stay_on_one_core()
    if job["walls"] and not trusted:
        if seccomp.available():
            seccomp.restrict_child()
        else:
            isolation.landlock({}, scope_only=True)


def fresh_module(name: str) -> dict:
    """The names of a new module. It stands in sys.modules, where dataclasses and pickle look."""
    global latest
    latest = name
    sys.modules[name] = types.ModuleType(name)
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > LARGE_KB:
        collect()  # the names of the last module and its functions hold each other
    return vars(sys.modules[name])


def compile_program(job: dict) -> tuple:
    """(code, recorder); the recorder is None in untraced runs."""
    if job.get("vet") and (word := forgery.forgeable(*job["vet"])):
        raise NotRun("forgeable", f"it uses {word}")
    try:
        if job.get("traced"):
            return instrument.compile_traced(job["program"])
        return compile_once(job["program"], "<program>", "exec"), None
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise NotRun("syntax", last_line(error)) from None


def find(names: dict, fn_name: str) -> Callable:
    """The function called "f", "Solution.f" or "Solution().f"; "f" may be a method of Solution.

    The method comes first, since "f" may also be an import before the program, such as merge.
    """
    first, _, method = fn_name.replace("()", "").partition(".")
    if not method and hasattr(names.get("Solution"), first):
        first, method = "Solution", first
    if first not in names:
        raise NameError(f"name {first!r} is not defined")
    return getattr(names[first](), method) if method else names[first]


def open_standard_files() -> None:
    how = {"encoding": "utf-8", "errors": "replace", "closefd": False}
    sys.stdin = sys.__stdin__ = plain_open(0, newline="\n", **how)
    sys.stdout = sys.__stdout__ = plain_open(1, "w", **how)
    old_stdouts.append(sys.stdout)
    with contextlib.suppress(Exception):
        sys.modules["fileinput"]._state = None  # it would go on with the input before


def attempt(job: dict, work: Callable, out: int, stdin: int, call: bool = False) -> dict:
    """Run work(), standard files as new. Returns the fields of a Run; work encodes its value.

    call: the program goes on behind it; else it ends as Python does, and its files are closed.
    """
    global files_are_new
    os.dup2(stdin, 0)
    os.ftruncate(out, 0)
    os.lseek(out, 0, os.SEEK_SET)
    os.dup2(out, 1)
    if not files_are_new:
        open_standard_files()
    reader, writer = sys.stdin, sys.stdout
    status, value, error = "ok", None, ""
    try:
        try:
            value = work()
        except SystemExit as stop:
            well = stop.code is None or (type(stop.code) in (int, bool) and not stop.code)
            if job["fn_name"] or not well:
                raise
        if not call:
            join_threads()
            atexit._run_exitfuncs()
    except NotRun as problem:
        status, error = problem.args
    except MemoryError:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))  # makes room for the report
        status, error = "memory", f"MemoryError: more than {job['memory_mb']} MB"
    except BaseException as problem:
        status, error = "error", last_line(problem)
    sys.setrecursionlimit(1000)
    files_are_new = False
    with contextlib.suppress(Exception):  # the file is full, or the program replaced it
        sys.stdout.flush()
        writer.flush()
        same = sys.stdin is reader and sys.stdout is writer and not reader.closed
        files_are_new = same and bool(job["fn_name"])  # stdin programs have read theirs
    if not call and OWN_FILES.search(job["program"]):
        close_files(reader, writer)
        files_are_new = False
    printed = os.lseek(out, 0, os.SEEK_END)
    if printed >= job["output_bytes"]:
        status, error = "output", f"more than {job['output_bytes'] >> 10} kB of output"
    text = os.pread(out, min(printed, job["output_bytes"]), 0).decode(errors="replace")
    return {"status": status, "stdout": text, "value": value, "error": error}


def join_threads() -> None:
    """Wait for the program's threads, as Python does at exit."""
    threading, pools = map(sys.modules.get, ("threading", "concurrent.futures.thread"))
    if pools:
        pools._python_exit()  # ends the threads of an executor that nobody has shut down
        pools._shutdown = False  # for the next input
    if threading:
        mine = threading.current_thread()
        while others := [t for t in threading.enumerate() if t is not mine and not t.daemon]:
            others[0].join()


def close_files(reader: object, writer: object) -> None:
    """Free what the program's module holds, so that files such as open(0) and open(1, "w") are
    written and closed. Later they would close those of the next input, which have the same numbers.
    """
    sys.stdin = sys.__stdin__ = reader
    sys.stdout = sys.__stdout__ = writer
    with contextlib.suppress(Exception):  # the program has put something else there
        vars(sys.modules.pop(latest)).clear()
    collect()
    with contextlib.suppress(Exception):  # a destructor may have printed
        writer.flush()


def rewrite(fd: int, data: bytes) -> None:
    """Let an anonymous file hold `data`, to be read from its start."""
    os.ftruncate(fd, 0)
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:] if done else data, done)
    os.lseek(fd, 0, os.SEEK_SET)


def run_inputs(job_fd: int, out: int, report: int) -> None:
    """Main of a run's child."""
    job = read_job(job_fd)
    texts, stdin = [] if job["fn_name"] else job["inputs"], inherited.spare[0]
    longest = max(texts, key=len, default="")  # it may take four bytes a character
    confine(job, 4 * len(longest))
    for data in job["inputs"]:
        if texts:
            rewrite(stdin, data.encode(errors="replace"))
        send(report, run_input(job, data, out, stdin), job["room"])


def run_input(job: dict, data: object, out: int, stdin: int) -> dict:
    fn_name, variables, unfit = job["fn_name"], None, ""

    def work() -> object:
        nonlocal variables, unfit
        code, recorder = compile_program(job)
        twin = job.get("traced") and job["seed"]  # str() of a class says its module
        names = fresh_module("program" if fn_name and not twin else "__main__")
        if recorder:
            names[instrument.HOOK] = recorder.hook
            recorder.active = not fn_name
            differ_by(job["seed"])
            chance.begin(job["traced"], job["program"])
        try:
            exec(code, names)
            if fn_name:
                function = find(names, fn_name)
                arguments = decode(data, max_depth=NO_CAPS["max_depth"])
                if recorder:
                    recorder.active = True  # we trace the call, not the module's own lines
                value = function(*arguments)
        finally:  # at once, before anything else runs that the program may have prepared
            sys.setrecursionlimit(max(sys.getrecursionlimit(), 5000))  # encode() is recursive
            if recorder:
                variables, unfit = recorder.snapshot(), recorder.hook[3]
        more = {"arrays": True, "ordered": False, "subclasses": not job.get("traced")}
        return encode(value, **caps(job["room"]), **more) if fn_name else None

    result = attempt(job, work, out, stdin)
    if unfit and result["status"] == "ok":
        result |= {"status": "error", "error": unfit}
    if chance.shown and result["status"] == "ok":
        where = f"it depends on where a {chance.shown[0]} lies"
        result |= {"status": "nondeterministic", "error": where}
    return result | {"variables": variables}


def differ_by(seed: int) -> None:
    """Change what a program cannot know: how deep it may recurse, where its objects lie, that we
    let it write long numbers and lone surrogates, and that our stack is large."""
    if seed:
        sys.set_int_max_str_digits(4300)
        sys.stdout.reconfigure(errors="strict")
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        resource.setrlimit(resource.RLIMIT_STACK, (8 << 20, hard))
    sys.setrecursionlimit(1000 + bool(seed) + seed % 64)
    strewn.extend(bytes(size) for size in range(1, 500, 16) for _ in range(seed % 5))


def answer_calls(job_fd: int, out: int, channel: int) -> None:
    """Main of a check's untrusted child: load the program at the first call, answer each call."""
    job, stdin = read_job(job_fd), inherited.spare[0]
    confine(job)
    names = fresh_module("program")
    peer, limit = Peer(channel, send, names, job["room"], strict=False), 1000

    def work() -> object:
        nonlocal limit
        sys.setrecursionlimit(limit)  # as the program left it
        message = json.loads(request)
        if not peer.lent:
            exec(compile_program(job)[0], names)
            peer.number(found := find(names, job["fn_name"]))
            peer.kind = found if isinstance(found, type) else None
            peer.table.classes = {*message["classes"]}
        try:
            return peer.answer(*message["call"])
        except (Lost, Uncarried) as error:
            raise ValueError(str(error)) from None
        finally:
            limit = sys.getrecursionlimit()

    while request := receive(channel, job["room"]):
        send(channel, attempt(job, work, out, stdin, call=True), job["room"])


def failed_test(error: AssertionError, check: str) -> str:
    """The line of `check` that failed, because an AssertionError seldom has a message."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<check>"]
    return check.splitlines()[lines[0] - 1].strip()[:500] if lines else last_line(error)


def run_check(job_fd: int, channel: int, report: int) -> None:
    """Main of a check's trusted child, which has the expected values and gives the verdict."""
    job, names = read_job(job_fd), fresh_module("check")
    told = 0.0

    def started() -> None:  # the clock restarts; a call that lasts no longer needs none of its own
        nonlocal told
        if (now := monotonic()) > told + CALL_S:
            told = now
            send(report, None)

    peer = Peer(channel, send, names, job["room"], True, started)
    confine(job, trusted=True)
    del os.fork, os.forkpty  # what fails in a fork would be noted there alone
    peer.kind = job["entry_point"].isidentifier() and job["entry_point"][0].isupper()
    begun, first = False, None  # first: what the first assert that failed says

    def candidate(*args: object, **kwargs: object) -> object:
        nonlocal begun
        begun = True
        return peer.call(0, "__call__", args, kwargs)

    def verdict_of(error: BaseException) -> Run:
        if error is peer.raised[0]:
            return peer.raised[1]
        if not begun:
            return Run("unjudged", error=f"the check is broken: {last_line(error)}")
        if isinstance(error, AssertionError):
            return Run("failed", error=failed_test(error, job["check"]))
        return Run("error", error=last_line(error))

    def failed(error: Exception) -> None:
        nonlocal first
        if peer.lost or not begun:
            raise error
        first = first or verdict_of(error)

    def fails(error: AssertionError) -> bool:
        on_purpose = failed_test(error, job["check"]).startswith("raise ")
        if not on_purpose:
            failed(error)
        return not on_purpose

    peer.fails = fails
    peer.odd.by_numpy = asks_numpy(job["preamble"], job["check"])
    try:
        exec(job["compiled"][0] or job["preamble"], names)
        names |= under_its_name(candidate, job["entry_point"], names) | {FAILED: failed}
        exec(job["compiled"][1] or job["check"], names)
        names["check"](candidate)
        never = Run("unjudged", error="the check never calls the function")
        verdict = first or (Run("passed") if begun else never)
    except BaseException as error:
        verdict = first or verdict_of(error)
    run = first or peer.lost or verdict  # a check may have caught that the program is lost
    run.value = peer.odd.report()
    send(report, asdict(run))


def under_its_name(candidate: Callable, entry_point: str, names: dict) -> dict:
    """What a check finds that calls the function by its name: f(1), or Solution().f(1)."""
    owner, _, name = entry_point.replace("()", "").rpartition(".")
    if not owner:
        return {name: candidate}
    return {
        owner: type(owner, (), {name: staticmethod(candidate)}),
        name: names.get(name, candidate),
    }


def no_work() -> None:
    pass


WORKS = (run_inputs, answer_calls, run_check, no_work)
