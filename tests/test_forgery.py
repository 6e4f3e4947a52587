"""No alignment target is forged: an attack on the record ends as the truth or as a refusal."""

import ast
import random
import sys

import pytest

from bench import tracefuzz
from config import Config
from jail import chance
from jail.allowlist import INSIDES, MODULES
from jail.forgery import forgeable
from jail.idle import without_remarks
from jail.instrument import compile_traced
from jail.remarks import claims
from jail.values import NO_CAPS, decode, encode
from problems.problem import Problem, Question, question_text
from reward import Verdict, ask, make_question, score_answer
from sandbox import Sandbox
from trace import trace_program

CFG = Config()


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox(timeout_s=10.0)
    yield box
    box.close()


# Each has a `y` that is 2 in truth, or [2], and would like it to be asked for as 777. RUN holds the
# code that it wants to run, SPELL a name that it may not write.
RUN = "vars()['_' + '_nanocoderl_trace_' + '_'][:] = [777] * 99"
SPELL = "'_' + '_globals_' + '_'"
LOOK = "    match f:\n        case A(g): g[0] = 777\n"
ATTACKS = {
    "a class of classes answers isinstance": f"""
class M(type):
    def __instancecheck__(self, other): return True
class A(metaclass=M):
    __match_args__ = ({SPELL},)
def f(x):
    y = x + 1
{LOOK}    return x""",
    "a decorator turns a method into a tuple": f"""
class A:
    @lambda m: ({SPELL},)
    def __match_args__(self): pass
def f(x):
    y = x + 1
{LOOK}    return x""",
    "a class with computed names": f"""
kind = type
def f(x):
    y = x + 1
    A = kind('A', (), {{{SPELL}: 1}})
    return x""",
    "the class of a class": """
class Keep:
    def __eq__(self, other):
        self.found = other
        return True
def f(x):
    y, k = x + 1, Keep()
    type(type(x)) == k
    k.found('A', (), {})
    return x""",
    "the library compiles a text": f"""
import typing
def f(x):
    y = x + 1
    typing.ForwardRef({RUN!r})._evaluate({{}}, {{}}, frozenset())
    return x""",
    "the library makes a function": f"""
import dataclasses
def f(x):
    y = x + 1
    dataclasses.make_dataclass('D', ['a'], namespace={{{SPELL}: {RUN!r}}})
    return x""",
    "a private method of the library": f"""
from collections import namedtuple
import typing
class Own:
    def _evaluate(self, *names): pass
def f(x):
    y = x + 1
    typing.Optional[{RUN!r}]._evaluate()
    return x""",
    "a copy runs what it is told": f"""
import copy
class A:
    def __reduce_ex__(self, version): return eval, ({RUN!r},)
def f(x):
    y = x + 1
    copy.copy(A())
    return x""",
    "an enum of computed names": f"""
import enum
def f(x):
    y = x + 1
    A = enum.Enum('A', {{{SPELL}: 1}})
    return x""",
    "a module as an attribute": """
class A:
    import sys as m
    modules = 1
def f(x):
    y = x + 1
    A.m.modules['program'].y = 777
    return x""",
    "a module under another name": """
import sys
class A: modules = 1
def f(x):
    y = x + 1
    m = sys
    m.modules.clear()
    return x""",
    "a traceback in __exit__": """
class C:
    tb_frame = f_globals = 1
    def __enter__(self): pass
    def __exit__(self, kind, error, trace):
        trace.tb_frame.f_globals.clear()
        return True
def f(x):
    y = x + 1
    with C(): x // 0
    return x""",
    "a format that reads attributes": """
def f(x):
    y = x + 1
    text = '{0.' + '_' * 2 + 'globals' + '_' * 2 + '}'
    z = 777 if 'trace' in text.format(f) else x
    return x""",
    "the library's counter is replaced": """
import itertools
def f(x):
    y = [x + 1]
    def late(*a):
        y[:] = [777]
        return iter(range(99999))
    itertools.count = late
    return x""",
    "a file is replaced": """
import sys
class Out:
    def write(self, text): pass
    def flush(self): y[:] = [777]
def f(x):
    global y
    y = [x + 1]
    sys.stdout = Out()
    return x""",
    "a file gets another method": """
import sys
def f(x):
    y = [x + 1]
    def late(): y[:] = [777]
    out = sys.stdout
    out.flush = late
    return x""",
    "a file gets another buffer": """
import sys
class Out:
    closed = False
    def readable(self): return False
    def writable(self): return True
    def seekable(self): return False
    def write(self, text): return len(text)
    def flush(self): y[:] = [777]
def f(x):
    global y
    y = [x + 1]
    sys.stdout.__init__(Out())
    return x""",
    "references are counted": """
import sys
def f(x):
    y = [x + 1]
    z = 777 if sys.getrefcount(y) > 2 else x
    return x""",
    "names are listed": """
def f(x):
    y = x + 1
    z = 777 if any('trace' in n for n in dir(f)) else x
    return x""",
    "an object's end is noticed": """
gone = []
class A:
    def __del__(self): gone.append(1)
def g():
    a = A()
def f(x):
    y = x + 1
    g()
    z = x if gone else 777
    return x""",
    "a generator's end is noticed": """
gone = []
def numbers():
    try: yield 1
    finally: gone.append(1)
def g():
    n = numbers()
    return next(n)
def f(x):
    y = x + 1
    g()
    z = x if gone else 777
    return x""",
    "an alias of the record": "from math import pi as __nanocoderl_trace__\n"
    "def f(x):\n    y = x + 1\n    return x",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_makes_a_target_that_was_not(sandbox, name):
    made = make_question(sandbox, ATTACKS[name], [1], "f", CFG)
    shown = made if isinstance(made, str) else made.shown_target()
    assert made == "forgeable" or ("777" not in str(shown) and shown["y"] in ("2", "[2]"))


def test_code_that_runs_after_the_end_changes_no_record(sandbox):
    """Even if a program were not refused, the record is read before anything is called."""
    names = ["a file is replaced", "a file gets another method", "a file gets another buffer"]
    for program in map(ATTACKS.get, names):
        (traced,) = sandbox.run(program, [[1]], "f", traced=True)
        assert {v["name"]: v["value"] for v in traced.variables}["y"] == [2]
    stop = "y = [2]\nclass Late(SystemExit):\n    @property\n    def code(self): y[:] = [777]\n"
    (traced,) = sandbox.run(f"{stop}raise Late", [""], traced=True)
    assert {v["name"]: v["value"] for v in traced.variables}["y"] == [2]


CHANCE = [
    "try: y = len(str(10 ** 5000))\nexcept ValueError: y = 1 + 1",  # longer than Python writes
    "y = 1 + 1\ntry: print('\\ud800')\nexcept ValueError: y = 2 + 1",
    "import random\ny = random.randrange(2)",
    "from random import *\ny = randrange(2)",
    "y = hash('a') % 2",
    "class A:\n def __hash__(self): return 1\n def __eq__(self, o): return 0\ny = {A()} == {A()}",
    "from functools import cmp_to_key\nfrom dataclasses import dataclass\nlog = []\n"
    "K = cmp_to_key(lambda a, b: log.append(a) or 0)\n@dataclass(unsafe_hash=True)\nclass A:\n"
    " n: str\ns = {A('x'), A('y')}\ny = s <= {A('x'), A('y')} and len(log)",
    "def marks():\n vs = [float('nan') for _ in range(60)]\n s = {*vs, *range(240)}\n"
    " s.difference_update(vs)\n return [*s]\na = marks()\ny = 777 if a != marks() else 2\na = 0",
    "y = {1, 'lime', 'kiwi', 'fig'}.pop()",
    "s = {1, 'lime'}\ns.add(0)\ns.discard('lime')\ny = [*s]",
    "y = list({'pear', 'fig', 'kiwi', 'plum', 'lime', 'date', 'nut'})",
    "class A:\n    x = 0\ny = repr(A())",
    "import datetime\ntoday = 1\ny = datetime.date.today().day",
    "import time\ny = int(time.time()) > 0",
    "import sys\ny = sys.version_info[0]",
]


@pytest.mark.parametrize("program", CHANCE)
def test_what_nobody_can_predict_is_no_target(sandbox, program):
    made = make_question(sandbox, f"{program}\nprint(1)", "", None, CFG)
    assert made in ("forgeable", "nondeterministic")


HOLD = "class A: pass\n"
ADDRESSES = [  # `y` depends on whether an object has the address of one that is gone
    HOLD + "def f(): return repr(A())\nr = f()\ny = f() == r",
    HOLD + "def f():\n    a = A()\n    return '%s' % a\nr = f()\ny = [f() == r]",
    HOLD + "def f():\n    a = A()\n    return f'{a}'\nr = f()\ny = []\ny.append(f() == r)",
    HOLD + "def f():\n    try: {}[A()]\n    except KeyError as e: return str(e)\ny = f() == f()",
    HOLD + "def f():\n    a = A()\n    return a.__repr__()\ny = f() == f()",
    "def f():\n    g = lambda: 0\n    return str(g)\ny = f() == f()",
    "def f():\n    g = (x for x in 'a')\n    return str(g)\ny = f() == f()",
    "def f():\n    g = [].append\n    return str(g)\ny = f() == f()",
    "def f():\n    g = iter('ab')\n    return str(g)\ny = f() == f()",
    "class A:\n    def m(self): pass\ndef f(): return str(A().m)\ny = f() == f()",
    HOLD + "xs = A(), A(), A()\ny = xs.index(sorted(xs, key=repr)[0])",
    "import re\ndef f():\n    b = bytearray(b'ab')\n    it = re.finditer(b'a', b)\n    next(it)\n"
    "    it = 0\n    try: b.append(1)\n    except Exception: return 1\ny = f()",
]


@pytest.mark.parametrize("program", ADDRESSES)
def test_how_long_an_object_lives_is_no_target(sandbox, program):
    made = make_question(sandbox, f"{program}\nprint(1)", "", None, CFG)
    assert made in ("forgeable", "nondeterministic")


@pytest.mark.parametrize("test", ["<=", ">="])
def test_which_address_is_higher_is_no_target(sandbox, test):
    """Where all are one, as in one of the runs, both tests hold."""
    program = HOLD + f"a, b = A(), A()\ny = repr(a) {test} repr(b)\nprint"
    made = [make_question(sandbox, f"{program}({k})", "", None, CFG) for k in range(6)]
    assert made == ["nondeterministic"] * 6


def test_sets_are_iterated_in_orders_that_hang_on_their_items_alone(monkeypatch):
    monkeypatch.setattr(chance, "shown", [])
    words = set("abcdefgh")
    orders = []
    for turn in range(chance.TURNS):
        monkeypatch.setattr(chance, "way", chance.DRAWN + turn)
        orders.append([*chance.iterate(words)])
        assert {*orders[-1]} == words and [*chance.iterate({*orders[-1]})] == orders[-1]
    one, *others = orders
    assert others == [one[::-1], one[1:] + one[:1]] and not chance.shown
    lies = [[*chance.iterate(dict.fromkeys(xs).keys() | set())] for xs in ([0, 8], [8, 0], [3, 10])]
    assert lies[0] == lies[1]  # both want one place, which the first one takes
    assert lies[2] == [10, 3]  # each has its own
    monkeypatch.setattr(chance, "seed", "")
    left = {10, 3, 2.5}
    left.remove(2.5)
    assert any([*chance.iterate(left)] == [3, 10] for chance.seed in "abcdefgh")


KNOWN = "rook add, sea text, mod out, plum stop, close lime, key king, baz queen"


@pytest.mark.parametrize("told", ["[*set(W[i:])] == [*set(W[i:][::-1])]", "i < 0"])
def test_no_program_knows_the_orders_of_words_in_the_runs_that_are_compared(sandbox, told):
    """Of each pair the first comes first under the hash seeds 0 and 37 to 44, and of 128 others
    under one."""
    pairs = [pair.split() for pair in KNOWN.split(", ")]
    program = f"""
W = [chr(97 + i) + chr(110 + i % 7) for i in range(20)]
known = all([[*{{a, b}}][0] == a for a, b in {pairs}])
y = 2 + 775 * (all([{told} for i in range(15)]) or known)
W = known = 0
print(1)
"""
    assert make_question(sandbox, program, "", None, CFG) == "nondeterministic"


@pytest.mark.parametrize(
    "y", ["x is not 1000", "xs[0] is xs[1]", "x is 1.0", "1 is x is None", "xs is (t := [])",
          "is_(*xs)", "operator.is_not(xs[0], xs[1])"]
)  # fmt: skip
def test_whether_equal_values_are_one_is_no_target(sandbox, y):
    program = f"import operator\nfrom operator import *\ndef f(x, xs):\n    y = {y}\n    return x"
    assert make_question(sandbox, program, [1000, [5000, 5000]], "f", CFG) == "forgeable"


@pytest.mark.parametrize(
    "y", ["object.__eq__(x, xs[0]) is True", "x.bit_length == xs[1].bit_length",
          "xs[0].__add__ == xs[1].__add__", "[x.conjugate].count(xs[0].conjugate)",
          "xs[2].upper == 'no way'.upper", "xs[3].index == (5000, 7).index"]
)  # fmt: skip
def test_nor_is_it_where_a_method_tells(sandbox, y):
    """They are one if the program itself holds the call, and several as they come from a file."""
    program = f"def f(x, xs):\n    y = {y}\n    return x"
    given = [5000, [5000, 5000, "no way", (5000, 7)]]
    assert make_question(sandbox, program, given, "f", CFG) == "forgeable"


@pytest.mark.parametrize("y", ["x is None", "type(x) is int", "None is not x is not True"])
def test_what_is_one_of_its_kind_may_be_compared_so(sandbox, y):
    program = f"def f(x):\n    y = {y}\n    return x"
    assert isinstance(make_question(sandbox, program, [1000], "f", CFG), Question)


OTHER_SOLUTIONS = [
    "class A:\n    def f(self, x):\n        y = x * 259\n        return y\nSolution = A\n",
    "if 1:\n    class Solution:\n        def f(self, x):\n            y = x * 259\n"
    "            return y\n",
]


@pytest.mark.parametrize("program", OTHER_SOLUTIONS)
def test_the_call_that_is_shown_is_the_call_that_is_traced(sandbox, program):
    program += "def f(x):\n    y = x + 2\n    return y\n"
    problem = Problem("p", "", {"inputs": [[3]], "outputs": [1], "fn_name": "f"})
    assert ask(sandbox, problem, Verdict("failed", program=program), CFG) == []


@pytest.mark.parametrize("inside", [False, True])
def test_what_hangs_on_being_the_main_module_is_no_target(sandbox, inside):
    guard = "if __name__ == '__main__': k = 2\nelse: k = 777"
    guard = "\n    ".join(guard.splitlines())
    program = f"{'' if inside else 'if 1:'}\n    {guard}\n    y = k + 1\n    return y"
    if inside:
        program = "def f(x):" + program
    else:
        program = program.replace("    return y", "") + "\ndef f(x):\n    z = y\n    return z"
    assert make_question(sandbox, program, [3], "f", CFG) == "forgeable"


def test_what_a_program_does_as_the_main_module_is_not_shown_with_a_call(sandbox):
    guard = "if __name__ == '__main__':\n    def f(x): return 777\n    print(f(0))\n"
    made = make_question(sandbox, f"def f(x):\n    y = x * 7\n    return y\n{guard}", [3], "f", CFG)
    assert "__main__" not in made.program and made.target["y"] == 21
    made = make_question(sandbox, f"y = 3 * 7\n{guard}", "", None, CFG)
    assert "__main__" in made.program and made.target["output"] == "777"


def test_a_set_is_shown_in_the_order_in_which_it_is_sent(sandbox):
    given = [{3, 10}]
    made = make_question(sandbox, "def f(s):\n    y = [*s]\n    return 0", given, "f", CFG)
    assert made.call == "f({10, 3})" and made.target["y"] == [10, 3]


LAUNDERED = [
    "y = [*{8 * (w == 'add') for w in {'rook', 'add'}}]",
    "y = [*{len(w) * 8 for w in {'sea', 'text'}}][0]",
    "s = {0 if w == 'rook' else 8 for w in {'rook', 'add'}}\ny = 775 * ([*s][0] == 0)\ns = 0",
    # sets of C's making, of which some hold words or an instance between their numbers
    "y = [*({'sea', 'mod', 'key', *range(6, 14), 5} & {5, 13, *range(90, 110)})]",
    "y = [*({'sea', 'mod', 'key', *range(6, 14), 5} - {'sea', 'mod', 'key', *range(6, 13)})]",
    "s = {'sea', *range(6, 14), 5}\ns.difference_update(['sea', 6])\ny = s.pop()\ns = 0",
    "s = {'sea', *range(6, 14), 5}\nfor w in ['sea', *range(6, 13)]: s.remove(w)\ny = [*s.copy()]",
    "s = {object(), *range(6, 14), 5} & {5, 13, *range(90, 110)}\ny = s.pop()\ns = 0",
    "s = {lambda: 0, *range(6, 14), 5}.intersection([5, 13])\ny = [*frozenset(s)]\ns = 0",
]


@pytest.mark.parametrize("program", LAUNDERED)
def test_numbers_lie_in_the_order_of_words_that_they_came_from(sandbox, program):
    assert make_question(sandbox, f"{program}\nprint", "", None, CFG) == "nondeterministic"


@pytest.mark.parametrize("limit", [2**31 - 1, 2**31 - 50])
def test_the_largest_recursion_limit_can_be_set_with_a_trace_as_without(sandbox, limit):
    program = f"import sys\nsys.setrecursionlimit({limit})\nx = 5\nx += 2\nprint(x)"
    assert make_question(sandbox, program, "", None, CFG).target["x"] == 7


@pytest.mark.parametrize("item", [float("nan"), object(), len, (1, float("nan"))])
def test_a_set_whose_order_hangs_on_addresses_is_noticed(monkeypatch, item):
    monkeypatch.setattr(chance, "shown", [])
    assert len([*chance.iterate({item})]) == 1 and not chance.shown  # one item has no order
    assert len([*chance.iterate({item, 1})]) == 2 and chance.shown


ORDERS = [
    "y = [x for x in {{'a{0}', 'b{0}'}}][0]",
    "a, b = {{'a{0}', 'b{0}'}}",
    "y = ({{'a{0}', 'b{0}'}} | set()).pop()",
    "y = min({{'a{0}', 'b{0}'}}, key=len)",
    "y = ' '.join(frozenset({{'a{0}', 'b{0}'}}))",
    "y = [*dict.fromkeys({{'a{0}', 'b{0}'}})]",
    "y = [*{{('a{0}', 1), None}}][0] is None",
    "y = [*{{'a{0}', 'b{0}', 'c{0}'}}][1]",
    "y = [*({{'a{0}': 1}}.keys() | {{'b{0}': 1}}.keys())][0]",
    "class A: pass\na, b = A(), A()\ny = [*{{a, b}}][0] == a\nz = {0}",
    "n = float('nan')\ns = {{n, 0, 2, 4}}\ns.discard(n)\ny = [*s]\nz = {0}",
    "import math\ns = {{math.nan * 1j}}\ny = [*s].count(0)\nz = {0}",
    "a, b = float('nan'), float('nan')\ny = [a] == [[*{{a, b}}][0]]\nz = {0}",
    "def f(): return 1\ndef g(): return 2\ndef h(): return 3\ny = [*{{f, g, h}}][1]()\nz = {0}",
    "s = {{'a{0}', 'b{0}'}}\ny = all([*s] == [*s] for _ in range(20)) and [*s][0] < [*s][1]",
    # sets whose orders under the hash seeds of our repeated runs are known
    "s = [[*{{f'{0}p{{i}}', f'{0}q{{i}}'}}][0][1] for i in range(9)]\ny = len({{*s}}) == 1",
    "y = [*{{'a{0}', 'b{0}'}}][0] < 'b' and [*{{'c{0}', 'd{0}'}}][0] < 'd'",  # they turn together
]


@pytest.mark.parametrize("program", ORDERS)
def test_the_order_of_a_set_is_no_target(sandbox, program):
    made = [
        make_question(sandbox, f"{program.format(k)}\nprint(1)", "", None, CFG) for k in range(4)
    ]
    assert made == ["nondeterministic"] * 4


def test_what_is_the_same_in_each_order_is_a_target(sandbox):
    program = (
        "s = {'a', 'b'}\ny = sorted(s)\nn = [*{3, 1}]\nx = {2, 1}.pop()\nprint(s == {'b', 'a'})"
    )
    made = make_question(sandbox, program, "", None, CFG)
    assert made.target == {"y": ["a", "b"], "n": [1, 3], "x": 1, "output": "True"}


@pytest.mark.parametrize(
    "odd", ["[s.add(9) for x in s]", "s.pop(1)", "s.pop(x=1)", "dict.fromkeys()", "set().pop()"]
)
def test_a_set_raises_when_it_is_traced_what_it_always_raises(sandbox, odd):
    """Else a program could keep what was raised, or that nothing was, and not print it."""
    program = f"s = {{2, 3}}\ny = 777\ntry: {odd}\nexcept Exception as e: y = str(e)\nprint('hi')"
    (plain,) = sandbox.run(program.replace("'hi'", "y"), [""])
    trace = trace_program(sandbox, program, "", trusted=True)
    said = [v.value for v in trace.variables if v.name == "y"]
    assert trace.reason == "nondeterministic" or said == [plain.stdout.strip()]
    assert make_question(sandbox, program, "", None, CFG) == "forgeable"


@pytest.mark.parametrize("items", [["a", "b"], ["pear", "fig"], ["x:1", "y:2"], ["kiwi", "nut"]])
def test_the_order_of_a_set_that_is_given_is_no_target(sandbox, items):
    program = "def f(s):\n    y = max(s, key=bool)\n    return 1"
    assert make_question(sandbox, program, [set(items)], "f", CFG) == "nondeterministic"


def test_how_large_our_stack_is_is_no_target(sandbox):
    """The calls go through C, which takes stack that Python has not counted since 3.11."""
    program = "import sys\nsys.setrecursionlimit(10**6)\n"
    program += "def g(n): return 0 if n == 0 else 1 + max(map(g, [n - 1]))\ny = g(60000)\nprint(1)"
    assert make_question(sandbox, program, "", None, CFG) == "nondeterministic"


def test_in_which_module_a_function_is_run_is_no_target(sandbox):
    for part in ("str(A)", "str(A)[8:12]", "2 + 775 * ('__main' + '__' not in str(A))"):
        program = f"class A: pass\ndef f():\n    y = {part}\n    return 1"
        assert make_question(sandbox, program, [], "f", CFG) == "nondeterministic"


DELETES = "class D:\n def __setitem__(self, *_):\n  global a\n  del a\n"
# A program and what may be recorded of the variables that it is about: the truth, or nothing.
BLIND_SPOTS = {
    "a = 0\nd = []\ntry: a, d[0] = 5, 6\nexcept IndexError: pass": {"d": []},
    "a = 0\nd = ()\ntry: a = d[0] = 5\nexcept TypeError: pass": {"d": ()},
    "d = [0]\na, d[0], b = 5, 6, 7": {"d": [6], "a": 5, "b": 7},
    "try:\n for i, (a, b) in [(1, (2, 3)), (4, 5)]: pass\nexcept TypeError: pass": {"a": 2, "b": 3},
    "for i, (a, b) in [(1, (2, 3)), (4, (5, 6))]: pass": {"i": 4, "a": 5, "b": 6},
    "pi = 1\ntry: from math import pi, nope\nexcept ImportError: pass": {},
    "pi = 1\nfrom math import *": {},
    "from math import *\npi = 1": {"pi": 1},
    "x = 1\ntry: del x, y\nexcept NameError: pass": {},
    "try: 1 // 0\nexcept ZeroDivisionError as e: e = 5": {},
    "e = 4\ntry: pass\nexcept ZeroDivisionError as e: e = 5": {"e": 4},
    "try:\n for z in (1, 0):\n  a = z\n  b = 1 // z\n  del b\nexcept ZeroDivisionError: pass": {
        "z": 0,  # `a` stands with `b` among those that may have been bound
    },
    "class A:\n def m(self):\n  global __q\n  __q = 5\nA().m()": {},
    "class A:\n def m(self):\n  __q = 5\nA().m()": {"__q": 5},
    "from abc import ABC\nclass A(ABC):\n z = 3\n _abc_impl = z * 259": {"z": 3},
    "class A:\n n = 1\n k = 1\n def m(self): self.n = 5\nA().m()": {"k": 1},
    DELETES + "a, D()[0] = 5, 6": {},
    DELETES + "def f():\n global a\n for a, D()[0] in [(5, 6)]: b = 1\nf()": {"b": 1},
    f"from contextlib import nullcontext as n\n{DELETES}with n((5, 6)) as (a, D()[0]): b = 1": {
        "b": 1
    },
    DELETES + "a: D().__setitem__() = 5": {},
    "try: x: (1 // 0) = 5\nexcept ZeroDivisionError: pass": {},
    "try:\n class listcomp: x: (1 // 0) = [5 for i in 'a']\nexcept ZeroDivisionError: pass": {},
    "n = 0\nwhile (n := n + 1) < 5: pass": {"n": 5},
    "match 3:\n case x if x > 5: pass\n case y: pass": {"x": 3, "y": 3},
    "def f(a):\n def g(): return (a := 7)\n return g()\nf(1)": {},  # which `a` came last?
}  # fmt: skip


@pytest.mark.parametrize("program", BLIND_SPOTS)
def test_what_a_statement_binds_before_it_raises_is_right_or_not_asked(sandbox, program):
    found = trace_program(sandbox, program, "", trusted=True)
    assert found.reason == ""
    assert {v.name: v.value for v in found.variables} == BLIND_SPOTS[program]


def test_the_recursion_limit_comes_no_sooner_by_tracing():
    """A walrus and a guard are recorded without a call."""
    body = "    global n\n    n = k\n    match k:\n        case m if (w := m) >= 0: f(k + 1)\n"
    program = f"n = 0\ndef f(k):\n{body}try: f(0)\nexcept RecursionError: pass\n"
    reached = []
    for code in (compile(program, "<program>", "exec"), compile_traced(program)[0]):
        names = {"__nanocoderl_trace__": compile_traced(program)[1].hook}
        exec(code, names)  # noqa: S102 (our own program)
        reached.append(names["n"])
    assert reached[0] == reached[1]


def test_the_prefix_of_a_data_set_is_not_asked_about(sandbox):
    prefix = "import os\ndef poly(xs, x):\n    total = sum(c * x for c in xs)\n    return total\n"
    for docstring in ("", f'"""{prefix}"""\n'):
        program = f"{docstring}def f(zeros):\n    a = 3 - 2\n    return poly(zeros, a)"
        made = make_question(sandbox, program, [[1, 2]], "f", CFG, prefix)
        assert made.target == {"a": 1, "output": 3}


@pytest.mark.parametrize("use", ["os.getcwd()", "get(f)", "[os]", "attrgetter('a')", "path"])
def test_a_prefix_lends_only_what_the_tables_list(use):
    prefix = "import os\nfrom operator import *\nfrom operator import attrgetter as get\n"
    prefix += "from os import path\ndef helper(x):\n    return os.sep + x\n"
    assert forgeable(f"def f(x):\n    y = {use}\n    return y", prefix)
    assert not forgeable("def f(x):\n    path = add(len(helper('a')), x)\n    return path", prefix)


@pytest.mark.parametrize("head", ["try", "with suppress(Exception)"])
def test_a_prefix_that_catches_the_end_of_the_stack_gives_no_target(sandbox, head):
    """Its helper calls what the program calls `int`, at a depth that a plain run has not."""
    end = "\n    except Exception:\n        return 0" if head == "try" else ""
    prefix = "from contextlib import suppress\n"
    prefix += f"def to_int(text):\n    {head}:\n        return int(text){end}\n"
    program = "def deep(n):\n    return 0 if n == 0 else deep(n - 1)\n"
    program += "def int(text):\n    deep(1040)\n    return 259\n"
    program += "def f(x):\n    y = to_int('5')\n    z = y * 3\n    return x"
    assert make_question(sandbox, program, [4], "f", CFG, prefix) == "forgeable"
    assert not forgeable(program.replace("to_int", "abs"), "def to_int(text):\n    return 1\n")


@pytest.mark.parametrize("items", [(3, 9), (9, 20), (20, 70), (150, 400)])
def test_a_set_that_is_sent_has_the_places_of_the_display_that_is_shown(items):
    rng = random.Random(0)
    made = [set(rng.choices(range(-9, 200), k=k)) for k in range(*items)] + [{1, 2, 3, 4, 48}]
    made += [{(x, str(x)) for x in numbers} for numbers in made]
    made += [{float("inf"), 1, 2, 3, 48}, {frozenset({1}), 2, 3, 4, 48}, {48, 2}]
    for xs in made:
        sent = decode(encode(xs, **NO_CAPS))
        display = eval(repr(sent), {"inf": float("inf")})  # as the call in a question says it
        assert sent == display and sys.getsizeof(sent) == sys.getsizeof(display), sent
    assert [*decode(encode({1, 2, 3, 4, 48}))] == [*eval("{1, 2, 3, 4, 48}")]


def test_a_comment_gives_no_value_away(sandbox):
    program = (
        '"""total = 9"""\ndef f(xs):\n    \'y = 5\'\n    y = len("# y")  # y = 3\n'
        "    # total = 9\n    total = sum(xs)\n    return total\n"
    )
    made = make_question(sandbox, program, [[4, 5]], "f", CFG)
    shown = 'def f(xs):\n    y = len("# y")\n    total = sum(xs)\n    return total\n'
    assert made.program == shown and made.target == {"y": 3, "total": 9, "output": 9}
    assert isinstance(made, Question) and "total = 9" not in question_text(made, CFG)


def test_what_cannot_be_written_without_its_remarks_is_not_asked_about(sandbox):
    for long in ("x" + " + x" * 2000, "0x" + "f" * 4000):
        program = f"def f(x):\n    y = x + 3 # y = 5\n    z = {long}\n    return y\n \\\n\n"
        assert isinstance(make_question(sandbox, program, [2], "f", CFG), str)


def test_a_text_that_lies_within_another_has_no_place_of_its_own(sandbox):
    """Python 3.11 counts the columns of a text within an f-string from another line."""
    text = '"""\\n\u00e9\n' + 9 * "\u00e9" + '"""'
    inner = "f\"\"\"{'''q\nr'''}\"\"\""
    program = f"def f(x):\n    y = x + 2\n    z = {text} + {inner}\n    return y\n"
    assert make_question(sandbox, program, [3], "f", CFG).target["y"] == 5


def test_a_literal_that_overflows_is_none(sandbox):
    huge = f"1{'0' * 400} + 1j"
    made = make_question(sandbox, f"y = len('ab')\ndef g(): return {huge}\nprint(3)", "", None, CFG)
    assert made.target == {"y": 2, "output": "3"}
    assert score_answer(f"y = {huge}\noutput = 3", made, 0.1).correct == ["output"]


REMARKS = [
    "def f(x):\n    return x  # y = 3\n \\\n\n",  # which the tokenizer does not know
    'def f():\n    "a"\n',
    'class A:\n    """a\n    b"""\n    # c\nx = 1',
    '"é" # é\n"b"',
    "x = (1, # a\n 2)\n",
    "if x:\n    'a' 'b'\n    # c\n    y = 1\n",
    "if x: 'a'\n# c",
    "x = 1;  # c\r\n'b'\r\n",
    "x = 1 \\\n# a backslash joins the next line, were this one not here\ny = 2\n",
]


REMARKS += [
    '("y = 5") # z\nx = 1',
    'if 0: "a"\n',
    'x = 1; "a"; y = 2\n',
    'x = 1; \\\n"a"\n',
    'if x:\n    "a"\n    ["b", 2]\nelse: ("c" # d\n  "e")\n',
    'é = 1; "é" # é',
    'try:\n  "a"\nfinally:\n  f"b"\n  5\n  x\n',
    "x = " + "[" * 40 + "1" + "]" * 40 + "  # y = 5\n'a'",
    "x = 0" + " + 1" * 400 + "  # y = 5",
]
GUARD = "def f(x):\n    return x\nif __name__ == '__main__':\n    %s\n    f(3)\n%s"
REMARKS += [GUARD % (doc, then) for doc in ("'a'", "'''a\n    b'''", "if __name__ == '__main__': 1")
            for then in ("", "g = 1\n", 's = r\"\"\"\n? y = 5\n? \"\"\"\n')]  # fmt: skip


@pytest.mark.parametrize("program", REMARKS)
def test_a_program_without_its_remarks_is_a_program(program):
    left = without_remarks(program, called="__name__" in program)
    assert "#" not in left and compile(left, "", "exec") and "__name__" not in left
    assert ("? y" in left) == ("? y" in program)
    statements = [n.value for n in ast.walk(ast.parse(left)) if isinstance(n, ast.Expr)]
    assert all(isinstance(value, ast.Call) for value in statements if ast.unparse(value) != "x")


PLANTS = {  # a program f(x), called with 3, and what may be asked of it besides its output
    "y = 2\n    y = x\n    a = 1\n    b = c = 'two', -3": {"y"},
    "a = 1 if x else 2\n    y: int = 5\n    (b := 7)": {"a"},
    "y = 5 if x else 6\n    print('the y is 5')": set(),
    "y = x + 2\n    a: 'y = 5' = x * 2": {"a"},
    "def g(a='y = 5'): pass\n    y = x + 2": set(),
    "y = x + 2\n    if 0: y = 'y = 5'": set(),
    "found = False\n    if x > 2: found = True": {"found"},
    "found = False\n    if x > 5: found = True": {"found"},
    "a, (b, n) = 1, (2, 0)\n    for _ in range(x): n += 1": {"n"},
    "res = []\n    kept = []\n    dp = [0]\n    zs = [x]\n    kept.extend(dp)": {"kept", "zs"},
    "a = 0\n    for i in range(x): a = 0": {"i"},
    "y = x + 774\n    assert y == 777": set(),
    "y = x + 2\n    assert y == 5": set(),
    "y = x + 2\n    5 == y": {"y"},  # which is not shown
    "y = x + 2\n    y if 5 else y, lambda: y == 5": {"y"},
    "y = x + 2\n    print('y', 5)": set(),
    "y: 5 = x + 2": set(),
    "y = x * 259\n    print('y777')": set(),
    "y = x * 259\n    print('y is \uff17\uff17\uff17')": set(),
    "y = int(777.0) * x // x": set(),
    "y = 777\n    a = 'no'\n    b = [x, 2]\n    k = lambda y=0, a=0, b=0: 0": {"b"},
    "y = 5\n    a = [x + y for y in 'a'[1:]]\n    a = x * 2": {"a"},
    "y = 777\n    def g(y=0): return x": set(),
    "y = x * 259\n    def g(y=777): return y": set(),
    "y = 0\n    def g():\n        nonlocal y\n        y += x\n    g()": {"y"},
    "y = 5\n    def g():\n        nonlocal y\n        y = 0": set(),
    "def g(y: 5): return y * x": set(),
    "y = x + 2\n    print('y =', 5)": set(),
    "y = x + 2\n    print('y: %d' % 5)": set(),
    "y = x + 2\n    print('Y = 5')": set(),
    "y = x + 2\n    print('y_is_5')": set(),
    "y = x + 2\n    z = ['now y =', 5]": set(),
    "y = x + 2\n    z = {5: 'y'}": set(),
    "y = x + 2\n    while y != 5: pass": set(),
    # in other ways than Python's, which the scorer takes
    "y = x / 2\n    print('y', 1.5000000001)": set(),
    "y = x * 2 / 3\n    said = {'y': 2}": set(),
    "y = 1 / x\n    print('y = 0.3333333')": set(),
    "y = [x, x - 1]\n    print('y', (3, 2))": set(),
    "y = frozenset([x, 2])\n    print('y', {2, 3})": set(),
    "y = [x / 3, x]\n    z = [(1, 3)]": set(),
    "y = ' '.join(['no', 'way'][:x])\n    print('well, no way!')": set(),
    "y = x / 10**5\n    print('it is 3e-05.')": set(),
    "y = x * 1000\n    print('it is 3,000.')": set(),
    "y = ('q' * x).encode()\n    print(\"it is b'qqq'.\")": set(),
    "y = x / 3\n    z = x // 1": {"y", "z"},
    # in forms of Python's or JSON's that Python does not print
    "y = x * 259\n    print('it is 7_7_7')": set(),
    "y = x * 259\n    print('it is 0x309 or 0b_1')": set(),
    "y = x * 259\n    print('it is 777e+0')": set(),
    "y = [x, 2]\n    print('[3, 2.0,]')": set(),
    "y = [x, 2]\n    z = {'y': [3, 2, 0]}": set(),
    "y = sorted([x, 2])\n    z = {5: [3, 2]}": {"y"},
    "y = {'ab': x, 'n': 2}\n    print(\"{'n': 2, 'ab': 3}\")": set(),
    "y = {x: [1, 2]}\n    print('{3: (1, 2)}')": set(),
    "y = 'ab' * x\n    print(\"'aba' 'bab'\")": set(),
    "y = 'ab' * x\n    print(r'\\x61babab')": set(),
    "y = 'ab' * x\n    ababab = x - 1": {"ababab"},
    "y = x * 1j\n    print('3.0j')": set(),
    "y = [x > 2, None]\n    print('[true, null]')": set(),
    "y = x > 2\n    print('y: true')": set(),
    # a short value in one statement with its name
    "d = {}\n    y = x + 2\n    d['y'] = b = 5": {"d"},
    "d = {'y': 0}\n    y = x + 2\n    d['y'] += 5": {"d"},
    "y = x + 2\n    b = {'name': 'y', 'value': 5}": set(),
    "y = x + 2\n    b = [['y'], (5, 0)][1][1]": {"b"},
    "y = x + 2\n    b = max(['y'] * 5)": {"b"},
    "def g(a, b): return b + x\n    y = g('y', 5) - x + x - x": {"a", "b"},
    "y = x + 2\n    import math as y_is_5": set(),
    "y = x + 2\n    y_is = 5": set(),
    "y = x + 2\n    z = y + 5": {"y", "z"},
    "y = x + 2\n    print(f'{y} = 5')": set(),
    "y = x > 2\n    print(y, 'is True')": set(),
    "y = x + 2\n    assert y, 'is 5'": set(),
    "y = x + 2\n    if x < 0: raise ValueError(y, '= 5')": set(),
    "y = 'qrstu'[x - 2]\n    print(y, 'is r')": set(),
    "y = [x, 1, 2]\n    print('y =', 3, 1, 2)": set(),
    "y = x * 1e308\n    print('y is Infinity')": set(),
    "y = 'ab' * x\n    print(r\"'\\141\\N{LATIN SMALL LETTER B}abab'\")": set(),
    "y = x * 259.0001\n    z = 777": set(),
    "y = x * 0.41152163333\n    print('y is 1.2345655')": set(),
    "y = x + 2\n    y5 = 0": set(),
    "y = x + 2\n    Y_IS = 5": set(),
    "my_y = x + 2\n    print('so my_y_is_5')": set(),
    "my_y = x + 2\n    my_y_is_5 = 0": set(),
    "y = [x + 2]\n    print('y: (0x5,)')": set(),
    "y = [x > 2]\n    print('y: [true]')": set(),
    "y = x + 2\n    print('" + "\ufdfa" * 250 + " y is \uff15')": set(),
    "y = x + 2\n    print('\u00bd \u2167 \u00bdx')": {"y"},
    "y: '= 5' = x + 2": set(),
    "y = x + 2\n    d = {}\n    d['y'] = 5": {"d"},
    "y = x + 2\n    d = [('y', 5)]": set(),
    "class A: pass\n    a = A()\n    a.y = 5\n    y = x + 2": set(),
    "y = x * 259.5\n    print('it has 0778.50')": set(),
    "y = [x, 2, 5]\n    print('then y=[3,2,5]')": set(),
    "y = {'ab': x, 'n': 2}\n    print('{\"ab\": 3, \"n\": 2}')": set(),
    "y = {'a': x}\n    print('y={\"a\":3}')": set(),
    "y = 'ab' * x\n    print('y ababab_')": set(),
    "def to_777(): return 259\n    y = x * to_777()": set(),
    "def g(k, to_777=1): return k\n    y = g(x * 259)": set(),
    "class A: pass\n    a = A()\n    a.to_777 = 0\n    y = x * 259": set(),
    "y = x + 2\n    assert y in (4, 5)": set(),
    "y = x + 2\n    if y != 5: raise ValueError": set(),
    "for y in (7,): a = x": {"a"},
    "output = x + 2\n    y = output": {"y"},
    "y = x + 2\n    a = 1 if y == 5 else 0": {"y", "a"},
    "y = int('777') + x - x": set(),
    "y = int('5') + x - x": set(),
    "y = x * 259\n    if x < 0: y = 777": set(),
    "y = x * 20\n    if x < 0: z = 60": set(),
    "y = [x, 2]\n    lambda: [3, 2]": {"y"},  # which is not shown
    "y = [x, 2]\n    z = lambda: [3, 2]": set(),
    "y = -x * 7\n    print('it is -21.')": set(),
    "y = 'no'\n    if x > 2: y = 'yes'": {"y"},
    "y = 1\n    y = 2\n    y = x * 259\n    a = 'it ends as 777'": set(),
    "y_is_777 = x * 259": set(),
    "y = x + 2\n    said = {'y': 5}": set(),
    "y = x + 2\n    said = dict(y=5)": {"said"},
    "y = x + 2\n    f'y = {5}'.strip()": set(),
    "z = x + 2\n    f'y = {z}'.strip()": {"z"},
    "def g(z=7): return z + x\n    y = g()": {"y"},
    "def g(a, /, *, z=7): return z + a\n    y = g(x + 1)": {"y", "a"},
}


PLANTS |= {
    "y = x + 2\n    print(r'\\ny = 5')": set(),
    "y = x + 2\n    print('%sy = 5' % 1)": set(),
    "y = x + 2\n    print('\u02bcy\u02bc = 5')": set(),
    "total = x + 2\n    print('totalis5')": set(),
    "total_sum = x + 2\n    print('total sum is 5')": set(),
    "y = x + 2.0\n    print('y: 4.999999')": set(),
    "y = [x * 0.41152170]\n    print('y = [1.2345649]')": set(),
    "y = '\\n'.join(['ab', 'cd'][:x])\n    print(r'It ends as ab\\ncd.')": set(),
    "y = '\\t' * x\n    print(r'it is \"\\t\\t\\t\".')": set(),
    "y = ('\\0' * x).encode()\n    print(r'it is b\"\\0\\0\\0\".')": set(),
    "y = 'a' * x + '\u00e9'\n    print('it is aaa\\u0065\\u0301.')": set(),
    "y = [x, 1, 2]\n    print('''y = [3, #a\n 1, #b\n 2]''')": set(),
    "y = {x, 1, 2}\n    print('y = {1, 1, 2, 2, 3, 3}')": set(),
    "y = dict(a=x, b=2)\n    print(\"y = {'a': 3, 'b': 0, 'b': 2}\")": set(),
    "y = [[x], [2]]\n    print('y = [list([3]), list([2])]')": set(),
    "y = ['ab' * x, 'no']\n    print(\"y = [u'ababab', u'no']\")": set(),
    "y = 'ab' * x\n    print('''it is 'aba' \"bab\" ''')": set(),
    "y = [x, 1e999]\n    print('y: [3, math.inf]')": set(),
    "y = x + 2\n    print('six of 5')": {"y"},
    "total = x * 259\n    print('the total of', total)": {"total"},
}


@pytest.mark.parametrize("body", PLANTS)
def test_a_value_that_the_text_says_is_not_asked_for(sandbox, body):
    made = make_question(sandbox, f"def f(x):\n    {body}\n    return x", [3], "f", CFG)
    assert made.target.keys() - {"output"} == PLANTS[body]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("print('Output = 777')", True),
        ("OUTPUT_IS = '777'", True),
        ("print('it returns 777')", True),
        ("outputs = x", False),
        ("print('outputs:', x)", False),
    ],
)
def test_an_output_that_the_text_says_is_not_asked_for(sandbox, line, told):
    program = f"def f(x):\n    y = x + 2\n    {line}\n    return x * 259"
    made = make_question(sandbox, program, [3], "f", CFG)
    assert ("output" not in made.target) == told and "y" in made.target


