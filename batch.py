"""What the model is asked in a step: problems in data order, and questions about failed programs.

A Group is one prompt and what becomes of it. The buffer holds the questions that failed programs
gave; those asked leave it. Left out: a curriculum, and any choice by difficulty.
"""

import json
import random
from dataclasses import dataclass, field

from config import Config
from data import Problem, beginning, chat_ids, code_ids, code_text, data_order
from reward import Question, question_beginning, question_messages, question_text
from rollout import Response
from tools.rundir import State


@dataclass
class Group:
    """One prompt and its G samples."""

    index: int  # place in the step's batch, counted over all ranks
    prompt: str  # the user turn, to show
    prompt_ids: list[int]
    problem: Problem | None = None  # a code group has a problem,
    question: Question | None = None  # an alignment group a question
    begun: str = ""  # the beginning of every answer, at the end of prompt_ids
    responses: list[Response] = field(default_factory=list)  # G of each of these
    programs: list[str | None] = field(default_factory=list)
    outcomes: list = field(default_factory=list)  # Verdict or Score
    rewards: list[float] = field(default_factory=list)
    penalties: list[float] = field(default_factory=list)  # taken off the rewards: KL, length
    advantages: list[float] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)  # what the failed programs gave

    @property
    def objective(self) -> str:
        return "align" if self.question else "code"


def choose_batch(
    cfg: Config, state: State, problems: list[Problem], examples: list[Question], tokenizer,
    n: int, n_align: int, first: int = 0,
) -> list[Group]:  # fmt: skip
    """`n` prompts, the same on every rank: `n_align` of them questions as far as the buffer goes,
    the rest problems. Their places in the step's batch begin at `first`.

    First the newest question about each problem, the newest of them before the others, then the
    rest, the newest first. None is ever asked twice. With align_varied, those that one value would
    answer count as older than all others.
    """
    rng = random.Random(f"batch/{cfg.seed}/{state.step}")
    n_align = min(n_align, len(state.buffer))
    age = [
        (not cfg.align_varied or is_varied(q), q.source_step, rng.random()) for q in state.buffer
    ]
    newest_last = sorted(range(len(age)), key=age.__getitem__)
    newest = set({state.buffer[i].task_id: i for i in newest_last}.values())  # of each problem
    newest_last.sort(key=newest.__contains__)  # is stable
    chosen = set(newest_last[len(age) - n_align :])
    questions = [state.buffer[i] for i in sorted(chosen)]
    state.asked += [q.key for q in questions]
    state.buffer = [q for i, q in enumerate(state.buffer) if i not in chosen]
    groups = code_groups(cfg, state, problems, tokenizer, n - n_align)
    for question in questions:
        ids = question_ids(tokenizer, question, examples, cfg)
        text, begun = question_text(question, cfg), question_beginning(question, cfg)
        groups.append(Group(0, text, ids, question=question, begun=begun))
    rng.shuffle(groups)  # so that each optimizer step and each rank gets some of both
    for index, group in enumerate(groups, start=first):
        group.index = index
    return groups


def is_varied(question: Question) -> bool:
    """Is more than one value asked for? Else one guess, repeated, may be all right."""
    return len({json.dumps(value) for value in question.target.values()}) > 1


def question_ids(tokenizer, question: Question, examples: list[Question], cfg: Config) -> list[int]:
    """Token ids of the prompt that asks for values, with what is begun of the answer."""
    messages = question_messages(question, examples, cfg)
    return chat_ids(tokenizer, messages, question_beginning(question, cfg))


def code_groups(
    cfg: Config, state: State, problems: list[Problem], tokenizer, count: int
) -> list[Group]:
    """The next `count` problems of the data order."""
    order = data_order(problems, state.position, count, cfg.seed)
    state.position += count
    groups = []
    for problem in (problems[i] for i in order):
        ids = code_ids(tokenizer, problem, cfg)
        text, begun = code_text(problem, cfg), beginning(problem, cfg)
        groups.append(Group(0, text, ids, problem=problem, begun=begun))
    return groups


def extend_buffer(
    cfg: Config, state: State, groups: list[Group], examples: list[Question], tokenizer
) -> None:
    """Add what failed, in the order of samples: none that is known, the oldest forgotten.

    A program without variables gives no question: its output alone was a guess for the demo's
    model, and where only the form earns anything GRPO makes noise of it.
    """
    known = {q.key for q in state.buffer} | set(state.asked)
    for question in (q for group in groups for q in group.questions if q.has_variables):
        if question.key not in known:
            ids = question_ids(tokenizer, question, examples, cfg)
            if len(ids) <= cfg.max_prompt_tokens:
                known.add(question.key)
                state.buffer.append(question)
    del state.buffer[: -cfg.buffer_size]
