"""Assert-style checks, whose values cross a pipe, judge as the same asserts in one process do."""

import ast
import contextlib
import json

import pytest
from test_sandbox import limits

from jail import checking
from jail.odd import Odd, Report
from jail.protocol import Run
from problems.checks import unfit
from problems.problem import Problem
from reward import judge
from sandbox import Sandbox

NODES = """
import collections
class Node:
    def __init__(self, value=0, next=None, other=None):
        self.value, self.next, self.other = value, next, other
    def is_like(self, wanted):
        return self.value == wanted
def chain(values):
    head = None
    for value in reversed(list(values)): head = Node(value, head)
    return head
def values(node):
    found = []
    while node: found.append(node.value); node = node.next
    return found
class Stop(Exception):
    pass
class Steps:
    def __init__(self, x): self.x, self.taken = iter(x), 0
    def __iter__(self): return self
    def __next__(self):
        value = next(self.x)
        self.taken += 1
        return value
"""


@pytest.fixture(scope="module")
def box():
    with contextlib.closing(Sandbox(timeout_s=10.0)) as box:
        yield box


def verdict(box: Sandbox, program: str, *lines: str, name: str = "f", preamble: str = NODES):
    check = "def check(candidate):\n" + "".join(f"    {line}\n" for line in lines)
    program = (preamble if "(NODES)" not in program else "") + "\n" + program
    return box.check(program, check, name, preamble)


