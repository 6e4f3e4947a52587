"""Test code of the data sets that state their tests as source: asserts, pytest, check(candidate).

Each becomes a check(candidate) for one function or class under test, which the sandbox puts in its
place.
`import pytest` gives PYTEST, what these sets use of it. A test that needs more (fixtures, several
functions) would fail every program, so its row is left out by that name.

Left out: the doctest module, and tests that read files.
"""

import ast
import builtins
import contextlib
import functools
import importlib
import re
import sys
from collections.abc import Iterator

from jail.objects import CARRIED
from jail.peer import LENT
from jail.values import NO_CAPS, encode
from problems.problem import Unusable

# What the harnesses of contest problems put before every program: answers take it for granted.
STARS = ("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random")
STARS += ("statistics", "itertools", "functools", "operator", "io", "sys", "json", "typing")
IMPORTS = "".join(f"from {name} import *\n" for name in STARS)
IMPORTS += f"import {', '.join(STARS)}\nsys.setrecursionlimit(50_000)\n"

PYTEST = """
class pytest:
    class raises:
        def __init__(self, expected, match=None):
            self.expected, self.pattern = expected, match
        def __enter__(self):
            return self
        def __exit__(self, kind, error, trace):
            assert kind is not None, "no exception was raised"
            self.type, self.typename, self.value = kind, kind.__name__, error
            fits = issubclass(kind, self.expected)
            return fits and (self.pattern is None or self.match(self.pattern))
        def match(self, pattern):
            import re
            assert re.search(pattern, str(self.value)), f"{self.value} does not match {pattern}"
            return True
    class approx:
        __array_ufunc__ = None  # an array leaves == to it
        def __init__(self, expected, rel=None, abs=None, nan_ok=False):
            self.limits, self.nan_ok = {"rel": rel, "abs": abs}, nan_ok
            self.expected = expected.tolist() if hasattr(type(expected), "tolist") else expected
        def __eq__(self, got):
            near = lambda x: pytest.approx(x, **self.limits, nan_ok=self.nan_ok)
            got = got.tolist() if hasattr(type(got), "tolist") else got
            if isinstance(self.expected, dict):
                keys = isinstance(got, dict) and got.keys() == self.expected.keys()
                return keys and all(got[key] == near(x) for key, x in self.expected.items())
            if isinstance(self.expected, (list, tuple)):
                size = isinstance(got, (list, tuple)) and len(got) == len(self.expected)
                return size and all(g == near(x) for g, x in zip(got, self.expected))
            numbers = (int, float, complex)
            if not isinstance(self.expected, numbers) or not isinstance(got, numbers):
                return got == self.expected
            if self.nan_ok and got != got and self.expected != self.expected:
                return True
            rel, atol, size = *self.limits.values(), abs(self.expected)
            rel = (1e-6 if atol is None else 0.0) if rel is None else rel
            limit = max(rel * size, 1e-12 if atol is None else atol)
            return got == self.expected or size < float("inf") and abs(got - self.expected) <= limit
    class mark:
        def parametrize(argnames, argvalues, **options):
            names, rows = argnames, argvalues
            names = [n.strip() for n in names.split(",")] if isinstance(names, str) else names
            def fill(row):
                return dict(zip(names, row if len(names) > 1 else [row]))
            rows = list(rows)
            def repeated(test):
                return lambda *one, **more: [test(*one, **more, **fill(row)) for row in rows]
            return repeated
"""
# Each test of a class gets an object of its own, as pytest and unittest do it.
RUN_CLASS = """
for test_ in [name for name in dir({0}) if name.startswith("test")]:
    one_ = {0}()
    for step_ in ("setUp", "setup_method", test_, "tearDown", "teardown_method"):
        if callable(getattr(one_, step_, None)):
            getattr(one_, step_)()
"""
RUN_MADE = "if callable({0}):\n    {0}()"  # test_one = make_test(1)
OTHER_STEPS = {"setup_module", "teardown_module", "setUpModule", "tearDownModule", "runTest"}
OTHER_STEPS |= {"setup_function", "teardown_function", "setup_class", "teardown_class"}
OTHER_STEPS |= {"setUpClass", "tearDownClass", "addCleanup", "load_tests"}
RUNNERS = re.compile(r"(sys\.exit\()?(unittest|pytest)\.(main|TextTestRunner)\b")
STREAMS = ("stdout", "stderr")
RUNS_TEXT = ("eval", "exec", "compile", "pickle.loads", "pickle.load", "marshal.loads")
Function = (ast.FunctionDef, ast.AsyncFunctionDef)
Import = (ast.Import, ast.ImportFrom)
BUILTINS = frozenset(dir(builtins))


