"""The benchmarks: what each asks, of chat models and of base models. eval.py grades the answers.

    basics, basics-hard       programs for held-out families of the built-in set
    humaneval, humaneval+     functions from their docstrings
    mbpp, mbpp+               functions from a sentence and three asserts
    leetcode, livecodebench   contest problems; livecodebench-v1 to -v6 are its releases
    problems                  the problems of --problems=FILE, of any format that formats.py knows
    basics-trace, basics-hard-trace   final values of the variables of a reference program
    livecodebench-exec        what a call returns
    cruxeval-o, cruxeval-i    the same; and arguments for which it returns a given value
    cruxeval-o-cot            the same as -o, where the model shall go through the run first
    basics-output, basics-hard-output, livecodebench-testoutput
                              the result of a call, from the problem's text alone

Prompts are ours; what is asked follows the official harnesses, except that we show one example of
our own before a question, not two or three of theirs. Left out: other chain-of-thought variants (a
model may think before [ANSWER] anyhow) and LiveCodeBench's self-repair.
"""

import json
import re
from dataclasses import dataclass, field
from functools import partial

from config import Config, UserError, check_key
from problems import basics
from problems.assertions import Assertion
from problems.load import load_problems, source_rows
from problems.problem import Problem, chat_ids, code_messages, fill
from sandbox import Pool

MAX_TOKENS = {  # longest answer by task; others get cfg.max_tokens, as in training
    "humaneval": 512, "humaneval+": 512, "mbpp": 512, "mbpp+": 512, "leetcode": 1024,
    "livecodebench": 2048, **{f"livecodebench-v{n}": 2048 for n in range(1, 7)},
    "livecodebench-exec": 512, "livecodebench-testoutput": 512, "cruxeval-o": 512,
    "cruxeval-i": 512, "cruxeval-o-cot": 512,
}  # fmt: skip
QUESTIONS = tuple(f"{tier}-{asked}" for tier in basics.TIERS for asked in ("trace", "output"))
QUESTIONS += ("livecodebench-exec", "livecodebench-testoutput")
QUESTIONS += ("cruxeval-o", "cruxeval-i", "cruxeval-o-cot")
# The others ask for programs that run on tests, so --samples grades them, too.
CODE = (*basics.TIERS, *[task for task in MAX_TOKENS if task not in QUESTIONS], "problems")
TASKS = (*CODE, *QUESTIONS)
FLAGS = {  # of eval.py, which has those of config.py, too
    "samples": "grade the samples of this JSONL file, without a model",
    "out": "write the results, with every sample, to this JSON file",
    "since": "only problems published on this day or later, as in 2024-08-01",
    "until": "... and on this day or earlier",
    "limit": "the first so many problems of each task",
    "n": "samples a problem; --samples_per_problem under torchrun, which takes --n for its own",
    "samples_per_problem": "the same",
    "max_tokens": "longest answer; else what problems/benchmarks.py says for the task",
}
SHORT = {"tasks": "eval_tasks", "temperature": "eval_temperature"}
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def read_flags(argv: list[str]) -> tuple[dict, list[str]]:
    """The values of FLAGS, and what is left for load_config(). Raises UserError."""
    own, rest = dict.fromkeys(FLAGS, ""), []
    for arg in argv:
        flag, equals, text = arg.partition("=")
        name = flag[2:].replace("-", "_") if flag.startswith("--") else ""
        if name not in own:
            known = SHORT.get(name) or name and check_key(name, f"argument {arg!r}", own | SHORT)
            rest.append(f"--{known}{equals}{text}" if name else arg)
        elif not text:
            raise UserError(f"{flag} needs a value: {flag}=...")
        else:
            own[name] = text
    own["n"] = own.pop("samples_per_problem") or own["n"]
    for name in ("limit", "max_tokens", "n"):
        if not (own[name] or "0").isdigit():
            raise UserError(f"--{name} must be a whole number, not {own[name]!r}")
        own[name] = int(own[name] or 0)
    for name in ("since", "until"):  # days are compared as texts
        if own[name] and not DAY.fullmatch(own[name]):
            raise UserError(f"--{name} must be a day such as 2024-08-01, not {own[name]!r}")
    return own, rest