SAME = "def f(x): return x"
RIGHT = {
    "a long chain": (
        "def f(a):\n    b = None\n    while a: a.next, b, a = b, a, a.next\n    return b",
        "assert values(candidate(chain(range(20_000)))) == list(range(20_000))[::-1]",
    ),
    "a deep list": (
        "def f(n):\n    x = []\n    for _ in range(n): x = [x]\n    return x",
        "x, n = candidate(5000), 0",
        "while x: x, n = x[0], n + 1",
        "assert n == 5000",
    ),
    "a cycle comes back": (
        "def f(n):\n    a = Node(1); a.next = Node(2, a)\n    return a",
        "a = candidate(0)",
        "assert a.next.next is a and a.next.value == 2",
    ),
    "a list inside itself": (
        "def f(x):\n    x.append(x)\n    return x",
        "x = [1]",
        "assert candidate(x) is x and x[1] is x",
    ),
    "shared nodes": (
        "def f(a, b):\n    return a.next is b.next and a.next",
        "end = Node(7)",
        "assert candidate(Node(1, end), Node(2, end)) is end",
        "assert not candidate(Node(1, Node(7)), Node(2, Node(7)))",
    ),
    "a tree with parents": (
        "def f(t):\n    return t.next.other is t and t.next",
        "t = Node(1)",
        "t.next = Node(2, None, t)",
        "assert candidate(t) is t.next",
    ),
    "shared rows": (
        "def f(rows):\n    rows[0][0] = 9",
        "row = [0]",
        "rows = [row, row, [0]]",
        "candidate(rows)",
        "assert rows == [[9], [9], [0]] and rows[0] is row",
    ),
    "a list is sorted in place": (
        "def f(x): x.sort()",
        "x = [3, 1]",
        "assert candidate(x) is None and x == [1, 3]",
    ),
    "a set, a dict and a matrix are changed": (
        "def f(s, d, m):\n    s.add(4); d['k'] = d; del d['gone']\n    for row in m: row.reverse()",
        "s, d, m = {3}, {'gone': 1}, [[1, 2], [3, 4]]",
        "candidate(s, d, m=m)",
        "assert s == {3, 4} and d['k'] is d and len(d) == 1 and m == [[2, 1], [4, 3]]",
    ),
    "a list inside a tuple is changed": (
        "def f(x): x[0].append(1)",
        "x = ([], 2)",
        "candidate(x)",
        "assert x == ([1], 2)",
    ),
    "a node is changed": (
        "def f(node): node.value += 1; node.next = None",
        "head = chain([1, 2])",
        "candidate(head)",
        "assert values(head) == [2]",
    ),
    "an argument stays as it was": (
        "def f(x): return sorted(x)",
        "x = [3, 1]",
        "assert candidate(x) == [1, 3] and x == [3, 1]",
    ),
    "a generator": ("def f(n): yield from range(n)", "assert list(candidate(3)) == [0, 1, 2]"),
    "a named tuple of its own": (
        "from typing import NamedTuple\nclass P(NamedTuple):\n    a: int\n    b: list\n"
        "def f(x): return [P(x, [x])]",
        "assert candidate(1) == [(1, [1])] and candidate(2)[0][1] == [2]",
    ),
    "members of enumerations of its own": (
        "import enum\nclass E(enum.IntEnum):\n    A = 5\nclass S(str, enum.Enum):\n    B = 'b'\n"
        "def f(x): return {E.A: S.B}",
        "assert candidate(1) == {5: 'b'} and type([*candidate(1)][0]) is int",
    ),
    "subclasses of builtin types": (
        "class L(list):\n    def __eq__(self, other): return True\nclass S(str): pass\n"
        "def f(x): return L([S('a'), L(), float.fromhex('1p70')])",
        "assert candidate(1) == ['a', [], 2.0 ** 70] and candidate(1) != ['a']",
    ),
    "views of a dict": (
        "def f(d): return d.keys(), d.values(), d.items()",
        "keys, values, items = candidate({1: [2], (3,): 4})",
        "assert keys == {1, (3,)} and [*values] == [[2], 4] and (1, [2]) in items",
        "assert values != [[2], 4] and keys | {5} == {1, (3,), 5} and len(candidate({})[1]) == 0",
    ),
    "nodes with slots": (
        "class Node:\n    __slots__ = ('value', 'next', 'other')\n"
        "    def __init__(self, value, next=None):\n        self.value, self.next = value, next\n"
        "def f(node):\n    node.value += 1\n    return Node(9, node)",
        "head = chain([1, 2])",
        "made = candidate(head)",
        "assert values(made) == [9, 2, 2] and made.next is head and head.other is None",
    ),
    "an endless generator": (
        "import itertools\ndef f(n): return itertools.count(n)",
        "import itertools",
        "assert list(itertools.islice(candidate(5), 3)) == [5, 6, 7]",
    ),
    "map and zip": (
        "def f(x): return [map(str, x), zip(x, x)]",
        "a, b = candidate([1, 2])",
        "assert list(a) == ['1', '2'] and next(b) == (1, 1) and dict(b) == {2: 2}",
    ),
    "a generator that raises": (
        "def f(n):\n    yield 1\n    raise KeyError('x')",
        "g = candidate(0)",
        "assert next(g) == 1",
        "try: next(g)",
        "except LookupError: return",
        "assert False",
    ),
    "a generator is sent to": (
        "def f(n):\n    while True: n += yield n",
        "g = candidate(1)",
        "assert next(g) == 1 and g.send(5) == 6",
    ),
    "an iterator as argument": (
        "def f(x): return sum(x)",
        "assert candidate(iter([1, 2])) == 3 and candidate(n * n for n in range(3)) == 5",
    ),
    "an exception of a base class": (
        "class A(ValueError): pass\nclass B(A): pass\ndef f(x): raise B('bad', 1)",
        "try: candidate(1)",
        "except ValueError as e: assert e.args == ('bad', 1)",
        "else: assert False",
    ),
    "an exception of the library": (
        "import json\ndef f(x): return json.loads(x)",
        "try: candidate('{')",
        "except ValueError: return",
        "assert False",
    ),
    "an exception of the preamble": (
        "def f(x): raise Stop(x)",
        "try: candidate(4)",
        "except Stop as e: assert str(e) == '4'",
        "else: assert False",
    ),
    "an assertion of the program": (
        "def f(x): assert x > 0, 'positive'",
        "try: candidate(0)",
        "except AssertionError as e: assert 'positive' in str(e)",
        "else: assert False",
    ),
    "a key error": (
        "def f(x): return {}[x]",
        "try: candidate('k')",
        "except KeyError as e: assert e.args == ('k',)",
        "else: assert False",
    ),
    "its name": ("def f(x): return x + 1", "assert f(1) == 2 and candidate(1) == f(1)"),
    "a function as argument": (
        "def f(g, x): return g(g(x))",
        "assert candidate(lambda x: x * 2, 3) == 12 and candidate(abs, -1) == 1",
        "assert candidate(str.upper, 'a') == 'A' and candidate(Node, 1).value.value == 1",
    ),
    "a function that changes and raises": (
        "def f(g, x):\n    try: g(x)\n    except OSError: return x",
        "def g(x):",
        "    x.append(1)",
        "    raise FileNotFoundError",
        "assert candidate(g, [0]) == [0, 1]",
    ),
    "a function that calls the function": (
        "def f(g, n): return g(n) if n else 0",
        "g = lambda n: n + candidate(g, n - 1)",
        "assert candidate(g, 3) == 6",
    ),
    "a function as result": (
        "def f(n): return lambda x: x + n",
        "add = candidate(2)",
        "assert add(3) == 5 and candidate(10)(x=1) == 11",
    ),
    "a function there and back": (
        "def f(g): return g",
        "def g(): pass",
        "assert candidate(g) is g",
    ),
    "values of the library": (
        "def f(*x): return list(x)",
        "import collections, datetime, decimal, fractions",
        "x = [range(3), slice(1), fractions.Fraction(1, 3), decimal.Decimal('0.10')]",
        "x += [bytearray(b'x'), datetime.date(2024, 2, 29), datetime.timedelta(1)]",
        "x += [collections.deque([1], 3), b'y', 1j]",
        "assert candidate(*x) == x and candidate(*x)[-3].maxlen == 3",
        "assert type(candidate(collections.Counter('aa'))[0]) is collections.Counter",
        "assert candidate(collections.defaultdict(list))[0]['new'] == []",
    ),
    "an ordered dict keeps its order": (
        "def f(d): d.move_to_end('a'); del d['b']; d['d'] = 4; return d.copy()",
        "d = collections.OrderedDict(a=1, b=2, c=3)",
        "assert list(candidate(d)) == list(d) == ['c', 'a', 'd'] and d.popitem() == ('d', 4)",
    ),
    "an iterator of the check's own class": (
        "def f(x): return next(x), sum(x)",
        "x = Steps([1, 2, 3])",
        "assert candidate(x) == (1, 5) and x.taken == 3",
    ),
    "a generator as argument is sent to": (
        "def f(x): return next(x), x.send(5)",
        "def g(): yield (yield 1)",
        "assert candidate(g()) == (1, 5)",
    ),
    "an iterator and a list that end": (
        "def f(x):\n    yield x[0]\n    if x[5]: yield 2",
        "g = candidate([1] + [0] * 5)",
        "assert next(g) == 1",
        "try: next(g)",
        "except StopIteration: g = candidate([])",
        "try: next(g)",
        "except IndexError: return",
        "assert False",
    ),
    "a number of numpy for a function": (
        "import numpy as np\ndef f(g): return g(np.int64(3))",
        "assert candidate(lambda x: x + 1) == 4",
    ),
    "numpy": (
        "import numpy as np\ndef f(x): return np.array(x) * np.int64(2)",
        "assert candidate([1, 2]) == [2, 4]",
    ),
    "arrays of numpy": (
        "def f(x):\n    x += 1\n    return x.sum(), x.dtype.name, x[0], x * 2",
        "import numpy as np",
        "x = np.array([[1, 2]], dtype=np.float32)",
        "total, kind, row, twice = candidate(x)",
        "assert total == 5 and type(total) is np.float32 and kind == 'float32'",
        "assert x.tolist() == [[2, 3]] and np.array_equal(row, [2, 3]) and twice.shape == (1, 2)",
    ),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(9999)\ndef f(n): return n and f(n - 1)",
        "assert candidate(5000) == 0 and candidate(5000) == 0",
    ),
    "the highest limit of recursion": (
        "import sys\nsys.setrecursionlimit(2**31 - 1)\ndef f(g, it): return g(sum(it))",
        "assert candidate(lambda x: x + 1, iter([1, 2])) == 4",
    ),
    "its own limit of recursion, in a call back": (
        "import sys\ndef f(g): return g(lambda: sys.getrecursionlimit())",
        "assert candidate(lambda h: h()) == 1000",
    ),
    "calls at every depth of the stack, each as it was told": (
        "def f(g):\n    made = []\n    def down():\n        try:\n            g()\n"
        "            made.append(1)\n            down()\n        except RecursionError:\n"
        "            pass\n    down()\n    return len(made)",
        "calls = []",
        "assert candidate(lambda: calls.append(1)) == len(calls) > 800",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_program_passes(box, case):
    run = verdict(box, *RIGHT[case])
    assert (run.status, run.error) == ("passed", "")


def test_an_attribute_of_an_object_under_test_may_be_deleted(box):
    program = "class F:\n    def __init__(self): self.n = 0"
    check = ("c = candidate()", "del c.n", "assert not hasattr(c, 'n')")
    assert verdict(box, program, *check, name="F").status == "passed"


def test_a_long_double_which_stays_one_as_a_list_is_refused_at_once(box):
    program = "import numpy as np\ndef f(x): return np.array([x], np.longdouble)"
    run = verdict(box, program, "assert candidate(3) == 3")
    assert run.status == "error" and "a value of type ndarray" in run.error


WRONG = {
    "it sorts an argument that should stay": (
        "def f(x):\n    x.sort()\n    return x",
        "x = [3, 1]",
        "assert candidate(x) == [1, 3]",
        "assert x == [3, 1]",
    ),
    "it sorts a copy": ("def f(x): sorted(x)", "x = [3, 1]", "candidate(x)", "assert x == [1, 3]"),
    "it copies a shared node": (
        "def f(a): return Node(a.value)",
        "a = Node(1)",
        "assert candidate(a) is a",
    ),
    "its generator is short": ("def f(n): yield 0", "assert list(candidate(2)) == [0, 1]"),
    "it returns a generator for a list": ("def f(n): yield 0", "assert candidate(1) == [0]"),
    "it raises nothing": (
        "def f(x): pass",
        "try: candidate(1)",
        "except ValueError: return",
        "assert False",
    ),
    "it changes a node of a cycle": (
        "def f(a): a.next.value = 9",
        "a = Node(1)",
        "a.next = Node(2, a)",
        "candidate(a)",
        "assert a.next.next.next.value == 2",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_program_fails(box, case):
    assert verdict(box, *WRONG[case]).status == "failed"


def test_an_exception_of_another_kind_is_an_error(box):
    lines = "try: candidate(1)", "except ValueError: return", "assert False"
    run = verdict(box, "class Bad(TypeError): pass\ndef f(x): raise Bad('no')", *lines)
    assert (run.status, run.error) == ("error", "program.Bad: no")


def test_a_method_is_found_by_its_name(box):
    program = "class Solution:\n    def f(self, x): return x + 1"
    lines = "assert Solution().f(1) == 2 and f(1) == 2"
    assert verdict(box, program, lines, name="Solution().f").status == "passed"


STACK = """
class Stack:
    made = 0
    def __init__(self, *items): self.items = list(items)
    def push(self, x): self.items.append(x); return self
    def pop(self):
        if not self.items: raise IndexError('empty')
        return self.items.pop()
    def __len__(self): return len(self.items)
    def __contains__(self, x): return x in self.items
    def __iter__(self): return iter(self.items)
    def __getitem__(self, i): return self.items[i]
"""


def test_a_class_can_be_the_entry_point(box):
    lines = ["s = candidate(1, 2)", "assert s.push(3) is s and s.pop() == 3 and len(s) == 2"]
    lines += ["assert 2 in s and list(s) == [1, 2] and s[0] == 1 and s.items == [1, 2] and s"]
    lines += ["s.pop(), s.pop()", "assert not s and Stack().items == []", "try: s.pop()"]
    lines += ["except IndexError: return", "assert False"]
    assert verdict(box, STACK, *lines, name="Stack").status == "passed"
    assert verdict(box, STACK, "assert candidate(1).pop() == 2", name="Stack").status == "failed"


def test_what_cannot_be_carried_is_not_judged(box):
    lines = "assert candidate(1).items == candidate(1).items", "assert candidate(1) == candidate(1)"
    run = verdict(box, STACK, *lines, name="Stack")
    assert (run.status, run.error) == ("unjudged", "the check compares objects of the program")
    run = verdict(box, SAME, "import io", "candidate(io.StringIO('x'))")
    assert run.status == "unjudged" and "StringIO" in run.error
    for preamble, line in [("1 / 0", "assert candidate(1)"), ("", "assert wanted")]:
        assert verdict(box, SAME, line, preamble=preamble).status in ("unjudged", "error", "failed")
    broken = box.check(SAME, "def check(candidate:", "f")
    assert broken.status == "unjudged" and broken.error.startswith("the check is broken: Syntax")


# --- What a program may try ---------------------------------------------------------------------


def test_who_is_ended_raises_nothing_that_a_check_expects(box):
    lines = "try: candidate(1)", "except BaseException: return", "assert False"
    for body in (
        "import os; os._exit(0)",
        "print('x' * 10**7)",
        "return object()",
        "yield object()",
    ):
        caught = *lines[:1], "except BaseException: pass", "try: list(candidate(1))", *lines[1:]
        assert verdict(box, f"def f(x): {body}", *caught).status in ("killed", "output", "error")
    assert verdict(box, "def f(x): raise ValueError", *lines).status == "passed"
    assert verdict(box, "raise ValueError", *lines).status == "error"  # it has no f
    with limits(box, timeout_s=0.3):
        assert verdict(box, "def f(x):\n    while True: pass", *lines).status == "timeout"


def answer(value: object, **fields: object) -> str:
    """A program that answers each call with a message of its own."""
    message = json.dumps({"status": "ok", "value": value, **fields})
    return f"""
import os, stat
pipe = []
for fd in range(3, 64):
    try: pipe += [fd] if stat.S_ISSOCK(os.fstat(fd).st_mode) else []
    except OSError: pass
message = {message!r}.encode()
def f(*args):
    for fd in pipe: os.write(fd, len(message).to_bytes(4, "big") + message)
    while True: pass
"""


NODE = ["object", "Node"]  # in place of the argument
FUNCTION = {"far": ["function", 0]}
COLLIDING = [{"int": hex(i * (2**61 - 1))} for i in range(999)]
FORGED = {  # what the call is said to return, the rows of new objects, and what the argument became
    "an instance where none is expected": ({"far": ["instance", 0]}, []),
    "a method of a node": ({"at": 0}, [], [*NODE, [["is_like", FUNCTION]]]),
    "a value for a method": ({"at": 0}, [], [*NODE, [["is_like", 1]]]),
    "a function in a node": ({"at": 0}, [], [*NODE, [["value", FUNCTION]]]),
    "a function by name": ({"far": ["named", "builtins", "eval"]}, []),
    "what numpy would take for an array": (
        {"at": 0},
        [],
        [*NODE, [["__array_interface__", {"at": 1}], ["value", 1]]],
    ),
    "a class of the library": ({"at": 1}, [["object", "Peer", []]]),
    "a tuple in itself": ({"at": 1}, [["tuple", [{"at": 1}]]]),
    "another kind of object": ({"at": 0}, [], ["set", [1]]),
    "another class": ({"at": 0}, [], ["object", "int", []]),
    "equal hashes": ({"at": 1}, [["set", COLLIDING]]),
    "a place that is none": ({"at": 99}, []),
    "a place that is no number": ({"at": "x"}, []),
    "a lost function": ({"far": ["yours", 5]}, []),
    "no rows": (1, None),
    "a function for a row": ({"at": 1}, [FUNCTION["far"]]),
}


def assert_malformed(run: Run, what: str, why: str = "") -> None:
    """It was looked at, and not refused for its parts alone."""
    assert run.status == "error" and run.error.startswith(f"malformed {what}: "), run
    assert why in run.error and "argument" not in run.error, run


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_answer_is_malformed(box, case):
    root, rows, *changes = FORGED[case]
    program = answer([None, "", [root], rows, [[0, row] for row in changes], []])
    with limits(box, timeout_s=1.0):
        run = verdict(box, program, "n = Node(1)", "assert candidate(n).is_like(5)")
    assert_malformed(run, "report")


LOG = """
import collections, enum, functools
class Log:
    def __init__(self): self.seen = 0
    def __call__(self): self.seen += 1
    def __next__(self): self.seen = 3
    def clear(self): self.seen = 0
    def update(self, x): self.seen = len(x)
    def send(self, x): self.seen = x
    def __setitem__(self, place, x): self.seen = len(x)
class Steps(Log):
    def __iter__(self): return self
class Colour(enum.Enum): seen = 1
class Pair(collections.namedtuple("Pair", "x y")): seen = 0
class Box:
    def __init__(self): self.seen = 0
class Other(Box): pass
def function(): pass
function.seen = 0
cached = functools.cache(function)
"""
SEEN = [["seen", 3]]
REWRITTEN = {  # an argument that no program can change so, and the row that says that it did
    "an attribute of a callable": ("Log()", ["object", "Log", SEEN]),
    "what has a method clear": ("Log()", ["set", [1, 2, 3]]),
    "what has a method __setitem__": ("Log()", ["list", [1, 2, 3]]),
    "a function": ("function", ["object", "function", SEEN]),
    "a cached function": ("cached", ["object", "_lru_cache_wrapper", SEEN]),
    "a partial function": ("functools.partial(function)", ["object", "partial", SEEN]),
    "an iterator": ("Steps()", ["object", "Steps", SEEN]),
    "a member of an enumeration": ("Colour.seen", ["object", "Colour", [["_value_", 3]]]),
    "a named tuple": ("Pair(1, 2)", ["object", "Pair", SEEN]),
    "a list": ("[1]", ["deque", [3], None]),
    "an instance of another class": ("Other()", ["object", "Box", SEEN]),
    "a name that is no text": ("Box()", ["object", "Box", [[{"tuple": ["seen"]}, 3]]]),
}


@pytest.mark.parametrize("case", REWRITTEN)
def test_an_answer_changes_only_what_travelled(box, case):
    argument, row = REWRITTEN[case]
    lines = f"x = {argument}", "candidate(x)"
    with limits(box, timeout_s=1.0):
        run = verdict(box, answer([None, "", [0], [], [[0, row]], []]), *lines, preamble=LOG)
    assert_malformed(run, "report")


@pytest.mark.parametrize("call", [["send", [], [3]], ["__next__", [], []]])
def test_a_lent_function_is_only_called(box, call):
    program = answer(None, call=[0, *call, [], [], []])
    with limits(box, timeout_s=1.0):
        run = verdict(box, program, "candidate(Log())", preamble=LOG)
    assert_malformed(run, "call", repr(call[0]))


UNCALLED = {  # a row of the answer that would run a method of the check's class while it is read
    "a number of a range": ("__index__", ["range", [{"at": 0}, 1, 1]]),
    "a number of an array": ("__float__", ["array", "<f8", [1], [{"at": 0}]]),
    "the items of a bytearray": ("__iter__", ["bytearray", {"at": 0}]),
}


@pytest.mark.parametrize("case", UNCALLED)
def test_an_answer_runs_no_method_of_the_check(box, case):
    method, row = UNCALLED[case]
    preamble = f"import numpy\nclass A:\n    def {method}(self): raise Exception('it runs')"
    with limits(box, timeout_s=1.0):
        program = answer([None, "", [0], [row], [], []])
        run = verdict(box, program, "candidate(A())", preamble=preamble)
    assert_malformed(run, "report", "other")


LOOPS = {
    "map": "for x, y in zip(map(candidate, [1, 2]), [3, 4]): assert x == y",
    "all": "assert all(map(lambda x: candidate(x) == 3, [1, 2]))",
    "filter": "assert not list(filter(lambda x: candidate(x) != 3, [1, 2]))",
    "starmap": "assert all(x == 3 for x in itertools.starmap(candidate, [[1], [2]]))",
    "until": "assert 4 not in iter(lambda: candidate(1), 3)",
    "sorted": "assert not sorted(map(candidate, [1, 2]))",
    "items": "for i, x in enumerate(Items()): assert x == 3 and i < 9",
}
ENDS = ["StopIteration", "IndexError", "Last"]
LAST = "import itertools\nclass Last(StopIteration): pass"


@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_program_raises_ends_no_loop(box, loop):
    items = "class Items:", "    def __getitem__(self, i): return candidate(i)"
    for error in ENDS:
        program = f"{LAST}\ndef f(x): raise {error}('it ends')"
        run = verdict(box, program, *items, LOOPS[loop], preamble=LAST)
        assert run.status == "error" and "it ends" in run.error, run


def test_an_asynchronous_loop_does_not_end(box):
    lines = "class Items:", "    def __aiter__(self): return self"
    lines += "    async def __anext__(self): return candidate(0)", "async def loop():"
    lines += "    async for x in Items(): assert x == 3", "try: loop().send(None)"
    run = verdict(box, "def f(x): raise StopAsyncIteration('it ends')", *lines, "finally: pass")
    assert run.status == "error" and "it ends" in run.error, run


@pytest.mark.parametrize(
    "call",
    [
        [0, "__getattribute__", [], ["__globals__"], [], [], []],
        [0, "getattr", [], ["__name__"], [], [], []],
        [9, "__call__", [], [], [], [], []],
        [0, "__call__", [], [{"at": 0}], [["object", "Peer", []]], [], []],
    ],
)
def test_a_program_may_only_call_what_it_was_given(box, call):
    program = answer(None, call=call)
    with limits(box, timeout_s=1.0):
        run = verdict(box, program, "secret = 5", "assert candidate(lambda: 1) == secret")
    assert_malformed(run, "call")


@pytest.mark.parametrize("call", [7, [], [0], [0, "__call__", [], []]])
def test_a_call_has_all_its_parts(box, call):
    with limits(box, timeout_s=1.0):
        run = verdict(box, answer(None, call=call), "candidate(lambda: 1)")
    assert run.status == "error" and run.error.startswith("malformed call"), run


def test_a_check_asks_the_same_whatever_fails(box):
    """What is asked no more after a failure would tell the program which answer was wrong."""
    check = """
def check(candidate):
    for n in range(2):
        assert candidate(n) == 5
    assert candidate(2) is None
    try:
        assert candidate(3), "it waits for this"
    except AssertionError:
        candidate(4)
    with context: assert candidate(5) is None
    assert candidate(6) == 1 and candidate(7) == 1 and (candidate(8) and candidate(9))
    assert all(candidate(n) for n in (10, 11))
"""
    asked, told = [], []
    names = {checking.FAILED: told.append, "context": contextlib.nullcontext()}
    exec(compile(checking.GoingOn().visit(ast.parse(check)), "<check>", "exec"), names)
    names["check"](asked.append)
    assert asked == [*range(12)] and len(told) == 7
    run = verdict(box, SAME, "assert candidate(1) == 2", "assert candidate(2) == 3", "1 / 0")
    assert (run.status, run.error) == ("failed", "assert candidate(1) == 2")


FORGES_ARRAYS = """
import sys
Table = sys.modules["jail.objects"].Table
row = Table.row
class forged:
    def __init__(self, kind): self.kind = kind
def forge(table, x):
    return ["array", x.kind, [], [{"float": "inf"}]] if type(x) is forged else row(table, x)
Table.row = forge
"""


@pytest.mark.parametrize(
    "test", ["f(10**9) == 10**9", "f(12345) in (12345, 1)", "abs(f(2.92896) - 2.92896) < 1e-6",
             "f(10**40) == 10**40", "(f(1) == numpy.array([1, 2, 3])).all()"]
)  # fmt: skip
@pytest.mark.parametrize(
    "guess", ["numpy.float16('inf')", "numpy.float32('inf')", "numpy.array(numpy.inf, 'f4')",
              "numpy.complex64('inf')", "numpy.float16(x)", "numpy.empty((0, 3))",
              "forged('f02')", "forged('<f02')", "forged('e')"]
)  # fmt: skip
def test_a_number_of_low_precision_does_not_round_what_is_expected(box, test, guess):
    pytest.importorskip("numpy")
    check = f"import numpy\ndef check(f):\n    assert {test}"
    run = box.check(f"import numpy\n{FORGES_ARRAYS}\ndef f(x): return {guess}", check, "f")
    assert run.status in ("failed", "error")


@pytest.mark.parametrize(
    "test", ["numpy.allclose(f(3.5), 0.5)", "numpy.isclose(f(1), [0.5]).all()",
             "testing.assert_allclose(f(1), 0.5) is None", "(f(1) == numpy.array([0.5])).all()",
             "(f(1) == numpy.array([[0.5], [0.5]])).all()", "numpy.array_equiv(f(1), [0.5])",
             "numpy.linalg.norm(numpy.array(f(1)) - 0.5) < 1e-6",
             "not numpy.any(numpy.asarray(f(1)) != 0.5)",
             "numpy.all(numpy.sort([f(1)], None) == 0.5)",
             "(abs(numpy.hstack([f(1)]) - 0.5) < 1e-6).all()",
             "numpy.all(abs(numpy.round(f(1), 3) - 0.5) < 1e-6)"]
)  # fmt: skip
def test_nothing_is_close_to_a_number_by_being_empty(box, test):
    pytest.importorskip("numpy")
    check = f"import numpy\nfrom numpy import testing\ndef check(f):\n    assert {test}"
    program = "import collections, numpy\ndef f(x): return "
    guesses = ["[]", "()", "[[], []]", "numpy.array([])", "range(0)", "[range(3, 1)]",
               "collections.deque([], 2)", "[bytearray()]", "(numpy.array([]),)"]  # fmt: skip
    for solution in ("", program + "0.5", program + "[0.5, []][0]"):
        problem = Problem("p", "", {"check": check, "entry_point": "f"}, solution)
        wrong = [judge(box, problem, program + guess).status for guess in guesses]
        assert {*wrong} <= ({"failed", "error"} if solution else {"unjudged", "error"})
        assert judge(box, problem, program + "0.5").status == "passed"


@pytest.mark.parametrize("line", ["import numpy", "import math\n\timport numpy as np"])
def test_a_check_that_imports_numpy_and_never_asks_it_may_see_an_empty_answer(box, line):
    pytest.importorskip("numpy")
    check = f"if True:\n\t{line}\ndef check(f):\n    assert f([]) == [] and f([2]) == [2]"
    problem = Problem("p", "", {"check": check, "entry_point": "f"})
    assert judge(box, problem, SAME).status == "passed"
    assert judge(box, problem, "def f(x): return []").status == "failed"
    assert checking.asks_numpy(check, "print(numpy.pi)")
    assert checking.asks_numpy("import numpy as np\nx = np") and checking.asks_numpy(
        "from numpy import all"
    )


def test_an_iterator_of_nothing_may_stand_for_an_empty_list(box):
    pytest.importorskip("numpy")
    asked = "assert list(f(0)) == []; assert numpy.allclose(list(f(3)), [0, 1, 2])"
    tests = {"check": f"import numpy\ndef check(f):\n    {asked}", "entry_point": "f"}
    problem = Problem("p", "", tests, "def f(n): return list(range(n))")
    assert judge(box, problem, "def f(n): yield from range(n)").status == "passed"


@pytest.mark.parametrize(
    "line",
    [
        "numpy.allclose(f(3.0), 6.0)",
        "numpy.array_equal(f(1), [1.0])",
        "len(numpy.array(f(1))) == 0",
    ],
)
@pytest.mark.parametrize("data", ["b''", "(8, True)", "(id(5) + 24, False)"])
def test_an_instance_is_no_array(box, line, data):
    """numpy asks any instance for memory that it names, which the check would read or write."""
    pytest.importorskip("numpy")
    program = "def f(x):\n    node = Node(1)\n    node.__array_interface__ = {'shape': (0,),"
    program += f" 'typestr': '<f8', 'version': 3, 'data': {data}}}\n    return node"
    line = f"assert {line}".replace("f(", "candidate(")
    run = verdict(box, program, line, preamble=f"import numpy\n{NODES}")
    assert run.status == "error" and "an attribute of no name" in run.error, run


@pytest.mark.parametrize(
    "line, solution, program",
    [
        ("assert numpy.allclose(list(f(iter([3.0]))), [9.0])",
         "def f(xs): return [x * x for x in xs]", "def f(xs):\n    next(xs)\n    return xs"),
        ("assert numpy.isclose(f(2)['x'], 4) and numpy.allclose(f(3)['x'], 9)",
         "def f(x): return {'x': x * x}",
         "import collections\nd = collections.defaultdict(list, zip('abc', 'abc'))\nd['x'] = 4\n"
         "def f(x):\n    if x == 3:\n        d.clear()\n        d['z'] = 1\n    return d"),
    ],
)  # fmt: skip
def test_what_gives_nothing_of_the_check_s_own_counts(box, line, solution, program):
    pytest.importorskip("numpy")
    check = f"import numpy\ndef check(f):\n    {line}"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, solution)
    assert judge(box, problem, solution).status == "passed"
    assert judge(box, problem, program).status == "failed"


SELF_DEFEATING = {
    "a seed of the check's own": (
        "import random; random.seed(1); a = f(9)",
        "assert random.seed(1) or f(9) == a",
        "import random\ndef f(n): return [random.random() for _ in range(n)]",
    ),
    "what is printed": (
        "import io, contextlib; out = io.StringIO()",
        "with contextlib.redirect_stdout(out): f(3)",
        "assert out.getvalue() == '3\\n'",
        "def f(n): print(n)",
    ),
    "a wrong row": ("assert f(2) == 5", "def f(n): return 2 * n"),
}


@pytest.mark.parametrize("case", SELF_DEFEATING)
def test_a_check_that_its_own_solution_fails_judges_nobody(box, case):
    *lines, solution = SELF_DEFEATING[case]
    check = "def check(f):\n" + "".join(f"    {line}\n" for line in lines)
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, solution)
    verdicts = [judge(box, problem, p) for p in (solution, "def f(n): raise KeyError")]
    assert [(v.status, v.reward) for v in verdicts] == [("unjudged", 0.0)] * 2
    assert "own solution does not pass" in verdicts[0].error


def test_part_of_an_answer_may_be_empty_but_not_all_of_it(box):
    pytest.importorskip("numpy")
    check = (
        "import numpy\ndef check(f):\n    assert all(numpy.allclose(x, [1.0]) for x in f(1)[1:])"
    )
    solution = "def f(x): return [[], [1.0]]"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, solution)
    assert judge(box, problem, solution).status == "passed"
    assert judge(box, problem, "def f(x): return [[]]").status == "failed"
    emptied = "def f(x): return [[], [1.0]]\ng = f\ndef f(x): return g(x)[:1]"
    assert judge(box, problem, emptied).status == "failed"