@pytest.mark.parametrize(
    "program",
    [
        "import re\ny = re.compile('a').findall == re.compile('a').findall\nprint(1)",
        "m = 'a'.upper\ny = m == 'a'.upper\nprint(1)",
        "class A: m = 'a'.upper\ny = A.m == A().m\nprint(1)",
        "y = [x for x in ('a'.upper,)] * 2\nz = y[0] == y[1]\nprint(1)",
        "y = ['a'.__add__]\nprint(1)",
        "y = object.__eq__(1, 1)\nprint(1)",
        "def map(f, x): return f\ny = map('a'.count, 0) == 'a'.count\nprint(1)",
        "class A:\n def sort(self, key): return key\ny = A().sort(key='a'.count) == 1\nprint(1)",
        "upper = 1\ndef g(self): return self.upper\ny = g('a') == g('a')\nprint(1)",
    ],
)
def test_a_method_is_called_and_nothing_else(sandbox, program):
    assert make_question(sandbox, program, "", None, CFG) == "forgeable"


def test_a_method_may_be_given_to_what_calls_it(sandbox):
    program = "d = {'a': 2, 'b': 1}\nadd = [].append\nadd(1)\nlow = str.lower\n"
    program += "x = sorted(d, key=d.get)\ny = [*map('ab'.count, x)] + [*map(low, 'AB')]\nprint(1)"
    made = make_question(sandbox, program, "", None, CFG)
    assert made.target["x"] == ["b", "a"] and made.target["y"] == [1, 1, "a", "b"]


