"""The benchmarks: what each asks, of chat models and of base models, and how an answer is graded.

    basics                    programs for held-out families of the built-in set
    humaneval, humaneval+     functions from their docstrings
    mbpp, mbpp+               functions from a sentence and three asserts
    leetcode, livecodebench   contest problems
    problems                  the problems of --problems=FILE, of any format that formats.py knows
    basics-trace              final values of the variables of a program nobody wrote for this
    livecodebench-exec        what a call returns
    cruxeval-o, cruxeval-i    the same; and arguments for which it returns a given value
    basics-output, livecodebench-testoutput   the result of a call, from the problem's text alone

Prompts are ours; what is asked and what counts follows the official harnesses, except: answers
about values are read as `assert f(x) == value` wherever they stand, and are run in our sandbox, so
that a forged `==` earns nothing; floats that programs return agree within 1e-6; the example shown
before a question is one of ours, not two or three of theirs. Left out: chain-of-thought variants
(let the model think: it may, before [ANSWER]) and LiveCodeBench's self-repair.
"""

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from config import Config, UserError, fill
from data import beginning, chat_ids, code_text, load_problems, source_rows
from formats import Problem
from jail.values import encode
from reward import (
    OUTPUT,
    Question,
    extract_program,
    judge,
    make_question,
    question_beginning,
    question_messages,
    score_answer,
    show_call,
)
from sandbox import Pool, Sandbox

MAX_TOKENS = {  # longest answer by task; others get cfg.max_tokens, as in training
    "humaneval": 512, "humaneval+": 512, "mbpp": 512, "mbpp+": 512, "leetcode": 1024,
    "livecodebench": 2048, "livecodebench-exec": 512, "livecodebench-testoutput": 512,
    "cruxeval-o": 512, "cruxeval-i": 512,
}  # fmt: skip
CODE = ("basics", "humaneval", "humaneval+", "mbpp", "mbpp+", "leetcode", "livecodebench")
CODE += ("problems",)  # programs that run on tests: the tasks that --samples grades
TASKS = (*CODE, "basics-trace", "basics-output", *[t for t in MAX_TOKENS if t not in CODE], "probe")

# A base model goes on where a program starts, and would go on after its end.
BASE_STOPS = ("\nclass ", "\ndef ", "\nif ", "\nprint(", "\nassert ", '\n"""', "\n#", "\n```")

OUTPUT_TEMPLATE = (
    "{prompt}\n\nWrite no program. Give one line `output = value` for the call `{call}`."
)
OUTPUT_EXAMPLES = (  # chat turns that show the form of an answer
    ("Write a Python function `last_two(items)` that returns the last two items.",
     "last_two([4, 7, 1])", "output = [7, 1]"),
    ("Write a Python function `shout(word)` that returns the word in capital letters.",
     "shout('sea')", "output = 'SEA'"),
)  # fmt: skip
ASSERT_TEMPLATE = """\
{given}

Complete this assertion so that it holds{how}. You may think first; end with the whole assertion \
between [ANSWER] and [/ANSWER].

assert {left} == {right}"""
HOW = {
    "value": ": put a Python literal for ??, no call",
    "input": ": put arguments for ??; any that do will do",
}
EXAMPLE = "def f(text, n):\n    text = text[::-1]\n    return text[:n] + '!'"
EXAMPLE_TEXT = "Write f(text, n): the last n characters of text, last first, and then '!'."
EXAMPLE_ANSWER = "assert f('hello', 2) == 'ol!'"


@dataclass
class Item:
    """One thing to answer. grade(sandbox, text) -> {"passed", "status", "score" in 0..1, ...}."""

    task_id: str
    messages: list[dict]
    grade: Callable[[Sandbox, str], dict]
    chat_begun: str = ""  # the beginning of a chat model's answer, which it goes on with
    base: str = ""  # what a model without a chat template reads,
    begun: str = ""  # the beginning of the answer, which it goes on with,
    base_stop: tuple[str, ...] = ()  # and what ends it
    is_code: bool = False
    difficulty: str = ""
    family: str = ""
    date: str = ""

    def as_chat(self, template: bool) -> bool:
        """Whether it is put as a chat: to a model with a template, or for want of another form."""
        return template or not self.base


def make_items(task: str, cfg: Config, pool: Pool, examples: list[Question]) -> list[Item]:
    """All items of a task, in a fixed order. Raises UserError for an unknown task or no item."""
    if task in ("cruxeval-o", "cruxeval-i", "livecodebench-exec"):
        rows = source_rows(re.sub("-[oi]$", "", task), "heldout", cfg)
        items = [execution_item(row, where, task.endswith("-i")) for row, where in rows]
    elif task == "livecodebench-testoutput":
        rows = source_rows(task, "heldout", cfg)
        items = [test_output_item(row, where) for row, where in rows]
    elif task == "basics-trace":
        items = [trace_item(pool, problem, examples, cfg) for problem in task_problems(task, cfg)]
    elif task == "basics-output":
        items = [output_item(problem, cfg) for problem in task_problems(task, cfg)]
    elif task in CODE:
        items = [code_item(problem, cfg) for problem in task_problems(task, cfg)]
    else:
        kind = "only eval.py has the" if task == "probe" else "unknown"
        raise UserError(f"{kind} task {task!r}; choose from {', '.join(TASKS)}")
    items = [item for item in items if in_window(item.date, cfg)]
    if not items:
        raise UserError(f"{task} has nothing between {cfg.eval_since!r} and {cfg.eval_until!r}")
    return items[: cfg.eval_limit or None]