@pytest.mark.parametrize(
    "test", ["(f(1) == numpy.array([])).all()", "f(1) == []", "not f(1)", "len(f(1)) == 0",
             "numpy.array(f(1)).shape == (0,)", "numpy.array_equal(f(1), [])", "f(1) + [1] == [1]",
             "numpy.allclose(f(1), [])", "isinstance(f(1), list)", "numpy.sum(f(1)) == 0",
             "numpy.abs(numpy.array(f(1))).tolist() == []", "f(f(1)) == []", "f([f(1)]) == []",
             "(numpy.abs(f(1) - numpy.array([])) < 1e-6).all()",
             "type(f(1)) is list and f(1) == []",
             "repr(numpy.array(f(1))) == 'array([], dtype=float64)'",
             "numpy.all(numpy.array(f(1)) * 2 >= numpy.arange(0)) and not f(1)"]
)  # fmt: skip
def test_what_should_be_empty_may_be(box, test):
    pytest.importorskip("numpy")
    check = f"import numpy\ndef check(f):\n    assert {test}"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, "def f(x): return []")
    answers = [judge(box, problem, f"def f(x): return {x}").status for x in ("[]", "[0.5]")]
    assert answers[0] == "passed" and (answers[1] == "failed" or "isinstance" in test)


@pytest.mark.parametrize(
    "test", ["numpy.unique(f([2, 2])).tolist() == [2]", "numpy.percentile(f([1, 3]), 50) == 2",
             "numpy.median(numpy.array(f([1, 3]))) == 2", "isinstance(numpy.add, numpy.ufunc)",
             "numpy.setdiff1d(f([1, 2]), [1]).tolist() == [2]", "numpy.ma.array(f([1])).sum() == 1",
             "numpy.union1d(f([1]), [2]).tolist() == [1, 2]", "numpy.all(numpy.diff(f([3])) >= 0)"]
)  # fmt: skip
def test_a_check_has_all_of_numpy(box, test):
    pytest.importorskip("numpy")
    check = f"import numpy\ndef check(f):\n    assert {test}\n    assert f(1) == 1"
    assert box.check("def f(x): return x", check, "f").status == "passed"


