"""trace.py: what counts as a definition, whose value is asked for, and what is refused."""
# ruff: noqa: S102, SIM905 (programs run in this process are our own; texts split best)

import json
import subprocess
import sys
import textwrap
from io import StringIO
from pathlib import Path

import pytest
from test_sandbox import limits

from jail import instrument
from jail.forgery import forgeable
from jail.instrument import HOOK, compile_traced
from jail.recorder import MIXED
from jail.values import decode, encode
from sandbox import Sandbox
from trace import choose_variables, parse_call, trace_program

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox(timeout_s=10.0)
    yield box
    box.close()


def execute(code, hook=None):
    """Run trusted code in this process; returns (stdout, the exception or None)."""
    out, names = StringIO(), {"__name__": "__main__", HOOK: hook}
    names["print"] = lambda *args, **kwargs: print(*args, **kwargs, file=out)
    try:
        exec(code, names)
    except Exception as error:  # noqa: BLE001 (whatever the program raises)
        return out.getvalue(), error
    return out.getvalue(), None


def rows(source):
    code, recorder = compile_traced(textwrap.dedent(source))
    execute(code, recorder.hook)
    return recorder.snapshot()


def values(source):
    """{"scope.name" or "name": value} of a trusted program."""
    return {f"{v['scope']}.{v['name']}".lstrip("."): decode(v["value"]) for v in rows(source)}


# --- What is a definition -----------------------------------------------------------------------

FORMS = {
    "x = 1\nx = 2": {"x": 2},
    "x = y = 3": {"x": 3, "y": 3},
    "x = 1\nx += 4": {"x": 5},
    "x: int = 6\ny: int": {"x": 6},
    "for i in range(3): pass": {"i": 2},
    "for i in []: pass": {},
    "for i, (j, *k) in [(1, (2, 3, 4))]: pass": {"i": 1, "j": 2, "k": [3, 4]},
    "a, (b, *c), [d] = 1, (2, 3), [4]": {"a": 1, "b": 2, "c": [3], "d": 4},
    "from contextlib import nullcontext as n\nwith n(1) as a, n((2, 3)) as (b, c): pass": {
        "a": 1,
        "b": 2,
        "c": 3,
    },
    "if (x := 5) > 3: pass": {"x": 5},
    "while (n := 3) < 2: pass": {"n": 3},
    "def f(a, /, b, *c, d=4, **e): pass\nf(1, 2, 3, z=5)": {
        "f.a": 1,
        "f.b": 2,
        "f.c": (3,),
        "f.d": 4,
        "f.e": {"z": 5},
    },
    "match [1, 2, 3]:\n case [x, *y]: pass": {"x": 1, "y": [2, 3]},
    "match {'a': 1, 'b': 2}:\n case {'a': x, **y}: pass": {"x": 1, "y": {"b": 2}},
    "match 5:\n case 1 | 2 as x: pass\n case int() as y: pass": {"y": 5},
    "match 5:\n case x if x > 9: pass\n case _: pass": {"x": 5},
    "match (1, 2):\n case (x, y) if x > y: z = 0\n case (y, _): z = 1": {"x": 1, "y": 1, "z": 1},
    "try: 1 / 0\nexcept ZeroDivisionError as e: x = 1": {"x": 1},
    "e = 1\ntry: 1 / 0\nexcept ZeroDivisionError as e: pass": {},
    "e = 1\ntry: pass\nexcept ZeroDivisionError as e: pass": {"e": 1},
    "x = [1, 2]\ndel x[0]\ny = 1\ndel y": {"x": [2]},
    "x = 1\ndel x\nx = 2": {"x": 2},
    "x = 1\nimport math as x": {},
    "x = 1\ndef x(): pass": {},
    "x = 1\nclass x: pass": {},
    "x = [0, 0]\nx[0] = 1\nx.append(2)": {"x": [1, 0, 2]},
    "class C: pass\nc = C()\nc.x = 1": {},
    "_ = 1\nfor _ in range(3): a = 1\nif (_ := 2): pass": {"a": 1},
    "x = [i for i in range(3) if (last := i) < 2]": {"last": 2, "x": [0, 1]},
    "def f():\n return any((t := i) > 0 for i in range(3))\nf()": {"f.t": 1},
    "x = sorted([2, 1], key=lambda v: (w := v))": {"x": [1, 2]},
    "f = lambda a, b=(c := 3): a": {"c": 3},
    "def f(a=(b := 1)): pass": {"b": 1},
    "def outer():\n n = 0\n def inner():\n  nonlocal n\n  n += 1\n inner(); inner()\nouter()": {
        "outer.n": 2
    },
    "def a():\n n = 0\n def b():\n  def c():\n   nonlocal n\n   n = 7\n  c()\n b()\na()": {
        "a.n": 7
    },
    "def a():\n n = 0\n class C:\n  n = 1\n  def m(s):\n   nonlocal n\n   n = 5\n C().m()\na()": {
        "a.n": 5,
        "a.C.n": 1,
    },
    "from __future__ import annotations\nfrom __future__ import division\nx = 1": {"x": 1},
    "n = 0\ndef f():\n global n, m\n n += 1\n m = 2\nf()": {"n": 1, "m": 2},
    "def f():\n global x\n if (x := 1): pass\nf()": {"x": 1},
    "class C:\n n = 1\n def f(self, a):\n  b = a\nC().f(4)": {"C.n": 1, "C.f.a": 4, "C.f.b": 4},
    "class C:\n def f(self):\n  __p = 1\n  self.q = __p\nC().f()": {"C.f.__p": 1},
    "def g(n):\n k = n\n while k:\n  k -= 1\n  yield k\nx = list(g(3))": {"g.k": 0, "x": [2, 1, 0]},
    "def g(n, f=lambda: (yield)): return n\ng(3)": {"g.n": 3},
    "def f(n):\n m = n\n return f(n - 1) if n else 0\nf(3)": {"f.n": 0, "f.m": 0},
    "def f(n):\n m = n\n if n: f(n - 1)\n m = -n\nf(3)": {"f.n": 0, "f.m": -3},
    "def f(n):\n if n: return n\n n = 5\nf(3)": {"f.n": 3},
    "x = [1]\ny = x\ny.append(2)": {"x": [1, 2], "y": [1, 2]},
    "x = {2, 1}\ny = {'a': (1, None)}": {
        "x": {1, 2},
        "y": {"a": (1, None)},
    },
    "x = 'a' * 201\ny = [0] * 100\nz = 1 << 1000\nok = 'a' * 200": {"ok": "a" * 200},
    "x = []\nx.append(x)\ny = [[], []]\ny[0] = y[1]": {"y": [[], []]},
    "x = object()\ny = print\nz = [print]\nw = 1.5": {"w": 1.5},
    "class I(int): pass\nx = I(3)": {},
    "x = 5\nx = object()": {},
    "x = 1\n1 / 0\ny = 2": {"x": 1},
    "'doc'\nfrom __future__ import annotations\nx = __doc__": {"x": "doc"},
    "def f(a):\n 'doc'\n return f.__doc__\nx = f(0)": {"f.a": 0, "x": "doc"},
    "def d(f):\n k = 1\n return f\n@d\ndef g(): pass": {"d.k": 1},
    "import asyncio\nasync def f(a):\n b = a\n return b\nx = asyncio.run(f(2))": {
        "f.b": 2,
        "x": 2,
    },
    "x = 1\nx = y = (z := 2) + x\nf'{(w := z)}'": {"x": 3, "y": 3, "z": 2, "w": 2},
}


