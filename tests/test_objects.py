"""What a check and the program both hold is one object to both, as if they lived in one process."""

import collections
import contextlib
import json
import math
import random
from collections.abc import Callable

import pytest

from jail.peer import Peer
from problems.problem import Problem
from reward import judge
from sandbox import Sandbox


@pytest.fixture(scope="module")
def box():
    with contextlib.closing(Sandbox(timeout_s=10.0)) as box:
        yield box


SUBSETS = """
def f(xs):
    path = []
    def walk(i):
        if i == len(xs):
            yield path[:]
            return
        path.append(xs[i])
        yield from walk(i + 1)
        path.pop()
        yield from walk(i + 1)
    return walk(0)
"""
ORDERS = """
def f(xs, emit, k=0):
    if k == len(xs): emit(xs[:])
    for i in range(k, len(xs)):
        xs[k], xs[i] = xs[i], xs[k]
        f(xs, emit, k + 1)
        xs[k], xs[i] = xs[i], xs[k]
"""
LOG = """
class F:
    def __init__(self): self.xs = []
    def add(self, x): self.xs.append(x)
    def items(self): return self.xs[:]
"""
HOLDER = """
class F:
    def __init__(self, xs): self.xs = list(xs)
    def smallest(self):
        self.xs.sort()
        return self.xs[0]
    def total(self): return sum(self.xs)
"""
SHARED = {  # lines of the check; a right program; what in it, and what in its place makes it wrong
    "a path that is yielded and changed": (
        "assert list(f([1, 2])) == [[1, 2], [1], [2], []]", SUBSETS, "path[:]", "path"),
    "a list for a function of the check": (
        "got = []; f([1, 2], got.append)\nassert sorted(got) == [[1, 2], [2, 1]]",
        ORDERS, "xs[:]", "xs"),
    "a list of an instance, which grows": (
        "m = f(); a = m.items(); m.add(1)\nassert a == [] and m.items() == [1]",
        LOG, "self.xs[:]", "self.xs"),
    "a list of an instance, which the check changes": (
        "m = f(); m.items().append(1)\nassert m.items() == []", LOG, "self.xs[:]", "self.xs"),
    "one list for all calls": (
        "a, b = f(1), f(2)\nassert a == [1] and b == [2]",
        "r = []\ndef f(x):\n    return [x]", "return [x]", "r[:] = [x]; return r"),
    "a default that the check changes": (
        "f(1).append(5)\nassert f(2) == []", "def f(n, acc=[]): return acc[:]", "acc[:]", "acc"),
    "whether two are one": (
        "assert f() is not f()", "r = {}\ndef f(): return dict(r)", "dict(r)", "r"),
    "an argument that changes after its call": (
        "xs = [3, 1]; m = f(xs)\nassert m.smallest() == 1 and xs == [3, 1]",
        HOLDER, "list(xs)", "xs"),
    "an argument that a generator sorts": (
        "xs = [3, 1]\nassert list(f(xs)) == [1, 3] and xs == [3, 1]",
        "def f(xs):\n    xs = sorted(xs)\n    yield from xs", "xs = sorted(xs)", "xs.sort()"),
    "an argument that is kept, and the check changes": (
        "xs = [1]; m = f(xs); xs.append(2)\nassert m.total() == 1", HOLDER, "list(xs)", "xs"),
    "a number that becomes another with its value": (
        "xs = [1]; f(xs)\nassert repr(xs) == '[1]'", "def f(xs): xs[0] = 1", "= 1", "= 1.0"),
    "an argument within an argument": (
        "row = [1]; m = f([row]); row[0] = 2\nassert m.total() == 1",
        "class F:\n    def __init__(self, g): self.g = [x[:] for x in g]\n"
        "    def total(self): return self.g[0][0]", "x[:]", "x"),
}  # fmt: skip


@pytest.mark.parametrize("case", SHARED)
def test_what_both_sides_hold_is_one_object(box, case):
    lines, right, old, new = SHARED[case]
    check = "def check(f):\n    " + lines.replace("\n", "\n    ")
    problem = Problem("p", "", {"check": check, "entry_point": "F" if "class F" in right else "f"})
    assert judge(box, problem, right).status == "passed"
    assert judge(box, problem, right.replace(old, new)).status == "failed"


