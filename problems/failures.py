"""When not the program fails but what judges it: references, and exceptions of our own.

A reference that fails leaves its problem out, by name, and never ends a run. An exception while one
answer is judged becomes a verdict with the status "judge_error", which is counted apart from wrong
answers. What stays an error is a machine that can isolate no program at all.
"""

import contextlib
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from config import first_line
from jail.checking import asks_numpy
from jail.odd import Report
from jail.terminal import printable
from problems.formats import NOTHING, expects_nothing
from problems.problem import Problem, Question, Unusable
from problems.programs import with_prefix
from sandbox import Pool, Run, Sandbox, SandboxBroken, SandboxUnavailable

SLOW = 5  # times the limit, where a problem's own solution needs more than the limit
ODD = "an answer is of another kind than the solution's"
BROKEN = Run("unjudged", error="the problem's own solution does not pass this check")
CHANCE = re.compile("rand|shuffle|choice|sample|uuid|secrets|time")  # where it may come from
TRIES = 3  # for a reference that is late, on a busy machine, or that fails, by chance
seen: set[str] = set()  # failures that were told, and samples that broke a sandbox


def tried_again(attempt: Callable[[], object], status: Callable[[object], str]) -> object:
    """attempt(), up to TRIES times while its status is timeout."""
    for _ in range(TRIES - 1):
        if status(result := attempt()) != "timeout":
            return result
    return attempt()


def expected_outputs(sandbox: Sandbox, problem: Problem) -> list:
    """What the tests want; where only a reference says, it is run, once a problem. Raises Unusable
    where it fails."""
    tests = problem.tests
    if "outputs" not in tests:
        given = (tests["reference"], tests["inputs"], tests["fn_name"])
        runs = tried_again(lambda: sandbox.run(*given, room=8), lambda runs: runs[-1].status)
        for run in runs:
            if run.status != "ok":
                raise Unusable(f"its reference fails ({run.status}: {run.error})")
        outputs = [run.value for run in runs]
        if expects_nothing(tests | {"outputs": outputs}):
            raise Unusable(NOTHING)
        tests["outputs"] = outputs
    return tests["outputs"]


def run_check(sandbox: Sandbox, problem: Problem, program: str) -> Run:
    """A check's verdict on a program, its prefix before it. "unjudged" where the check can judge
    none: the problem's own solution does not pass it, or the program may have passed by what could
    pass for anything (jail/odd.py), and no solution says whether there should be such a thing.

    Where a class is under test, who passes is held against the solution, too."""
    tests, solution = problem.tests, problem.solution
    check = tests["check"], tests["entry_point"], tests.get("preamble", "")
    run = sandbox.check(program, *check)
    if run.status not in ("passed", "failed", "error"):
        return run
    own = with_prefix(tests.get("prefix", ""), solution, problem.fn_name) if solution else ""
    if run.status != "passed":
        return BROKEN if own and solution_fails(sandbox, tests, own, check) else run
    try:
        found = Report.read(run.value)
    except ValueError:
        return Run("error", error="malformed report")
    source, name, preamble = check
    of_class = re.search(rf"(?m)^class {re.escape(name)}\b", own)
    if own and (found.is_noted() or of_class or asks_numpy(source, preamble)):
        passes, wanted = solution_gives(sandbox, tests, own, check)
        if not passes and of_class:
            return BROKEN
        if passes and wanted and found.exceeds(wanted):
            wanted = surely_gives(sandbox, tests, own, check)
            return Run("failed", error=ODD) if wanted else run
        if passes:
            return run
    if found.has_bare():
        return Run("unjudged", error="numpy finds nothing wrong with an answer without items")
    return run


@contextlib.contextmanager
def more_time(sandbox: Sandbox) -> Iterator[None]:
    """For a solution that needs more than the limit, and the programs that are held against it."""
    limit, sandbox.timeout_s = sandbox.timeout_s, SLOW * sandbox.timeout_s
    try:
        yield
    finally:
        sandbox.timeout_s = limit


def solution_fails(sandbox: Sandbox, tests: dict, own: str, check: tuple) -> bool:
    """Whether it does so each time, for there may be chance in a check."""
    if "broken" not in tests:
        statuses = (sandbox.check(own, *check).status for _ in range(TRIES))
        tests["broken"] = all(status not in ("passed", "timeout") for status in statuses)
    return tests["broken"]


def solution_gives(
    sandbox: Sandbox, tests: dict, own: str, check: tuple
) -> tuple[bool, Report | None]:
    """Whether it passes, and the Report of its run; None if two runs differ, by chance."""
    if "gives" not in tests:
        first = sandbox.check(own, *check)
        with more_time(sandbox):
            first = first if first.status != "timeout" else sandbox.check(own, *check)
            second = first if first.status != "passed" else sandbox.check(own, *check)
        same = first.status == second.status == "passed" and first.value == second.value
        report = Report.read(first.value) if same else None
        tests["gives"] = first.status == "passed", report
    return tests["gives"]