@pytest.mark.parametrize("source", FORMS)
def test_each_form_defines_what_it_should(source):
    assert values(source) == FORMS[source]


def test_the_line_and_the_order_are_those_of_the_last_definition():
    got = rows("x = 1\ny = 2\nif y:\n    x = 3\nelse:\n    x = 4\nfor i in [0]:\n    pass\n")
    assert [(v["name"], v["line"]) for v in got] == [("y", 2), ("x", 4), ("i", 7)]
    assert [v["order"] for v in got] == sorted(v["order"] for v in got)


def test_parameters_are_marked_until_they_are_bound_again():
    got = rows("def f(a, b):\n    b = 1\nf(1, 1)")
    assert [(v["name"], v["parameter"]) for v in got] == [("a", True), ("b", False)]


def test_switching_on_forgets_what_came_before_and_off_keeps_what_came():
    code, recorder = compile_traced("x = 1\ndef f(a):\n    b = a\n    return b\nf(9)")
    names = {HOOK: recorder.hook}
    recorder.active = False
    exec(code, names)
    assert recorder.snapshot() == []
    recorder.active = True
    names["f"](5)
    recorder.active = False
    names["f"](6)
    assert [(v["name"], v["value"]) for v in recorder.snapshot()] == [("a", 5), ("b", 5)]


# --- The program must not notice ----------------------------------------------------------------

