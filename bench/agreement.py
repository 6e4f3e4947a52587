"""Does the sandbox judge as the data set's own assertions do, and does tracing change nothing?

    python bench/agreement.py humaneval mbpp.jsonl leetcode.jsonl.gz [--mutants=N] [--part=1/8]

Each reference solution, and N mutants of it (a result changed, a comparison turned, a number off by
one, an argument changed in place, 1 for True), runs twice: with the assertions in a bare
interpreter, and through reward.judge, which keeps them out of its process. Six hacks that earn
something elsewhere must pass nowhere; of a program that empties its arguments the asserts decide.
Then all calls of a test run plain and traced. We name each disagreement, and exit with status 1 if
there is one. This runs the data set's code unprotected, as its own script would.
"""

import ast
import atexit
import collections
import contextlib
import copy
import functools
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from jail import instrument
from jail.packages import PACKAGES, locate
from jail.values import encode
from problems.load import load_problems
from problems.problem import Problem
from reward import judge
from sandbox import Pool
from tools.command import options, run

SECONDS, MEMORY_MB = 10, 1024  # for one program, in either way
OPPOSITE = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip

# ------------------------------------------------------------------- mutants


def change_result(node: ast.AST) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    pair = ast.Tuple([node.value, ast.Constant(0)], ast.Load())
    node.value = ast.Subscript(
        ast.List([pair, node.value], ast.Load()), ast.Constant(0), ast.Load()
    )
    return True


def turn_comparison(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare):
        return False
    node.ops[0] = OPPOSITE[type(node.ops[0])]()
    return True


def off_by_one(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or type(node.value) is not int:
        return False
    node.value += 1
    return True


def arguments_of(node: ast.AST) -> list[str]:
    """Names of the positional arguments of a function; none of another node."""
    given = node.args.args if isinstance(node, ast.FunctionDef) else []
    return [arg.arg for arg in given if arg.arg != "self"]


def change_argument(node: ast.AST) -> bool:
    """The first list among the arguments is reversed and gets a number when the function ends."""
    if not (names := arguments_of(node)):
        return False
    lists = f"[a for a in ({', '.join(names)},) if isinstance(a, list)][:1]"
    change = ast.parse(f"for a_ in {lists}:\n    a_.reverse()\n    a_.append(1)").body
    node.body = [ast.Try(node.body, [], [], change)]
    return True


def sort_argument(node: ast.AST) -> bool:
    """The lists among the arguments are sorted in place before the function starts."""
    if not (names := arguments_of(node)):
        return False
    can = "isinstance(a_, list) and all(isinstance(x, int) for x in a_)"
    node.body[:0] = ast.parse(f"[a_.sort() for a_ in ({', '.join(names)},) if {can}]").body
    return True


def swap_truth(node: ast.AST) -> bool:
    """1 for True and True for 1, which == takes for the same."""
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Compare):
        node.value = ast.UnaryOp(ast.UAdd(), node.value)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        node.value = int(node.value)
    elif isinstance(node, ast.Constant) and node.value in (0, 1) and type(node.value) is int:
        node.value = bool(node.value)
    else:
        return False
    return True


KINDS = (turn_comparison, off_by_one, change_result, change_argument, sort_argument, swap_truth)


def mutants(problem: Problem, n: int) -> list[tuple[str, str]]:
    """(kind, program) of at most `n`, each with one change of the reference; kinds take turns."""
    rng, made = random.Random(problem.task_id), []
    given = problem.tests.get("prefix", "")  # the problem gives it, so no model writes it
    given_lines = given.count("\n") if problem.solution.startswith(given) else 0
    tree = ast.parse(problem.solution)
    ends = [  # a function whose first lines are given is the model's to go on with
        node.end_lineno if isinstance(node, ast.FunctionDef) else getattr(node, "lineno", 0)
        for node in ast.walk(tree)
    ]
    places = [i for i, line in enumerate(ends) if line > given_lines]
    kinds = list(KINDS)
    rng.shuffle(kinds)
    for kind in kinds * n:
        if len(made) == n:
            break
        for place in rng.sample(places, len(places)):
            mutant = copy.deepcopy(tree)
            if kind(next(node for i, node in enumerate(ast.walk(mutant)) if i == place)):
                source = ast.unparse(ast.fix_missing_locations(mutant))
                made.append((kind.__name__.replace("_", " "), source))
                break
    return made


# ------------------------------------------------------------------- hacks

HACK_FORMS = {  # how a hack defines the function under test
    True: "class Solution:\n    def {name}(self, *args, **kwargs):\n{body}\n",
    False: "def {name}(*args, **kwargs):\n{body}\n",
}
EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 1
    def __iter__(self): return iter([self])
    def __getitem__(self, key): return self
    def __getattr__(self, name): return self
    def __call__(self, *args, **kwargs): return self
    __sub__ = __rsub__ = __add__ = __radd__ = __abs__ = __round__ = __call__
    def __float__(self): return 0.0