def surely_gives(sandbox: Sandbox, tests: dict, own: str, check: tuple) -> Report | None:
    """What solution_gives() says, if five more runs agree where there may be chance."""
    passes, report = tests["gives"]
    if report and not tests.get("sure") and CHANCE.search("\n".join((own, *check))):
        with more_time(sandbox):
            runs = [sandbox.check(own, *check) for _ in range(5)]
        same = all(run.status == "passed" and Report.read(run.value) == report for run in runs)
        tests["sure"], tests["gives"] = True, (passes, report if same else None)
    return tests["gives"][1]


def with_outputs(problems: list[Problem], pool: Pool) -> list[Problem]:
    """The problems whose tests say what they expect; references that have to say it are run."""
    asked = [p for p in problems if "reference" in p.tests and "outputs" not in p.tests]
    failed = {id(p) for p in asked} - {
        id(p) for p, _ in of_references(pool, asked, expected_outputs)
    }
    return [p for p in problems if id(p) not in failed]


def of_references(
    pool: Pool, problems: list[Problem], ask: Callable, *args: object
) -> list[tuple[Problem, object]]:
    """(problem, ask(sandbox, problem, *args)) of each problem for which ask() raises no Unusable.

    The others are left out and named: those for which it failed on any rank, since all ranks must
    have the same problems.
    """
    futures = [pool.submit(answer_or_reason, ask, problem, *args) for problem in problems]
    answers = [future.result() for future in futures]
    failed = {i: str(x) for i, x in enumerate(answers) if isinstance(x, Unusable)}
    if problems:
        from run import gather  # it needs torch, which a --help does not wait for

        failed = {
            i: why for part in gather(failed, "running references") for i, why in part.items()
        }
    for i, why in sorted(failed.items()):
        where = f" of {problems[i].where}" if problems[i].where else ""
        print(printable(f"left out {problems[i].task_id}{where}: {why}"))
    return [
        (p, x) for i, (p, x) in enumerate(zip(problems, answers, strict=True)) if i not in failed
    ]


def answer_or_reason(sandbox: Sandbox, ask: Callable, problem: Problem, *args: object) -> object:
    try:
        return ask(sandbox, problem, *args)
    except Unusable as reason:
        return reason


# --------------------------------------------------------------------------- judge errors
@dataclass
class JudgeError:
    """The outcome of an answer that we failed to judge, which says nothing about the answer."""

    error: str  # the exception, as text
    status: str = "judge_error"
    reward: float = 0.0  # for the log: no advantage follows from it
    program: None = None  # there is none to ask about

    def row(self) -> dict:
        """Its columns in samples.jsonl."""
        return {"program": None, "test": None, "error": self.error}

    def graded(self) -> dict:
        """As eval.py has the grade of an answer."""
        return {"passed": False, "status": self.status, "score": self.reward, "error": self.error}


def guarded(
    sandbox: Sandbox, name: str, judge: Callable, otherwise: Callable, *args: object
) -> object:
    """judge(sandbox, *args); where that raises, otherwise(the JudgeError). name: of the answer.

    All that is done with one answer runs in here: judging and tracing (rollout, eval), asking about
    it later (train), and writing it down (run). So nothing in an answer can end a run.

    The first time that a sandbox breaks, the exception goes on, and the pool tries a new sandbox.
    What is raised at one place is told once, with its traceback.
    """
    try:
        return judge(sandbox, *args)
    except SandboxUnavailable:
        raise
    except Exception as error:
        if isinstance(error, SandboxBroken) and name not in seen:
            seen.add(name)
            raise
        text = f"{type(error).__name__}: {first_line(error)}"[:500]
        place = f"{type(error).__name__} {traceback.extract_tb(error.__traceback__)[-1]}"
        if place not in seen:
            seen.add(place)
            trace = "".join(traceback.format_exception(error))
            told = f"a judge_error, not the fault of the answer {name}:\n{trace}"
            print(printable(told), file=sys.stderr)
        return otherwise(JudgeError(text))


def given_up(sample, failure: JudgeError) -> None:
    """Take back the outcome of a sample that was judged, and could not be used after that."""
    sample.outcome, sample.advantage, sample.questions = failure, 0.0, []


def askable(groups: list, prompt_ids: Callable) -> Iterator[tuple[Question, list[int]]]:
    """(question, its prompt_ids(question)) of all samples of the groups, in their order. A sample
    whose question has no prompt is given up."""
    for sample in [sample for group in groups for sample in group.samples]:
        for question in sample.questions:
            otherwise = partial(given_up, sample)
            ids = guarded(None, question.source, lambda _, q: prompt_ids(q), otherwise, question)
            if ids:
                yield question, ids


def sample_line(step: int, group, g: int) -> str:
    """Line of samples.jsonl about a sample of a Group of rollout.py."""
    sample, name = group.samples[g], f"{step}/{group.index}/{g}"

    def line(_: None) -> str:
        row = {"step": step, "id": name, "objective": group.objective}
        row |= {"task_id": group.task.task_id, "prompt": group.prompt}
        row |= {"response": sample.response.text, "reward": sample.reward}
        return json.dumps(row | {"status": sample.outcome.status} | sample.outcome.row())

    def otherwise(failure: JudgeError) -> str:
        given_up(sample, failure)
        return line(None)

    return guarded(None, name, line, otherwise)