PROGRAMS = [
    # closures, defaults, generators
    """
    def counter(start=0, log=[]):
        n = start
        def step(by=1):
            nonlocal n
            n += by
            log.append(n)
            return n
        return step, log
    step, log = counter(10)
    print(step(), step(5), log)
    def pairs(xs):
        for i, a in enumerate(xs):
            for b in xs[i + 1:]:
                got = yield a, b
                if got: print("got", got)
    g = pairs([1, 2, 3])
    print(next(g), g.send("hi"), list(g))
    """,
    # classes: inheritance, properties, slots, private names, dataclass, enum
    """
    from dataclasses import dataclass, field
    from enum import Enum, auto
    class Base:
        __slots__ = ("v", "__w")
        kind = "base"
        def __init__(self, v): self.v = v; self.__w = v * 2
        @property
        def w(self): return self.__w
        def __repr__(self): return f"{type(self).__name__}({self.v})"
    class Child(Base):
        __slots__ = ()
        kind = Base.kind + "!"
        __count = 0
        @classmethod
        def make(cls, n):
            cls.__count = n
            return [cls(i) for i in range(n)]
    print(Child.make(2), Child.kind, Child(4).w)
    @dataclass(order=True)
    class P:
        x: int
        y: int = 2
        tags: list = field(default_factory=list)
    print(P(1), P(1) < P(2), P.__init__.__doc__)
    class Color(Enum):
        RED = auto()
        BLUE = auto()
        both = RED, BLUE
    print(list(Color), Color.RED.value)
    """,
    # control flow and exceptions
    """
    def parse(s):
        try:
            n = int(s)
        except ValueError as e:
            return str(e)
        else:
            return n + 1
        finally:
            print("done", s)
    print(parse("4"), parse("x"))
    for n in range(2, 12):
        for d in range(2, n):
            if n % d == 0: break
        else:
            print(n, end=" ")
    i = 0
    while True:
        i += 1
        if i % 2: continue
        if i > 6: break
    else:
        print("never")
    def chain():
        try:
            try: [][1]
            except IndexError as e: raise KeyError("k") from e
        except KeyError as e:
            return repr(e.__cause__), repr(e)
    print(chain())
    """,
    # match
    """
    def shape(v):
        match v:
            case {"type": "circle", "r": r, **rest} if r > 0: return "circle", r, rest
            case {"type": "circle"}: return "bad circle"
            case [x, y, *zs]: return x, y, zs
            case int(n) | float(n): return n * 2
            case str() as s if len(s) > 2: return s.upper()
            case None | True: return "const"
            case _: return "?"
    for v in [{"type": "circle", "r": 2, "c": 1}, {"type": "circle", "r": 0}, [1, 2, 3], 4, "abc",
              "a", None, True]:
        print(shape(v))
    """,
    # walrus, comprehensions, scopes of class bodies
    """
    data = [3, 1, 2]
    print([y for x in data if (y := x * 2) > 2], y, {(k := i): i for i in data}, k)
    total = 0
    print([total := total + x for x in data], total)
    class K:
        n = 3
        squares = [i * i for i in range(4)]
        f = lambda self, n=n: n
    print(K.squares, K().f())
    print(any((w := c) == "b" for c in "abc"), w)
    """,
    # recursion and memo
    """
    from functools import lru_cache, reduce
    @lru_cache(None)
    def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
    print(fib(80), reduce(lambda a, b: a * b, range(1, 20)))
    def perms(xs):
        if not xs: return [[]]
        out = []
        for i, x in enumerate(xs):
            for rest in perms(xs[:i] + xs[i + 1:]): out.append([x] + rest)
        return out
    print(perms([1, 2, 3]))
    """,
    # the recursion limit is hit at the same depth
    """
    depth = 0
    def dive(n):
        global depth
        depth = n
        return dive(n + 1)
    try: dive(0)
    except RecursionError: print("deep")
    """,
    # functions' own attributes, docstrings, annotations
    """
    def f(a: int, b: "str" = "x", *, c: list = None) -> bool:
        "says hi"
        a: float = 1.5
        return a
    print(f.__doc__, f.__annotations__, f.__defaults__, f.__kwdefaults__, f.__name__, f(1))
    class D:
        "a class"
        x: int = 1
        y: str
    print(D.__doc__, D.__annotations__)
    """,
    # bound and unbound at run time
    """
    def f():
        try: print(x)
        except UnboundLocalError as e: print(type(e).__name__)
        x = 1
        del x
        try: x
        except UnboundLocalError as e: print("again")
    f()
    try: nothing
    except NameError as e: print(e)
    """,
    # shadowed builtins
    """
    next = 3
    list = [1]
    iter = None
    def len(x): return 99
    for int in range(2): pass
    print(next, list, len([]), int)
    """,
    # context managers, async
    """
    import asyncio
    from contextlib import contextmanager, asynccontextmanager
    @contextmanager
    def tag(name):
        print("<", name)
        yield name
        print(">", name)
    with tag("a") as a, tag("b") as b:
        print(a + b)
    async def numbers(n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i
    async def main():
        out = []
        async for i in numbers(3):
            out.append(i)
        return out + [j async for j in numbers(2)]
    print(asyncio.run(main()))
    """,
    # unpacking, slices, chained targets, evaluation order
    """
    def say(x): print("say", x); return x
    xs = [0, 1, 2, 3]
    xs[say(1)], (a, *xs[2:]) = say(5), (6, 7, 8)
    i = xs[i if False else 0] = 2
    d = {}
    d[say("k")] = k = say("v")
    d["n"] = 0
    d["n"] += say(4)
    print(xs, a, i, d, k)
    """,
    # destructors: the last references are kept by the recorder, the output may not depend on it
    """
    from collections import Counter, defaultdict, deque
    c = Counter("hello"); dd = defaultdict(list); q = deque([1, 2], maxlen=2)
    for k, v in c.items(): dd[v].append(k)
    q.append(3)
    print(c.most_common(1), dict(dd), q)
    """,
    # strings, f-strings, big numbers
    """
    n = 2 ** 100
    s = f"{n:,} {n!r:>40} {(m := 3)=} {'nested ' + f'{m}'}"
    print(s, n % 1000007, 0.1 + 0.2, float("nan"), -0.0)
    print("%s %05d" % ("a", 3), "{:>4}|".format("x"))
    """,
    # an uncaught exception
    """
    def check(x):
        y = x - 1
        if y < 0:
            raise ValueError(
                f"negative {y}"
            )
        return check(y)
    print("start")
    check(2)
    """,
    # an exception in the midst of a statement that binds
    """
    def f(xs):
        for i, (a, b) in enumerate(xs):
            t = [
                a,
                a
                // b,
            ]
        return t
    print(f([(4, 2)]))
    f([(4, 2), (1, 0)])
    """,
    # metaclasses and namespaces that notice reads
    """
    class Space(dict):
        def __setitem__(self, k, v): print("set", k); dict.__setitem__(self, k, v)
    class Meta(type):
        @classmethod
        def __prepare__(meta, name, bases): return Space()
        def __new__(meta, name, bases, ns): return type.__new__(meta, name, bases, dict(ns))
    class C(metaclass=Meta):
        a = 1
        def f(self): pass
        for i in range(2): b = i
    print(sorted(k for k in vars(C) if len(k) == 1))
    """,
]


