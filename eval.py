"""Evaluation: pass@k on code, and how well the model reads code it did not write.

    python eval.py --tasks=basics,humaneval --model=out/demo/hf [--n=4 --temperature=0.6]
    python eval.py --tasks=humaneval --samples=FILE.jsonl [--out=FILE.json]     (no model needed)
    python eval.py --compare A.json B.json ...                                  (is it noise?)
    python eval.py --show out/demo | A.json                                     (read samples)

The tasks and their prompts are in tasks.py, the probe is in probe.py, the statistics in stats.py.
Greedy, one sample a problem, unless told otherwise. Every sample is written as soon as it is
graded, beside --out (by default in out/eval/): the same command goes on with an interrupted
evaluation. train.py calls `evaluate` as it stands here, on all ranks. Under torchrun, which takes
--n for its own, write --eval_n.

Left out: several models in one call, and sampling through a server.
"""

import dataclasses
import json
import os
import random
import re
import sys
import threading
import time
import zlib
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import torch.distributed as dist
from tqdm import tqdm

from config import Config, UserError, check_tp, load_config
from data import Problem, read_jsonl
from ranks import gather, leave_ranks, set_up_ranks
from reward import extract_program, worked_examples
from rollout import Request, make_engine, model_directory
from sandbox import Pool, Sandbox, SandboxUnavailable
from stats import by_problem, chance, families, interval, pass_at_k
from tasks import (
    CODE,
    Item,
    answer_tokens,
    grade_program,
    in_window,
    make_items,
    prompt_ids,
    task_problems,
    whole_answer,
)
from tools.compare import compare
from tools.rundir import write_whole
from tools.show import show

FLAGS = {"--n": "eval_n", "--temperature": "eval_temperature", "--max_tokens": "eval_max_tokens"}
FLAGS |= {"--tasks": "eval_tasks", "--limit": "eval_limit", "--release": "eval_release"}
FLAGS |= {"--since": "eval_since", "--until": "eval_until"}
TOO_LONG = {"passed": False, "status": "too long", "score": 0.0}  # no room left for an answer


# ------------------------------------------------------------------------------- with a model
def evaluate(
    cfg: Config, engine, tokenizer, pool: Pool, tasks: dict[str, list[Item]], samples=None,
    room: int = 0,
) -> list[dict]:  # fmt: skip
    """Run the tasks on all ranks. Every rank gets the rows: one a task, results included.

    samples: a Samples, to go on from and add to. room: tokens of prompt and answer that the engine
    has; 0: as train.py made it.
    """
    room = room or cfg.max_prompt_tokens + cfg.max_tokens
    rows = []
    for task, items in tasks.items():
        start = time.perf_counter()
        mine, judging = answer(cfg, task, items, engine, tokenizer, pool, samples, room)
        results = [r for part in gather(mine, task)[:: cfg.rollout_tp] for r in part]
        results.sort(key=lambda result: (result["item"], result["sample"]))
        seconds = {"seconds": time.perf_counter() - start, "seconds_judging": judging}
        rows.append(summarise(task, results) | seconds)
        if dist.get_rank() == 0:
            print_row(rows[-1])
    return rows