def test_a_cached_list_is_the_one_that_the_check_changed(box):
    program = "import functools\n@functools.cache\ndef f(n): return list(range(n))"
    check = "def check(f):\n    a = f(2)\n    a.append(7)\n    assert f(2) is a == [0, 1, 7]"
    problem = Problem("p", "", {"check": check, "entry_point": "f"})
    assert judge(box, problem, program).status == "passed"


def test_an_argument_that_is_kept_may_come_to_hold_what_cannot_travel(box):
    program = """
class Own: pass
class F:
    def __init__(self, xs): self.xs = xs
    def grow(self): self.xs.append(Own())
    def size(self): return len(self.xs)
"""
    check = "def check(F):\n    xs = [1]\n    m = F(xs)\n    m.grow()\n    assert m.size() == 2"
    problem = Problem("p", "", {"check": check, "entry_point": "F"})
    assert judge(box, problem, program).status == "passed"


def test_an_argument_that_comes_back_with_what_cannot_travel_is_no_copy(box):
    program = "class Own: pass\ndef f(xs): xs.append(Own())"
    check = "def check(f):\n    xs = [1]\n    f(xs)\n    assert xs == [1]"
    verdict = judge(box, Problem("p", "", {"check": check, "entry_point": "f"}), program)
    assert verdict.status == "error" and "a value of type Own" in verdict.error


def test_an_array_that_is_kept_is_lists_to_a_check_without_numpy(box):
    pytest.importorskip("numpy")
    program = "import numpy\nkept = numpy.eye(2)\ndef f(x): return [x[0], x] if x else kept"
    check = "def check(f):\n    a, (b, c) = f([]), f([[1], [2]])\n    a[0][0] = 5\n"
    check += "    assert a == [[5, 0], [0, 1]] and c == [[1], [2]] and c[0] is b\n"
    check += "    assert f([]) == [[1, 0], [0, 1]]"
    problem = Problem("p", "", {"check": check, "entry_point": "f"})
    assert judge(box, problem, program).status == "passed"


@pytest.mark.parametrize(
    "check, program",
    [  # one call, in which 225 or 60 million values would be looked at
        ("f(got.append)", "kept = []\ndef f(emit):\n    for i in range(3000):\n"
         "        kept.append([i] * 50)\n        emit(kept[-1])"),
        ("f(got.append, [1] * 20_000)",
         "def f(emit, xs):\n    for i in range(3000): emit(xs[i])"),
    ],
    ids=["kept", "given"],
)  # fmt: skip
def test_what_both_sides_hold_takes_no_quadratic_time(box, check, program):
    check = f"def check(f):\n    got = []\n    {check}\n    assert len(got) == 3000"
    problem = Problem("p", "", {"check": check, "entry_point": "f"})
    assert judge(box, problem, program).status == "passed"