def test_what_is_said_of_many_names_by_many_parts_is_no_product():
    names = [a + b for a in "abcdefghijk" for b in "ABCDEFGHIJ"]
    nodes = [*ast.walk(ast.parse(f"assert ({', '.join([*names, *'1' * 900])})"))]
    assert len([claim for node in nodes for claim in claims(node, {*names}, {})]) < len(nodes)


@pytest.mark.parametrize("place", ["f'{%s}'", "[y, %s]", "{'y': %s}", "(lambda y=%s: y)()"])
def test_a_number_that_python_does_not_write_may_stand_anywhere(sandbox, place):
    program = f"def g(): return {place % ('0x' + 'f' * 3700)}\ny = 3 * 7\nprint(1)"
    assert make_question(sandbox, program, "", None, CFG).target["y"] == 21


def test_the_tables_name_what_there_is():
    """A misspelt name would be allowed to nobody's use; one of the insides, to anybody's."""
    for module in MODULES.keys() - {"typing"}:
        names = vars(__import__(module, fromlist=["x"]))
        assert MODULES[module] <= names.keys(), module
        assert not any(type(names[name]) is type(sys) for name in MODULES[module])
    assert {"gi_frame", "f_globals", "tb_frame", "mro", "raw"} <= INSIDES


HONEST = [
    "class Node:\n    def __init__(self, key, val=0):\n        self.key = key\n"
    "        self.next = None",
    "import functools\nclass S:\n    @functools.lru_cache(None)\n    def f(self, n): return n",
    "from functools import *\nclass S(object):\n    @staticmethod\n    def f(n): return n\n"
    "@cache\ndef g(n): return n",
    "def f(string):\n    return string.upper()\nimport string",
    "x = 3\nprint(isinstance(4, type(x)))",
    "x = 3\nprint(type(x) == int, type(x) is not list, type(x).__name__)",
    "def f(x):\n    if not x: raise ValueError('none')\n    assert x > 0\n    return x",
    "print('{:>4} {0!r:{1}}'.format(1, 2), f'{3:>{4}}', '%d' % 5)",
    "def opened(open, close):\n    return open + close",
    "open = 1\nprint(open)",
    "from sys import stdin\ninput = stdin.readline\nn = int(input())",
    "import sys\nfor line in sys.stdin: print(line, file=sys.stderr)\nx = [*map(int, sys.stdin)]",
    "import sys\nx = sys.stdin.buffer.read().split() + [s for s in sys.stdin]",
    "def main(): pass\nif __name__ == '__main__':\n    main()",
    "import copy\nfrom copy import deepcopy\nx = copy.deepcopy(deepcopy([1]))",
    "from collections import Counter\nclass N:\n    def __init__(self, c: Counter[int]):\n"
    "        self.counts = isinstance(c, Counter) and Counter(c)",
    "from typing import *\ndef f(x: Optional[List[int]]) -> Dict[str, 'N']:\n"
    "    s: Set[int] = set()\n    return {}",
    "class N:\n    def __init__(self, name): self.name = self.mode = name\n"
    "    def peek(self): return self.name",
    "def g():\n    for x in 'ab': yield x\nx = 'ab'.__contains__('a')",
    "from heapq import merge\nprint(list(merge([1, 3], [2])), [*map((1).__add__, [2])])",
    "from collections import *\nfrom typing import *\nx = Counter('a')",
    "class N:\n    def __init__(self, value): self.value = self.re = value",
    "seen, todo = {1}, [1]\nwhile todo: x = todo.pop()",
]


