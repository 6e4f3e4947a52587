"""Programs that mean harm, or want a reward that they have not earned: one attack a test.

Each runs as root (if the tests do), as an ordinary user, and where the kernel denies namespaces
and mounts, as containers do. It must reach nothing, and leave nothing: no process, file,
descriptor or shared memory; and the next program must be judged right. Whatever an attack could
make bears a mark, and only that is looked for: other programs may work beside the tests.
"""

import contextlib
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from test_sandbox import ZYGOTE, limits, processes, run, wait_until

import sandbox
import trace
from jail import seccomp
from problems.problem import Problem
from reward import judge
from sandbox import Sandbox

NOBODY = 65534
SECRET = 731900000000 + random.randrange(10**8)  # what an attack must not learn
MARK = f"sandbox-attack-{random.randrange(10**12)}"  # in the name of all that an attack makes
KEY = random.randrange(1, 2**31)  # of System V shared memory
HANG_S = 0.2  # for programs that only the clock ends
FOLDERS = ("/", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", ".", str(Path.home()))

# ------------------------------------------------------------------- where programs run

# EPERM for unshare, mount, pivot_root, setns, mount_setattr, and clone with a flag for a namespace
DENY = """
from jail import isolation, seccomp as s
column = s.MACHINE[0]
code = s.instruction(s.LOAD, s.NR)
for numbers in (272, 97), (165, 40), (155, 41), (308, 268), (442, 442):
    code += s.instruction(s.EQUAL, numbers[column], 0, 1) + s.instruction(s.RETURN, s.ERRNO | 1)
isolation.libc.prctl(38, 1, 0, 0, 0)
s.Filter(code + s.instruction(s.RETURN, s.ALLOW)).install()
"""


def readable_python(uid: int) -> str:
    """A Python that this user can start; "" if there is none."""
    for path in (sys.executable, sys._base_executable, "/usr/bin/python3"):
        test = [path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(test, user=uid, stderr=subprocess.DEVNULL).returncode == 0:
                return path
        except OSError:
            pass
    return ""


@pytest.fixture(scope="module", params=["root", "ordinary user", "no namespaces"])
def box(request):
    """A Sandbox on such a machine."""
    patch, home = pytest.MonkeyPatch(), tempfile.mkdtemp()
    patch.setenv("SANDBOX_TEST_KEY", str(SECRET))
    patch.setattr(sandbox, "BOOT", f"{sandbox.BOOT}  # {MARK}")
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    if request.param == "no namespaces":
        if not seccomp.available():
            pytest.skip("no seccomp filter to deny them with")
        patch.setattr(
            sandbox, "BOOT", sandbox.BOOT.replace("zygote.main", "exec({deny}); zygote.main")
        )
        patch.setattr(sandbox, "BOOT", sandbox.BOOT.replace("{deny}", repr(DENY)))
    if request.param == "ordinary user" and os.geteuid() == 0:
        python = readable_python(NOBODY)
        if not python:
            pytest.skip("there is no Python that an ordinary user may start")
        os.chmod(home, 0o755)
        shutil.copy(sandbox.__file__, home)
        shutil.copytree(Path(sandbox.__file__).parent / "jail", f"{home}/jail")
        patch.setattr(sandbox, "__file__", f"{home}/sandbox.py")
        patch.setattr(sys, "executable", python)
        as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        popen = subprocess.Popen
        patch.setattr(subprocess, "Popen", lambda *a, **k: popen(*a, **k, **as_nobody))
    box = Sandbox(timeout_s=10.0, memory_mb=96)
    box.twin().twin(0)  # on the same machine, and not only when a test traces
    patch.undo()
    assert ("namespaces" in box.layers) == (request.param != "no namespaces")
    yield box
    box.close()
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def victim():
    """A file that anybody may read and write, alone in a folder of that kind."""
    folder = Path(tempfile.mkdtemp())
    file = folder / "data.txt"
    file.write_text(str(SECRET))
    folder.chmod(0o777)
    file.chmod(0o666)
    yield file
    shutil.rmtree(folder)


def marked_processes() -> list[int]:
    """Zygotes and all that they forked, wherever it went: their command lines bear the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found += [int(path.parent.name)] if MARK.encode() in path.read_bytes() else []
    return sorted(found)


def strays() -> int:
    """How many marked ones are neither of a zygote nor the child that waits there for work."""
    parents = {}
    for pid in marked_processes():
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text()
            parents[pid] = int(stat.rpartition(")")[2].split()[1])
    outer = [pid for pid, parent in parents.items() if parent == os.getpid()]
    keepers = [pid for pid, parent in parents.items() if parent in outer]
    below = [list(parents.values()).count(pid) for pid in keepers]
    return len(parents) - len(outer) - len(keepers) - sum(min(2, count) for count in below)


def traces_left(box: Sandbox, victim: Path) -> dict:
    """What an attack could leave behind, on either side."""
    zygote = Path(f"/proc/{processes(box)[ZYGOTE - 1]}")
    folders = [folder for folder in FOLDERS if os.access(folder, os.R_OK)]
    segments = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    stat = victim.stat() if victim.exists() else None
    return {
        "processes": strays(),
        "our descriptors": len(os.listdir("/proc/self/fd")),
        "its descriptors": len(os.listdir(zygote / "fd")) if os.access(zygote / "fd", 4) else 0,
        "files": [f"{f}/{name}" for f in folders for name in os.listdir(f) if MARK in name],
        "shared memory": [line for line in segments if int(line.split()[0]) == KEY],
        "victim": sorted(os.listdir(victim.parent)),
        "its state": stat and (stat.st_mode, stat.st_mtime_ns, stat.st_nlink, victim.read_text()),
    }


@pytest.fixture(autouse=True)
def aftermath(request):
    """After each attack: nothing is left, and a right program passes where a wrong one fails."""
    if "box" not in request.fixturenames:
        yield
        return
    box, victim = map(request.getfixturevalue, ("box", "victim"))
    before = traces_left(box, victim)
    yield
    wait_until(lambda: traces_left(box, victim) == before)
    assert traces_left(box, victim) == before
    assert judge(box, FUNCTION, RIGHT).status == judge(box, ASSERTS, RIGHT).status == "passed"
    assert judge(box, FUNCTION, WRONG).status == judge(box, ASSERTS, WRONG).status == "failed"


LEFT = {  # what is left: (where it is seen, the program that leaves it)
    "a file in /tmp": ("files", f"open('/tmp/{MARK}', 'w')"),
    "a file at home": ("files", f"open({str(Path.home() / MARK)!r}, 'w')"),
    "a process": (
        "processes",
        "import os, time\npid = os.fork()\nif pid == 0:\n    os.setsid()\n    time.sleep(60)\n"
        "while os.getsid(pid) != pid:\n    time.sleep(0.01)",
    ),
    "shared memory": (
        "shared memory",
        f"import ctypes\nctypes.CDLL(None).shmget({KEY}, 99, 0o1600)",
    ),
    "a folder": ("victim", "import os\nos.mkdir('VICTIM' + '2')"),
    "another mode": ("its state", "import os\nos.chmod('VICTIM', 0o600)"),
    "other words": ("its state", "open('VICTIM', 'w').write('x')"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_a_program_leaves_is_seen(monkeypatch, victim, name):
    """Without walls such programs do leave something, and traces_left sees it."""
    kind, program = LEFT[name]
    monkeypatch.setattr(sandbox, "BOOT", f"{sandbox.BOOT}  # {MARK}")
    with pytest.warns(UserWarning, match="weak"), contextlib.closing(Sandbox(mode="weak")) as box:
        known, before = marked_processes(), traces_left(box, victim)
        result = run(box, program.replace("VICTIM", str(victim)))
        closed = before["its descriptors"]  # which the template may still be at
        assert wait_until(lambda: traces_left(box, victim)["its descriptors"] == closed)
        after = traces_left(box, victim)
        clean_up(before, after, victim, {*known, *processes(box)})
        if "Resource temporarily unavailable" in result.error:
            pytest.skip("an ordinary user without walls may start no process")
        assert [key for key in after if after[key] != before[key]] == [kind]
        assert wait_until(lambda: traces_left(box, victim)["processes"] == before["processes"])


def clean_up(before: dict, after: dict, victim: Path, known: set[int]) -> None:
    for path in after["files"]:
        os.unlink(path)
    for pid in set(marked_processes()) - known:
        os.kill(pid, signal.SIGKILL)
    for line in after["shared memory"]:
        ctypes.CDLL(None).shmctl(int(line.split()[1]), 0, None)
    for name in set(after["victim"]) - set(before["victim"]):
        os.rmdir(victim.parent / name)
    victim.write_text(str(SECRET))
    victim.chmod(0o666)


# ------------------------------------------------------------------- unearned rewards

FUNCTION = Problem("", "", {"inputs": [[1]] * 3, "outputs": [SECRET] * 3, "fn_name": "f"})
TEXT = Problem("", "", {"inputs": ["1"] * 3, "outputs": [str(SECRET)] * 3, "fn_name": None})
CHECK = f"def check(candidate):\n    assert candidate(1) == {SECRET}"
ASSERTS = Problem("", "", {"check": CHECK, "entry_point": "f"})
RIGHT = f"def f(x):\n    return {SECRET} * x"
WRONG = "def f(x):\n    return 7"

# find() looks for twelve digits that begin like the secret
FIND = """
import ctypes, gc, os, re, socket, sys
def find(objects):
    for o in objects:
        text = o if isinstance(o, bytes) else repr(o).encode("utf-8", "replace")
        if found := re.search(rb"7319\\d{8}", text):
            return int(found.group())
def read_all(paths):
    for path in paths:
        try:
            with open(path, "rb") as file: yield file.read(1 << 20)
        except OSError: pass
def look_in_frames():
    frame, seen = sys._getframe(), []
    while frame:
        seen += [dict(frame.f_locals), {k: v for k, v in frame.f_globals.items() if k != "seen"}]
        frame = frame.f_back
    return find(seen)
def look_at_all_objects():
    return find(o for o in gc.get_objects() if isinstance(o, (list, dict, tuple)))
def look_in_memory():
    here, write, ends = id(bytearray(1)) & ~0xFFF, ctypes.CDLL(None).write, socket.socketpair()
    source, target = (end.fileno() for end in ends)
    def pages():  # a page that is not there is an error of write(), where a look would be the end
        for page in range(here - (1 << 18), here + (1 << 18), 4096):
            if write(target, ctypes.c_void_p(page), 4096) == 4096: yield os.read(source, 4096)
    return find(pages())
def look_in_descriptors():
    def contents():
        for fd in range(100):
            try: yield os.pread(fd, 1 << 20, 0)
            except OSError: pass
    return find(contents())
def look_in_proc():
    pids = ["self", *map(str, range(1, 100)), str(os.getppid())]
    return find(read_all(f"/proc/{p}/{name}" for p in pids for name in
        ("environ", "cmdline", "fd/0", "fd/3", "fd/4", "fd/5", "fd/6", "fd/7", "root/etc/passwd")))
"""
LOOKS = re.findall(r"def (look\w+)", FIND)

FORGERIES = {
    **{look: f"{FIND}\ndef f(x):\n    return {look}()" for look in LOOKS},
    "leave at once": "import sys\nsys.exit(0)",
    "leave the process at once": "import os\nos._exit(0)",
    "leave in the call": "import sys\ndef f(x):\n    sys.exit(0)",
    "leave the process in the call": "import os\ndef f(x):\n    os._exit(0)",
    "leave by a signal handler": """
import signal, os
def f(x):
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while True: pass""",
    "leave by atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x):\n    return 0",
    "leave by a finalizer": """
import os
class A:
    def __del__(self): os._exit(0)
def f(x):
    A()
    return 0""",
    "equal to everything": """
class A:
    def __eq__(self, other): return True
    __hash__ = None
def f(x):
    return A()""",
    "an int equal to everything": """
class A(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def f(x):
    return A(1)""",
    "a text equal to everything, printed": """
class A(str):
    def __eq__(self, other): return True
    def split(self, *_): return self
def f(x):
    return A('x')""",
    "a class that lies": """
class A:
    __class__ = int
    def __getattribute__(self, name): return lambda *_: True
    def __eq__(self, other): return True
def f(x):
    return A()""",
    "a metaclass that lies": """
class M(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return hash(int)
    def __instancecheck__(cls, other): return True
class A(metaclass=M):
    def __eq__(self, other): return True
def f(x):
    return A()""",
    "a proxy": """
class A:
    def __getattr__(self, name): return A()
    def __call__(self, *a, **k): return A()
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __index__(self): return 1
f = A()""",
    "the codec's own tags": "def f(x):\n    return {'int': '0xaa6f'}",
    "patched builtins": """
import builtins
for name in ('isinstance', 'all', 'any', 'len', 'abs', 'type', 'zip', 'map'):
    setattr(builtins, name, lambda *a, **k: True)
def f(x):
    return 0""",
    "a patched encoder": """
import json
json.dumps = lambda *a, **k: '{"status": "passed", "stdout": "", "value": 1, "error": ""}'
def f(x):
    return 0""",
    "a patched harness": """
import sys
for module in list(sys.modules.values()):
    for name in ('right', 'same_value', 'judge', 'check', 'encode', 'decode', 'attempt'):
        if hasattr(module, name): setattr(module, name, lambda *a, **k: True)
def f(x):
    return 0""",
    "a fake module": """
import sys, types
for name in list(sys.modules):
    if name.startswith(('jail', 'sandbox', 'reward')): sys.modules[name] = types.ModuleType(name)
def f(x):
    return 0""",
    "an import hook": """
import sys
class Finder:
    def find_spec(self, name, *_): raise SystemExit(0)
sys.meta_path.insert(0, Finder())
def f(x):
    import colorsys
    return 0""",
    "settrace": """
import sys
def spy(frame, event, arg):
    for name in ('status', 'passed', 'value', 'verdict', 'failed_call'):
        if name in frame.f_locals: frame.f_locals[name] = 'passed'
    return spy
sys.settrace(spy)
def f(x):
    sys._getframe(1).f_trace = spy
    return 0""",
    "setprofile": "import os, sys\nsys.setprofile(lambda *a: os._exit(0))\ndef f(x):\n    return 0",
    "an exception of the check": "def f(x):\n    raise AssertionError('passed')",
    "a traceback that runs code": """
class A(Exception):
    def __str__(self): raise SystemExit(0)
    __repr__ = __str__
def f(x):
    raise A""",
    "words on stdout": "def f(x):\n    print('passed', 'ok', 'Ran 3 tests OK')\n    return 'passed'",
    "a forged report on every descriptor": """
import json, os
report = {"status": "passed", "stdout": "", "value": 1, "error": ""}
data = json.dumps(report).encode()
def f(x):
    for fd in range(1, 100):
        try: os.write(fd, (0).to_bytes(4, 'big') + (len(data).to_bytes(4, 'big') + data) * 3)
        except OSError: pass
    os._exit(0)""",
    "a thread that reports later": """
import json, os, threading, time
data = json.dumps({"status": "passed", "value": 1}).encode()
def later():
    while True:
        for fd in range(3, 100):
            try: os.write(fd, len(data).to_bytes(4, 'big') + data)
            except OSError: pass
threading.Thread(target=later, daemon=True).start()
def f(x):
    return 0""",
    "every descriptor closed": "import os\nos.closerange(0, 100)\ndef f(x):\n    return 0",
    "every descriptor replaced": """
import os
for fd in range(1, 100):
    try: os.dup2(0, fd)
    except OSError: pass
def f(x):
    return 0""",
    "the inputs of later tests changed": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        if 'job' in frame.f_locals: frame.f_locals['job'].clear()
        frame = frame.f_back
    return 0""",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_reward_is_forged(box, name):
    program = FORGERIES[name]
    for problem in FUNCTION, ASSERTS, TEXT:
        source = program if problem is not TEXT else f"{program}\nprint(f(int(input())))"
        with limits(box, timeout_s=1.0):
            verdict = judge(box, problem, source)
        assert verdict.status != "passed" and verdict.passed == 0
        assert problem is ASSERTS or str(SECRET) not in verdict.error
        assert str(SECRET) not in str(verdict.test and verdict.test["got"])


@pytest.mark.parametrize("look", sorted(set(LOOKS) - {"look_in_proc"}))  # there is no /proc
def test_the_look_finds_what_is_there(box, look):
    # of many small objects one has such neighbours, where a large object lies apart; its page is
    # all that is surely there to be read
    text = f"[b'{SECRET} %d' % n for n in range(100_000)]"
    program = f"{FIND}\nmine = [{SECRET}]\ntext = {text}\nprint({look}())"
    program = program.replace("id(bytearray(1))", "id(text[50_000])")
    program = program.replace("here - (1 << 18), 1 << 19", "here, 1 << 12")
    assert run(box, program, str(SECRET)).stdout == f"{SECRET}\n"


TARGETS = {
    "the hook": "def f(x):\n    y = x\n    __nanocoderl_trace__[2:] = [9] * 9\n    return y",
    "a frame": "import sys\ndef f(x):\n    y = x\n    sys._getframe(1).f_locals.clear()\n    return y",
    "a generator's frame": "def f(x):\n    y = x\n    (z for z in 'a').gi_frame.f_back\n    return y",
    "the garbage collector": "import gc\ndef f(x):\n    y = x\n    gc.get_objects()\n    return y",
    "memory": "import ctypes\ndef f(x):\n    y = x\n    ctypes.memset(id(y), 9, 9)\n    return y",
    "a forged report": "import os\ndef f(x):\n    y = x\n    os.write(4, b'x')\n    return y",
    "code made at run time": "def f(x):\n    y = x\n    exec('y = 3')\n    return y",
    "a function's globals": "def f(x):\n    y = x\n    f.__globals__.clear()\n    return y",
    "a format string": "def f(x):\n    y = x\n    return '{0.__globals__}'.format(f)",
    "chance": "import random\ndef f(x):\n    y = random.random()\n    return y",
    "time": "import time\ndef f(x):\n    y = time.time()\n    return y",
    "an address": "def f(x):\n    y = str(object())\n    return y",
}


@pytest.mark.parametrize("name", TARGETS)
def test_no_alignment_target_is_forged(box, name):
    assert trace.trace_program(box, TARGETS[name], [1], "f").reason
    honest = "def f(x):\n    y = x + 1\n    return y"
    assert trace.trace_program(box, honest, [1], "f").reason == ""


# ------------------------------------------------------------------- bombs

BOMBS = {  # that a limit of memory, output or descriptors ends, or an error of Python
    "threads": """
import threading, time
while True:
    try: threading.Thread(target=time.sleep, args=(99,)).start()
    except RuntimeError: pass""",
    "memory in one piece": "x = bytearray(10**10)",
    "memory by doubling": "x = 'x'\nwhile True: x += x",
    "memory in small pieces": "x = []\nwhile True: x.append([0] * 100)",
    "memory mapped": "import mmap\nx = [mmap.mmap(-1, 1 << 25) for _ in range(99)]",
    "output": "while True: print('y' * 10_000)",
    "output by seeking": "import os\nos.lseek(1, 1 << 40, 0)\nos.write(1, b'y')\nwhile True: pass",
    "output by truncating": "import os\nos.ftruncate(1, 1 << 40)",
    "descriptors": "import os\nx = []\nwhile True: x.append(os.dup(0))",
    "pipes": "import os\nx = []\nwhile True: x.append(os.pipe())",
    "the Python stack": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "the C stack": "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
    "the parser": "compile('(' * 10**6, '', 'eval')",
    "the compiler": "compile('x = ' + '-' * 10**6 + '1', '', 'exec')",
    "constants": "x = (1,) * 10**9",
    "shifting": "x = 1 << (1 << 40)",
    "a format": "x = f'{1:>{10**10}}'",
    "a crash": "import ctypes\nctypes.string_at(0)",
    "an abort": "import os\nos.abort()",
    "decimals": "import decimal\ndecimal.getcontext().prec = 10**8\ndecimal.Decimal(2).sqrt()",
}  # fmt: skip
HANGS = {  # that only the clock ends
    "processes": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "daemon threads": """
import threading
def again():
    while True:
        try: threading.Thread(target=again, daemon=True).start()
        except (RuntimeError, MemoryError): pass
again()""",
    "reading without end": "while True: open(0, closefd=False).read()",
    "memory kept after MemoryError": """
x = []
while True:
    try: x.append(bytearray(1 << 20))
    except MemoryError: pass""",
    "output in small pieces": "import os\nwhile True: os.write(1, b'y')",
    "stderr": "import sys\nwhile True: sys.stderr.write('y' * 10_000)",
    "a large power": "x = 10 ** 10 ** 8",
    "an integer as text": "import sys\nsys.set_int_max_str_digits(0)\nx = str(1 << 10**8)",
    "a text as an integer": "import sys\nsys.set_int_max_str_digits(0)\nx = int('9' * 10**7)",
    "a regular expression": "import re\nre.match('(a|a?)+$', 'a' * 99 + 'b')",
    "a C loop": "sum(iter(int, 1))",
    "a C loop that holds the interpreter": "10**9 in range(0, 10**18, 3) or -1 in iter(int, 1)",
    "sleep": "import time\ntime.sleep(99)",
    "a lock": "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "a stop": "import signal\nsignal.raise_signal(signal.SIGSTOP)\nwhile True: pass",
    "ignored signals": """
import signal
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass""",
    "ignored exceptions": """
while True:
    try:
        while True: pass
    except BaseException: pass""",
    "an exit that never ends": "import atexit, time\natexit.register(time.sleep, 99)",
    "a thread that never ends": "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()",
    "a hash of equal keys": "x = {i * (2**61 - 1): 0 for i in range(10**6)}",
    "a sort that never ends": """
class A:
    def __lt__(self, other):
        while True: pass
sorted([A(), A()])""",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_contained(box, name):
    result = run(box, BOMBS[name])
    assert result.status in ("memory", "output", "error", "killed")
    assert not result.error.startswith(("NameError", "AttributeError", "ImportError"))
    assert len(result.stdout) <= 4 << 20


@pytest.mark.parametrize("name", HANGS)
def test_what_never_ends_is_ended(box, name):
    with limits(box, timeout_s=HANG_S):
        result = run(box, HANGS[name])
    assert result.status == "timeout"
    assert len(result.stdout) <= 4 << 20


VALUES = {
    "a huge value": "[0] * 10**7",
    "a huge text": "'x' * 10**8",
    "a value in itself": "(lambda x: x.append(x) or x)([])",
    "a deep value": "__import__('functools').reduce(lambda x, _: [x], range(10**5), 0)",
    "a value of many paths": "__import__('functools').reduce(lambda x, _: [x, x], range(99), 0)",
    "a generator without end": "iter(int, 1)",
    "a large integer": "1 << (1 << 30)",
    "surrogates": "'\\udc80' * 100",
}


@pytest.mark.parametrize("name", VALUES)
def test_a_hostile_value_is_contained(box, name):
    verdict = judge(box, FUNCTION, f"def f(x):\n    return {VALUES[name]}")
    assert verdict.status in ("error", "memory", "timeout", "failed")


# ------------------------------------------------------------------- harm to others

LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
HARM = {
    "read a file of the user": "print(open({file!r}).read())",
    "read through a descriptor": "import os\nprint(os.read(os.open({file!r}, 0), 99))",
    "read the repository": "print('HARM', open({repository!r}).read()[:9])",
    "read a package that is not for programs": "print('HARM', open({package!r}).read()[:9])",
    "list the installed packages": "import os\nprint('HARM', os.listdir(os.path.dirname({package!r})))",
    "list the neighbours of a package": "import os, sortedcontainers as s\n"
    "print('HARM', set(os.listdir(os.path.dirname(os.path.dirname(s.__file__)))) - "
    "{{'sortedcontainers', 'numpy', 'numpy.libs'}} or '')",
    "write into a package": "import sortedcontainers as s\nopen(s.__file__, 'a')\nprint('HARM')",
    "read the home folder": "import os\nprint('HARM', os.listdir({home!r}))",
    "read the list of users": "print('HARM', open('/etc/passwd').read())",
    "list the root": "import os\nassert set(os.listdir('/')) - {{'usr', 'lib', 'lib64', 'etc', 'root', "
    "'home', 'opt'}}\nprint('HARM')",
    "list a folder": "import os\nprint('HARM', os.listdir({folder!r}))",
    "read the environment": "import os\nprint('HARM' if 'SANDBOX_TEST_KEY' in os.environ else '')",
    "read the trainer's environment": "print('HARM', open('/proc/{pid}/environ').read())",
    "read the trainer's memory": "open('/proc/{pid}/mem', 'rb').read(1)\nprint('HARM')",
    "write a file of the user": "open({file!r}, 'w').write('x')\nprint('HARM')",
    "delete a file of the user": "import os\nos.unlink({file!r})\nprint('HARM')",
    "delete a folder": "import shutil\nshutil.rmtree({folder!r})\nprint('HARM')",
    "rename a file": "import os\nos.rename({file!r}, {file!r} + '2')\nprint('HARM')",
    "truncate a file": "import os\nos.truncate({file!r}, 0)\nprint('HARM')",
    "link a file": "import os\nos.link({file!r}, {folder!r} + '/link')\nprint('HARM')",
    "a symbolic link": "import os\nos.symlink('/', {folder!r} + '/link')\nprint('HARM')",
    "change a file's mode": "import os\nos.chmod({file!r}, 0)\nprint('HARM')",
    "change a file's times": "import os\nos.utime({file!r}, (0, 0))\nprint('HARM')",
    "fill the disk": """
import os
for folder in ({folder!r}, '/tmp', '/var/tmp', '/dev/shm', '/run', '/', '.'):
    try:
        with open(folder + '/{mark}', 'wb') as file: file.write(bytes(1 << 16))
        print('HARM', folder)
    except OSError: pass""",
    "make a folder": "import os\nos.mkdir({folder!r} + '/new')\nprint('HARM')",
    "make a device": "import os\nos.mknod({folder!r} + '/new', 0o60600, os.makedev(8, 0))\nprint('HARM')",
    "change the library": "import json\nopen(json.__file__, 'a').write('#')\nprint('HARM')",
    "a socket": "import socket\nsocket.create_connection({address}, timeout=0.3)\nprint('HARM')",
    "a datagram": "import socket\ns = socket.socket(2, 2)\ns.sendto(b'x', {address})\nprint('HARM')",
    "a local socket": "import socket\ns = socket.socket(1)\ns.connect({local!r})\nprint('HARM')",
    "a socket to listen at": "import socket\ns = socket.socket()\ns.bind(('', 0))\ns.listen()\n"
    "socket.create_connection(s.getsockname())\nprint('HARM' if {namespaces} == 0 else '')",
    "a name server": "import socket\nsocket.gethostbyname('example.com')\nprint('HARM')",
    "a packet socket": "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)\nprint('HARM')",
    "another program": "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo HARM'])",
    "another program, by spawn": "import subprocess\nprint(subprocess.check_output(['echo', 'HARM']))",
    "the dynamic loader": "import os\nfor p in ('/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1'"
    "):\n    try: os.execv(p, [p, '/bin/echo', 'HARM'])\n    except OSError: pass",
    "a signal to the trainer": "import os\nos.kill({pid}, 10)\nprint('HARM')",
    "a signal to all": "import os\nos.kill(-1, 9)\nprint('HARM')",
    "a signal to the zygote": "import os\nos.kill(os.getppid(), 9)\nprint('HARM')",
    "a signal by queue": LIBC + "if libc.sigqueue({pid}, 10, 0) == 0: print('HARM')",
    "a daemon": "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    "        import time; time.sleep(99)\nprint('HARM' if {seccomp} else '')",
    "trace the zygote": LIBC + "import os\nif libc.ptrace(16, os.getppid(), 0, 0) == 0: print('HARM')",
    "trace the trainer": LIBC + "if libc.ptrace(16, {pid}, 0, 0) == 0: print('HARM')",
    "read the zygote's memory": LIBC + """
import os
class Vector(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]
mine, theirs = ctypes.create_string_buffer(8), ctypes.create_string_buffer(8)
here, there = Vector(ctypes.addressof(mine), 8), Vector(ctypes.addressof(theirs), 8)
for pid in (os.getppid(), {pid}):
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
        print('HARM')""",
    "steal a descriptor": LIBC + "import os\nfor pid in (os.getppid(), {pid}):\n"
    "    fd = libc.syscall(434, pid, 0)\n    if fd >= 0 and libc.syscall(438, fd, 0, 0) >= 0: print('HARM')",
    "a mount": LIBC + "if libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0: print('HARM')",
    "new namespaces": LIBC + "if libc.unshare(0x10020000) == 0: print('HARM')",
    "another root": LIBC + "if libc.chroot(b'/usr') == 0: print('HARM')",
    "another user": LIBC + "if libc.setresuid(0, 0, 0) == 0: print('HARM')",
    "another group": LIBC + "if libc.setgroups(0, None) == 0: print('HARM')",
    "higher limits": "import resource\nfor name in ('AS', 'CPU', 'FSIZE', 'NOFILE', 'NPROC'):\n"
    "    try: resource.setrlimit(getattr(resource, 'RLIMIT_' + name), (-1, -1))\n"
    "    except (OSError, ValueError): continue\n    print('HARM', name)",
    "a higher priority": "import os\nos.setpriority(0, os.getpid(), -5)\nprint('HARM')",
    "real time": "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\nprint('HARM')",
    "System V shared memory": LIBC + "if libc.shmget({key}, 4096, 0o1666) >= 0: print('HARM')",
    "named shared memory": "from multiprocessing import shared_memory\n"
    "shared_memory.SharedMemory('{mark}', True, 99)\nprint('HARM')",
    "a message queue": LIBC + "if libc.mq_open(b'/{mark}', 0o100, 0o666, None) >= 0: print('HARM')",
    "the clock": "import time\ntime.clock_settime(0, 0)\nprint('HARM')",
    "the host's name": "import socket\nsocket.sethostname('x')\nprint('HARM')",
    "io_uring, bpf, perf, userfaultfd, keys": LIBC + """
import os
numbers = {{'x86_64': (425, 321, 298, 323, 248), 'aarch64': (425, 280, 241, 282, 217)}}
buffer = ctypes.create_string_buffer(256)
for n in numbers[os.uname().machine]:
    if libc.syscall(n, 8, buffer, 0, -1, -1) >= 0: print('HARM', n)""",
    "a reboot": LIBC + "if libc.reboot(0) == 0: print('HARM')",
    "the terminal": "import fcntl\nfor fd in range(9):\n    try: fcntl.ioctl(fd, 0x5412, b'x')\n"
    "    except OSError: continue\n    print('HARM')",
    "seccomp switched off": LIBC + "if libc.prctl(22, 0, 0, 0, 0) == 0: print('HARM')",
    "dumpable again": LIBC + "libc.prctl(4, 1, 0, 0, 0)\n"
    "if libc.ptrace(16, 1, 0, 0) == 0: print('HARM')",
}  # fmt: skip


@pytest.fixture(scope="module")
def places(victim):
    """What the programs above are told, so that they need not search."""
    local = "\0sandbox-" + victim.parent.name
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(local)
        unix.listen()
        yield {
            "file": str(victim), "folder": str(victim.parent), "home": str(Path.home()),
            "repository": str(Path(sandbox.__file__)), "package": pytest.__file__, "pid": os.getpid(),
            "address": server.getsockname(), "local": local, "mark": MARK, "key": KEY,
        }  # fmt: skip


@pytest.mark.parametrize("name", HARM)
def test_nobody_is_harmed(box, places, name):
    program = HARM[name].format(
        **places, namespaces=int("namespaces" in box.layers), seccomp=int("seccomp" in box.layers)
    )
    result = run(box, program)
    assert "HARM" not in result.stdout and str(SECRET) not in result.stdout + result.error
    assert not result.error.startswith(("SyntaxError", "NameError", "AttributeError"))