def check_tests_of(source: str) -> dict:
    """`tests` of test code. It ends with check(the function), or calls the function by its name.

    Raises Unusable.
    """
    tree = parsed_code(source)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        call = last.value
        if ast.unparse(call.func) == "check" and len(call.args) == 1:
            return given_check(tree, ast.unparse(call.args[0]))
    return made_check(tree)


def given_check(tree: ast.Module, name: str) -> dict:
    """code-r1: a definition of check, and as last statement `check(Solution().f)`."""
    tree.body.pop()
    missing = undefined(tree) - known_names()
    if missing:
        raise Unusable(f"its test does not define {', '.join(sorted(missing))}")
    check = ast.unparse(tree)
    return {"check": check, "entry_point": name, "preamble": IMPORTS, "prefix": IMPORTS}


def made_check(tree: ast.Module) -> dict:
    """Test functions and classes, or bare asserts, that call the function by its name.

    A file with tests is run as pytest does it, and another one as a script.
    """
    collected = tests_in(tree)
    guards = [node for node in tree.body if is_main(node)]
    tree.body = [node for node in tree.body if not is_main(node)]
    for node in (node for guard in guards if not collected for node in guard.body):
        tree.body += [] if RUNNERS.match(ast.unparse(node)) else [without_exit(node)]
    name, preamble = under_test(tree), PYTEST * uses_pytest(tree)
    # AceCode's asserts take for granted what contests import; builtins keep their meaning
    before = (IMPORTS + "from builtins import *\n") * bool(undefined(tree) - {name})
    tree = OwnImports().visit(tree)
    imports = [node for node in tree.body if isinstance(node, Import)]
    body = [node for node in tree.body if not isinstance(node, (*Import, ast.Pass))]
    body += [node for text in collected for node in ast.parse(text).body]
    check = ast.parse(f"def check(candidate):\n    global {name}\n    {name} = candidate")
    check.body[0].body += body
    if not asserts_something(check):
        raise Unusable("its test asserts nothing, so that any program would pass")
    source = ast.unparse(ast.fix_missing_locations(check))
    preamble = f"{before}{ast.unparse(ast.Module(imports, []))}\n{preamble}"
    return {"check": source, "entry_point": name, "preamble": preamble}


def without_exit(node: ast.stmt) -> ast.stmt:
    """main() for sys.exit(main())."""
    call = node.value if isinstance(node, ast.Expr) else None
    exits = isinstance(call, ast.Call) and ast.unparse(call.func) in ("sys.exit", "exit", "quit")
    return ast.Expr(call.args[0]) if exits and call.args else node


