"""The two things that a model is asked, a Problem (a program) and a Question (values), as chats.

What a model thinks aloud is no answer, so final_answer() leaves it away.
"""

import ast
import hashlib
import json
import random
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Self

from config import Config, literal
from jail.chance import holds_set
from jail.values import NO_CAPS, decode, encode

UNSHOWN = "a value too long to show"
OUTPUT = "output"  # the item that stands for what the call returns or the program prints


class Unusable(Exception):
    """A row that is in order, and gives no problem that we can pose. The message says why."""


@dataclass(frozen=True)
class Problem:
    task_id: str
    prompt: str
    tests: dict
    solution: str = ""
    starter: str = ""  # code to start from, shown where a program is asked for
    difficulty: str = ""
    family: str = ""
    date: str = ""  # when it was published: "2024-08-17"
    where: str = field(default="", compare=False)  # the row that it is from: "mine.jsonl:7"
    namesake: str = field(default="", compare=False)  # another row that came with its task_id

    @property
    def fn_name(self) -> str | None:
        """What is called in a test: "f", "Solution().f"; None where programs read stdin."""
        return self.tests.get("fn_name") or self.tests.get("entry_point")


@dataclass
class Question:
    """A program, one input, and what is asked about it."""

    program: str
    input: object  # stdin text, or a list of arguments
    fn_name: str | None
    target: dict[str, object] = field(default_factory=dict)  # item -> encoded value
    task_id: str = ""
    source: str = ""  # "step/group/sample" of the response that holds the program
    objective: str = "align"  # which one it is for: a name in OBJECTIVES of train.py
    thought: str = ""  # of a worked example: what its answer says first

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

    @cached_property
    def key(self) -> str:
        """Tells apart questions that differ in program or call. A step asks it of all that wait."""
        kind = "" if self.objective == "align" else f"\0{self.objective}"
        text = f"{self.program}\0{self.call}{kind}".encode(errors="replace")
        return hashlib.sha256(text).hexdigest()[:16]

    def row(self) -> dict:
        """As JSON can hold it: an input may have tuples, or keys that are no text."""
        row = vars(self) | {"input": encode(self.input, **NO_CAPS)}
        row.pop("key", None)  # which is made again
        return row

    @classmethod
    def from_row(cls, row: dict) -> Self:
        return cls(**row | {"input": decode(row["input"], max_depth=NO_CAPS["max_depth"])})

    def shown_target(self) -> dict[str, str]:
        """Item -> its true value as Python would print it."""
        return {name: show(decode(value)) for name, value in self.target.items()}


def decoded(text: object) -> object:
    """A value written as JSON or as a Python literal; what is neither is itself."""
    if isinstance(text, str):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return text


def show_call(input: object, fn_name: str | None) -> str:
    """`f([1, 2], 3)` for a functional input; the text itself for stdin."""
    if fn_name and holds_set(input):  # it is sent sorted, and its order may hang on that
        input = [decode(encode(x, **NO_CAPS), max_depth=NO_CAPS["max_depth"]) for x in input]
    return f"{fn_name}({', '.join(map(show, input))})" if fn_name else str(input)


