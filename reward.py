"""From text to reward, for both objectives.

Code:       response -> program -> tests in the sandbox -> Verdict (pass/fail, or share of tests).
Alignment:  failed program -> trace -> question; answer -> share of variables predicted right.

Both are CodeRL+ (arXiv 2510.18471), section 3. Expected values stay on this side: the sandbox
returns what the program printed or returned, and the comparison happens here.

Left out: partial credit for "almost equal" values, and any reward a program reports of itself.
"""

import ast
import hashlib
import json
import re
import time
import warnings
from dataclasses import dataclass, field
from typing import Self

import trace
from config import Config, UserError, fill
from data import Problem
from equality import agrees, same_stdout, same_value
from jail.instrument import UNFIT, plain
from jail.values import NO_CAPS, decode, encode
from sandbox import Run, Sandbox

FENCE = re.compile(r"```[ \t]*+[\w+-]*+[ \t]*+\n(.*?)(?:\n[ \t]*+```|\Z)", re.DOTALL)
DEFINES = re.compile(r"^[ \t]*+(def|class)\s", re.MULTILINE)
ITEM = re.compile(r"[\s>*-]*[`*\"']?([\w.]+)[`*\"']*\s*[=:]\s*(.+?)[\s,`]*$")  # of an answer
FUTURE = re.compile(r"^from __future__ import .*$", re.MULTILINE)
OUTPUT = "output"  # the item that stands for what the call returns or the program prints
warnings.filterwarnings("ignore", category=SyntaxWarning)  # about what models write
MAX_ANSWER = 4_000  # characters of an answer that are read, and of a program that is asked about


# --------------------------------------------------------------------------- code generation
@dataclass
class Verdict:
    """What the tests say of one program. `test` is the first failing one, as text to show."""

    status: str  # passed failed error timeout memory output killed syntax no_code
    passed: int = 0
    tests: int = 0
    test: dict | None = None  # {"input", "expected", "got"}
    error: str = ""  # last line of the exception

    def reward(self, kind: str = "binary") -> float:
        """1 if every test passes, else 0; "fraction": the share of tests that pass."""
        if kind == "fraction":
            return self.passed / max(1, self.tests)
        return float(self.status == "passed")


def extract_program(text: str) -> str | None:
    """The last fenced block that defines something, else the last block; None without a fence.

    Models like to end with a block of example calls, so the last block alone is not the program.
    A fence left open by max_tokens counts: what stands there is all that was written.
    """
    blocks = [block.group(1) for block in FENCE.finditer(text)]
    defining = [block for block in blocks if DEFINES.search(block)]
    return (defining or blocks or [None])[-1]


def judge(sandbox: Sandbox, problem: Problem, program: str | None) -> Verdict:
    """Run `program` on the tests of `problem`. Never raises for anything the program does."""
    tests = problem.tests
    if program is None:  # a check counts as one test
        return Verdict("no_code", tests=1 if "check" in tests else len(tests["inputs"]))
    name = tests.get("fn_name")
    program = with_prefix(tests.get("prefix", ""), program, name)
    if "check" in tests:
        run = sandbox.check(
            program, tests["check"], tests["entry_point"], tests.get("preamble", "")
        )
        return Verdict(run.status, int(run.status == "passed"), 1, None, run.error)
    inputs = tests["inputs"]
    outputs = expected_outputs(sandbox, problem)
    deadline = time.monotonic() + sandbox.program_timeout_s
    runs = sandbox.run(program, inputs, name)
    passed = [right(*three, tests) for three in zip(runs, inputs, outputs, strict=True)]
    for i in [i for i, ok in enumerate(passed) if not ok]:
        # State can leak from one test to the next in one child; alone it counts. The first was.
        if i and time.monotonic() <= deadline:
            runs[i] = sandbox.run(program, [inputs[i]], name)[0]
            passed[i] = right(runs[i], inputs[i], outputs[i], tests)
        if not passed[i]:
            break
    if all(passed):
        return Verdict("passed", len(runs), len(runs))
    first = passed.index(False)
    run, got = runs[first], ""
    if run.status == "ok":
        got = show(run.value) if name else run.stdout
    wanted = show(outputs[first]) if name else outputs[first]
    test = {"input": show_call(inputs[first], name), "expected": wanted, "got": got}
    test = {key: text[:500] for key, text in test.items()}
    status = "failed" if run.status == "ok" else run.status
    return Verdict(status, sum(passed), len(runs), test, run.error)


def with_prefix(prefix: str, program: str, fn_name: str | None = None) -> str:
    """What a data set promises to run before a program; `from __future__` must stay first.

    A name that the prefix imports is no answer to a problem that asks for a function of that name
    (`merge`, `gcd`), so it goes, unless a method of that name may want to call it.
    """
    if not prefix:
        return program
    if (
        fn_name
        and fn_name.isidentifier()
        and not re.search(rf"(?m)^[ \t]+def {fn_name}\b", program)
    ):
        prefix += f"\ntry:\n    del {fn_name}\nexcept NameError:\n    pass\n"
    future = "".join(f"{line}\n" for line in FUTURE.findall(program))
    return f"{future}{prefix}\n{FUTURE.sub('', program)}"


