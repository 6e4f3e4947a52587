"""What would the model learn of a run's questions if it were shown the answers?

    python bench/ceiling.py out/begin-coderl-0 --steps=30,60   # a run of results/run.py

The failed programs of the run give the questions that its buffer held. Supervised, from the model
the run began with: each step takes as many questions as the run has answers about values in a step,
each with its true answer, and `update` of train.py raises the probability of these, with the run's
learning rate. So many steps later (--steps) the model is evaluated as results/run.py does
("sampled"). What reinforcement learning finds out by trial on these questions cannot well be more.
Left out: programs, which it is not trained to write.
"""

import dataclasses
import json
import random
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from transformers import AutoTokenizer  # noqa: E402

from batch import Group, extend_buffer, question_ids  # noqa: E402
from config import Config, UserError  # noqa: E402
from data import load_problems, read_jsonl  # noqa: E402
from eval import evaluate  # noqa: E402
from policy import load_policy, named_weights  # noqa: E402
from ranks import leave_ranks, set_up_ranks  # noqa: E402
from reward import Question, answer_text, worked_examples  # noqa: E402
from rollout import Response, make_engine, model_directory  # noqa: E402
from sandbox import Pool  # noqa: E402
from tasks import make_items  # noqa: E402
from tools.rundir import State, write_whole  # noqa: E402
from train import judge_and_trace, update  # noqa: E402


def run_config(run: Path) -> Config:
    """As results/run.py evaluates it. tis_cap 0: no sampler wrote the answers."""
    try:
        cfg = Config(**json.loads((run / "config.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read {run}/config.json: {error}") from error
    tasks = ("basics", "basics-trace", "basics-output")
    known = {"eval_n": 4, "eval_tasks": tasks, "eval_temperature": cfg.temperature}
    return dataclasses.replace(cfg, **known, max_tokens=Config.max_tokens, tis_cap=0.0)


def questions(
    run: Path, cfg: Config, examples: list[Question], tokenizer, pool: Pool
) -> list[Question]:
    """All that could have been asked about the failed programs of `run`. Raises UserError."""
    problems = {p.task_id: p for p in load_problems(cfg.problems, cfg=cfg)}
    rows = [row for row, _ in read_jsonl(run / "samples.jsonl") if row["objective"] == "code"]
    made = [
        pool.submit(judge_and_trace, problems[row["task_id"]], row["response"], row["id"], cfg)
        for row in rows
    ]
    state, group = State(), Group(0, "", [])
    group.questions = [question for future in made for question in future.result()[2]]
    extend_buffer(cfg, state, [group], examples, tokenizer)
    if not state.buffer:
        raise UserError(f"{run} gives no question: was it trained with --align_ratio=0?")
    return state.buffer


def shown(
    question: Question, index: int, examples: list[Question], tokenizer, cfg: Config
) -> Group:
    """The question as a group of one sample, the true answer, which is to become more probable."""
    ids = tokenizer.encode(answer_text(question), add_special_tokens=False)
    ids.append(tokenizer.eos_token_id)
    group = Group(index, "", question_ids(tokenizer, question, examples, cfg), question=question)
    group.responses, group.advantages = [Response(ids, [0.0] * len(ids), "", True)], [1.0]
    return group


def main(run: Path, steps: list[int]) -> None:
    cfg = run_config(run)
    if cfg.align_begin:
        raise UserError(f"{run}: answers were begun, which is not done here")
    device = set_up_ranks()
    directory = model_directory(cfg.model)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    with Pool(cfg.sandbox_workers, **cfg.limits) as pool:
        examples = pool.submit(worked_examples, cfg).result()
        asked = questions(run, cfg, examples, tokenizer, pool)
        size = round(cfg.align_ratio * cfg.prompts_per_step) * cfg.samples_per_prompt
        print(f"{len(asked)} questions about the failed programs of {run}, {size} a step")
        tasks = {task: make_items(task, cfg, pool, examples) for task in cfg.eval_tasks}
        policy = load_policy(cfg, directory, device)
        optimizer = torch.optim.AdamW(
            policy.parameters(), cfg.lr, (0.9, 0.95), weight_decay=cfg.weight_decay, fused=True
        )
        engine = make_engine(cfg, directory, device)
        order: list[Question] = []
        for step in range(1, max(steps) + 1):
            while len(order) < size:  # all of them, then all again
                order += random.Random(f"{cfg.seed}/{step}").sample(asked, len(asked))
            part, order = order[:size], order[size:]
            groups = [shown(q, i, examples, tokenizer, cfg) for i, q in enumerate(part)]
            update(cfg, step, groups, policy, None, optimizer)
            optimizer.zero_grad()
            if step in steps:
                print(f"\nshown for {step} steps")
                engine.sync(named_weights(policy))
                rows = evaluate(cfg, engine, tokenizer, pool, tasks)
                engine.sleep()
                out = run / "eval" / f"shown-{step}.json"
                write_whole(out, json.dumps(rows, indent=1))
                print(f"written: {out}")


if __name__ == "__main__":
    flags = [arg for arg in sys.argv[1:] if arg.startswith("--steps=")]
    try:
        steps = [int(n) for flag in flags for n in flag.partition("=")[2].split(",")]
        (run,) = [Path(arg) for arg in sys.argv[1:] if arg not in flags]
    except ValueError:
        sys.exit("usage: python bench/ceiling.py out/RUN --steps=30,60")
    try:
        main(run, steps or [30])
    except UserError as error:
        sys.exit(f"error: {error}")
    finally:
        leave_ranks()
