"""Shared fixtures: a tiny model that writes programs, and one process group for the session."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def tiny_problems(tmp_path_factory):
    import tiny

    return tiny.write_problems(tmp_path_factory.mktemp("problems") / "tiny.jsonl")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Directory of a model that solves the tiny problems half the time."""
    import tiny

    from config import CODE_TEMPLATE, Config
    from reward import Question, question_messages

    examples = []
    for k, problem in enumerate(tiny.PROBLEMS):
        text = CODE_TEMPLATE.format(prompt=problem["prompt"])
        answers = [tiny.PROGRAM.format(n) for n in (k, k, k + 1, k + 2)]
        examples.append(([{"role": "user", "content": text}], answers))
    for n in range(6):
        program = tiny.PROGRAM.format(n).split("\n", 1)[1].rsplit("\n", 1)[0]
        question = Question(program, [1], "f", {"y": 1 + n, "output": 1 + n})
        chat = question_messages(question, [], Config())
        examples.append((chat, [f"y = {m}\noutput = {m}" for m in (1 + n, 2 + n, 7)]))
    return tiny.make_directory(tmp_path_factory.mktemp("model"), examples)


@pytest.fixture(scope="session")
def one_process():
    """torch.distributed with one gloo process, as train.py sets it up."""
    from ranks import leave_ranks, set_up_ranks

    yield set_up_ranks()
    leave_ranks()