def lines_of(error):
    """[(function, line, first column, last column)] of a traceback's frames in the program."""
    found, tb = [], error and error.__traceback__
    while tb:
        code = tb.tb_frame.f_code
        if code.co_filename == "<program>":
            place = list(code.co_positions())[tb.tb_lasti // 2]
            found.append((code.co_name, tb.tb_lineno, *place))
        tb = tb.tb_next
    return found


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_output_and_exceptions_are_those_of_the_plain_program(number):
    source = textwrap.dedent(PROGRAMS[number])
    plain_out, plain_error = execute(compile(source, "<program>", "exec", dont_inherit=True))
    code, recorder = compile_traced(source)
    out, error = execute(code, recorder.hook)
    assert out == plain_out
    assert repr(error) == repr(plain_error)
    assert lines_of(error) == lines_of(plain_error)
    assert any(recorder.hook[2:])  # something was recorded


def test_tracing_adds_no_stack_frame():
    source = "def f(n):\n    m = n\n    return f(n + 1)\ntry: f(0)\nexcept RecursionError: pass\n"
    code, recorder = compile_traced(source)
    names = {HOOK: recorder.hook}
    exec(code, names)
    reached = recorder.snapshot()[-1]["value"]
    assert reached > sys.getrecursionlimit() - 200


# --- An independent oracle: sys.settrace --------------------------------------------------------


def settrace_values(source):
    """{(function, name): object} at the end, from locals() at every line and return.

    It sees bindings by their effect: a name whose object changed in a frame since the last event,
    or that a new frame starts with. Good for programs with at most one statement on a line, where
    no binding gives a name the very object it has.
    """
    bound, frames = {}, {}

    def look(frame):
        seen = frames.setdefault(frame, {})
        scope = frame.f_code.co_qualname.replace(".<locals>", "")
        for name, value in list(frame.f_locals.items()):
            own = name not in frame.f_code.co_freevars
            if own and (name not in seen or seen[name] is not value):
                bound[scope, name] = value
        for name in seen.keys() - frame.f_locals.keys():
            bound.pop((scope, name), None)
        frames[frame] = dict(frame.f_locals)

    def tracer(frame, event, arg):
        if frame.f_code.co_filename != "<program>":
            return None
        if not frame.f_code.co_name.startswith("<") or frame.f_code.co_name == "<module>":
            look(frame)
        return tracer

    code = compile(source, "<program>", "exec", dont_inherit=True)
    names = {"__name__": "__main__", "print": lambda *a, **k: None}
    sys.settrace(tracer)
    try:
        exec(code, names)
    finally:
        sys.settrace(None)
    plain = {}
    for (scope, name), value in bound.items():
        if name.startswith("__"):
            continue
        try:
            data = encode(value, max_nodes=100, max_chars=200, max_bits=1000)
        except ValueError:
            continue
        plain["" if scope == "<module>" else scope, name] = data
    return plain


ORACLE = """\
x = 1
for i in range(5):
    x = x * 2 + i
---
def gcd(a, b):
    while b:
        a, b = b, a % b
    return a
r = gcd(252, 105)
---
def fact(n):
    if n < 2:
        return 1
    m = fact(n - 1)
    return n * m
f = fact(6)
---
def fib(n):
    a, b = 0, 1
    for i in range(n):
        a, b = b, a + b
    return a
x = fib(9)
---
xs = [5, 3, 8]
for i in range(len(xs)):
    for j in range(len(xs) - 1):
        if xs[j] > xs[j + 1]:
            xs[j], xs[j + 1] = xs[j + 1], xs[j]
---
def f(s):
    out = {}
    for c in s:
        out[c] = out.get(c, 0) + 1
    return out
d = f('abca')
---
def outer(k):
    def inner(x):
        y = x + k
        return y
    z = inner(3)
    return z
w = outer(4)
---
def f(n, acc=None):
    acc = [] if acc is None else acc
    if n:
        acc.append(n)
        f(n - 1, acc)
    return acc
r = f(3)
---
def g():
    i = 0
    while i < 4:
        yield i
        i += 1
s = 0
for v in g():
    s += v
---
class S:
    size = 3
    def push(self, v):
        w = v + self.size
        return w
t = S().push(5)
---
def f(xs):
    best = None
    for x in xs:
        if best is None or x > best:
            best = x
    return best
b = f([3, 9, 2])
---
def f(n):
    s = str(n)
    t = s[::-1]
    ok = s == t
    return ok
r = f(12321)
q = f(12)
---
try:
    x = int('a')
except ValueError as e:
    m = str(e)
y = 3
---
def f(n):
    ps = []
    c = 2
    while len(ps) < n:
        if all(c % p for p in ps):
            ps.append(c)
        c += 1
    return ps
r = f(6)
---
def f(xs, t):
    lo, hi = 0, len(xs)
    while lo < hi:
        mid = (lo + hi) // 2
        if xs[mid] < t:
            lo = mid + 1
        else:
            hi = mid
    return lo
r = f([1, 3, 5, 7], 5)
---
a = [1, 2]
b = a
b.append(3)
c = a + b
del b
---
x = 10
y = x
while y > 1:
    y = y // 2 if y % 2 == 0 else 3 * y + 1
---
def f(a, *rest, k=2, **kw):
    total = a + sum(rest) * k
    return total
r = f(1, 2, 3, k=4, z=5)
---
words = 'the cat the dog'.split()
seen = set()
for w in words:
    seen.add(w)
n = len(seen)
---
m = [[0] * 3 for r in range(3)]
for i in range(3):
    for j in range(3):
        m[i][j] = i * j
---
def f(n):
    if n == 0:
        return 'even'
    return g(n - 1)
def g(n):
    if n == 0:
        return 'odd'
    return f(n - 1)
r = f(7)
---
data = [(1, 'a'), (2, 'b')]
for num, ch in data:
    key = ch * num
d = dict(data)
---
s = 'hello'
t = ''
for c in s:
    t = c + t
u = t.upper()
---
def f(x):
    if (y := x * 2) > 5:
        z = y
    else:
        z = -y
    return z
r = f(2)
q = f(4)
---
def f(cmd):
    match cmd:
        case ['go', place]:
            r = place
        case ['stop', *rest]:
            r = rest
    return r
a = f(['go', 'x'])
b = f(['stop', 1])
---
import math
r = 2.5
area = math.pi * r ** 2
k = round(area, 2)
---
def h(n, a, b, c):
    if n == 0:
        return 0
    left = h(n - 1, a, c, b)
    right = h(n - 1, c, b, a)
    return left + right + 1
moves = h(4, 'A', 'B', 'C')
---
memo = {}
def f(n):
    if n < 2:
        return n
    if n not in memo:
        memo[n] = f(n - 1) + f(n - 2)
    return memo[n]
x = f(20)
---
def f(n):
    bits = []
    while n:
        n, r = divmod(n, 2)
        bits.append(r)
    return bits[::-1]
b = f(37)
---
class A:
    def __init__(self, v):
        self.v = v
        doubled = v * 2
class B(A):
    def get(self):
        w = self.v
        return w
x = B(7).get()
---
rows = [[1, 2], [3, 4]]
t = [list(c) for c in zip(*rows)]
for a, (b, c) in enumerate(t):
    s = a + b + c
---
from collections import deque
q = deque([0])
seen = {0}
edges = {0: [1, 2], 1: [3], 2: [3], 3: []}
order = []
while q:
    u = q.popleft()
    order.append(u)
    for v in edges[u]:
        if v not in seen:
            seen.add(v)
            q.append(v)
---
def f(k):
    def g(x):
        return x * k
    fs = []
    for i in range(3):
        fs.append(g(i))
    return fs
r = f(5)
""".split("---\n")


@pytest.mark.parametrize("number", range(len(ORACLE)))
def test_settrace_agrees_on_every_value(number):
    ours = {(v["scope"], v["name"]): v["value"] for v in rows(ORACLE[number])}
    assert ours == settrace_values(ORACLE[number])
    assert ours


def a_tick_for_each(sharer, body: list) -> list:
    """Instead of TickSharer.share: each definition takes a tick each time."""
    return [n for s in body for n in (s.body if hasattr(s, "takes_tick_for") else [s])]


@pytest.mark.parametrize("source", [*FORMS, *ORACLE])
def test_shared_ticks_give_the_order_that_a_tick_for_each_gives(monkeypatch, source):
    shared = rows(source)
    monkeypatch.setattr(instrument.TickSharer, "share", a_tick_for_each)
    assert rows(source) == shared


def test_what_an_exception_kept_from_being_defined_is_not_there():
    source = "def f(x):\n a = 1\n b = a / x\n c = 2\ntry: f(0)\nexcept ZeroDivisionError: pass"
    assert values(source) == {"f.x": 0, "f.a": 1}


# --- In the sandbox -----------------------------------------------------------------------------


def test_values_are_read_when_the_run_is_over(sandbox):
    program = """
def f(n):
    xs = []
    ys = xs
    ys.append(n)
    for x in [xs]:
        x.append(2)
    if (m := [n]):
        m.append(3)
    a, *b = [n, n]
    b.append(4)
    return xs"""
    wanted = {"n": 1, "xs": [1, 2], "ys": [1, 2], "x": [1, 2], "m": [1, 3], "a": 1, "b": [1, 4]}
    traced = trace_program(sandbox, program, [1], "f")
    assert (traced.reason, traced.value) == ("", [1, 2])
    assert [(v.name, v.value) for v in traced.variables] == list(wanted.items())


def test_a_stdin_program_is_traced_whole(sandbox):
    trace = trace_program(sandbox, "n = int(input())\nm = n * 2\nprint(m)", "4\n")
    assert (trace.reason, trace.stdout) == ("", "8\n")
    assert [(v.name, v.value, v.line) for v in trace.variables] == [("n", 4, 1), ("m", 8, 2)]


def test_only_the_call_under_test_is_traced(sandbox):
    program = "top = 9\ndef f(a):\n    b = a + 1\n    return b\nprint(f(100))"
    trace = trace_program(sandbox, program, [5], "f")
    assert (trace.reason, trace.value) == ("", 6)
    assert trace.stdout == "101\n"
    assert {v.name: v.value for v in trace.variables} == {"a": 5, "b": 6}


def test_sets_tuples_dicts_and_nan_arrive_as_they_are(sandbox):
    program = "s = {3, 1}\nt = (1, 'a')\nd = {1: [2.5]}\nx = float('nan')\nprint(1)"
    trace = trace_program(sandbox, program, "")
    found = {v.name: v.value for v in trace.variables}
    assert trace.reason == ""
    assert (found["s"], found["t"], found["d"]) == ({1, 3}, (1, "a"), {1: [2.5]})
    assert found["x"] != found["x"]


def test_an_argument_that_stays_as_given_is_not_asked_for(sandbox):
    program = "def f(a, xs, n):\n    xs.append(a)\n    n += 1\n    return xs"
    trace = trace_program(sandbox, program, [7, [1], 3], "f")
    chosen = choose_variables(trace, 9)
    assert [(v.name, v.value) for v in chosen] == [("xs", [1, 7]), ("n", 4)]


@pytest.mark.parametrize("fn_name", ["f", "Solution.f", "Solution().f"])
def test_a_method_of_solution_is_called_and_traced(sandbox, fn_name):
    program = "class Solution:\n    def f(self, a):\n        b = a + 1\n        return b"
    trace = trace_program(sandbox, program, [1], fn_name)
    assert (trace.reason, trace.value) == ("", 2)
    assert [(v.scope, v.name, v.value) for v in choose_variables(trace, 9)] == [
        ("Solution.f", "b", 2)
    ]


def test_a_helpers_parameter_is_asked_for(sandbox):
    program = "def g(a):\n    return a * 2\ndef f(a):\n    return g(a + 1)"
    chosen = choose_variables(trace_program(sandbox, program, [7], "f"), 9)
    assert [(v.scope, v.name, v.value) for v in chosen] == [("g", "a", 8)]


def test_of_one_name_in_two_scopes_the_last_defined_is_meant(sandbox):
    program = "def g(y):\n    x = y\n    return x\ndef f(n):\n    x = g(n + 1)\n    return g(x + 5)"
    chosen = choose_variables(trace_program(sandbox, program, [1], "f"), 9)
    assert [(v.scope, v.name, v.value) for v in chosen] == [("g", "y", 7), ("g", "x", 7)]


# Each defines `x` in two scopes, last where its value cannot be asked for, or we cannot say when.
HIDDEN_LAST = [
    "x = 1\ndef f():\n    x = object()\nf()",
    "x = 1\ndef f():\n    x = 'a' * 300\nf()",
    "x = 1\ndef f():\n    x = 2\n    del x\nf()",
    "x = 1\ndef f():\n    d = []\n    x, d[0] = 2, 3\n    x = 4\ntry: f()\nexcept IndexError: pass",
    "x = 1\nclass A:\n    x = 2\n    def m(self): self.x = 3",
    "x = 1\ndef g(x): yield x\ng(2)",
    "x = 1\ndef g(x): yield x\nit = g(2)\nx = 3\nnext(it)",
]


@pytest.mark.parametrize("program", HIDDEN_LAST)
def test_no_older_variable_stands_in_for_the_last_of_its_name(sandbox, program):
    trace = trace_program(sandbox, f"{program}\nlast = 5", "", trusted=True)
    assert "x" not in [v.name for v in choose_variables(trace, 9)] and trace.reason == ""


def test_an_object_hides_no_later_variable_of_its_name(sandbox):
    trace = trace_program(sandbox, f"{HIDDEN_LAST[0]}\nx = 5", "")
    assert [v.value for v in choose_variables(trace, 9)] == [5]


def test_the_last_defined_variables_are_chosen(sandbox):
    trace = trace_program(sandbox, "a = 1\nb = 2\nc = 3\na = 4\nprint(a)", "")
    assert [v.name for v in choose_variables(trace, 2)] == ["c", "a"]
    assert choose_variables(trace, 0) == []


def test_a_crash_is_refused_but_leaves_the_values_it_had(sandbox):
    trace = trace_program(sandbox, "x = 3\ny = x // 0\n", "")
    assert trace.reason == "error"
    assert "ZeroDivisionError" in trace.error
    assert [(v.name, v.value) for v in trace.variables] == [("x", 3)]


def test_an_endless_program_is_refused(sandbox):
    with limits(sandbox, timeout_s=0.3):
        trace = trace_program(sandbox, "x = 0\nwhile True:\n    x += 1\n", "")
    assert trace.reason == "timeout"


def test_a_program_that_differs_between_runs_is_refused(sandbox):
    for chance in ("import time\nt = time.time()", "x = list({'pear', 'fig', 'kiwi', 'plum'})"):
        assert trace_program(sandbox, chance, "", trusted=True).reason == "nondeterministic"
    assert trace_program(sandbox, "x = id(object())", "").reason == "forgeable"


DESTRUCTOR = "class D:\n    def __del__(self):\n        print('gone')\n"


def test_a_variable_that_is_bound_again_or_deleted_frees_its_value(sandbox):
    program = DESTRUCTOR + "x = D()\nx = 1\nprint(x)\ny = D()\ndel y\nprint('end')"
    trace = trace_program(sandbox, program, "", trusted=True)
    assert (trace.reason, trace.stdout) == ("", "gone\n1\ngone\nend\n")


def test_a_program_that_notices_the_tracing_is_refused(sandbox):
    local = DESTRUCTOR + "def f():\n    x = D()\nf()\nprint('end')"  # the record keeps x alive
    assert trace_program(sandbox, local, "", trusted=True).reason == "changed by tracing"
    counted = "import sys\nx = []\nprint(sys.getrefcount(x))\n"
    assert trace_program(sandbox, counted, "", trusted=True).reason == "changed by tracing"


FORGERIES = [
    f"{HOOK}[3] = 1",
    f"def {HOOK}(): pass",
    f"class {HOOK}: pass",
    f"import math as {HOOK}",
    f"globals()['{HOOK}'] = 0",
    "import sys\nsys._getframe()",
    "import sys\nsys.settrace(None)",
    "from sys import modules",
    "import gc",
    "import ctypes",
    "import os",
    "import numpy",
    "import trace",
    "import sandbox",
    "from . import x",
    "exec('x = 1')",
    "f = eval",
    "import builtins",
    "getattr(print, '__' + 'self__')",
    "def f(): pass\nf.__globals__['x'] = 1",
    "print.__self__",
    "().__class__.__base__.__subclasses__()",
    "__builtins__",
    "__import__('os')",
    "try: 1 / 0\nexcept Exception as e: e.__traceback__",
    "g = (i for i in [])\ng.gi_frame",
    "from operator import attrgetter",
    "import operator as o\no.attrgetter('x')",
    "import string\nstring.Formatter()",
    "import random\nrandom._os.write(5, b'x')",
    "import functools\nfunctools.update_wrapper(print, print)",
    "import dataclasses\ndataclasses.inspect",
    "import dataclasses\ndataclasses.builtins",
    "match print:\n    case object(__self__=s): pass",
    "class A:\n    __match_args__ = ('x',)",
    "s = '__globals__'",
    "open('x')",
    "import sys\nsys.stdout.buffer.raw",
    "def f(x: 'int'): return vars()",
    "ⅇxec('x = 1')",
    "x = 'unclosed",
]


@pytest.mark.parametrize("source", FORGERIES)
def test_a_program_that_could_reach_its_record_is_refused(source, sandbox):
    assert forgeable(source)
    assert trace_program(sandbox, source, "").reason == "forgeable"


HONEST = [
    "import sys\nfor line in sys.stdin.read().split():\n    print(line)",
    "if __name__ == '__main__':\n    print('help me open this eval')",
    "from collections import defaultdict, deque\nimport heapq as h\nfrom typing import List",
    "class A:\n    def __init__(self): self.x = 1\n    def less(self, o): return True",
    "def f(nums):\n    '''Compile the modules.'''\n    return sorted(nums, key=lambda x: -x)",
    "import random\nprint(type(self_ := 3).__name__)",
    "id = 5\nprint(id)",
]


@pytest.mark.parametrize("source", HONEST)
def test_an_honest_program_is_not_refused(source):
    assert forgeable(source) == ""


def test_a_syntax_error_is_a_reason(sandbox):
    assert trace_program(sandbox, "x = (", "").reason == "forgeable"
    assert trace_program(sandbox, "x = (", "", trusted=True).reason == "syntax"


# --- Command line -------------------------------------------------------------------------------


def cli(*args, stdin=""):
    command = [sys.executable, str(ROOT / "trace.py"), *map(str, args)]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_table_shows_variables_then_output(tmp_path):
    (tmp_path / "p.py").write_text("n = int(input())\nsq = n * n\nprint(sq)\n")
    done = cli(tmp_path / "p.py", stdin="12\n")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["variable", "scope", "line", "value"]
    assert lines[2] == ["sq", "module", "2", "144"]
    assert lines[-1] == ["144"]


def test_json_holds_the_record_of_a_call(tmp_path):
    (tmp_path / "p.py").write_text("def f(xs):\n    t = tuple(xs)\n    return t\n")
    done = cli(tmp_path / "p.py", "--call=f([1, 2])", "--json")
    record = json.loads(done.stdout)
    assert record["value"] == "(1, 2)"
    assert [(v["name"], v["value"]) for v in record["variables"]] == [
        ("xs", "[1, 2]"),
        ("t", "(1, 2)"),
    ]


def test_what_a_program_says_cannot_command_the_terminal(tmp_path):
    escape = "\\x1b]0;x\\x07\\x9b31m\\r\\u202e"
    (tmp_path / "p.py").write_text(f"s = '{escape}'\nprint(s)\nraise ValueError(s + '\\ud800')\n")
    done = cli(tmp_path / "p.py")
    assert done.returncode != 0 and "�]0;x��31m���" in done.stderr and "�]0;x��31m��" in done.stdout
    assert not set(done.stdout + done.stderr) & set("\x1b\x07\x9b\r\u202e")
    assert cli(tmp_path / "p.py", "--json").stdout.isascii()


def test_bad_input_gets_one_sentence(tmp_path):
    (tmp_path / "p.py").write_text("def f(a, *, b=1): pass\nx = 1\nboom()\n")
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'")
    for path, option, why in [
        ("none.py", "--json", "No such file"),
        (tmp_path, "--json", "directory"),
        (tmp_path / "latin.py", "--json", "UTF-8"),
        (tmp_path / "p.py", "--json", "boom"),
        (tmp_path / "p.py", "--call=f(x)", "literal"),
        (tmp_path / "p.py", "--call=f(1, z=2)", "'z'"),
    ]:
        done = cli(path, option)
        assert done.returncode != 0
        assert why in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "f",
        "f(x)",
        "f(a=x)",
        "a.b.f(1)",
        "f()(1)",
        "f(",
        "f(__import__('os'))",
        "f(*[1])",
        "f({[]: 1})",
    ],
)
def test_a_call_with_more_than_literals_is_refused(text):
    with pytest.raises(ValueError, match="literal|unhashable"):
        parse_call(text, "def f(a): pass")