def task_problems(task: str, cfg: Config) -> list[Problem]:
    """The problems of a code task, held-out split."""
    name = {"problems": cfg.problems, "basics-trace": "basics", "basics-output": "basics"}
    return load_problems(name.get(task, task), "heldout", cfg)


def in_window(date: str, cfg: Config) -> bool:
    """Is `date` in eval_since .. eval_until? Dates are ISO, so text order is time order."""
    if not cfg.eval_since and not cfg.eval_until:
        return True
    return bool(date) and cfg.eval_since <= date <= (cfg.eval_until or date)


def answer_tokens(task: str, cfg: Config) -> int:
    return cfg.eval_max_tokens or MAX_TOKENS.get(task, cfg.max_tokens)


def prompt_ids(tokenizer, item: Item) -> list[int]:
    """Of a chat where the tokenizer has a template, else of a file to go on with."""
    if item.as_chat(bool(tokenizer.chat_template)):
        return chat_ids(tokenizer, item.messages, item.chat_begun)
    return tokenizer.encode(item.base + item.begun)


def whole_answer(item: Item, text: str, chat: bool) -> str:
    """What is graded: a chat answer as it is, a base model's put together and cut where it ends."""
    if item.as_chat(chat):
        return text
    ends = [text.find(stop) for stop in item.base_stop if stop in text]
    text = item.begun + text[: min(ends, default=None)]
    return f"```python\n{text}\n```" if item.is_code else text


# --------------------------------------------------------------------------- programs
def code_item(problem: Problem, cfg: Config) -> Item:
    def grade(sandbox: Sandbox, text: str) -> dict:
        return grade_program(sandbox, problem, extract_program(text))

    chat = [{"role": "user", "content": code_text(problem, cfg)}]
    labels = {"difficulty": problem.difficulty, "family": problem.family, "date": problem.date}
    texts = (beginning(problem, cfg), *base_text(problem), BASE_STOPS)
    return Item(problem.task_id, chat, grade, *texts, is_code=True, **labels)


def grade_program(sandbox: Sandbox, problem: Problem, program: str | None) -> dict:
    verdict = judge(sandbox, problem, program)
    return {
        "passed": verdict.status == "passed",
        "status": verdict.status,
        "score": verdict.reward("fraction"),
        "solution": program,
        "error": verdict.error,
        "test": verdict.test,
    }


def base_text(problem: Problem) -> tuple[str, str]:
    """(what comes before, how the program begins) in the file that a base model goes on with."""
    prefix = problem.tests.get("prefix", "")
    if prefix and prefix in problem.prompt:  # HumanEval: the function itself, run before the answer
        return prefix, ""
    return f'"""\n{problem.prompt}\n"""\n', f"{problem.starter}\n" if problem.starter else ""


# --------------------------------------------------------------------------- values
def trace_item(pool: Pool, problem: Problem, examples: list[Question], cfg: Config) -> Item:
    """What are the final values in the reference program? Target from a trace made now."""
    anything = replace(cfg, max_complexity=10**6)
    first, name = problem.tests["inputs"][0], problem.tests["fn_name"]
    question = pool.submit(make_question, problem.solution, first, name, anything).result()
    if isinstance(question, str):
        raise RuntimeError(f"{problem.task_id}: its reference program gives no trace: {question}")
    messages = question_messages(question, examples, cfg)
    return question_item(problem, question, messages, question_beginning(question, cfg))


def output_item(problem: Problem, cfg: Config) -> Item:
    """What does the call return? The model sees the problem's text, never a program."""
    turns = []
    for prompt, call, answer in OUTPUT_EXAMPLES:
        turns.append({"role": "user", "content": fill(OUTPUT_TEMPLATE, prompt=prompt, call=call)})
        turns.append({"role": "assistant", "content": answer})
    first, name = problem.tests["inputs"][0], problem.tests["fn_name"]
    text = fill(OUTPUT_TEMPLATE, prompt=problem.prompt, call=show_call(first, name))
    question = Question("", first, name, {OUTPUT: encode(problem.tests["outputs"][0])})
    return question_item(problem, question, [*turns, {"role": "user", "content": text}])


def question_item(
    problem: Problem, question: Question, messages: list[dict], begun: str = ""
) -> Item:
    def grade(sandbox: Sandbox, text: str) -> dict:
        score = score_answer(text, question, format_bonus=0.0)
        shown = {"predicted": score.predicted, "target": question.shown_target()}
        right = score.status == "right"
        return {"passed": right, "status": score.status, "score": score.reward} | shown

    labels = {"difficulty": problem.difficulty, "family": problem.family}
    return Item(problem.task_id, messages, grade, begun, **labels)