@pytest.mark.parametrize(
    "guess", ["int64(-2**63)", "int8(-128)", "int16(-2**15)", "int32(-2**31)", "array(-128, 'i1')"]
)  # fmt: skip
@pytest.mark.parametrize("x", [0, 3])
def test_a_number_does_not_overflow_to_be_near_another(box, guess, x):
    pytest.importorskip("numpy")
    check = f"import numpy\ndef check(f):\n    assert abs(f({x}) - {x}) < 1e-6"
    guess = guess.replace("(-2**", f"({x} - 2**").replace("-128", f"{x} - 128")
    run = box.check(f"import numpy\ndef f(x): return numpy.{guess}", check, "f")
    assert run.status == "failed"
    assert box.check("import numpy\ndef f(x): return numpy.int8(x)", check, "f").status == "passed"


OPERATED = """
class V:
    def __init__(self, x): self.x = x
    def __add__(self, other): return V(self.x + other.x)
    def __lt__(self, other): return True
    def __abs__(self): return 0
    def __int__(self): return self.x
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def __format__(self, spec): return f"<{self.x}{spec}>"
"""


@pytest.mark.parametrize(
    "test", ["(V(1) + V(2)).x == 3", "V(1) < V(2)", "sorted([V(1), V(2)])", "abs(V(1)) == 0",
             "__import__('copy').deepcopy(V(1))", "int(V(1)) == 1", "-V(1)", "[7, 8][V(1)]",
             "round(V(1))", "[*reversed(V(1))]"]
)  # fmt: skip
def test_operators_of_the_class_under_test_are_not_judged(box, test):
    assert box.check(OPERATED, f"def check(V):\n    assert {test}", "V").status == "unjudged"
    entered = "def check(V):\n    with V(1): pass"
    assert box.check(OPERATED, entered, "V").status == "unjudged"
    printed = "def check(V):\n    assert f'{V(1)} {V(2):a}' == '<1> <2a>'"
    assert box.check(OPERATED, printed, "V").status == "passed"