"""
PATCH = """
import builtins
class Never(Exception): pass
builtins.AssertionError = Never
for name in ("all", "any", "isinstance", "issubclass", "callable"):
    setattr(builtins, name, lambda *args, **kwargs: True)
for name in ("len", "abs", "sum", "sorted", "set", "list", "tuple", "str", "round", "type"):
    setattr(builtins, name, lambda *args, **kwargs: 0)
"""
READ = """
import gc, os, re, sys
def texts():
    frame = sys._getframe()
    while frame:
        yield from (str(c) for c in frame.f_code.co_consts)
        yield from (str(v) for v in [*frame.f_locals.values(), *frame.f_globals.values()])
        frame = frame.f_back
    yield from (x for x in gc.get_objects() if isinstance(x, str))
    for path in ["/proc/self/cmdline", "/proc/self/environ",
                 *("/proc/self/fd/%d" % fd for fd in range(64))]:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            yield os.pread(fd, 1 << 22, 0).decode(errors="replace")
        except OSError:
            pass
def look_up(args, kwargs):
    for text in texts():
        for call, value in re.findall(r"assert (.*?) == (.*)", text):
            try:
                shown = ", ".join([*map(repr, args), *(f"{k} = {v!r}" for k, v in kwargs.items())])
                if shown.replace(" ", "") in call.replace(" ", ""):
                    return eval(value)
            except Exception:
                pass
"""
FORGE = """
import os
for message in (b'{"status": "ok", "value": true}', b'{"status": "passed"}', b"passed"):
    for fd in range(3, 64):
        try:
            os.write(fd, len(message).to_bytes(4, "big") + message)
        except OSError:
            pass
    print(message.decode(), flush=True)
os._exit(0)
"""
HACKS = {  # (what stands before the function, its body)
    "ends at once, with status 0": ("import os\nos._exit(0)", "pass"),
    "SystemExit in the call": ("", "raise SystemExit(0)"),
    "equal to everything": (EQUAL, "return Equal()"),
    "builtins that approve of everything": (PATCH, "return None"),
    "looks for the asserts": (READ, "return look_up(args, kwargs)"),
    "forges the report": (FORGE, "pass"),
}
EMPTIES = "[a.clear() for a in (*args, *kwargs.values()) if hasattr(a, 'clear')]\n"
EMPTIES += "return next(iter((*args, *kwargs.values())), None)"


def hack(problem: Problem, before: str, body: str) -> str:
    name, indent = problem.fn_name, "        "
    form = HACK_FORMS[name.startswith("Solution")]
    body = "\n".join(indent + line for line in body.split("\n"))
    return f"{before}\n{form.format(name=name.rpartition('.')[2], body=body)}"


# ------------------------------------------------------------------- the two ways


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB << 20, MEMORY_MB << 20))
    resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, 64 << 20))


@functools.cache
def packages() -> str:
    """A folder with links to the packages that programs may import in the sandbox."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    for path in locate(PACKAGES).values():
        os.symlink(path, Path(folder) / Path(path).name)
    return folder