@pytest.mark.parametrize("program", HONEST)
def test_an_honest_program_is_asked_about(program):
    assert forgeable(program) == ""


def test_random_programs_are_recorded_as_an_oracle_sees_them():
    """bench/tracefuzz.py looks at as many as you like."""
    assert tracefuzz.check_values(40, seed=0)["values"] > 100


def test_mutants_of_the_attacks_are_refused_or_recorded_right():
    seen = tracefuzz.check_attacks(list(ATTACKS.values()), 150, random.Random(0))
    assert seen["refused"] > seen["programs"] / 2


COUNTER, COPY = "from collections import Counter\n", "from copy import deepcopy\n"
BY_OTHER_NAMES = [  # each led to a target that the program chose
    "class A:\n    def m(self):\n        import sys as __m\n        return _A__m",
    "import sys as _A__m\nclass A:\n    def m(self): return __m",
    "class A:\n    def m(self):\n        import sys as __m\u00b7\n        return _A__m\u00b7",
    "class A:\n    def m(self): __\u2118 = 1",  # names of which \\w knows no or half
    "x = f'{(\uff59 := 5)}'",
    "class A:\n    from sys import stdin\nx = A.stdin.name",
    "class A:\n    if 1: from copy import deepcopy as d",
    "from functools import cached_property",
    "from lib2to3.__main__ import *",
    "from __future__ import annotations as __x__",
    "def f(x):\n    __nanocoderl_trace__ = [iter('')] * 99\n    return x",
    "y = __nanocoderl_trace__.__name__",
    "y = [1 for __builtins__ in 'a']",
    "x = open.__name__",
    "x = __name__",
    "if __name__ == 'program': x = 1",
    "try: x = 1\nexcept RecursionError: x = 2",
    # Python would call the program where the program calls nothing
    "class A:\n    def __eq__(self, other): return True",
    "class A:\n    def __hash__(self): return 1",
    "class A:\n    def __del__(self): print(1)",
    "class A:\n    @property\n    def x(self): return 1",
    "class A:\n    @staticmethod\n    def __init__(self): pass",
    "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int",
    "class A(dict): pass",
    "class B: pass\nclass A(B): pass",
    "object = [].append\nclass A(object): pass",
    "class A(metaclass=type): pass",
    "def cache(f): return 777\n@cache\ndef g(): pass",
    "from functools import cache\nif 1: cache = print\n@cache\ndef g(): pass",
    "def g(): yield from 'ab'",
    "with x as y: pass",
    "match 1:\n    case int(x): pass",
    "async def f(): pass",
    "from heapq import merge\nxs = merge((x for x in 'ab'))",
    "from heapq import merge\nclass A:\n    def close(self): pass\nxs = merge([A()])",
    # ours look otherwise than Python's
    "x = repr({1}.pop)",
    "x = dict.fromkeys",
    "from functools import cmp_to_key\nx = sorted({1}, key=cmp_to_key(lambda a, b: 0))",
]
BY_OTHER_NAMES += [  # the library's own classes and functions, misused
    "import copy\ncopy.deepcopy(1, {})",
    "from copy import deepcopy as d\nd(1, memo={})",
    COPY + "d = deepcopy",
    "import re\n_value2member_map_ = 1\nx = re.I._value2member_map_",
    "import re\nclass A: scanner = 1\nx = re.compile('a').scanner('a')",
    COPY + "x = list(map(deepcopy, [1], [{}]))",
    COPY + "deepcopy(*[1, {}])",
    COPY + "print(1, file=deepcopy)",
    "from copy import *\nx = [deepcopy]",
    "import sys\nx = repr(sys.setrecursionlimit)",
    "from sys import setrecursionlimit as s\nx = s",
    COUNTER + "C = Counter\nC.update = 5",
    COUNTER + "c = Counter('b')\nc.most_common = 5",
    COUNTER + "def f(cls): cls.update = 5\nf(Counter)",
    COUNTER + "for C in [Counter]:\n    for C.update in [1]: pass",
    COUNTER + "isinstance = lambda a, b: b\nisinstance(1, Counter).update = 5",
    "from collections import *\nC = Counter\nC._keep_positive = 5",
    "import collections\nd = collections.defaultdict(collections.Counter)\nd.x.update = 1",
    "import typing\ntyping.Counter[int].update = 5",
    "from typing import List\nx = List",
    "import typing as m\nclass m: List = [1]\ndef f(x: m.List): pass",
    "import functools\nfunctools.total_ordering(int)",
    "import sys\nx = sys.stdin.encoding",
    "import sys\nx = sys.stdin.name",
    "import sys\nx = str(sys.stdin)",
    "import sys\nx = sys.stdin.buffer\nx = x.mode",
    "import sys\nx = next(iter([]), sys.stdin)",
    "from sys import stdin as f\nx = f'{f}'",
    "import datetime\nx = datetime.datetime.strptime('EST', '%Z')",
    "import array\nx = array.array('d', [0.5])",
]