# A base model goes on where a program starts, and would go on after its end.
FILE_STOPS = ('\n"""', "\n```")  # of a whole file,
FUNCTION_STOPS = (*FILE_STOPS, "\nassert ", "\nif __name__", "\nprint(")  # that is not for stdin,
BODY_STOPS = (*FUNCTION_STOPS, "\nclass ", "\ndef ", "\nif ", "\n#")  # and of one function's body

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

Complete this assertion so that it holds{how}. {first}; end with the whole assertion \
between [ANSWER] and [/ANSWER].

assert {left} == {right}"""
HOW = {
    "value": ": put a Python literal for ??, no call",
    "input": ": put arguments for ??; any that do will do",
}
THINK = "First go through the run step by step between <think> and </think>"
EXAMPLE = "def f(text, n):\n    text = text[::-1]\n    return text[:n] + '!'"
EXAMPLE_TEXT = "Write f(text, n): the last n characters of text, last first, and then '!'."
EXAMPLE_THOUGHT = "text = 'hello'[::-1] = 'olleh'\ntext[:2] = 'ol'\n'ol' + '!' = 'ol!'"
EXAMPLE_ANSWER = "assert f('hello', 2) == 'ol!'"


@dataclass
class Item:
    """One thing to answer, and what the answer is graded by."""

    task_id: str
    messages: list[dict]  # the chat
    asked: object  # a Problem wants a program, a Question values, an Assertion an assertion
    base: str = ""  # what a model without a chat template reads,
    prefill: str = ""  # the beginning of its answer, which it goes on with,
    base_stop: tuple[str, ...] = ()  # and what ends it
    labels: dict[str, str] = field(default_factory=dict)  # difficulty, family, date, where known

    def as_chat(self, template: bool) -> bool:
        """Whether it is put as a chat: to a model with a template, or for want of another form."""
        return template or not self.base


def items_of(task: str, cfg: Config, pool: Pool | None = None) -> list[Item]:
    """All items of a task but those of TIER-trace and TIER-output, in the order of the data set."""
    if task in CODE:
        return [code_item(problem, cfg) for problem in task_problems(task, cfg, pool)]
    rows = source_rows(re.sub("-[oi](-cot)?$", "", task), "heldout", cfg)
    make = partial(execution_item, find_input=task.endswith("-i"), think=task.endswith("-cot"))
    make = test_output_item if task == "livecodebench-testoutput" else make
    return [make(row, where) for row, where in rows]


def task_problems(task: str, cfg: Config, pool: Pool | None = None) -> list[Problem]:
    """The problems of a task, held-out split; pool as in load_problems()."""
    source = cfg.problems if task == "problems" else re.sub("-(trace|output)$", "", task)
    return load_problems(source, "heldout", cfg, pool)


def labels_of(problem: Problem) -> dict[str, str]:
    keys = ("difficulty", "family", "date")
    return {key: value for key in keys if (value := getattr(problem, key))}


def prompt_ids(tokenizer, item: Item, cfg: Config) -> tuple[list[int], str]:
    """Of a chat where the tokenizer has a template, else of a file to go on with; see chat_ids."""
    if item.as_chat(bool(tokenizer.chat_template)):
        return chat_ids(tokenizer, item.messages, cfg)
    return tokenizer.encode(item.base + item.prefill), ""


def whole_answer(item: Item, text: str, chat: bool) -> str:
    """What is graded: a chat answer as it is; a base model's with its prefill, cut at its end."""
    if item.as_chat(chat):
        return text
    ends = [text.find(stop) for stop in item.base_stop if stop in text]
    text = item.prefill + text[: min(ends, default=None)]
    return f"```python\n{text}\n```" if isinstance(item.asked, Problem) else text