def show(value: object) -> str:
    """Text of a value a program made; Python refuses to print an int of 4,301 digits."""
    try:
        return repr(value)
    except ValueError:
        return "a value too long to show"


def expected_outputs(sandbox: Sandbox, problem: Problem) -> list:
    """What the tests want; where only a reference says, it is run, once a problem."""
    tests = problem.tests
    if "outputs" not in tests:
        runs = sandbox.run(tests["reference"], tests["inputs"], tests["fn_name"])
        failed = [run for run in runs if run.status != "ok"]
        if failed:
            raise RuntimeError(
                f"{problem.task_id}: its reference fails ({failed[0].status}: {failed[0].error})"
            )
        tests["outputs"] = [run.value for run in runs]
    return tests["outputs"]


def right(run: Run, arguments: object, expected: object, tests: dict) -> bool:
    if run.status != "ok":
        return False
    if not tests.get("fn_name"):
        return same_stdout(expected, run.stdout)
    if "oracle" in tests:
        return agrees(tests["oracle"], arguments, expected, run.value)
    wrapped = "wrapped" in tests and isinstance(expected, list) and len(expected) == 1
    return same_value(expected, run.value) or (wrapped and same_value(expected[0], run.value))


# --------------------------------------------------------------------------- alignment
@dataclass
class Question:
    """A program, one input, and what is asked about it."""

    program: str
    input: object  # stdin text, or a list of arguments
    fn_name: str | None
    target: dict[str, object] = field(default_factory=dict)  # item -> encoded value
    task_id: str = ""
    source: str = ""  # "step/group/sample" of the response that holds the program

    @property
    def source_step(self) -> int:
        return int(self.source.partition("/")[0])

    @property
    def has_variables(self) -> bool:
        """Is anything asked about besides the output?"""
        return self.target.keys() != {OUTPUT}

    @property
    def call(self) -> str:
        """`f([1, 2], 3)`, or the text of stdin."""
        return show_call(self.input, self.fn_name)

    @property
    def key(self) -> str:
        """Tells apart questions that differ in program or call."""
        text = f"{self.program}\0{self.call}".encode(errors="replace")
        return hashlib.sha256(text).hexdigest()[:16]

    def row(self) -> dict:
        """As JSON can hold it: an input may have tuples, or keys that are no text."""
        return vars(self) | {"input": encode(self.input, **NO_CAPS)}

    @classmethod
    def from_row(cls, row: dict) -> Self:
        return cls(**row | {"input": decode(row["input"])})

    def shown_target(self) -> dict[str, str]:
        """Item -> its true value as Python would print it."""
        return {name: show(decode(value)) for name, value in self.target.items()}


def make_question(
    sandbox: Sandbox, program: str, input: object, fn_name: str | None, cfg: Config,
    prefix: str = "",
) -> Question | str:  # fmt: skip
    """Trace `program` on `input` and ask about its last-defined variables; a str says why not."""
    if len(program) > MAX_ANSWER:
        return "too long"
    if complexity(program) > cfg.max_complexity:
        return "too complex"
    traced = trace.trace_program(
        sandbox, with_prefix(prefix, program, fn_name), input, fn_name, cfg.align_values
    )
    if traced.reason:
        return traced.reason
    variables = trace.choose_variables(traced, cfg.max_variables)
    asked = [v for v in variables if v.name != OUTPUT and is_literal(v.value)]
    target = {v.name: encode(v.value) for v in asked}
    output = traced.value if fn_name else traced.stdout.strip() or None
    if output is None:
        return "no output"
    if cfg.align_output:
        target[OUTPUT] = plain(output)
        if target[OUTPUT] is UNFIT:
            return "output too long"
        if fn_name and not is_literal(output):
            return "output is no literal"
    if not target:
        return "no variable"
    return Question(program, input, fn_name, target)


def name_to_trace(program: str, name: str | None) -> str | None:
    """What to call: a small model that was asked for Solution().f often writes a plain f."""
    if name and name.startswith("Solution") and not re.search(r"^class Solution\b", program, re.M):
        return name.rpartition(".")[2]
    return name


