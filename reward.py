"""From text to reward, for both objectives.

Code:       response -> program -> tests in the sandbox -> Verdict (pass/fail, or share of tests).
Alignment:  failed program -> trace -> question; answer -> share of variables predicted right.

Both are CodeRL+ (arXiv 2510.18471), section 3. Expected values stay on this side: the sandbox
returns what the program printed or returned, and the comparison happens here.

Left out: partial credit for "almost equal" values, and any reward a program reports of itself.
"""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import trace
from config import Config
from jail.idle import without_remarks
from jail.recorder import UNFIT, plain
from jail.remarks import complexity, has_class, mark_given
from jail.values import decode, encode, room_for
from problems import answers
from problems.failures import expected_outputs, more_time, run_check
from problems.problem import OUTPUT, UNSHOWN, Problem, Question, show, show_call
from problems.programs import complete, extract_program, with_prefix
from sandbox import Run, Sandbox

warnings.filterwarnings("ignore", category=SyntaxWarning)  # about what models write
LONG_SHARE = 0.2  # of max_tokens: there DAPO's penalty for long answers goes from 0 to -1
MAX_COMPLEXITY = 10  # failed programs with more decision points are not asked about


# --------------------------------------------------------------------------- code generation
@dataclass
class Verdict:
    """What the tests say of one program. `test` is the first failing one, as text to show."""

    status: str  # passed failed error timeout memory output killed syntax no_code unjudged
    passed: int = 0
    tests: int = 0
    test: dict | None = None  # {"input", "expected", "got"}
    error: str = ""  # last line of the exception
    program: str | None = field(default=None, compare=False)
    reward: float = field(default=0.0, compare=False)

    def row(self) -> dict:
        """Its columns in samples.jsonl."""
        return {"program": self.program, "test": self.test, "error": self.error}


# What a verdict earns, by the name that cfg.reward gives: a new reward is one more line.
REWARDS: dict[str, Callable[[Verdict], float]] = {
    "binary": lambda verdict: float(verdict.status == "passed"),  # the paper's
    "fraction": lambda verdict: verdict.passed / max(1, verdict.tests),
}


def long_penalty(length: int, max_tokens: int) -> float:
    """DAPO's soft penalty, in [-1, 0], for an answer so long: arXiv 2503.14476, eq. 13."""
    room = LONG_SHARE * max_tokens
    return min(0.0, (max_tokens - room - length) / room)


def judge(
    sandbox: Sandbox, problem: Problem, program: str | None, reward: str = "binary"
) -> Verdict:
    """Run `program` on the tests of `problem`. Never raises for anything the program does."""
    program = program and complete(problem.tests.get("prefix", ""), program, problem.fn_name)
    verdict = run_tests(sandbox, problem, program)
    if verdict.status == "timeout" and "slow" not in problem.tests:  # is its own solution late too?
        own = sandbox, problem, problem.solution
        late = run_tests(*own).status == "timeout"
        problem.tests["slow"] = late and run_slowly(*own).status == "passed"
    if verdict.status == "timeout" and problem.tests["slow"]:
        verdict = run_slowly(sandbox, problem, program)
    verdict.program, verdict.reward = program, REWARDS[reward](verdict)
    return verdict


def score_program(sandbox: Sandbox, problem: Problem, response, cfg: Config) -> Verdict:
    """The code objective's score of a rollout.Response."""
    return judge(sandbox, problem, extract_program(response.text, problem.fn_name), cfg.reward)


def run_slowly(sandbox: Sandbox, problem: Problem, program: str | None) -> Verdict:
    """run_tests with more time, for a problem whose own solution needs it."""
    with more_time(sandbox):
        return run_tests(sandbox, problem, program)


class Compared(NamedTuple):
    """What is kept of a Run, which may be large."""

    status: str
    error: str
    right: bool
    got: str  # what was wrong, or its beginning


def run_tests(sandbox: Sandbox, problem: Problem, program: str | None) -> Verdict:
    tests = problem.tests
    if program is None:  # a check counts as one test
        return Verdict("no_code", tests=1 if "check" in tests else len(tests["inputs"]))
    name = tests.get("fn_name")
    program = with_prefix(tests.get("prefix", ""), program, problem.fn_name)
    if "check" in tests:
        run = run_check(sandbox, problem, program)
        return Verdict(run.status, int(run.status == "passed"), 1, None, run.error)
    inputs = tests["inputs"]
    outputs = expected_outputs(sandbox, problem)
    room = tests.get("room") or tests.setdefault("room", room_for(outputs))

    def compared(i: int, run: Run) -> Compared:
        ok, shown = answers.right(run, inputs[i], outputs[i], tests), ""
        if run.status == "ok" and not ok:
            shown = show(run.value) if name else run.stdout
        return Compared(run.status, run.error, ok, shown[:500])

    # Once, whatever fails: if a result were a reason to run a program again, the program would know
    # that result, and have two ways to be judged.
    runs = sandbox.run(program, inputs, name, room=room, keep=compared)
    passed = [run.right for run in runs]
    if all(passed):
        return Verdict("passed", len(runs), len(runs))
    first = passed.index(False)
    run, wanted = runs[first], show(outputs[first]) if name else outputs[first]
    test = {"input": show_call(inputs[first], name), "expected": wanted, "got": run.got}
    test = {key: text[:500] for key, text in test.items()}
    status = "failed" if run.status == "ok" else run.status
    return Verdict(status, sum(passed), len(runs), test, run.error)