def tests_in(tree: ast.Module) -> list[str]:
    """Source that runs each test of the file, as pytest finds them. Raises Unusable where it would
    run some and leave out others, for then wrong programs would pass."""
    tests, made, cases = [], [], {"TestCase"}
    for node in (node for node in tree.body if isinstance(node, ast.ImportFrom)):
        cases |= {a.asname for a in node.names if a.name == "TestCase" and a.asname}
    names = {getattr(n, "name", getattr(n, "attr", "")) for n in ast.walk(tree)}
    if more := sorted(names & OTHER_STEPS):
        raise Unusable(f"its test needs {more[0]}")

    def is_test(node: ast.AST) -> bool:
        return isinstance(node, Function) and node.name.startswith("test")

    def is_suite(node: ast.AST) -> bool:
        if not isinstance(node, ast.ClassDef):
            return False
        bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        has_tests = node.name.startswith("Test") and (bases or any(map(is_test, node.body)))
        return bool(has_tests) or not bases.isdisjoint(cases)

    for node in tree.body:
        inner = []
        if is_test(node):
            tests.append(f"{node.name}()")
        elif isinstance(node, ast.ClassDef):
            inner = [n for n in node.body if isinstance(n, ast.ClassDef)]
            if is_suite(node):
                cases.add(node.name)
                tests.append(RUN_CLASS.format(node.name))
        elif isinstance(node, ast.Assign) and not isinstance(node.value, ast.Lambda):
            stored = [n for target in node.targets for n in ast.walk(target)]
            named = [n.id for n in stored if isinstance(n, ast.Name)]
            made += [RUN_MADE.format(name) for name in named if name.startswith("test")]
        elif not isinstance(node, Function):
            inner = list(ast.walk(node))
        if any(is_test(n) or is_suite(n) for n in inner):
            raise Unusable("its test has tests inside of other statements")
    return tests and tests + made