def test_a_call_is_read_not_run():
    assert parse_call("f([1, 2], -3, {'a': (1,)})") == ("f", [[1, 2], -3, {"a": (1,)}])
    assert parse_call("Solution().f('x')") == ("Solution().f", ["x"])
    assert parse_call("Solution.f()") == ("Solution.f", [])


SIGNATURES = """
def f(a, b=[2], c=-3): pass
def g(xs, key=len, n=1): pass
class Solution:
    def f(self, a, k=1): pass
    @staticmethod
    def s(a, b): pass
class Other:
    def f(self, z): pass
def h(a): pass
def h(a, b): pass
"""


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("Solution().f([1], k=2)", [[1], 2]),
        ("Solution().f(k=2, a=1)", [1, 2]),
        ("f(1, k=2)", [1, 2]),  # as the sandbox does: first the method of Solution
        ("s(b=1, a=2)", [2, 1]),
        ("Solution.s(1, b=2)", [1, 2]),
        ("Other().f(z=1)", [1]),
        ("h(b=1, a=2)", [2, 1]),  # the last definition
        ("g(xs=[1])", [[1]]),
    ],
)
def test_keywords_become_positions(call, arguments):
    assert parse_call(call, SIGNATURES)[1] == arguments


def test_defaults_fill_the_gaps_between_keywords():
    program = SIGNATURES.replace("class Solution", "class NoSolution")
    assert parse_call("f(1, c=4)", program) == ("f", [1, [2], 4])


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("g([1], n=2)", "defaults"),  # len is no literal
        ("Solution().f(1, z=2)", "'z'"),
        ("Solution().f(1, a=2)", "'a'"),
        ("h(b=1)", "'a'"),
        ("nothing(a=1)", "def nothing"),
        ("h(**{'a': 1})", "keywords"),
    ],
)
def test_keywords_that_do_not_fit_are_refused(call, why):
    with pytest.raises(ValueError, match=why):
        parse_call(call, SIGNATURES)


