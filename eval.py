"""Evaluation: pass@k on code, and how well the model reads code it did not write.

    python eval.py --tasks=basics,humaneval --model=out/demo/hf [--n=4 --temperature=0.6]
    python eval.py --tasks=humaneval --samples=FILE.jsonl [--out=FILE.json]     (no model needed)
    python eval.py --problems=FILE.jsonl --samples=FILE.jsonl                   (your own problems)
    python eval.py --compare A.json B.json ...      (is it noise? runs tools/compare.py)
    python eval.py --show out/demo | A.json         (read samples: runs tools/show.py)

problems/benchmarks.py has the tasks and their prompts. Greedy, one sample a problem, unless told
otherwise. Every sample is written as soon as it is graded, beside --out (by default in out/eval/):
the same command goes on with an interrupted evaluation. train.py calls `evaluate` on all ranks.
Under torchrun, which takes --n for its own, write --samples_per_problem.

Left out: several models in one call, and sampling through a server.
"""

import dataclasses
import json
import os
import random
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

from config import Config, UserError, load_config, print_help
from problems import benchmarks

if __name__ == "__main__" and {"--help", "-h"} & set(sys.argv):
    print_help(benchmarks.FLAGS | {s: f"short for --{key}" for s, key in benchmarks.SHORT.items()})

import torch.distributed as dist
from tqdm import tqdm

from jail.values import encode
from problems.assertions import Assertion, grade_assertion
from problems.benchmarks import Item, labels_of, task_problems
from problems.failures import JudgeError, guarded, of_references, tried_again
from problems.load import read_samples
from problems.problem import OUTPUT, Problem, Question, Unusable, question_messages, show_call
from problems.programs import extract_program
from problems.stats import row_text, summarise
from reward import judge, make_question, score_answer
from rollout import Request, make_engine
from run import gather, leave_ranks, set_up_ranks
from sandbox import Pool, Sandbox, SandboxUnavailable
from startup.directory import write_whole
from startup.model import load_tokenizer
from startup.samples import Samples, describe
from startup.start import check_device, check_sandbox, check_world, find_model, worked_examples

TOOLS = {"--compare": "compare.py", "--show": "show.py", "--tasks=probe": "probe.py"}
TOO_LONG = {"passed": False, "status": "too long", "score": 0.0}  # no room left for an answer


class Scope(NamedTuple):
    """What a command line says of every task; 0 or "" leaves it to the task."""

    since: str = ""  # dates are ISO, so text order is time order
    until: str = ""
    limit: int = 0
    max_tokens: int = 0
    n: int = 1  # samples a problem

    def covers(self, date: str) -> bool:
        first = self.since or "0"  # comes after "", which is no date
        return not (self.since or self.until) or first <= date <= (self.until or date)


ALL = Scope()


# ------------------------------------------------------------------------------- what is asked
def make_tasks(
    cfg: Config, pool: Pool, examples: list[Question], scope: Scope = ALL
) -> dict[str, list[Item]]:
    """Task -> its items in a fixed order, of cfg.eval_tasks; "mbpp:200" is the first 200 of mbpp.

    Raises UserError for an unknown task, and for one without an item.
    """
    tasks = {}
    for task in cfg.eval_tasks:
        name, _, limit = task.partition(":")
        if name not in benchmarks.TASKS or (limit and not limit.isdigit()):
            known = ", ".join(benchmarks.TASKS)
            raise UserError(f"unknown task {task!r}; choose from {known}, or mbpp:200")
        if name.endswith("-trace"):
            items = [
                Item(p.task_id, question_messages(q, cfg, examples), q, labels=labels_of(p))
                for p, q in of_references(pool, task_problems(name, cfg), trace_question, cfg)
            ]
        elif name.endswith("-output"):
            items = [output_item(p) for p in task_problems(name, cfg)]
        else:
            items = benchmarks.items_of(name, cfg, pool)
        items = [item for item in items if scope.covers(item.labels.get("date", ""))]
        if not items:
            raise UserError(f"{task} has nothing between {scope.since!r} and {scope.until!r}")
        tasks[name] = items[: int(limit or 0) or scope.limit or None]
    return tasks


def trace_question(sandbox: Sandbox, problem: Problem, cfg: Config) -> Question:
    """What are the final values in the reference program? Raises Unusable if no trace says so."""
    given = (problem.solution, problem.tests["inputs"][0], problem.tests["fn_name"], cfg)
    made = tried_again(lambda: make_question(sandbox, *given, max_complexity=sys.maxsize), str)
    if isinstance(made, str):
        raise Unusable(f"its reference program gives no trace: {made}")
    return made


def output_item(problem: Problem) -> Item:
    """What does the call return, by the problem's text?"""
    given, name = problem.tests["inputs"][0], problem.tests["fn_name"]
    question = Question("", given, name, {OUTPUT: encode(problem.tests["outputs"][0])})
    messages = benchmarks.output_messages(problem, show_call(given, name))
    return Item(problem.task_id, messages, question, labels=labels_of(problem))


def longest_answer(task: str, cfg: Config, scope: Scope) -> int:
    return scope.max_tokens or benchmarks.MAX_TOKENS.get(task, cfg.max_tokens)