def show(value: object) -> str:
    """Text of a value; Python refuses to print an int of 4,301 digits, or a list 1,000 deep."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return UNSHOWN


def served(problems: list[Problem], start: int, count: int, seed: int) -> list[int]:
    """Indices of the problems served at positions start .. start+count-1 of an endless stream.

    Every epoch is a fresh permutation drawn from (seed, epoch), so a position alone tells what is
    served there: resuming needs no iterator state, and no problem comes twice in an epoch.
    """
    indices: list[int] = []
    first, last = start // len(problems), (start + count - 1) // len(problems)
    for epoch in range(first, last + 1):
        order = list(range(len(problems)))
        random.Random(f"data/{seed}/{epoch}").shuffle(order)
        indices += order
    skip = start - first * len(problems)
    return indices[skip : skip + count]


# --------------------------------------------------------------------------- prompts
def fill(template: str, **values: str) -> str:
    """Put values into their {holes} in one pass; any other brace (JSON, say) stays as it is."""
    return re.sub(r"\{(" + "|".join(values) + r")\}", lambda hole: values[hole[1]], template)


def code_text(problem: Problem, cfg: Config) -> str:
    """The user turn that asks for a program, from cfg.code_template."""
    start = f"\n\nStart like this:\n```python\n{problem.starter}\n```" if problem.starter else ""
    return fill(cfg.code_template, prompt=problem.prompt + start)


def code_messages(problem: Problem, cfg: Config, examples: list = ()) -> list[dict]:
    return [{"role": "user", "content": code_text(problem, cfg)}]


def question_text(question: Question, cfg: Config) -> str:
    """The user turn that asks for the values, from cfg.align_template."""
    if question.fn_name:
        action = f"The call is `{question.call}`."
    elif question.call.strip():
        action = f"The standard input is:\n{question.call}"
    elif question.call:  # blanks, which nobody would see
        action = f"The standard input is {question.call!r}."
    else:
        action = "There is no input."
    names = ", ".join(f"`{name}`" for name in question.target)
    return fill(cfg.align_template, program=question.program, action=action, names=names)


def question_messages(question: Question, cfg: Config, examples: list[Question]) -> list[dict]:
    """Chat turns: each worked example as a question already answered, then the question."""
    turns = []
    for example in examples:
        turns.append({"role": "user", "content": question_text(example, cfg)})
        turns.append({"role": "assistant", "content": answer_text(example)})
    return [*turns, {"role": "user", "content": question_text(question, cfg)}]


def answer_text(question: Question) -> str:
    """The right answer, in the form that parse_answer reads, behind its thought if it has one."""
    values = "\n".join(f"{name} = {value}" for name, value in question.shown_target().items())
    return f"<think>\n{question.thought}\n</think>\n{values}" if question.thought else values


def code_ids(tokenizer, problem: Problem, cfg: Config) -> list[int]:
    """Token ids of the prompt that asks for a program."""
    return chat_ids(tokenizer, code_messages(problem, cfg), cfg)[0]


def chat_ids(tokenizer, messages: list[dict], cfg: Config) -> tuple[list[int], str]:
    """Token ids of a chat up to where the assistant answers; base models get the bare text.

    Also what the template has begun of the answer: "<think>" or "". Some thinking models have such
    a template, and an answer that is cut in its thought shows no tag of its own. What the messages
    spell is text: a program that holds "<|im_end|>" ends no turn.
    """
    # Half a surrogate pair, which no tokenizer takes, becomes "?".
    messages = [m | {"content": m["content"].encode(errors="replace").decode()} for m in messages]
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    control = [token.content for token in added if token.special]
    spelled = any(token in m["content"] for m in messages for token in control)
    if not tokenizer.chat_template:
        text = "\n\n".join(m["content"] for m in messages) + "\n\n"
        return tokenizer.encode(text, **AS_TEXT if spelled else {}), ""
    told = [text.partition("=") for text in cfg.chat_kwargs]
    keys = {key.strip(): literal(value.strip(), object) for key, _, value in told}
    keys |= {"add_generation_prompt": True, "return_dict": False}
    keys.setdefault("strftime_now", SHOWN_DATE.strftime)
    if spelled:
        ids = ids_apart(tokenizer, messages, keys)
    else:
        ids = tokenizer.apply_chat_template(messages, **keys)
    return ids, "<think>" if tokenizer.decode(ids[-4:]).rstrip().endswith("<think>") else ""


AS_TEXT = {"split_special_tokens": True}  # of tokenizer.encode()
# For templates that tell the date (Llama 3's, Granite's): a run resumed on another day has the same
# prompts.
SHOWN_DATE = datetime(2024, 7, 26)


def ids_apart(tokenizer, messages: list[dict], keys: dict) -> list[int]:
    """Token ids of a chat whose messages are tokenized as text, apart from the template's own text.

    The template gets marks in their place, characters that Unicode leaves to private use.
    """
    marked = [m | {"content": f"\ue000{i}\ue001"} for i, m in enumerate(messages)]
    chat = tokenizer.apply_chat_template(marked, tokenize=False, **keys)
    ids: list[int] = []
    for place, part in enumerate(re.split("\ue000(\\d+)\ue001", chat)):
        text, how = (messages[int(part)]["content"], AS_TEXT) if place % 2 else (part, {})
        ids += tokenizer.encode(text, add_special_tokens=False, **how)
    return ids


# --------------------------------------------------------------------------- the answer
THOUGHT = re.compile(  # in the tags of several families of models; a group says that it ends
    r"<(/?)(?:\w+:)?(?:think(?:ing)?|thought)>|(?-i:^\[(/?)THINK\])|◁(/?)think▷"
    r"|<\|begin_of_thought\|>|(<\|end_of_thought\|>)"
    r"|<\|channel\|>analysis<\|message\|>|(<\|channel\|>final<\|message\|>)",
    re.IGNORECASE | re.MULTILINE,
)
# Of the cookbooks' prompts, which begin with it: anywhere else <reason> may be XML of a program.
REASONING = re.compile(r"\A\s*<(reason(?:ing)?)>(?:.*?</\1>|.*)", re.DOTALL | re.IGNORECASE)
# Tokens that end the turn of a model, where its sampler leaves them in the text.
TURN_END = re.compile(
    r"(?<![\"'])(?:<\|(?:im_end|endoftext|end_of_text|eot_id|eom_id)\|>|<｜end▁of▁sentence｜>"
    r"|<end_of_turn>|(?:</s>|<eos>|<\|end\|>|<\|return\|>)\s*+\Z)(?![\"'])"
)


def final_answer(text: str) -> str:
    """What follows the last thought, up to the end of the turn; "" if a thought never ends."""
    start = 0
    for end in TURN_END.finditer(text):
        if text[start : end.start()].strip():
            text = text[start : end.start()]
            break
        start = end.end()
    text = REASONING.sub("", text)
    for tag in reversed(list(THOUGHT.finditer(text))):
        if not quoted(text, tag):
            return text[tag.end() :] if any(tag.groups()) else ""
    return text


def quoted(text: str, tag: re.Match) -> bool:
    """Whether a program or a sentence speaks of the tag, as in `x.split("</think>")`."""
    before = text[max(0, tag.start() - 99) : tag.start()].rpartition("\n")[2]
    after = text[tag.end() : tag.end() + 3]
    if after != "```" and after[:1] in ("'", '"', "`") and after[0] in before:
        return True
    return not any(tag.groups()) and before[-1:] in ("'", '"', "`")