def answer(
    cfg: Config, task: str, items: list[Item], engine, tokenizer, pool: Pool, samples, room: int
) -> tuple[list[dict], float]:
    """Sample and grade this rank's share of the items: {task_id, item, sample, passed, ...}.

    The `rollout_tp` ranks of one sampler have the same share. Also returns the seconds of judging
    that sampling did not hide.
    """
    samplers = dist.get_world_size() // cfg.rollout_tp
    lead = dist.get_rank() % cfg.rollout_tp == 0  # the others of a sampler have the same answers
    chat = bool(tokenizer.chat_template)
    results, jobs, requests = {}, [], []
    for i in range(dist.get_rank() // cfg.rollout_tp, len(items), samplers):
        ids = prompt_ids(tokenizer, items[i])
        tokens = min(answer_tokens(task, cfg), room - len(ids))
        stop = cfg.stop if chat else items[i].base_stop
        for g in range(cfg.eval_n):
            if samples and (known := samples.of(task, items, i, g)):
                results[i, g] = known | labels(items[i])
            elif tokens < 1:
                results[i, g] = result_row(items[i], i, g, "", TOO_LONG)
            else:
                jobs.append((i, g))
                seed = random.Random(f"eval/{cfg.seed}/{task}/{i}/{g}").getrandbits(31)
                text = items[i].chat_begun if items[i].as_chat(chat) else ""
                requests.append(Request(ids, seed, tokens, cfg.eval_temperature, stop, text))
    done = list(results.values())
    quiet = None if dist.get_rank() == 0 else True  # a bar is for rank 0, and for a terminal
    bar = tqdm(
        total=len(done) + len(jobs), initial=len(done), desc=task, leave=False, disable=quiet
    )

    def grade(sandbox: Sandbox, i: int, g: int, text: str) -> dict:
        text = whole_answer(items[i], text, chat)
        result = result_row(items[i], i, g, text, items[i].grade(sandbox, text))
        if samples and lead:
            samples.add(task, result)
        done.append(result)
        return result

    futures: list[Future] = [None] * len(jobs)

    def on_finish(number: int, response) -> None:
        futures[number] = pool.submit(grade, *jobs[number], response.text)
        right = sum(result["passed"] for result in done)
        bar.set_postfix_str(f"{right} of {len(done)} right", refresh=False)
        bar.update()

    engine.sample(requests, on_finish)
    start = time.perf_counter()
    results |= {job: future.result() for job, future in zip(jobs, futures, strict=True)}
    bar.close()
    return list(results.values()), time.perf_counter() - start


def result_row(item: Item, i: int, g: int, text: str, grade: dict) -> dict:
    row = {"task_id": item.task_id, "item": i, "sample": g, "completion": text}
    return row | grade | labels(item) | {"prompt": item.messages[-1]["content"]}


def labels(of: Item | Problem) -> dict[str, str]:
    return {key: value for key in ("difficulty", "family", "date") if (value := getattr(of, key))}


class Samples:
    """The file that a model's graded samples are added to, a line each, the moment they are there.

    Lines of another model, or of other settings, are refused: the numbers would be a mixture's.
    """

    def __init__(self, path: Path, settings: dict) -> None:
        self.path, self.settings, self.lock = path, settings, threading.Lock()
        self.found: dict[tuple, dict] = {}
        if path.exists():
            drop_half_line(path)
            for row, where in read_jsonl(path):
                if row.pop("settings", None) != settings:
                    raise UserError(
                        f"{where}: of another evaluation; give --out=FILE or remove this one"
                    )
                self.found[row.pop("task"), row["item"], row["sample"]] = row
        gather(None, "reading samples")  # nobody adds before everybody has read
        path.parent.mkdir(parents=True, exist_ok=True)

    def of(self, task: str, items: list[Item], i: int, g: int) -> dict | None:
        row = self.found.get((task, i, g))
        if row and row["task_id"] != items[i].task_id:
            raise UserError(
                f"{self.path}: {row['task_id']} is not where it was in {task}; remove it"
            )
        return row

    def add(self, task: str, result: dict) -> None:
        line = json.dumps({"task": task} | result | {"settings": self.settings}) + "\n"
        with self.lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line)