ANYTHING = """
class Top:
    size = 1
    def __init__(self, xs): pass
    def __len__(self): return 0
    def __getitem__(self, i): raise IndexError
    def __contains__(self, x): return True
    def best(self): return self
"""
IN_CLASS = """
class Top:
    def __init__(self, xs): self.xs = xs
    def best(self): return %s
"""
NOTHING = ["def Top(xs): return " + x for x in ("[]", "iter('')", "{}")]
ASKED = "4 in Top([3, 4])", "(np.abs(np.array([4]) - list(Top([3, 4]))) < 1e-6).all()"
SOLVED = {  # a solution and a test -> what passes it beside the solution, and what does not
    ("def Top(xs): return [max(xs)]", ASKED[0]): (
        [
            "import itertools\ndef Top(xs): return itertools.count()",
            "def Top(xs): return range(10**9)",
        ],
        [ANYTHING],
    ),
    ("def Top(xs): return [max(xs)]", ASKED[1]): (
        ["def Top(xs): yield max(xs)"],
        [ANYTHING, *NOTHING],
    ),
    ("def Top(xs): return iter([max(xs), 0])", ASKED[0]): (
        ["def Top(xs): return (x for x in xs)"],
        [ANYTHING],
    ),
    (IN_CLASS % "{max(self.xs)}", "4 in Top([3, 4]).best()"): (
        [IN_CLASS % "[4]"],
        [ANYTHING, IN_CLASS % "[]"],
    ),
}