@pytest.mark.parametrize("program", BY_OTHER_NAMES)
def test_code_and_chance_by_other_names_are_refused(program):
    assert forgeable(program)


@pytest.mark.parametrize("text", ["'\u00b7 \uff59'", "b'' # \uff59", "r'\u2118' 'x'"])
def test_texts_and_remarks_may_hold_any_character(text):
    assert forgeable(f"x = {text}") == ""


def test_runs_that_differ_only_in_true_and_1_differ(sandbox):
    program = "def f(x):\n    y = [1, True][[*{'a', 'b', 'c', 'd'}][0] < 'c']\n    return x"
    kinds = {trace_program(sandbox, program.replace("'a'", f"'a{k}'"), [1], "f").reason
             for k in range(12)}  # fmt: skip
    assert "nondeterministic" in kinds  # of twelve sets, some begin otherwise


def test_a_printed_number_is_not_near_to_zero_by_being_small(sandbox):
    made = make_question(sandbox, "x = 5 - 3\nprint(x / 10**9)", "", None, CFG)
    right = [score_answer(f"x = 2\noutput = {n}", made, 0.1).status for n in ("2e-09", "0.0")]
    assert right == ["right", "partial"]


def test_marks_of_byte_order_are_no_way_around_a_rule(sandbox):
    loops = "\ufeff" + "for i in 'a': pass\n" * 12 + "print(1)"
    assert make_question(sandbox, loops, "", None, CFG) == "too complex"
    assert make_question(sandbox, "\ufeff\ufeffy = 1 + 1\nprint(1)", "", None, CFG) == "forgeable"