def drop_half_line(path: Path) -> None:
    """A killed process may leave the beginning of a line."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        os.truncate(path, data.rfind(b"\n") + 1)


# ------------------------------------------------------------------------------- results
def summarise(task: str, results: list[dict]) -> dict:
    """pass@k over problems for k = 1 and, with several samples each, the number of samples.

    `interval` is for pass@1, of -trace tasks for the score: 95 %, a bootstrap over families.
    `chance`: what the same answers would earn, dealt to other questions.
    """
    row: dict = {"task": task} | rates(results)
    if task.endswith("-trace"):  # the share of variables right, whole answers or not
        row["score"] = sum(r["score"] for r in results) / len(results)
    row["interval"] = interval(by_problem(results, task), families(results))
    if task.endswith(("-trace", "-output")):
        row["chance"] = chance(results)
    row["n_samples"] = len(results)
    for name, key, length in (("by_difficulty", "difficulty", None), ("by_month", "date", 7)):
        parts: dict[str, list[dict]] = {}
        for result in results:
            if result.get(key):
                parts.setdefault(result[key][:length], []).append(result)
        if parts:
            row[name] = {label: rates(part) for label, part in sorted(parts.items())}
    row["statuses"] = dict(sorted(Counter(r["status"] for r in results).items()))
    return row | {"results": results}


def rates(results: list[dict]) -> dict:
    """pass@1, pass@n, n and n_problems; n is the fewest samples of a problem."""
    counts: dict[str, list[int]] = {}
    for result in results:
        count = counts.setdefault(result["task_id"], [0, 0])
        count[0] += 1
        count[1] += result["passed"]
    fewest = min(n for n, _ in counts.values())
    row = {}
    for k in sorted({1, fewest}):
        row[f"pass@{k}"] = sum(pass_at_k(n, c, k) for n, c in counts.values()) / len(counts)
    return row | {"n": fewest, "n_problems": len(counts)}


def print_row(row: dict) -> None:
    low, high = row["interval"]
    values = [f"{k} {v:6.1%}" for k, v in row.items() if k.startswith("pass@") or k == "score"]
    of = "score" if "score" in row else "pass@1"
    by_chance = f", by chance {row['chance']:.1%}" if "chance" in row else ""
    counts = ", ".join(f"{count} {status}" for status, count in row["statuses"].items())
    print(
        f"{row['task']:<14} {'  '.join(values)}  ({of} {low:.1%} to {high:.1%}{by_chance})   "
        f"{row['n_problems']} problems: {counts}",
        flush=True,
    )
    for name in ("by_difficulty", "by_month"):
        for label, part in row.get(name, {}).items():
            print(f"  {label:<12} pass@1 {part['pass@1']:6.1%}   {part['n_problems']} problems")


# ------------------------------------------------------------------------------- without a model
def grade_samples(cfg: Config, path: Path, pool: Pool) -> dict:
    """Grade a samples file against the problems of the one task in cfg.eval_tasks."""
    if len(cfg.eval_tasks) != 1 or cfg.eval_tasks[0] not in CODE:
        raise UserError(f"--samples grades one code task: give --tasks= one of {', '.join(CODE)}")
    (task,) = cfg.eval_tasks
    known = {p.task_id: p for p in task_problems(task, cfg)}
    wanted = [name for name, p in known.items() if in_window(p.date, cfg)][: cfg.eval_limit or None]
    problems = {name: known[name] for name in wanted}
    futures, lines = [], []
    for row, where in read_jsonl(path):
        if row.get("task_id") not in known:
            raise UserError(f"{where}: task_id {row.get('task_id')!r} is no problem of {task}")
        if row["task_id"] not in problems:
            continue
        if not isinstance(row.get("solution", row.get("completion")), str):
            raise UserError(f"{where}: a sample needs the text field `solution` or `completion`")
        problem = problems[row["task_id"]]
        lines.append(problem)
        futures.append(pool.submit(grade_program, problem, sample_program(row)))
    if not lines:
        raise UserError(f"{path} holds no sample of what is graded; it needs at least one")
    results = []
    for problem, future in tqdm(zip(lines, futures, strict=True), task, len(lines), disable=None):
        results.append({"task_id": problem.task_id} | labels(problem) | future.result())
    if len({r["task_id"] for r in results}) < len(problems):
        print(f"{path}: not all of the {len(problems)} problems have a sample; those are left out")
    return summarise(task, results)


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
    except BrokenPipeError:  # --show into head
        os._exit(0)


def run(argv: list[str]) -> None:
    for flag, other in (("--compare", compare), ("--show", show)):
        if flag in argv:
            print(other([arg for arg in argv if arg != flag]))
            return
    own = {"--samples": "", "--out": ""}  # flags of this script alone; the rest is Config's
    rest = []
    for arg in argv:
        flag, equals, text = arg.partition("=")
        flag = "--" + flag[2:].replace("-", "_") if flag.startswith("--") else flag
        if flag in own:
            own[flag] = text
        else:
            rest.append(f"--{FLAGS[flag]}{equals}{text}" if flag in FLAGS else arg)
    cfg = load_config(rest)
    out = Path(own["--out"]) if own["--out"] else None
    if not own["--samples"]:
        out = out or default_out(cfg)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    with Pool(cfg.sandbox_workers, **cfg.limits) as pool:
        if own["--samples"]:
            rows = [grade_samples(cfg, Path(own["--samples"]), pool)]
            print_row(rows[0])
        else:
            rows = evaluate_model(cfg, pool, out)
    if out and os.environ.get("RANK", "0") == "0":
        write_whole(out, json.dumps(rows[0] if len(rows) == 1 else rows, indent=1))
        print(f"written: {out}")


def default_out(cfg: Config) -> Path:
    """A name for what is evaluated, so that the same command finds its samples again."""
    words = [cfg.model, *cfg.eval_tasks, f"n{cfg.eval_n}", f"t{cfg.eval_temperature:g}"]
    words += [f"{word}" for word in (cfg.eval_since, cfg.eval_until, cfg.eval_limit) if word]
    return Path("out/eval") / (re.sub(r"[^\w.+-]+", "-", "_".join(words)).strip("-.") + ".json")


def evaluate_model(cfg: Config, pool: Pool, out: Path) -> list[dict]:
    """Load cfg.model into the sampler and run the tasks; the probe, which samples nothing, last."""
    from transformers import AutoConfig, AutoTokenizer

    directory = model_directory(cfg.model)
    device = set_up_ranks(cfg.rank_timeout_s)
    check_tp(cfg, dist.get_world_size())
    examples = pool.submit(worked_examples, cfg).result()
    tasks = {t: make_items(t, cfg, pool, examples) for t in cfg.eval_tasks if t != "probe"}
    settings, rows = describe(cfg, directory), []
    if tasks:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        needed = max(
            len(prompt_ids(tokenizer, item)) + answer_tokens(task, cfg)
            for task, items in tasks.items()
            for item in items
        )
        known = AutoConfig.from_pretrained(directory)
        room = min(needed, getattr(known, "max_position_embeddings", needed))
        roomy = dataclasses.replace(cfg, max_prompt_tokens=room, max_tokens=0)
        samples = Samples(out.with_suffix(".samples.jsonl"), settings)
        engine = make_engine(roomy, directory, device)
        rows = evaluate(cfg, engine, tokenizer, pool, tasks, samples, room)
    if "probe" in cfg.eval_tasks and dist.get_rank() == 0:
        from probe import probe

        rows.append(probe(cfg, directory, pool))
    leave_ranks()
    settings = settings | {"n": cfg.eval_n}
    return [row | {"model": cfg.model, "settings": settings} for row in rows]


def describe(cfg: Config, directory: str) -> dict:
    """What a sample depends on; `digest` is of all that, weights (size and time) included."""
    keys = ("compute_dtype", "engine", "stop", "code_template", "begin", "problems", "data_dir")
    keys += ("align_begin", "align_template", "align_examples", "align_output", "align_values")
    keys += ("max_variables", "max_tokens", "timeout_s", "program_timeout_s", "memory_mb")
    keys += ("sandbox", "eval_since", "eval_until", "eval_release")
    files = [path.stat() for path in sorted(Path(directory).glob("*.safetensors"))]
    all_ = [getattr(cfg, key) for key in keys] + [(s.st_size, s.st_mtime_ns) for s in files]
    return {
        "model": cfg.model,
        "temperature": cfg.eval_temperature,
        "max_tokens": cfg.eval_max_tokens,
        "seed": cfg.seed,
        "digest": f"{zlib.crc32(repr(all_).encode()):08x}",
    }


if __name__ == "__main__":
    main()