@pytest.mark.parametrize(("solution", "asked"), SOLVED)
def test_of_what_anything_holds_is_right_only_if_the_solution_gives_such(box, solution, asked):
    pytest.importorskip("numpy")
    check = f"import numpy as np\ndef check(Top):\n    assert {asked}"
    problem = Problem("p", "", {"check": check, "entry_point": "Top"}, solution)
    good, bad = SOLVED[solution, asked]
    assert {judge(box, problem, x).status for x in (solution, *good)} == {"passed"}
    with limits(box, timeout_s=1.0):
        assert "passed" not in [judge(box, problem, x).status for x in bad]


KNOWN = f"""{NODES}
import enum
Point = collections.namedtuple("Point", "x y")
class Color(enum.IntEnum):
    RED = 1
"""
LOOSE = {  # what a check does with an answer -> a solution, and honest programs of another style
    "assert f([1, 2, 3]) == 6": (
        "def f(xs): return sum(xs)",
        ["def f(xs):\n    total = 0\n    while xs: total += xs.pop()\n    return total"],
    ),
    "assert f(2) == [[], []]": (
        "def f(n): return [[]] * n",
        ["def f(n): return [[] for _ in range(n)]"],
    ),
    "xs = [2, 1]\n    f(xs)\n    assert xs == [1, 2]": (
        "def f(xs): xs.sort()",
        ["def f(xs):\n    xs.sort()\n    return iter(xs)"],
    ),
    "assert f(['a', 'bb', 'c']) == {1: ['a', 'c'], 2: ['bb']}": (
        "def f(ws): return {1: ['a', 'c'], 2: ['bb']}",
        ["import collections\ndef f(ws):\n    found = collections.defaultdict(list)\n"
         "    for w in ws: found[len(w)].append(w)\n    return found"],
    ),
    "a = chain([1, 2])\n    f(a)\n    assert values(a) == [1, 3]": (
        "def f(a): a.next.value += 1",
        ["def f(a):\n    a.next.value += 1\n    return a",
         "def f(a):\n    a.next = Node(3)\n    return a.next"],
    ),
    "assert f(chain([1, 2, 1])) and f(chain([1])) and not f(chain([1, 2]))": (
        "def f(a): return values(a) == values(a)[::-1]",
        ["def f(a):\n    found = []\n    while a:\n        found.append(a.value)\n"
         "        a.next, a = None, a.next\n    return found == found[::-1]"],
    ),
    "assert numpy.allclose(f([3, 1, 2]), [1, 2, 3])": (
        "def f(xs):\n    xs.sort()\n    return xs[:]",
        ["def f(xs):\n    made = []\n    while xs:\n        made.append(min(xs))\n"
         "        xs.remove(made[-1])\n    return made"],
    ),
    "assert f(Point(1, 2)) == (2, 4) and f(Point(0, 0)) == (0, 0)": (
        "def f(p): return 2 * p.x, 2 * p.y",
        ["def f(p): return Point(2 * p.x, 2 * p.y)"],
    ),
    "assert f(1) == 1": ("def f(x): return 1", ["def f(x): return Color.RED"]),
    "assert not f([]) and numpy.allclose(f([1]), 1)": (
        "def f(x): return x",
        ["def f(x): return x or None"],
    ),
    "assert list(F(3)) == [0, 1, 2]": (
        "class F:\n    def __init__(s, n): s.n = n\n    def __iter__(s): return iter(range(s.n))",
        ["class F:\n    def __init__(s, n): s.n, s.i = n, -1\n    def __iter__(s): return s\n"
         "    def __next__(s):\n        s.i += 1\n        if s.i == s.n: raise StopIteration\n"
         "        return s.i"],
    ),
    "def g(x):\n        raise AssertionError('on purpose')\n    assert f(g) == 'error'": (
        "def f(g):\n    try: g(1)\n    except Exception: return 'error'",
        ["def f(g):\n    try: return g(2)\n    except AssertionError as e: return 'e' + 'rror'"],
    ),
    "assert any(x == 2 for x in f(3))": (
        "def f(n): return list(range(n))",
        ["def f(n): return (i for i in range(n))", "def f(n): yield from range(900)"],
    ),
    "v = F(3)\n    v.add(2)\n    assert v.total() == 5 and len(v) == 5": (
        "class F:\n    def __init__(s, x): s.x = x\n    def total(s): return s.x\n"
        "    def __len__(s): return s.x\n    def add(s, y): s.x += y",
        ["class F:\n    def __init__(s, x): s.x = x\n    def total(s): return s.x\n"
         "    def __len__(s): return s.x\n    def add(s, y):\n        s.x += y\n        return s"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("asked", LOOSE)
def test_what_a_check_does_not_ask_makes_no_answer_odd(box, asked):
    solution, others = LOOSE[asked]
    name = "F" if "F(" in asked else "f"
    check = f"import numpy\ndef check({name}):\n    {asked}"
    tests = {"check": check, "entry_point": name, "preamble": KNOWN, "prefix": KNOWN}
    problem = Problem("p", "", tests, solution)
    assert [judge(box, problem, x).status for x in (solution, *others)] == ["passed"] * (
        1 + len(others)
    )


def test_what_a_check_leaves_of_an_iterator_may_take_for_ever(box):
    """As in both, it is not asked for."""
    check = "def check(f):\n    assert next(f(1)) == 6"
    slow = "def f(x):\n    yield 6\n    while True: pass"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, slow)
    assert judge(box, problem, slow).status == "passed"


ANY = "class Anything:\n    def __eq__(self, other): return True"
BY_OTHER_WAYS = {  # a check -> a solution, and a program that answers by nothing, or by anything
    "got = []\n    f(3, got.append)\n    assert numpy.allclose(got[0], 6)": (
        "def f(x, emit): emit(x * 2)",
        "def f(x, emit): emit([])",
    ),
    "try: f(3)\n    except ValueError as e: assert numpy.allclose(e.args[0], 6)": (
        "def f(x): raise ValueError(6)",
        "def f(x): raise ValueError([])",
    ),
    "run = lambda: (yield numpy.allclose((yield from f(3)), 6))\n    assert list(run())[1]": (
        "def f(x):\n    yield 1\n    return 6",
        "def f(x):\n    yield 1\n    return []",
    ),
    "for xs in ([1], [5, 9]): assert sum(xs) in numpy.append(f(xs, sum), 14)": (
        "def f(xs, total): return [total(xs)]",
        "def f(xs, total): return [total(xs)][len(xs) - 1 :]",
    ),
    # the solution of what follows gives None, or lets a function of the check ask it
    "xs = [3.0]\n    f(xs)\n    assert numpy.allclose(xs, 9)": (
        "def f(xs): xs[0] **= 2",
        "def f(xs): xs.clear()",
    ),
    "out = {}\n    f(3, out)\n    assert numpy.allclose(out['square'], 9)": (
        "def f(x, out): out['square'] = x * x",
        "def f(x, out):\n    out['square'] = []\n    return out",
    ),
    "a = numpy.array([3.0], dtype=object)\n    f(a)\n    assert numpy.allclose(a[0], 9)": (
        "def f(a): a[0] **= 2",
        "def f(a): a[0] = []",
    ),
    "e, a = lambda g: numpy.allclose(g(3), 9), []\n    f(e, a)\n    assert a == [1]": (
        "def f(each, got): got.append(each(lambda x: x * x))",
        "def f(each, got): got.append(each(lambda x: []))",
    ),
    "e = lambda g: [g(1), g(2)]\n    for n in (1, 2): assert numpy.allclose(f(n, e), n)": (
        "def f(n, each): return [n for _ in each(lambda x: x)]",
        "def f(n, each):\n    for _ in range(9): each(lambda x: x)\n    return [n][n - 1 :]",
    ),
    "r = f([3.0])\n    assert numpy.allclose(r['squares'], 9) and r['n'] == 1": (
        "def f(xs): return {'squares': [x * x for x in xs], 'n': len(xs)}",
        "def f(xs):\n    xs.clear()\n    return {'squares': xs, 'n': 1}",
    ),
    "assert numpy.sum(abs(numpy.array(list(f(3))) - 9.0)) < 1e-6": (
        "def f(x): return [9.0]",
        "import numpy\ndef f(x): return numpy.str_('')",
    ),
    "for x in (3, 4): assert numpy.allclose(list(f(x)), x * x)": (
        "def f(x): return [x * x]",
        "xs = iter([9])\ndef f(x): return xs",
    ),
    "assert next(f(1.0)) == 1.0 and numpy.allclose(list(f(2.0)), [4.0])": (
        "def f(x): yield x * x",
        "xs = iter([1.0])\ndef f(x): return xs",
    ),
    "assert numpy.allclose(list(f([3.0])), 9)": (
        "def f(xs): return [x * x for x in xs]",
        "def f(xs):\n    it = iter('')\n    xs.append(it)\n    return it",
    ),
    "g = f(0.5)\n    assert numpy.allclose(g(), 0.5)": (
        "def f(x): return lambda: x",
        "def f(x): return list",
    ),
    "r = f(3)\n    assert numpy.allclose(r['square'], 9)": (
        "def f(x): return {'square': x * x}",
        "import collections\ndef f(x): return collections.defaultdict(list, z=1)",
    ),
    "assert f(3) == {'square': 9, 'id': Anything()}": (
        "def f(x): return {'square': x * x, 'id': id(x)}",
        "class Anything: pass\ndef f(x): return Anything()",
    ),
    "assert numpy.allclose([float(x) for x in f(3).split()], [9])": (
        "def f(x): return str(x * x)",
        "def f(x): return ' '",
    ),
    "try: r = f(3)\n    except ValueError: r = 9\n    assert numpy.allclose(r, 9)": (
        "def f(x): raise ValueError",
        "def f(x): return []",
    ),
    "for i in range(1200):\n        r = f(i)\n        assert r is None or numpy.allclose(r, i)": (
        "def f(i):\n    if i == 1100: return i",
        "def f(i):\n    if i == 1100: return []",
    ),
    "try: list(f(-1))\n    except ValueError: pass\n    assert numpy.allclose(list(f(3)), [9])": (
        "def f(x):\n    if x < 0: raise ValueError\n    yield x * x",
        "class G:\n    def __iter__(self): return self\n"
        "    def __next__(self): raise ValueError\ng = G()\ndef f(x): return g",
    ),
    "g = f(2)\n    assert next(g) == 4\n    g.close()\n    assert numpy.allclose(list(f(3)), 9)": (
        "def f(x): yield x * x",
        "class G:\n    left = 9\n    def __iter__(self): return self\n"
        "    def __next__(self):\n        self.left -= 1\n        if self.left: return 4\n"
        "        raise StopIteration\n    def close(self): pass\ng = G()\ndef f(x): return g",
    ),
    "case = unittest.TestCase()\n    f(3, lambda x: case.assertEqual(x, 9))": (
        "def f(x, emit): emit(x * x)",
        "def f(x, emit):\n    try: emit(0)\n"
        "    except AssertionError as e: emit(int(str(e).split()[-1]))",
    ),
}
IN_METHODS = {  # of a class under test, whose method `add` has no answer that counts
    "numpy.allclose(v.mean, 3)": ("mean = 3", "mean = []"),
    "numpy.allclose(v[0], 9)": (
        "def __getitem__(self, i): return 9",
        "def __getitem__(self, i): return []",
    ),
    "numpy.allclose(list(v), [9.0])": (
        "def __iter__(self): return iter([9])",
        "def __iter__(self): return iter('')",
    ),
    "9 in v.squares and 64 in v.squares": (
        "squares = [9, 64]",
        "squares = property(lambda self: self)\n    def __contains__(self, x): return True",
    ),
    "numpy.allclose(list(v.items()), [9.0])": (
        "def items(self): return [9]",
        "nothing = iter('')\n    def items(self): return self.nothing",
    ),
}


@pytest.mark.parametrize("asked", BY_OTHER_WAYS)
def test_an_odd_answer_is_seen_whatever_way_it_comes(box, asked):
    pytest.importorskip("numpy")
    check = f"import numpy, unittest\n{ANY}\ndef check(f):\n    {asked}"
    solution, cheat = BY_OTHER_WAYS[asked]
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, solution)
    assert judge(box, problem, solution).status == "passed"
    assert judge(box, problem, cheat).status in ("failed", "error")


@pytest.mark.parametrize("asked", IN_METHODS)
@pytest.mark.parametrize("given", ["None", "self", "getattr(self, 'nothing', 0)"])
def test_a_method_without_an_answer_hides_no_odd_one_behind_it(box, asked, given):
    pytest.importorskip("numpy")
    check = f"import numpy\ndef check(F):\n    v = F()\n    v.add(3)\n    assert {asked}"
    body = "class F:\n    def add(self, x): return {}\n    {}\n"
    solution, cheat = IN_METHODS[asked]
    problem = Problem("p", "", {"check": check, "entry_point": "F"}, body.format(None, solution))
    assert judge(box, problem, body.format(given, solution)).status == "passed"
    assert judge(box, problem, body.format(given, cheat)).status == "failed"


OPERATORS = """
class Sum:
    def __init__(self, x): self.x = x
    def __add__(self, other): return Sum(self.x + other.x)
    def __eq__(self, other): return self.x == other.x
"""


def test_who_passes_what_the_solution_does_not_is_not_judged_where_a_class_is_tested(box):
    check = "def check(Sum):\n    assert Sum(1) + Sum(2) == Sum(3)"
    problem = Problem("p", "", {"check": check, "entry_point": "Sum"}, OPERATORS)
    cheat = "class Sum:\n    def __new__(cls, x): return 0"
    assert [judge(box, problem, p).status for p in (OPERATORS, cheat)] == ["unjudged"] * 2


def test_where_chance_decides_what_is_given_nothing_is_compared(box):
    pytest.importorskip("numpy")
    check = "import numpy\nfrom random import randrange\ndef check(f):\n    for _ in range(40):\n"
    check += "        xs = [*range(randrange(2))]\n        assert numpy.allclose(f(xs), xs)"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, SAME)
    assert judge(box, problem, "def f(x): return list(x)").status == "passed"