def test_a_long_row_of_blanks_is_not_asked_about(sandbox):
    program = "def f(x):\n    y =" + " " * 3000 + "x\n    return y"
    assert make_question(sandbox, program, [1], "f", Config()) == "too long"


def test_a_prefix_lends_no_name_of_a_module_that_is_not_listed():
    program = "def g(date): pass\ndef f(x):\n    y = date"
    assert not forgeable(program) and forgeable(program, "from datetime import *") == "date"


@pytest.mark.parametrize("depth", (372, 374, 375, 376))
def test_the_order_of_sets_is_looked_at_where_the_stack_nearly_ends(sandbox, depth):
    """Counter's repr swallows a TypeError, which our part of a comparison must not raise there."""
    program = f"""
import sys
from collections import Counter
sys.setrecursionlimit(400)
a, b, c = Counter(), Counter(), Counter()
a['k'], b['k'] = {{1}}, {{1: 0, 2: 0}}.keys()
c['a'], c['b'] = a, b
def f(n): return repr(c) if n == 0 else f(n - 1)
y = f({depth}).index('b') * 40 + 500
sys.setrecursionlimit(1000)
print(1)"""
    (plain,) = sandbox.run(program.replace("(1)", "(y)"), [""])
    made = make_question(sandbox, program, "", None, CFG)
    assert isinstance(made, str) or str(made.target["y"]) == plain.stdout.strip()
