"""Programs and answers that go on from a given beginning, in training as in evaluation."""

import dataclasses

import pytest
from test_grpo import Letters

from batch import choose_batch, code_groups
from config import Config
from eval import evaluate
from formats import Problem
from reward import Question
from rollout import Response
from sandbox import Pool
from tasks import code_item, prompt_ids, trace_item
from tools.rundir import State
from train import Clock, sample_and_judge

TESTS = {"inputs": [[1], [3]], "outputs": [2, 6], "fn_name": "twice"}
PROBLEM = Problem("t", "Write twice(x).", TESTS, begin="def twice(x):\n    result =")
REST = " 2 * x\n    return result\n```"


class Chat(Letters):
    chat_template = "of some kind"

    def apply_chat_template(self, messages, **_):
        return self.encode("".join(m["content"] for m in messages) + "\n")


class Scripted:
    """An engine that answers every request with `rest`, and keeps the requests."""

    def __init__(self, rest):
        self.rest = rest

    def sample(self, requests, on_finish):
        self.requests = requests
        responses = [Response([1], [-1.0], r.begun + self.rest, True) for r in requests]
        for index, response in enumerate(responses):
            on_finish(index, response)
        return responses


@pytest.mark.parametrize("begin", [True, False])
def test_training_and_evaluation_go_on_from_the_same_beginning(begin, one_process):
    cfg, engine = Config(begin=begin, samples_per_prompt=2), Scripted(REST)
    with Pool(1, **cfg.limits) as pool:
        groups = code_groups(cfg, State(step=1), [PROBLEM], Chat(), 1)
        sample_and_judge(cfg, 1, groups, engine, pool, Clock())
        trained = engine.requests[0]
        items = {"problems": [code_item(PROBLEM, cfg)]}
        (row,) = evaluate(cfg, engine, Chat(), pool, items)
        evaluated = engine.requests[0]
    assert trained.prompt_ids == evaluated.prompt_ids and trained.begun == evaluated.begun
    assert trained.begun == (f"```python\n{PROBLEM.begin}" if begin else "")
    assert bytes(trained.prompt_ids).decode().endswith(trained.begun or "else.\n")
    assert groups[0].rewards == [float(begin)] * 2 and row["pass@1"] == float(begin)
    assert (groups[0].programs[0] == f"{PROBLEM.begin}{REST[:-4]}") == begin


@pytest.mark.parametrize("begin", [True, False])
def test_an_answer_goes_on_from_the_first_name(begin, one_process):
    cfg = Config(align_begin=begin, samples_per_prompt=2)
    program = "def twice(x):\n    y = 2 * x\n    return y + 0"
    question = Question(program, [1], "twice", {"y": 2, "output": 2}, "t", "1/0/0")
    groups = choose_batch(cfg, State(step=2, buffer=[question]), [PROBLEM], [], Chat(), 2, 1)
    (group,) = (group for group in groups if group.question)
    assert group.begun == ("y =" if begin else "")
    assert bytes(group.prompt_ids).decode().endswith("for each.\ny =" if begin else "for each.\n")
    with Pool(1, **cfg.limits) as pool:
        sample_and_judge(cfg, 2, [group], Scripted(" 2\noutput = 2"), pool, Clock())
        problem = dataclasses.replace(PROBLEM, solution=program)
        item = trace_item(pool, problem, [], cfg)
        # a model without a chat template is asked the same way
        rest = " 2\noutput = 2" if begin else "y = 2\noutput = 2"
        (row,) = evaluate(cfg, Scripted(rest), Letters(), pool, {"basics-trace": [item]})
    assert row["score"] == 1
    assert group.rewards == pytest.approx([1.0 if begin else 0.45] * 2)
    assert prompt_ids(Chat(), item) == group.prompt_ids and item.chat_begun == group.begun