# --------------------------------------------------------------------------- assertions
def execution_item(row: dict, where: str, find_input: bool) -> Item:
    """CRUXEval (Gu et al., arXiv 2401.03065) and LiveCodeBench's code execution.

    `input` is the text of the arguments, or of the whole call; `output` that of the value.
    """
    try:
        name, code, output = row.get("function_name", "f"), row["code"], row["output"]
        whole = row["input"].lstrip().startswith(f"{name}(")
        call = row["input"] if whole else f"{name}({row['input']})"
        sides = (f"{name}(??)", output) if find_input else (call, "??")
        texts = f"```python\n{EXAMPLE}\n```", f"```python\n{code}\n```"
        wanted = {"name": name, "expected": output, "code": code if find_input else None}
        return assertion_item(row, str(row["id"]), wanted, *texts, *sides)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where}: a row needs code, input, output and id, but {error!r}"
        ) from error


def test_output_item(row: dict, where: str) -> Item:
    """LiveCodeBench's test output prediction: a problem's text, a call, and what must come out."""
    try:
        tests = json.loads(row["test"]) if isinstance(row["test"], str) else row["test"]
        case, name = tests[0], row["function_name"]
        values = [json.loads(line) for line in case["input"].split("\n") if line]
        expected = repr(json.loads(case["output"]))
        given = f"{row['question_content']}\n\n```python\n{row['starter_code']}\n```"
        task_id = f"{row['question_id']}/{row['test_id']}"
        wanted, call = {"name": name, "expected": expected}, show_call(values, name)
        return assertion_item(row, task_id, wanted, EXAMPLE_TEXT, given, call, "??")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{where}: not a row of LiveCodeBench's test outputs: {error!r}") from error


def assertion_item(
    row: dict, task_id: str, wanted: dict, example: str, given: str, left: str, right: str
) -> Item:
    """The chat with one worked example, and the file that a base model completes.

    wanted: what grade_assertion is to compare the answer with.
    """
    find_input = right != "??"
    shown, value = EXAMPLE_ANSWER.removeprefix("assert ").split(" == ")
    sample = {"left": "f(??)", "right": value} if find_input else {"left": shown, "right": "??"}
    how = HOW["input" if find_input else "value"]
    asked = fill(ASSERT_TEMPLATE, given=example, how=how, **sample)
    messages = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": f"[ANSWER]\n{EXAMPLE_ANSWER}\n[/ANSWER]"},
        {
            "role": "user",
            "content": fill(ASSERT_TEMPLATE, given=given, how=how, left=left, right=right),
        },
    ]
    begun = f"assert {left.removesuffix('??)')}" if find_input else f"assert {left} =="
    hint = f"# the call shall return {right}\n" if find_input else ""
    base = f"{example}\n\n{EXAMPLE_ANSWER}\n\n\n{given}\n\n{hint}"
    grade = partial(grade_assertion, **wanted)
    labels = {"date": str(row.get("contest_date", ""))[:10]}
    labels["difficulty"] = str(row.get("difficulty", ""))
    labels["family"] = str(row.get("question_id") or "")  # LiveCodeBench asks several of a problem
    return Item(task_id, messages, grade, "", base, begun, ("\n",), **labels)


def grade_assertion(
    sandbox: Sandbox, text: str, name: str, expected: str, code: str | None = None
) -> dict:
    """Is what the answer puts into the assertion right? Values are compared on our side.

    A value is asked for; or, with `code`, arguments: then the call in the answer is run.
    """
    found = read_assertion(text)
    result = {"passed": False, "status": "unparsed", "score": 0.0, "target": expected}
    asked = found and found[0 if code else 1]
    if asked is None:
        return result
    if code and not (isinstance(asked, ast.Call) and ast.unparse(asked.func) == name):
        return result
    try:
        shown = ast.unparse(asked)
    except RecursionError:  # 400 terms of 1 + 1 + ... are enough
        return result
    got, wanted = (
        sandbox.run(f"{code or ''}\n\ndef answer_():\n    return {source}", [[]], "answer_")[0]
        for source in (shown, expected)
    )
    passed = got.status == wanted.status == "ok" and got.value == wanted.value
    status = "right" if passed else "wrong" if got.status == "ok" else got.status
    found = {"passed": passed, "status": status, "score": float(passed), "predicted": shown}
    return result | found


def read_assertion(text: str) -> tuple[ast.expr | None, ast.expr] | None:
    """(left, right) of the last `assert left == right` of an answer; (None, value) of a bare value.

    The last [ANSWER] counts, else the last fenced block, else the last line with an assert.
    """
    if "[ANSWER]" in text:
        text = text.rpartition("[ANSWER]")[2].partition("[/ANSWER]")[0]
    text = extract_program(text) or text
    asserts = re.findall(r"^[ \t]*(assert\b.*)$", text[:20_000], re.MULTILINE)
    try:
        if not asserts:
            return None, ast.parse(text.strip(), mode="eval").body
        test = ast.parse(asserts[-1]).body[0].test
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        return test.left, test.comparators[0]
    return None