BESIDE = {  # a check that passes while a function of the check runs, or the check's loop
    "a sort by the check's order": (
        "xs = [i * 37 % 201 for i in range(200)]; f(xs, int.__lt__)\nassert xs == sorted(xs)",
        "def f(xs, less):\n    for i in range(1, len(xs)):\n        j = i\n"
        "        while j and less(xs[j], xs[j - 1]):\n"
        "            xs[j], xs[j - 1] = xs[j - 1], xs[j]\n            j -= 1"),
    "a list that grows with an iterator": (
        "xs = []; f(xs, iter(range(2000)))\nassert xs == [*range(2000)]",
        "def f(xs, it):\n    for x in it: xs.append(x)"),
    "what cannot travel, for a moment": (
        "xs = [1, 2]; f(xs, lambda: None)\nassert xs == [1, 2, 5]",
        "class Own: pass\ndef f(xs, call):\n    xs.append(Own())\n    call()\n    xs[2] = 5"),
    "an exception with what cannot travel": (
        "try: f(1)\nexcept KeyError: pass", "class Own: pass\ndef f(x): raise KeyError(Own())"),
    "a loop of the check's over a dict": (
        "m = f(); d = m.data()\nfor k in d: m.up(k)\nassert [*d.values()] == [1, 1]",
        "class F:\n    def __init__(self): self.d = {1: 0, 2: 0}\n"
        "    def data(self): return self.d\n"
        "    def up(self, k): self.d[k] += 1"),
    "a loop of the check's over a deque": (
        "m = f(); d = m.data()\nfor i, _ in enumerate(d): m.up(i)\nassert [*d] == [1, 1]",
        "import collections\nclass F:\n    def __init__(self): self.d = collections.deque([0, 0])\n"
        "    def data(self): return self.d\n    def up(self, k): self.d[k] += 1"),
    "lists that hold each other": (
        "for _ in range(300): assert len(f([])) == 40\n"
        "xs = [*range(50)]; f(xs, lambda x: -x)\nassert xs == [*range(1, 51)]",
        "def f(xs, call=None):\n"
        "    for i in range(50 if call else 0): xs[i] = 1 - call(xs[i])\n"
        "    ring = [[] for _ in range(40)]\n    for x in ring: x.append(ring)\n    return ring"),
    "a list that is given again and again": (
        "xs = [0] * 20000\nfor k in range(40):\n    assert f(xs) is xs and xs[0] == k + 1",
        "kept = []\ndef f(xs):\n    kept.append(xs)\n    xs[0] += 1\n    return xs"),
    "rows that a function of the check gets and fills": (
        "def fill(row, i): row[:] = [i] * 30\ng = [[] for _ in range(30)]\nf(g, fill)\n"
        "assert g == [[i] * 30 for i in range(30)], g",
        "def f(g, fill):\n    for _ in range(60):\n        for i in range(30):\n"
        "            g[i] = [0] * 30\n            fill(g[i], i)"),
    "a list from which a function of the check takes": (
        "q = [[i] for i in range(900)]\nf(q, lambda: q.pop())\nassert q == []",
        "def f(q, take):\n    for _ in range(900): take()"),
    "a call where the stack ends": (
        "got = []; f(got.append)\nassert got[-1] == ['last'] and len(got) == 2",
        "def f(call, n=0):\n    try: f(call, n + 1)\n"
        "    except RecursionError: call([[n], [n]])\n    if n == 0: call(['last'])"),
    "an object that raises when it is given": (
        "got = []; f(got.append)\nassert got == [[2]]",
        "class It:\n    def __next__(self): return 1\n    def __iter__(self): raise TypeError\n"
        "def f(call):\n    try: call([[1], It()])\n    except TypeError: call([2])"),
    "a key in the place of its equal": (
        "m = f(); d = m.d; m.swap()\nassert repr(d) == '{True: 0}'",
        "class F:\n    def __init__(self): self.d = {1: 0}\n    def swap(self):\n"
        "        self.d.clear()\n        self.d[True] = 0"),
    "a list within a list, again and again": (
        "xs = [0] * 20000\nfor k in range(40):\n    f([xs])\n    assert xs[0] == k + 1",
        "kept = []\ndef f(x):\n    kept.append(x)\n    x[0][0] += 1"),
    "a list that is known, and grows in a long call": (
        "xs, same = [], lambda i: i\nf(xs, same, 1); f(xs, same, 3000)\nassert len(xs) == 3001",
        "kept = []\ndef f(xs, call, n):\n    kept.append(xs)\n"
        "    for i in range(n): xs.append(call(i))"),
    "many tuples that an instance keeps": (
        "m = f(); xs = m.all()\nassert all(m.one(i) == (i, 0) for i in range(100))",
        "class F:\n    def __init__(self): self.xs = [(i, 0) for i in range(9000)]\n"
        "    def all(self): return self.xs\n    def one(self, i): return self.xs[i]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BESIDE)
def test_a_change_in_the_middle_of_a_call_or_loop_is_seen(box, case):
    lines, program = BESIDE[case]
    check = "def check(f):\n    " + lines.replace("\n", "\n    ")
    problem = Problem(
        "p", "", {"check": check, "entry_point": "F" if "class F" in program else "f"}
    )
    assert judge(box, problem, program).status == "passed"


def test_instances_that_change_are_no_new_answers(box):
    preamble = "class Node:\n    def __init__(self, x, after=None): self.x, self.after = x, after\n"
    preamble += "    def __eq__(self, other): return self.x == other.x\n"
    check = "def check(F):\n    m = F([1, 2, 3])\n    h = m.head()\n    m.reverse()\n"
    check += "    assert m.values() == [3, 2, 1]"
    tests = {"check": check, "entry_point": "F", "prefix": preamble, "preamble": preamble}
    solution = """
class F:
    def __init__(self, xs): self.xs = xs
    def head(self):
        h = None
        for x in reversed(self.xs): h = Node(x, h)
        return h
    def reverse(self): self.xs = self.xs[::-1]
    def values(self): return self.xs
"""
    program = """
class F:
    def __init__(self, xs):
        self.h = None
        for x in reversed(xs): self.h = Node(x, self.h)
    def head(self): return self.h
    def reverse(self):
        before, h = None, self.h
        while h: h.after, before, h = before, h, h.after
        self.h = before
    def values(self):
        xs, h = [], self.h
        while h:
            xs.append(h.x)
            h = h.after
        return xs
"""
    problem = Problem("p", "", {**tests}, solution)  # judge() keeps in tests what a solution gives
    assert judge(box, problem, program).status == "passed"
    check = check.replace("m.reverse()", "m.add(4)").replace("[3, 2, 1]", "[1, 2, 3, 4]")
    solution += "    def add(self, x): self.xs.append(x)\n"
    program += "    def add(self, x):\n        h = self.h\n        while h.after: h = h.after\n"
    problem = Problem("p", "", tests | {"check": check}, solution)
    verdict = judge(box, problem, program + "        h.after = Node(x)\n")
    assert verdict.status == "passed", verdict.error


def test_an_instance_that_hears_in_a_list_that_was_given_counts(box):
    preamble = "class Node:\n    def __init__(self, x): self.x = x\n"
    preamble += "    def __eq__(self, other): return self.x is None or self.x == other\n"
    check = "def check(f):\n    a, b = f(1), f(2)\n    assert a == [1] and b == [2]"
    tests = {"check": check, "entry_point": "f", "prefix": preamble, "preamble": preamble}
    problem = Problem("p", "", tests, "def f(x): return [x]")
    program = (
        "r = [0]\ndef f(x):\n    r[0] = Node(None) if x > 1 else 0\n    return [2] if x > 1 else r"
    )
    assert judge(box, problem, "def f(x): return [x]").status == "passed"
    verdict = judge(box, problem, program)
    assert verdict.status == "failed" and "of another kind" in verdict.error, verdict


NODE = """
class Node:
    def __init__(self, x): self.x, self.next = x, None
    def __repr__(self): return f"Node({self.x!r})"
"""
STORE = """
class Store:
    def __init__(self): self.d = {}
    def put(self, k, x): self.d[k] = x
    def get(self, k): return self.d.get(k)
    def both(self, k, j): return [self.d.get(k), (self.d.get(j), self.d.get(k))]
    def drop(self, k): self.d.pop(k, None)
    def copy(self, k, j):
        x = self.d.get(j)
        self.d[k] = x.copy() if hasattr(x, "copy") else x
    def add(self, k, x):
        y = self.d.get(k)
        if type(y) is list: y.append(x)
        elif type(y) is dict: y[len(y)] = x
        elif type(y) is set: y.add(len(y))
        elif hasattr(y, "next"): y.next = x
        return y
    def nest(self, k, j): self.add(k, self.d.get(j))
    def cut(self, k):
        y = self.d.get(k)
        if type(y) in (list, set) and y: y.pop()
        elif type(y) is dict and y: y.popitem()
    def walk(self):
        path = []
        for k in sorted(self.d):
            path.append(self.d.get(k))
            yield path
    def each(self, emit):
        for k in sorted(self.d): self.d[k] = emit(k, self.d[k]) or self.d[k]
    def fails(self, k): raise KeyError(self.d.get(k))
"""
BEGIN = """
def check(Store):
    m, log, v = Store(), [], [None] * 5
    it = m.walk()
    def note(): log.append(repr(v) + repr([[a is b for a in v] for b in v]))
    def emit(k, x):
        v[k % 5] = x
        note()
        if type(x) is list: x.insert(0, k)
        if k % 2: return v[(k + 1) % 5]
    def given(k):
        try: m.fails(k)
        except KeyError as error: return error.args[0]
"""
VALUES = ["[]", "[1, 2]", "{}", "{1: []}", "{1, 2}", "Node(3)", "[[4]]", "(1, [2])", "Node([5])"]


def random_check(seed: int) -> str:
    """A check that puts objects into a Store, takes them out, changes and notes them."""
    rng = random.Random(seed)
    lines = []
    for _ in range(rng.randrange(5, 60)):
        a, b, k, j = f"v[{rng.randrange(5)}]", f"v[{rng.randrange(5)}]", *rng.choices(range(6), k=2)
        value = rng.choice([*VALUES, b, f"[{b}]", f"({b},)"])
        steps = [
            f"{a} = {value}", f"m.put({k}, {a})", f"m.put({k}, {value})", f"{a} = m.get({k})",
            f"{a} = m.both({k}, {j})", f"m.drop({k})", f"m.copy({k}, {j})", f"m.cut({k})",
            f"{a} = m.add({k}, {value})", f"m.nest({k}, {j})", f"{a} = next(it, None)",
            "it = m.walk()", "m.each(emit)", f"{a} = None", f"{a} = given({k})",
            f"if type({a}) is list: {a}.append({value})", f"if type({a}) is set: {a} ^= {{{k}}}",
            f"if type({a}) is dict: {a}[{k}] = {value}", f"if type({a}) is Node: {a}.next = {b}",
            f"if type({a}) is list and {a}: {a}.pop(0)",
        ]  # fmt: skip
        lines += [f"    {rng.choice(steps)}\n", "    note()\n"]
    return BEGIN + "".join(lines)


def test_random_checks_see_what_they_see_in_one_process(box):
    for seed in range(150):
        check, names = random_check(seed), {}
        exec(NODE + STORE + check + "    return log", names)
        try:
            log = names["check"](names["Store"])
        except KeyError:
            continue  # emit dropped what each() goes on to
        check += f"    want = {log!r}\n    assert log == want"
        tests = {"check": check, "entry_point": "Store", "prefix": NODE, "preamble": NODE}
        verdict = judge(box, Problem("p", "", tests), STORE)
        assert verdict.status == "passed", (seed, verdict)


def two_peers(function: Callable) -> tuple[Peer, Peer]:
    """The sides of the check and of the program, without processes: the former calls `function`."""
    sent = []
    sides = [Peer(0, lambda fd, x, room: sent.append(x), {}, 1, strict) for strict in (True, False)]
    check, program = sides
    program.number(function)

    def receive() -> dict:
        request = json.loads(json.dumps(sent.pop()))
        return {"status": "ok", "value": json.loads(json.dumps(program.answer(*request["call"])))}

    check.receive = receive
    return check, program


def test_what_one_side_alone_holds_is_forgotten():
    kept = []

    def function(rows: list, keep: bool) -> list:
        kept.extend([rows] * keep)
        return [[len(row)] for row in rows]

    check, program = two_peers(function)
    assert check.call(0, "__call__", ([[1, 2], [3]], False), {}) == [[2], [1]]
    assert not program.table.objects
    assert check.call(0, "__call__", ([[1, 2], [3]], True), {}) == [[2], [1]]
    assert len(program.table.objects) == 3
    answer = check.call(0, "__call__", ([], False), {})
    assert not program.table.objects and not check.table.objects and answer == []
    rows = [[5]]
    check.call(0, "__call__", (rows, True), {})
    kept.pop().append([1, 2])
    kept.clear()
    assert check.call(0, "__call__", (rows, False), {}) == [[1], [2]] and rows == [[5], [1, 2]]


def test_what_is_unchanged_is_not_told_again():
    items = [{8, 16, 0, 24}, {1.5: []}, [print, lambda: 1], collections.deque([1], 3), math.nan]

    def function(*given: object) -> list:
        assert program.table.changes(set()) == []
        return items.extend(given) or items

    check, program = two_peers(function)
    mine = [{16, 8, 24, 0}, sorted, [abs, lambda: 2], {2: 3}]
    everything = check.call(0, "__call__", mine, {})
    for peer in (check, program):
        assert len(peer.table.objects) > 5
        assert peer.table.changes(set()) == []
    assert everything[5] is mine[0]


TWICE = "def f(x, emit):\n    emit([])\n    return [2 * y for y in x]"
EMPTIED = {  # a program whose answers, but for one, are empty when they come to be compared
    "in the next call": (
        "emit([]); [y.clear() for y in r]; r.append([0.5] * len(x)); return r[-1]"
    ),
    "before a call of the check's": (
        "[y.clear() for y in r]; emit([]); r.append([7.0]); return r[-1]"
    ),
    "in a call of the check's": (
        "emit([]); r.append([7.0]); emit(r[-1].clear() or r[-1]); return r[-1]"
    ),
    "where the solution's is empty, too": (
        "emit([]); r.append([0.5] * len(x)); x or [y.clear() for y in r]; return r[-1]"
    ),
    "its own argument": "[y.clear() for y in r]; emit([]); r.append(x); return x",
    "what a function got": "[y.clear() for y in r]; r.append([7.0]); emit(r[-1]); return r[-1]",
}


@pytest.mark.parametrize("case", EMPTIED)
def test_what_is_emptied_later_counts_as_empty(box, case):
    pytest.importorskip("numpy")
    check = "import numpy\ndef check(f):\n    given = [[1.0], [2.0], []]\n"
    check += "    got = [f(x, lambda y: None) for x in given]\n"
    check += (
        "    for x, y in zip([[1.0], [2.0], []], got): assert numpy.allclose(y, [2 * z for z in x])"
    )
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, TWICE)
    assert judge(box, problem, TWICE).status == "passed"
    verdict = judge(box, problem, f"r = []\ndef f(x, emit):\n    {EMPTIED[case]}")
    assert verdict.status == "failed" and "of another kind" in verdict.error, verdict


def test_more_than_a_message_may_hold_can_be_kept():
    kept = []

    def function(size: int, more: int) -> list:
        kept.append([0] * size)
        kept[0].extend([1] * more)
        return kept[-1]

    check, _ = two_peers(function)  # a message holds 100,000 values
    sizes = (60_000, 0), (60_000, 0), (9, 50_000)
    got = [check.call(0, "__call__", size, {}) for size in sizes]
    assert [*map(len, got)] == [60_000, 60_000, 9]  # the first one has more than fits
    del kept[0][1:]
    check.call(0, "__call__", (1, 0), {})
    assert len(got[0]) == 1


def test_what_came_inside_of_a_change_and_is_emptied_later_counts(box):
    pytest.importorskip("numpy")
    check = "import numpy\ndef check(f):\n    a, b, c = f(3.0), f(4.0), f(5.0)\n"
    check += "    assert numpy.allclose(a[0], [9.0]) and len(b) == len(c) == 1"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, "def f(x): return [[x * x]]")
    program = "r, s = [[1]], [1]\ndef f(x):\n    if x == 4: r[0] = s\n    if x == 5: s.clear()\n"
    program += "    return r if x == 3 else [1]"
    verdict = judge(box, problem, program)
    assert verdict.status == "failed" and "of another kind" in verdict.error, verdict