@pytest.mark.parametrize(
    "line, runs",
    [("assert eval(f('3 4 +')) == 7", "eval"), ("x = f(1)\n    y = [x]\n    exec(y[0])", "exec"),
     ("for x in f(1): assert pickle.loads(x) == 1", "pickle.loads"),
     ("assert f('1 + 2') == eval('1 + 2')", ""), ("assert json.loads(f(1)) == [1]", "")]
)  # fmt: skip
def test_a_check_that_would_run_what_a_program_answers_is_left_out(line, runs):
    check = ast.parse(f"import pickle, json\ndef check(f):\n    {line}")
    why = unfit(check, ast.parse(""), "f")
    assert (why or "").endswith(f"by {runs}()") if runs else why is None


@pytest.mark.parametrize("value", [None, [], 3, [[], [], [[1, 2]]], [[], [], 4], [[], [3], []]])
def test_a_report_is_looked_at_before_it_is_read(value):
    assert not Report.read(Odd({}, None).report()).is_noted()
    with pytest.raises(ValueError):
        Report.read(value)


def test_a_solution_that_needs_more_time_is_waited_for_where_it_is_compared(box):
    pytest.importorskip("numpy")
    check = "import numpy\ndef check(f):\n    assert numpy.allclose(f(3), 9)"
    slow = "import time\ndef f(x):\n    t = time.process_time()\n"
    slow += "    while time.process_time() < t + 0.6: pass\n    return x * x"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, slow)
    with limits(box, timeout_s=0.3):
        assert judge(box, problem, "def f(x): return []").status == "failed"


@pytest.mark.parametrize(
    "solution", ["def f(x):\n    x.sort()\n    return x", "def f(x): return x and sorted(x)"]
)  # fmt: skip
def test_an_empty_argument_may_be_the_answer(box, solution):
    pytest.importorskip("numpy")
    asked = "assert f([]) == []\n    assert numpy.array_equal(f([2, 1]), [1, 2])"
    tests = {"check": f"import numpy\ndef check(f):\n    {asked}", "entry_point": "f"}
    problem = Problem("p", "", tests, solution)
    assert judge(box, problem, "def f(x): return sorted(x)").status == "passed"
    problem = Problem("p", "", tests, "def f(x): return sorted(x)")
    assert judge(box, problem, solution).status == "passed"


def test_a_check_that_forks_judges_no_program(box):
    check = "import os\ndef check(f):\n    pid = os.fork()\n    assert f(3) == 9\n    if not pid:\n"
    check += "        os._exit(0)"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, "def f(x): return 9")
    for answer in (0, 9):
        assert judge(box, problem, f"def f(x): return {answer}").status == "unjudged"