# --------------------------------------------------------------------------- alignment
def make_question(
    sandbox: Sandbox, program: str, input: object, fn_name: str | None, cfg: Config,
    prefix: str = "", max_complexity: int = MAX_COMPLEXITY,
) -> Question | str:  # fmt: skip
    """Trace `program` on `input` and ask about its last-defined variables; a str says why not."""
    blanks = re.search(r"[ \t\f]{200}", program)  # over which a tokenizer takes quadratic time
    if blanks or len(program) > answers.MAX_ANSWER or UNSHOWN in show_call(input, fn_name):
        return "too long"
    program = without_remarks(program, called=fn_name is not None)
    if complexity(program) > max_complexity:
        return "too complex"
    traced = trace.trace_program(sandbox, program, input, fn_name, prefix=prefix)
    if traced.reason:
        return traced.reason
    output = traced.value if fn_name else traced.stdout.strip() or None
    if output is None:
        return "no output"
    if cfg.align_output and plain(output) is UNFIT:
        return "output too long"
    if cfg.align_output and fn_name and not answers.is_literal(output):
        return "output is no literal"
    told = not cfg.align_output or re.search(rf"\b{OUTPUT}\b", program) is not None
    result = trace.Variable(None, OUTPUT, 0, 0, output, False, False, given=told)
    mark_given(program, [*traced.variables, result] if cfg.align_output else traced.variables)
    variables = trace.choose_variables(traced, cfg.max_variables)
    asked = [v for v in variables if v.name != OUTPUT and answers.is_literal(v.value)]
    target = {v.name: encode(v.value) for v in asked}
    target |= {} if result.given else {OUTPUT: plain(output)}
    return Question(program, input, fn_name, target) if target else "no variable"


def ask(sandbox: Sandbox, problem: Problem, verdict: Verdict, cfg: Config) -> list[Question]:
    """Questions about the variables of a failed program, on its first cfg.align_inputs inputs."""
    program, tests = verdict.program, problem.tests
    if not program or verdict.status in ("passed", "timeout"):
        return []
    name, in_class = problem.fn_name, has_class(program, "Solution")
    if name and name.startswith("Solution") != in_class:  # a small model often writes a
        bare = name.rpartition(".")[2]  # plain f for Solution().f; sandbox.py finds both
        name = f"Solution().{bare}" if in_class else bare
    inputs = tests.get("inputs") or tests.get("calls", [])
    made = [
        make_question(sandbox, program, given, name, cfg, tests.get("prefix", ""))
        for given in inputs[: cfg.align_inputs]
    ]
    return [q for q in made if isinstance(q, Question) and q.has_variables]


@dataclass
class Score:
    """How an alignment answer compares with the trace."""

    status: str  # right partial wrong unparsed
    reward: float
    predicted: dict[str, str]  # item -> repr of the value that was read
    correct: list[str]
    question: Question

    def row(self) -> dict:
        """Its columns in samples.jsonl."""
        asked = self.question
        row = {"program": asked.program, "source": asked.source, "call": asked.call}
        row["target"] = asked.shown_target()
        return row | {"predicted": self.predicted, "correct": self.correct}


def score_answer(
    text: str, question: Question, format_bonus: float, finished: bool = True
) -> Score:
    """format_bonus * [it ends with one value for each item] + (1 - format_bonus) * share right.

    finished: whether the model ended the answer itself. Of a long answer the end is read.
    """
    printed = OUTPUT if question.fn_name is None and OUTPUT in question.target else ""
    predicted = answers.parse_answer(text, list(question.target), printed)
    target = {name: decode(value) for name, value in question.target.items()}
    same = {True: answers.same_printed, False: answers.same_answer}
    correct = [name for name, x in predicted.items() if same[name == printed](target[name], x)]
    share = len(correct) / len(target)
    parsed = len(predicted) == len(target)
    in_form = parsed and finished and answers.ends_with_values(text, list(target), printed)
    reward = format_bonus * in_form + (1 - format_bonus) * share
    status = "right" if share == 1 else "partial" if share else "wrong" if parsed else "unparsed"
    shown = {name: show(value)[:300] for name, value in predicted.items()}
    return Score(status, reward, shown, correct, question)


def score_values(sandbox: Sandbox, question: Question, response, cfg: Config) -> Score:
    """The alignment objective's score of a rollout.Response."""
    return score_answer(response.text, question, cfg.format_bonus, response.finished)
