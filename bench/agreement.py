"""Does the sandbox judge as the data set's own assertions do, and does tracing change nothing?

    python bench/agreement.py humaneval mbpp.jsonl leetcode.jsonl.gz [--mutants=N]

Each reference solution, and N mutants of it (a result changed, a comparison turned, a number off by
one), runs twice: with the assertions in a bare interpreter, and through reward.judge, which keeps
them out of its process. Then all calls of a test run plain and traced. We name each disagreement,
and exit with status 1 if there is one. This runs the data set's code unprotected, as its own script
would.
"""

import ast
import collections
import contextlib
import copy
import functools
import io
import json
import os
import random
import resource
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
from jail.values import encode
from problems.load import load_problems
from problems.problem import Problem
from reward import judge
from sandbox import Pool

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


def mutants(problem: Problem, n: int) -> list[str]:
    """At most `n` programs that differ from the reference in one place; kinds take turns."""
    rng, made = random.Random(problem.task_id), []
    given = problem.tests.get("prefix", "")  # the problem gives it, so no model writes it
    given_lines = given.count("\n") if problem.solution.startswith(given) else 0
    tree = ast.parse(problem.solution)
    lines = [getattr(node, "lineno", 0) for node in ast.walk(tree)]
    places = [i for i, line in enumerate(lines) if line > given_lines]
    kinds = [turn_comparison, off_by_one, change_result]
    rng.shuffle(kinds)
    for kind in (kinds * n)[:n]:
        for place in rng.sample(places, len(places)):
            mutant = copy.deepcopy(tree)
            if kind(next(node for i, node in enumerate(ast.walk(mutant)) if i == place)):
                made.append(ast.unparse(ast.fix_missing_locations(mutant)))
                break
    return made


# ------------------------------------------------------------------- the two ways


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB << 20, MEMORY_MB << 20))
    resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, 64 << 20))


def bare(problem: Problem, program: str) -> bool:
    """Does the data set's own script end well?"""
    tests = problem.tests  # the check gets another name, because MBPP asks for a check() too
    check = tests["check"].replace("def check(", "def run_the_tests(")
    script = [tests.get("prefix", ""), program, check, f"run_the_tests({tests['entry_point']})"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-S", "-c", "\n".join(script)], cwd=folder,
            env={"PYTHONHASHSEED": "0"}, preexec_fn=limit,  # the seed that the sandbox has
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(timeout=SECONDS) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def compare_verdicts(problems: list[Problem], n_mutants: int) -> int:
    """Print what the two ways say; return the number of disagreements."""
    work = [(problem, problem.solution, "reference") for problem in problems]
    for problem in problems:
        made = mutants(problem, n_mutants)
        work += [(problem, mutant, "mutant") for mutant in made]
    limits = {"timeout_s": SECONDS, "memory_mb": MEMORY_MB}
    counts, disagreements = collections.Counter(), 0
    with Pool(2, **limits) as pool, ThreadPoolExecutor(2) as threads:
        bares = list(threads.map(lambda item: bare(*item[:2]), work))
        verdicts = [pool.submit(judge, problem, program) for problem, program, _ in work]
        for (problem, _, kind), by_script, future in zip(work, bares, verdicts, strict=True):
            verdict = future.result()
            counts[kind, by_script, verdict.status == "passed"] += 1
            if kind == "reference" and not by_script:
                print(
                    f"  {problem.task_id}: reference fails bare; {verdict.status} {verdict.error}"
                )
            if by_script != (verdict.status == "passed"):
                disagreements += 1
                script = "passes" if by_script else "fails"
                here = f"{verdict.status} here: {verdict.error}"
                print(f"  {problem.task_id}: a {kind} {script} bare, {here}", flush=True)
    for kind in ("reference", "mutant"):
        both, neither = counts[kind, True, True], counts[kind, False, False]
        missed, strict = counts[kind, False, True], counts[kind, True, False]
        print(f"{kind}s: {both} pass and {neither} fail in both ways; ", end="")
        print(f"{strict} pass only bare, {missed} only here", flush=True)
    return disagreements


# ------------------------------------------------------------------- tracing changes nothing


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
                with contextlib.suppress(ValueError):
                    seen.append(json.dumps(encode(result, classes=checks)))
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
    sources = [a for a in sys.argv[1:] if not a.startswith("--")]
    n_mutants = next((int(a[10:]) for a in sys.argv if a.startswith("--mutants=")), 1)
    bad = 0
    for source in sources:
        start = time.monotonic()
        problems = load_problems(source)
        print(f"== {source}: {len(problems)} problems")
        bad += compare_verdicts(problems, n_mutants) + compare_traces(problems)
        print(f"({time.monotonic() - start:.0f} s)")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