def complexity(program: str) -> int:
    """McCabe's cyclomatic complexity: 1 + decision points. A program that does not parse: 0."""
    branches = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension)
    try:
        nodes = ast.walk(ast.parse(program))
        return 1 + sum(
            len(n.values) - 1 if isinstance(n, ast.BoolOp) else isinstance(n, branches)
            for n in nodes
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0


def show_call(input: object, fn_name: str | None) -> str:
    """`f([1, 2], 3)` for a functional input; the text itself for stdin."""
    return f"{fn_name}({', '.join(map(repr, input))})" if fn_name else str(input)


def question_text(question: Question, cfg: Config) -> str:
    """The user turn that asks for the values, from cfg.align_template."""
    if question.fn_name:
        action = f"The call is `{question.call}`."
    elif question.call.strip():
        action = f"The standard input is:\n{question.call}"
    else:
        action = "There is no input."
    names = ", ".join(f"`{name}`" for name in question.target)
    return fill(cfg.align_template, program=question.program, action=action, names=names)


def question_beginning(question: Question, cfg: Config) -> str:
    """The beginning of every answer, put there before the model goes on; "" without align_begin."""
    return f"{next(iter(question.target))} =" if cfg.align_begin else ""


def question_messages(question: Question, examples: list[Question], cfg: Config) -> list[dict]:
    """Chat turns: each worked example as a question already answered, then the question."""
    turns = []
    for example in examples:
        turns.append({"role": "user", "content": question_text(example, cfg)})
        turns.append({"role": "assistant", "content": answer_text(example)})
    return [*turns, {"role": "user", "content": question_text(question, cfg)}]


def answer_text(question: Question) -> str:
    """The right answer, in the form that parse_answer reads."""
    return "\n".join(f"{name} = {value}" for name, value in question.shown_target().items())


def worked_examples(sandbox: Sandbox, cfg: Config) -> list[Question]:
    """cfg.align_examples with their true answers, from a real trace. Raises UserError."""
    examples = []
    for number, (program, call) in enumerate(cfg.align_examples, start=1):
        fn_name, arguments = trace.parse_call(call) if call else (None, "")
        made = make_question(sandbox, program.strip(), arguments, fn_name, cfg)
        if isinstance(made, str):
            raise UserError(f"align_examples: example {number} gives no question: {made}")
        examples.append(made)
    return examples


@dataclass
class Score:
    """How an alignment answer compares with the trace."""

    status: str  # right partial wrong unparsed
    reward: float
    predicted: dict[str, str]  # item -> repr of the value that was read
    correct: list[str]


def score_answer(
    text: str, question: Question, format_bonus: float, finished: bool = True
) -> Score:
    """format_bonus * [it ends with one value for each item] + (1 - format_bonus) * share right.

    finished: whether the model ended the answer itself. Of a long answer the end is read.
    """
    text = text[-MAX_ANSWER:]
    printed = OUTPUT if question.fn_name is None else ""
    predicted = parse_answer(text, list(question.target), printed)
    target = {name: decode(value) for name, value in question.target.items()}
    correct = [
        name
        for name, value in predicted.items()
        if (same_printed if name == printed else same_value)(target[name], value)
    ]
    share = len(correct) / len(target)
    parsed = len(predicted) == len(target)
    in_form = parsed and finished and ends_with_values(text, list(target))
    reward = format_bonus * in_form + (1 - format_bonus) * share
    status = "right" if share == 1 else "partial" if share else "wrong" if parsed else "unparsed"
    return Score(status, reward, {n: show(v)[:300] for n, v in predicted.items()}, correct)


def parse_answer(text: str, names: list[str], printed: str = "") -> dict[str, object]:
    """Values from `name = literal` lines or one JSON object; the last answer to a name counts.

    `printed` is the name of an item that is text, which need not be quoted and is kept as it is.
    """
    found: dict[str, object] = {}
    for line in text.splitlines():
        match = ITEM.match(line)
        if match and match.group(1) in names:
            name, value = match.groups()
            try:
                found[name] = value if name == printed else read_literal(value)
            except ValueError:
                found.pop(name, None)
    start, end = text.find("{"), text.rfind("}")
    if not found and 0 <= start < end:
        try:
            answer = json.loads(text[start : end + 1])
        except (ValueError, RecursionError):
            return {}
        found = {name: answer[name] for name in names if name in answer}
    return found


def same_printed(expected: str, answer: object) -> bool:
    """Whether `answer` is what was printed, as it stands or as a literal: `yes` or `"yes"`."""
    if same_stdout(expected, show(answer) if not isinstance(answer, str) else answer):
        return True
    try:
        return isinstance(answer, str) and same_stdout(expected, str(read_literal(answer)))
    except ValueError:
        return False


def ends_with_values(text: str, names: list[str]) -> bool:
    """Whether one line for each name, or one line of JSON, is the end, and names have no others.

    A model that is paid for values alone goes on writing after them, noise that it then learns.
    """
    lines = [line for line in text.splitlines() if line.strip(" \t`{}")]
    found = [i for i, line in enumerate(lines) if (m := ITEM.match(line)) and m[1] in names]
    if not found and lines:
        return lines[-1].lstrip().startswith("{") and lines[-1].rstrip(" \t`").endswith("}")
    return found == list(range(len(lines) - len(names), len(lines)))


def is_literal(value: object) -> bool:
    """Whether an answer can say it: a type, a frozenset, a list that holds inf it cannot."""
    try:
        return same_value(value, read_literal(show(value)))
    except ValueError:
        return False


def read_literal(text: str) -> object:
    """A Python literal, or a JSON true/false/null. Raises ValueError; size and depth are capped."""
    if len(text) > 2_000 or sum(text.count(bracket) for bracket in "([{-+~") > 500:
        raise ValueError("too large")
    constants = {"true": True, "false": False, "null": None}
    constants |= {text: float(text) for text in ("inf", "-inf", "nan")}
    if text in constants:
        return constants[text]
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("not a literal") from error