def test_a_call_with_keywords_is_traced(tmp_path):
    program = "class Solution:\n    def f(self, xs, k=1):\n        y = [k, *xs]\n        return y\n"
    (tmp_path / "p.py").write_text(program)
    done = cli(tmp_path / "p.py", "--call=Solution().f([1], k=2)")
    assert done.stdout.endswith("Solution().f returned [2, 1]\n"), done.stderr


def test_an_input_may_be_as_large_as_those_of_the_tests(sandbox):
    traced = trace_program(sandbox, "def f(x):\n    n = len(x)\n    return n", [[0] * 300_000], "f")
    assert {v.name: v.value for v in traced.variables}["n"] == 300_000


@pytest.mark.parametrize(
    "made, used",
    [
        ("def g():\n    x = 6\n    yield x\nb = g()", "[]\n    a += b"),
        ("def g(k):\n    x = (k, 1)\n    return x\nb = map(g, 'ab')", "{}\n    a |= b"),
        ("class B(list):\n    def keys(self):\n        x = 6\n        return []\nb = B()", "{**b}"),
        (
            "def g():\n    x = 6\n    return x\nfrom typing import DefaultDict as d\nb = d(g)",
            "b[0]",
        ),
        ("def g(_):\n    x = 6\n    return x\nclass B: z = property(g)\nb = B()", "b.z"),
        ("from functools import cmp_to_key as k\ndef g(x, _): return -x\nb = k(g)(1)", "b < b"),
    ],
)
def test_code_that_no_text_shows_between_two_definitions_is_noticed(sandbox, made, used):
    program = f"{made}\nn = 7\ndef f():\n    z = 1\n    a = {used}\n    x = n * 5\nf()\nprint(1)"
    found = trace_program(sandbox, program, "", trusted=True)
    assert (found.reason, found.error) == ("error", MIXED)
    program = program.replace("    z = 1\n", "").replace("    x = n", "    print()\n    x = n")
    found = trace_program(sandbox, program, "", trusted=True)
    assert [v.value for v in found.variables if v.name == "x" and v.last] == [35]