def parsed_code(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unusable(f"its test is no Python ({type(error).__name__})") from None


# --------------------------------------------------------------------------- what is tested
def under_test(tree: ast.Module) -> str:
    """The one function that the test takes from the program. Raises Unusable."""
    missing = undefined(tree)
    named = [a for node in ast.walk(tree) if of_solution(node) for a in node.names]
    if any(alias.asname for alias in named):
        raise Unusable("its test renames what it imports")
    names = {alias.name for alias in named} & (loaded(tree) - {"*"})
    if not names:  # `import *`, or no import at all: what is called and not defined
        calls = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
        called = missing & {f.id for f in calls if isinstance(f, ast.Name)}
        names = called if len(called) == 1 else called - known_names()
    if len(names) != 1:
        several = f"several functions ({', '.join(sorted(names))})" if names else "no function"
        raise Unusable(f"its test calls {several} of the program")
    (name,) = names
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    calls = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if name[:1].isupper() and not calls.issuperset(uses):
        raise Unusable(f"its test needs the class {name}, and not its instances alone")
    if missing := missing - names - known_names():
        raise Unusable(f"its test does not define {', '.join(sorted(missing))}")
    return name


def of_solution(node: ast.AST) -> bool:
    """from solution import ..., which is how a test names the program's file."""
    return isinstance(node, ast.ImportFrom) and node.module == "solution"


class OwnImports(ast.NodeTransformer):
    """Takes out what is no module here: the program, and pytest."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        return ast.Pass() if of_solution(node) else node

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        node.names = [alias for alias in node.names if alias.name != "pytest"]
        return node if node.names else ast.Pass()


def loaded(tree: ast.AST) -> set[str]:
    names = (n for n in ast.walk(tree) if isinstance(n, ast.Name))
    return {n.id for n in names if isinstance(n.ctx, ast.Load)}


def undefined(tree: ast.AST) -> set[str]:
    """Names that are read and set nowhere, in whatever scope."""
    found = {*dir(builtins), "__name__", "__file__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (*Function, ast.ClassDef, ast.ExceptHandler)):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= set(imported_names(node))
    return loaded(tree) - found


def imported_names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Names that it defines; of the program's own none, they are what is tested."""
    for alias in () if of_solution(node) else node.names:
        if alias.name == "*":
            yield from dir(importlib.import_module(node.module)) if node.module in STARS else ()
        yield (alias.asname or alias.name).partition(".")[0]


@functools.cache
def known_names() -> frozenset[str]:
    """What IMPORTS defines."""
    names = {name for module in STARS for name in dir(importlib.import_module(module))}
    return frozenset({*names, *STARS})


# --------------------------------------------------------------------------- what a test needs
def uses_pytest(tree: ast.Module) -> bool:
    """Whether it does. Raises Unusable where it wants more of a runner than PYTEST is."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.name.startswith("test"):
            marks = " ".join(map(ast.unparse, node.decorator_list))
            given = [arg.arg for arg in node.args.args if arg.arg != "self"]
            if isinstance(node, ast.AsyncFunctionDef) or given and "parametrize" not in marks:
                raise Unusable(f"its test {node.name} needs {'fixtures' if given else 'asyncio'}")
        if isinstance(node, ast.ImportFrom) and node.module == "pytest":
            raise Unusable("its test imports names from pytest")
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if called == "pytest.raises" and len(node.args) != 1:
            raise Unusable("its test gives pytest.raises a function to call")
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = {text for text in used if text.startswith("pytest.")} - {"pytest.mark"}
    if more := sorted(used - {"pytest.raises", "pytest.approx", "pytest.mark.parametrize"}):
        raise Unusable(f"its test needs {more[0]}")
    return bool(used)


def unfit(check: ast.Module, preamble: ast.Module, entry_point: str) -> str | None:
    """Why a check can judge no program, as far as its text says; jail/peer.py finds the rest.

    It defines no check, runs what is answered, replaces what is the program's, uses a name that
    nothing defines, or gives the program an object that cannot travel.
    """
    nodes, both = list(ast.walk(check)), ast.Module([*preamble.body, *check.body], [])
    if not defines_check(both):
        return "it defines no check(candidate)"
    functions = {"candidate", *entry_point.replace("()", "").split(".")}
    if name := runs_answers(nodes, functions):
        return f"its check runs what the program answers, by {name}()"
    if name := replaced(nodes, both):
        return f"its check replaces {name}, but the program runs in another process"
    names = {n.id for n in nodes if type(n) is ast.Name} - functions - BUILTINS
    if names and (missing := (names & undefined(both)) - functions):
        stars = [n for n in ast.walk(both) if isinstance(n, ast.ImportFrom) and is_star(n)]
        if all(node.module in STARS for node in stars):
            return f"its check does not define {', '.join(sorted(missing))}"
    made = {}  # variable -> the class of what it holds
    for node in nodes:
        if type(node) is ast.Assign and isinstance(node.targets[0], ast.Name):
            made[node.targets[0].id] = class_that_stays(node.value, both)
    for node in nodes:
        if type(node) is ast.Call and called_name(node) in functions:
            for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
                kind = made.get(given.id) if isinstance(given, ast.Name) else None
                if kind := kind or class_that_stays(given, both):
                    return f"its check gives the program an object of {kind}, which cannot travel"
    return None


def defines_check(both: ast.Module) -> bool:
    """Whether the last definition of `check` can be called with the function under test."""
    for node in reversed(both.body):
        if isinstance(node, (*Function, ast.ClassDef)):
            if node.name == "check":
                return is_check(node) and takes_one(node.args)
        elif any(is_check(n) or getattr(n, "id", "") == "check" for n in ast.walk(node)):
            return not isinstance(getattr(node, "value", None), ast.Constant)  # check = test
        elif isinstance(node, Import) and "check" in imported_names(node):
            return True
    return False


def takes_one(given: ast.arguments) -> bool:
    places = len(given.posonlyargs) + len(given.args)
    return places - len(given.defaults) <= 1 <= places + bool(given.vararg)


def replaced(nodes: list[ast.AST], both: ast.Module) -> str:
    """What a check replaces of the program: its input, its output that it reads, or a name."""
    imported = {}  # name -> what it stands for
    for node in ast.walk(both):
        if isinstance(node, Import):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            imported |= {a.asname or a.name: f"{module}{a.name}" for a in node.names}

    def full(node: ast.AST) -> str:
        first, dot, rest = ast.unparse(node).partition(".")
        return f"{imported.get(first, first)}{dot}{rest}"

    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    stored = {full(node) for node in attributes if isinstance(node.ctx, ast.Store)}
    called = {full(node.func) for node in nodes if isinstance(node, ast.Call)}
    if any(re.match(r"(unittest\.)?mock\.patch\b", name) for name in called):
        return "names by a mock's patch"
    gone = stored & {"sys.stdin", "builtins.input", "builtins.print", "builtins.open"}
    if any(node.attr == "getvalue" for node in attributes):
        redirected = {f"sys.{x}" for x in STREAMS if f"contextlib.redirect_{x}" in called}
        gone |= redirected | stored & {f"sys.{x}" for x in STREAMS}
    return min(gone, default="")


def runs_answers(nodes: list[ast.AST], functions: set[str]) -> str:
    """eval or such, if the check calls it with what comes of the function under test: it would run
    as part of the check, beside the expected values."""
    holders, before = {*functions}, set()

    def holds(node: object) -> bool:
        parts = ast.walk(node) if isinstance(node, ast.AST) else ()
        return any(isinstance(n, ast.Name) and n.id in holders for n in parts)

    calls = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) in RUNS_TEXT]
    while calls and holders != before:
        before = {*holders}
        for node in nodes:
            targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
            if holds(getattr(node, "value", None) or getattr(node, "iter", None)):
                stored = (n for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name))
                holders |= {n.id for n in stored}
    return next((ast.unparse(call.func) for call in calls if any(map(holds, call.args))), "")


def called_name(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")


def class_that_stays(node: ast.expr, module: ast.Module) -> str | None:
    """The name of a class of which `node` makes an instance that jail/objects.py cannot carry."""
    if not isinstance(node, ast.Call):
        return None
    text = ast.unparse(node.func)
    own = [n for n in module.body if isinstance(n, ast.ClassDef) and n.name == text]
    for base in (ast.unparse(base) for node in own for base in node.bases):
        kind = getattr(builtins, base, object)
        return text if isinstance(kind, type) and kind not in (object, tuple) else None
    kind = None if own else named_class(text, module)
    if kind is None or kind in CARRIED:
        return None
    is_lent = hasattr(kind, "__next__") or "__call__" in vars(kind)
    return None if is_lent and kind.__module__ in LENT else text


def is_star(node: ast.ImportFrom) -> bool:
    return node.names[0].name == "*"


def named_class(text: str, module: ast.Module) -> type | None:
    """The class of the standard library that `text`, such as io.StringIO, means in `module`."""
    first, _, rest = text.partition(".")
    place, inner = "builtins", text
    for node in ast.walk(module):
        for alias in node.names if isinstance(node, Import) else ():
            if first == (alias.asname or alias.name):
                source = getattr(node, "module", None)
                place, inner = (source, alias.name + rest) if source else (alias.name, rest)
    if place not in sys.stdlib_module_names:
        return None
    found = getattr(importlib.import_module(place), inner, None)
    return found if isinstance(found, type) else None


def is_main(node: ast.stmt) -> bool:
    """if __name__ == "__main__": ..."""
    return isinstance(node, ast.If) and "__name__" in loaded(node.test)


def asserts_something(tree: ast.AST) -> bool:
    """Whether a check can fail at all, but for what the program raises."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assert, ast.Raise)):
            return True
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).lower()
            if "assert" in called or called.endswith(("fail", "raises")):
                return True
    return False


def calls_of(check: str) -> list[list]:
    """Arguments with which `check` calls the function under test, as far as they are literals.

    Those of asserts come first: others may be there to fail. Keyword arguments are taken in their
    order, which in LeetCodeDataset is the signature's.
    """
    nodes, calls = list(ast.walk(ast.parse(check))), []
    given = [node.args for node in nodes if is_check(node)]
    names = {x.arg for args in given for x in [*args.posonlyargs, *args.args][:1]}
    for node in nodes:  # `f = candidate`
        if isinstance(node, ast.Assign) and getattr(node.value, "id", "") in names:
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    asserted = [n for node in nodes if isinstance(node, ast.Assert) for n in ast.walk(node.test)]
    for node in dict.fromkeys([*asserted, *nodes]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            with contextlib.suppress(ValueError, TypeError):  # no literal, or none that can travel
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                call = [ast.literal_eval(value) for value in values]
                encode(call, **NO_CAPS)
                calls.append(call)
    return calls


def is_check(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "check"