def test_a_buffer_that_the_check_has_left_may_be_emptied(box):
    pytest.importorskip("numpy")
    check = "import numpy\ndef check(f):\n    assert [*map(numpy.sum, f(3))] == [0, 1, 2]"
    solution = "def f(n): return [[i] for i in range(n)]"
    program = "def f(n):\n    x = []\n    for i in range(n):\n        x.append(i)\n"
    program += "        yield x\n        x.clear()"
    problem = Problem("p", "", {"check": check, "entry_point": "f"}, solution)
    assert judge(box, problem, program).status == "passed"


@pytest.mark.parametrize(
    "line, program",
    [
        ("assert [numpy.sum(x) for x in f(3)] == [0, 1, 3]",
         "def f(n):\n    for i in range(n): yield [*range(i + 1)][1:] or []"),
        ("assert [numpy.sum(x) for x in f(3)] == [0, 1, 2]",
         "def f(n):\n    x = []\n    for i in range(n):\n        x[:] = [i]\n        yield x\n"
         "        x.clear()"),
        ("m = f(3); assert numpy.sum(m.xs) == 3; m.clear(); assert m.xs == []",
         "class F:\n    def __init__(self, n): self.xs = [n]\n"
         "    def clear(self): self.xs.clear()"),
    ],
)  # fmt: skip
def test_a_solution_that_gives_nothing_passes_itself(box, line, program):
    pytest.importorskip("numpy")
    check = f"import numpy\ndef check(f):\n    {line}"
    tests = {"check": check, "entry_point": "F" if "class F" in program else "f"}
    assert judge(box, Problem("p", "", tests, program), program).status == "passed"