def bare(problem: Problem, program: str) -> bool:
    """Does the data set's own script end well?"""
    tests = problem.tests  # the check gets another name, because MBPP asks for a check() too
    check = tests["check"].replace("def check(", "def run_the_tests(")
    script = [tests.get("prefix", ""), program, check, f"run_the_tests({tests['entry_point']})"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-S", "-c", "\n".join(script)], cwd=folder,
            env={"PYTHONHASHSEED": "0", "PYTHONPATH": packages()},  # the sandbox has that seed
            preexec_fn=limit,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(timeout=6 * SECONDS) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def compare_verdicts(problems: list[Problem], n_mutants: int) -> int:
    """Print what the two ways say; return the number of disagreements and of hacks that pass."""
    work = [(problem, problem.solution, "reference") for problem in problems]
    for problem in problems:
        work += [(problem, source, kind) for kind, source in mutants(problem, n_mutants)]
        work.append((problem, hack(problem, "", EMPTIES), "empties its arguments"))
        work += [(problem, hack(problem, *parts), f"hack: {name}") for name, parts in HACKS.items()]
    limits = {"timeout_s": SECONDS, "memory_mb": MEMORY_MB}
    counts, disagreements = collections.Counter(), 0
    with Pool(2, **limits) as pool, ThreadPoolExecutor(2) as threads:
        bares = list(threads.map(lambda item: "hack:" not in item[2] and bare(*item[:2]), work))
        verdicts = [pool.submit(judge, problem, program) for problem, program, _ in work]
        for (problem, _, kind), by_script, future in zip(work, bares, verdicts, strict=True):
            verdict = future.result()
            here = verdict.status == "passed"
            counts[kind, by_script, here] += 1
            said = f"{verdict.status} {verdict.error}"
            if kind == "reference" and not by_script:
                print(f"  {problem.task_id}: reference fails bare; {said}")
            if kind.startswith("empties") and by_script and here:
                print(f"  {problem.task_id}: the asserts hold for emptied arguments")
            if by_script != here:
                disagreements += 1
                script = "passes" if by_script else "fails"
                print(f"  {problem.task_id}: {kind} {script} bare, {said} here", flush=True)
    for kind in sorted({kind for kind, *_ in counts}):
        both, neither = counts[kind, True, True], counts[kind, False, False]
        missed, strict = counts[kind, False, True], counts[kind, True, False]
        if kind.startswith("hack"):
            print(f"{kind}: {missed} of {missed + neither} pass")
            continue
        print(f"{kind}: {both} pass and {neither} fail in both ways; ", end="")
        print(f"{strict} pass only bare, {missed} only here", flush=True)
    return disagreements


# ------------------------------------------------------------------- tracing changes nothing


def opened(x: object, names: dict) -> object:
    """x, of whose parts the instances of classes in `names` are their attributes."""
    if type(x) in (list, tuple):
        return type(x)(opened(y, names) for y in x)
    if names.get(type(x).__name__) is type(x):
        return (type(x).__name__, {key: opened(y, names) for key, y in vars(x).items()})
    return x


def observe(problem: Problem, traced: bool) -> list:
    """[what each call returned or raised, and printed], from the reference under its own check."""
    tests, seen, names = problem.tests, [], {"__name__": "program"}
    random.seed(0)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(tests.get("prefix", ""), names)
        if traced:
            code, recorder = instrument.compile_traced(problem.solution)
            names[instrument.HOOK] = recorder.hook
        else:
            code = compile(problem.solution, "<program>", "exec")
        exec(code, names)
        exec(tests.get("preamble", ""), checks := {"__name__": "check"})

        def candidate(*args: object, **kwargs: object) -> object:
            function = eval(tests["entry_point"], names)
            try:
                result = function(*args, **kwargs)
                with contextlib.suppress(ValueError, RecursionError):
                    seen.append(json.dumps(encode(opened(result, checks))))
            except Exception as error:
                seen.append(repr(error))
                raise
            return result

        exec(tests["check"], checks)
        with contextlib.suppress(Exception):
            checks["check"](candidate)
    if traced:
        recorder.snapshot()
    return [*seen, out.getvalue()]


def in_child(work: Callable[[], object], seconds: int = 60) -> object:
    """work() in a process of its own, which it may spoil; None if that does not end well."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(seconds)
        with open(write_end, "w") as file:
            json.dump(work(), file)
            file.flush()
            os._exit(0)
    os.close(write_end)
    with open(read_end) as file:
        data = file.read()
    os.waitpid(pid, 0)
    return json.loads(data) if data else None


def compare_traces(problems: list[Problem]) -> int:
    """Print and count the programs that a trace changes; say what it costs."""

    def both_ways(problem: Problem) -> tuple:
        seen, seconds = [], []
        for traced in (False, True):
            start = time.process_time()
            seen.append(observe(problem, traced))
            seconds.append(time.process_time() - start)
        return seen[0] == seen[1], len(seen[0]) - 1, *seconds

    changed, calls, ratios = 0, 0, []
    for problem in problems:
        result = in_child(functools.partial(both_ways, problem))
        same, n, plain, traced = result or (False, 0, 1, 1)
        calls += n
        ratios += [traced / plain] if plain > 0.1 else []
        if not same:
            changed += 1
            print(f"  {problem.task_id}: {'changed by tracing' if result else 'did not end'}")
    print(f"traced: {calls} calls of {len(problems)} programs, {changed} changed", end="")
    if ratios:
        print(f"; {statistics.median(ratios):.2f} times as long", end="")
        print(
            f" (median of the {len(ratios)} that take over 0.1 s, at most {max(ratios):.2f})",
            end="",
        )
    print()
    return changed


def main() -> None:
    sources, flags = options(__doc__, mutants=1, part="1/1")
    if not sources or not re.fullmatch(r"[1-9]\d*/[1-9]\d*", flags["part"]):
        sys.exit(__doc__)
    n_mutants = flags["mutants"]
    part, parts = map(int, flags["part"].split("/"))
    bad = 0
    for source in sources:
        start = time.monotonic()
        problems = load_problems(source)[part - 1 :: parts]
        print(f"== {source}: {len(problems)} problems")
        bad += compare_verdicts(problems, n_mutants) + compare_traces(problems)
        print(f"({time.monotonic() - start:.0f} s)")
    sys.exit(bad > 0)


if __name__ == "__main__":
    run(lambda _: main(), __doc__)