# ------------------------------------------------------------------------------- with a model
def evaluate(
    cfg: Config, engine, tokenizer, pool: Pool, tasks: dict[str, list[Item]], samples=None,
    room: int = 0, scope: Scope = ALL,
) -> list[dict]:  # fmt: skip
    """Run the tasks on all ranks. Every rank gets the rows: one a task, results included.

    samples: a Samples, to go on from and add to. room: tokens of prompt and answer that the engine
    has; 0: as train.py made it.
    """
    room = room or cfg.max_prompt_tokens + cfg.max_tokens
    rows = []
    for task, items in tasks.items():
        start = time.perf_counter()
        mine, judging = run_task(cfg, task, items, engine, tokenizer, pool, samples, room, scope)
        results = [r for part in gather(mine, task)[:: cfg.rollout_tp] for r in part]
        results.sort(key=lambda result: (result["item"], result["sample"]))
        seconds = {"seconds": time.perf_counter() - start, "seconds_judging": judging}
        rows.append(summarise(task, results) | seconds)
        if dist.get_rank() == 0:
            print(row_text(rows[-1]), flush=True)
    return rows


def run_task(
    cfg: Config, task: str, items: list[Item], engine, tokenizer, pool: Pool, samples, room: int,
    scope: Scope,
) -> tuple[list[dict], float]:  # fmt: skip
    """Sample and grade this rank's share of the items: {task_id, item, sample, passed, ...}.

    Of the `rollout_tp` ranks of one sampler, which have the same share, the first one grades. Also
    returns the seconds of judging that sampling did not hide.
    """
    samplers = dist.get_world_size() // cfg.rollout_tp
    lead = dist.get_rank() % cfg.rollout_tp == 0  # the others of a sampler have the same answers
    chat = bool(tokenizer.chat_template)
    results, jobs, requests, prefills = {}, [], [], {}
    for i in range(dist.get_rank() // cfg.rollout_tp, len(items), samplers):
        ids, prefills[i] = benchmarks.prompt_ids(tokenizer, items[i], cfg)
        tokens = min(longest_answer(task, cfg, scope), room - len(ids))
        stop = cfg.stop if chat else items[i].base_stop
        for g in range(scope.n):
            if samples and (known := samples.of(task, items[i], i, g)):
                results[i, g] = known | items[i].labels
            elif tokens < 1:
                results[i, g] = result_row(items[i], i, g, "", TOO_LONG)
            else:
                jobs.append((i, g))
                seed = random.Random(f"eval/{cfg.seed}/{task}/{i}/{g}").getrandbits(31)
                requests.append(Request(ids, seed, tokens, cfg.eval_temperature, stop))
    done = list(results.values())
    quiet = None if dist.get_rank() == 0 else True  # a bar is for rank 0, and for a terminal
    total = len(done) + len(jobs)
    bar = tqdm(total=total, initial=len(done), desc=task, leave=False, disable=quiet)

    def judge_answer(sandbox: Sandbox, i: int, g: int, text: str) -> dict:
        def whole(sandbox: Sandbox) -> dict:
            answer = benchmarks.whole_answer(items[i], prefills[i] + text, chat)
            return grade(sandbox, items[i].asked, answer) | {"completion": answer}

        graded = guarded(sandbox, f"{task}/{i}/{g}", whole, JudgeError.graded)
        result = result_row(items[i], i, g, text, graded)
        if samples:
            samples.add(task, result)
        done.append(result)
        return result

    futures = [None] * len(jobs)

    def on_finish(number: int, response) -> None:
        futures[number] = pool.submit(judge_answer, *jobs[number], response.text)
        right = sum(result["passed"] for result in done)
        bar.set_postfix_str(f"{right} of {len(done)} right", refresh=False)
        bar.update()

    engine.sample(requests, on_finish if lead else None)
    start = time.perf_counter()
    bar.close()
    if not lead:
        return [], 0.0
    results |= {job: future.result() for job, future in zip(jobs, futures, strict=True)}
    return list(results.values()), time.perf_counter() - start


def result_row(item: Item, i: int, g: int, text: str, graded: dict) -> dict:
    row = {"task_id": item.task_id, "item": i, "sample": g, "completion": text}
    return row | graded | item.labels | {"prompt": item.messages[-1]["content"]}


# ------------------------------------------------------------------------------- grading
def grade(sandbox: Sandbox, asked: object, text: str) -> dict:
    """{"passed", "status", "score" in 0..1, ...} of an answer to an item's `asked`."""
    if isinstance(asked, Problem):
        return grade_program(sandbox, asked, extract_program(text, asked.fn_name))
    if isinstance(asked, Assertion):
        return grade_assertion(sandbox, text, asked)
    score = score_answer(text, asked, format_bonus=0.0)
    shown = {"predicted": score.predicted, "target": asked.shown_target()}
    right = score.status == "right"
    return {"passed": right, "status": score.status, "score": score.reward} | shown


def grade_program(sandbox: Sandbox, problem: Problem, program: str | None) -> dict:
    verdict = judge(sandbox, problem, program, "fraction")
    row = {"passed": verdict.status == "passed", "status": verdict.status, "score": verdict.reward}
    return row | {"solution": program, "error": verdict.error, "test": verdict.test}


def grade_samples(cfg: Config, path: Path, pool: Pool, scope: Scope = ALL) -> dict:
    """Grade a samples file against the problems of the one task in cfg.eval_tasks."""
    task = cfg.eval_tasks[0]
    if len(cfg.eval_tasks) != 1 or task not in benchmarks.CODE:
        choices = ", ".join(benchmarks.CODE)
        raise UserError(f"--samples grades one code task: give --tasks= one of {choices}")
    problems = task_problems(task, cfg, pool)
    wanted = [p.task_id for p in problems if scope.covers(p.date)][: scope.limit or None]
    wanted, jobs = set(wanted), []
    for problem, program, where in read_samples(path, problems, task):
        if problem.task_id in wanted:
            job = (guarded, where, grade_program, JudgeError.graded, problem, program)
            jobs.append((problem, pool.submit(*job)))
    if not jobs:
        raise UserError(f"{path} holds no sample of what is graded; it needs at least one")
    results = []
    for problem, future in tqdm(jobs, task, disable=None):
        results.append({"task_id": problem.task_id} | labels_of(problem) | future.result())
    if len({r["task_id"] for r in results}) < len(wanted):
        print(f"{path}: not all of the {len(wanted)} problems have a sample; those are left out")
    return summarise(task, results)


# ------------------------------------------------------------------------------- command line
def main() -> None:
    try:
        run(sys.argv[1:])
    except (UserError, SandboxUnavailable) as error:
        sys.exit(f"error: {error}")


def run(argv: list[str]) -> None:
    for flag, tool in TOOLS.items():
        if flag in argv:  # a script of its own, as all of tools/ are
            path = str(Path(__file__).parent / "tools" / tool)
            os.execv(sys.executable, [sys.executable, path, *(a for a in argv if a != flag)])
    own, rest = benchmarks.read_flags(argv)
    scope = Scope(own["since"], own["until"], own["limit"], own["max_tokens"], own["n"] or 1)
    keys = {arg.partition("=")[0] for arg in rest}
    if own["samples"] and "--problems" in keys and "--eval_tasks" not in keys:
        rest.append("--eval_tasks=problems")
    cfg = load_config(rest)
    if scope.n > 1 and not cfg.eval_temperature and not own["samples"]:
        raise UserError(f"{scope.n} greedy samples of a problem are one: add --temperature=0.6")
    out = Path(own["out"]) if own["out"] or own["samples"] else default_out(cfg, scope)
    if own["out"] and out.is_dir():
        raise UserError(f"--out={out} is a folder; give a file, such as {out}/result.json")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from error
    with Pool(cfg.sandbox_workers, **cfg.limits) as pool:
        pool.submit(check_sandbox).result()
        if own["samples"]:
            rows = [grade_samples(cfg, Path(own["samples"]), pool, scope)]
            print(row_text(rows[0]))
        else:
            rows = evaluate_model(cfg, pool, out, scope)
    if out.name and os.environ.get("RANK", "0") == "0":
        write_whole(out, json.dumps(rows[0] if len(rows) == 1 else rows, indent=1))
        print(f"written: {out}")


def default_out(cfg: Config, scope: Scope) -> Path:
    """A name for what is evaluated, so that the same command finds its samples again."""
    words = [cfg.model, *cfg.eval_tasks, f"n{scope.n}", f"t{cfg.eval_temperature:g}"]
    words += [str(word) for word in (scope.since, scope.until, scope.limit) if word]
    return Path("out/eval") / (re.sub(r"[^\w.+-]+", "-", "_".join(words)).strip("-.") + ".json")


def evaluate_model(cfg: Config, pool: Pool, out: Path, scope: Scope) -> list[dict]:
    """Load cfg.model into the sampler and run the tasks."""
    from transformers import AutoConfig

    check_device(cfg, device := set_up_ranks())
    directory = find_model(cfg.model)
    check_world(dataclasses.replace(cfg, prompts_per_step=0), dist.get_world_size())  # no steps
    tasks = make_tasks(cfg, pool, pool.submit(worked_examples, cfg).result(), scope)
    tokenizer = load_tokenizer(directory)
    needed = max(
        len(benchmarks.prompt_ids(tokenizer, item, cfg)[0]) + longest_answer(task, cfg, scope)
        for task, items in tasks.items()
        for item in items
    )
    known = AutoConfig.from_pretrained(directory)
    room = min(needed, getattr(known, "max_position_embeddings", needed))
    settings = describe(cfg, directory, tasks, scope)
    samples = Samples(out.with_suffix(".samples.jsonl"), settings)
    sized = dataclasses.replace(cfg, max_prompt_tokens=room, max_tokens=0)
    engine = make_engine(sized, directory, device)
    rows = evaluate(cfg, engine, tokenizer, pool, tasks, samples, room, scope)
    leave_ranks()
    about = {"model": cfg.model, "settings": settings | {"n": scope.n}}
    return [row | about for row in rows]


if __name__ == "__main__":
    main()
