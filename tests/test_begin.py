"""Programs that go on from a given beginning, in training and in evaluation alike."""

import pytest
from test_grpo import Letters

from batch import code_groups
from config import Config
from eval import evaluate
from formats import Problem
from rollout import Response
from sandbox import Pool
from tasks import code_item
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
    """An engine that answers every request with REST, and keeps the requests."""

    def sample(self, requests, on_finish):
        self.requests = requests
        responses = [Response([1], [-1.0], r.begun + REST, True) for r in requests]
        for index, response in enumerate(responses):
            on_finish(index, response)
        return responses


@pytest.mark.parametrize("begin", [True, False])
def test_training_and_evaluation_go_on_from_the_same_beginning(begin, one_process):
    cfg, engine = Config(begin=begin, samples_per_prompt=2), Scripted()
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
