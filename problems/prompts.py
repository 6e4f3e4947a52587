"""Prompts of training: the chat that asks for a program, or for the values of its variables."""

import re

from config import Config
from problems.problem import Problem, Question


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
    """The right answer, in the form that parse_answer reads."""
    return "\n".join(f"{name} = {value}" for name, value in question.shown_target().items())


def code_ids(tokenizer, problem: Problem, cfg: Config) -> list[int]:
    """Token ids of the prompt that asks for a program."""
    return chat_ids(tokenizer, code_messages(problem, cfg))


def chat_ids(tokenizer, messages: list[dict]) -> list[int]:
    """Token ids of a chat up to where the assistant answers; base models get the bare text."""
    if tokenizer.chat_template:
        return tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
    return tokenizer.encode("\n\n".join(m["content"] for m in messages) + "\n\n")