# --------------------------------------------------------------------------- programs
def code_item(problem: Problem, cfg: Config) -> Item:
    """A program is asked for; a base model goes on with a file that begins with the problem."""
    base, prefill, stops = problem.tests.get("prefix", ""), "", BODY_STOPS
    if not base or base not in problem.prompt:  # HumanEval's prefix is the function to complete
        base = f'"""\n{problem.prompt}\n"""\n'
        prefill = f"{problem.starter}\n" if problem.starter else ""
        whole = FUNCTION_STOPS if problem.fn_name else FILE_STOPS
        stops = BODY_STOPS if problem.starter else whole
    texts = (base, prefill, stops)
    return Item(problem.task_id, code_messages(problem, cfg), problem, *texts, labels_of(problem))


def output_messages(problem: Problem, call: str) -> list[dict]:
    """What does the call return? The model sees the problem's text, never a program."""
    turns = []
    for prompt, example, answer in OUTPUT_EXAMPLES:
        text = fill(OUTPUT_TEMPLATE, prompt=prompt, call=example)
        turns += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    text = fill(OUTPUT_TEMPLATE, prompt=problem.prompt, call=call)
    return [*turns, {"role": "user", "content": text}]


# --------------------------------------------------------------------------- assertions
def execution_item(row: dict, where: str, find_input: bool, think: bool) -> Item:
    """CRUXEval (Gu et al., arXiv 2401.03065) and LiveCodeBench's code execution.

    `input` is the text of the arguments, or of the whole call; `output` that of the value.
    """
    try:
        name, code, output = row.get("function_name", "f"), row["code"], row["output"]
        whole = row["input"].lstrip().startswith(f"{name}(")
        call = row["input"] if whole else f"{name}({row['input']})"
        sides = (f"{name}(??)", output) if find_input else (call, "??")
        texts = f"```python\n{EXAMPLE}\n```", f"```python\n{code}\n```"
        wanted = Assertion(name, output, code if find_input else None)
        return assertion_item(row, str(row["id"]), wanted, *texts, *sides, think)
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
        call = f"{name}({', '.join(map(repr, values))})"
        wanted = Assertion(name, expected)
        return assertion_item(row, task_id, wanted, EXAMPLE_TEXT, given, call, "??")
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{where}: not a row of LiveCodeBench's test outputs: {error!r}") from error


def assertion_item(
    row: dict, task_id: str, wanted: Assertion, example: str, given: str, left: str, right: str,
    think: bool = False,
) -> Item:  # fmt: skip
    """The chat with one worked example, and the file that a base model completes."""
    find_input = right != "??"
    shown, value = EXAMPLE_ANSWER.removeprefix("assert ").split(" == ")
    sample = {"left": "f(??)", "right": value} if find_input else {"left": shown, "right": "??"}
    how = HOW["input" if find_input else "value"]
    ask = partial(fill, ASSERT_TEMPLATE, how=how, first=THINK if think else "You may think first")
    thought = f"<think>\n{EXAMPLE_THOUGHT}\n</think>\n" if think else ""
    messages = [
        {"role": "user", "content": ask(given=example, **sample)},
        {"role": "assistant", "content": f"{thought}[ANSWER]\n{EXAMPLE_ANSWER}\n[/ANSWER]"},
        {"role": "user", "content": ask(given=given, left=left, right=right)},
    ]
    prefill = f"assert {left.removesuffix('??)')}" if find_input else f"assert {left} =="
    hint = f"# the call shall return {right}\n" if find_input else ""
    base = f"{example}\n\n{EXAMPLE_ANSWER}\n\n\n{given}\n\n{hint}"
    labels = {"date": str(row.get("contest_date", ""))[:10]}
    labels["difficulty"] = str(row.get("difficulty", ""))
    labels["family"] = str(row.get("question_id") or "")  # LiveCodeBench asks several of a problem
    labels = {key: value for key, value in labels.items() if value}
    return Item(task_id, messages, wanted, "" if think else base, prefill, ("\n",), labels)
