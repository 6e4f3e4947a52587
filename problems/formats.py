"""Rows of the data sets that people train and evaluate on, each known by its fields, as Problems.

`tests` of a Problem has one of two forms (expected values never enter the process that runs a
program):
    {"inputs": [...], "outputs": [...], "fn_name": None | name}   stdin text, or argument lists
    {"check": source of check(candidate), "entry_point": name, "preamble": source, "prefix": source}
where `preamble` runs before `check` on the trusted side and `prefix` before the program. More keys:
    "calls"      argument lists found in the asserts of a check: inputs on which to trace
    "reference"  source that gives the outputs of `inputs`, where the data set states none
    "wrapped"    outputs may be wrapped in a one-element list, as APPS and its heirs do
    "oracle"     the name of an exception in answers.py

Left out: data sets of other languages, and problems whose answers need a program to check them.
"""

import ast
import json
import re
import textwrap
import zlib
from collections.abc import Callable
from dataclasses import replace

from config import UserError
from problems.answers import ORACLES
from problems.pickles import private_tests
from problems.problem import Problem

# What the harnesses of contest problems put before every program: answers take it for granted.
STARS = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools"
)
IMPORTS = "".join(f"from {name} import *\n" for name in f"{STARS} operator typing".split())
IMPORTS += "import string, re, datetime, collections, heapq, bisect, copy, math, random\n"
IMPORTS += "import itertools, functools, operator, sys\nfrom sys import maxsize, stdin, stdout\n"
IMPORTS += "del pow\n"  # math's and operator's take no modulus
IMPORTS += "sys.setrecursionlimit(50_000)\n"
IO = ("input", "output")  # keys of the tests of several sources


class Unusable(Exception):
    """A row that is in order, and gives no problem that we can pose. The message says why."""


def to_problem(row: dict, where: str) -> Problem:
    """One row of any format below. Raises UserError that names `where`, and Unusable."""
    known = (convert for fields, convert in FORMATS if all(field in row for field in fields))
    convert = next(known, None)
    if convert is None:
        missing = next(key for key in ("task_id", "prompt", "tests") if key not in row)
        raise UserError(
            f"{where}: the problem has no {missing!r}; see problems/formats.py for the formats"
        )
    try:
        problem = own(row, where) if convert is own else convert(row)
        check_tests(problem.tests, where)
        given = row.get("task_id")  # a data set that knows no such field may be given one
        if isinstance(given, str) or (
            type(given) is int and convert not in (from_mbpp, from_mbpp_plus)
        ):
            problem = replace(problem, task_id=str(given))
        return problem
    except (KeyError, TypeError, ValueError, SyntaxError, StopIteration, AttributeError) as error:
        name = "this project" if convert is own else convert.__name__.removeprefix("from_")
        raise UserError(f"{where}: a row like those of {name}, but {error!r}") from error


def own(row: dict, where: str) -> Problem:
    """Our own format; see the README."""
    if not all(isinstance(row.get(key, ""), str) for key in ("prompt", "starter")):
        raise UserError(f"{where}: prompt and starter must be text")
    keys = ("solution", "starter", "difficulty", "family", "date")
    about = {key: str(row[key]) for key in keys if row.get(key) is not None}
    return Problem(str(row["task_id"]), row["prompt"], row["tests"], **about)


def check_tests(tests: dict, where: str) -> None:
    """Raises UserError for tests of neither form."""
    if not isinstance(tests, dict) or not ("check" in tests or "inputs" in tests):
        raise UserError(f"{where}: tests must be an object with inputs and outputs, or check")
    if "check" in tests:
        if not tests["check"].strip() or not tests.get("entry_point"):
            raise UserError(f"{where}: an assert-style problem needs check and entry_point")
        return
    n_inputs, n_outputs = len(tests["inputs"]), len(tests.get("outputs", ()))
    if "reference" not in tests and (not n_inputs or n_inputs != n_outputs):
        raise UserError(
            f"{where}: the problem has {n_inputs} inputs and {n_outputs} outputs; "
            "it needs as many, at least one"
        )
    if tests.get("fn_name"):
        if not all(isinstance(args, list) for args in tests["inputs"]):
            raise UserError(f"{where}: with fn_name, every input must be a list of arguments")
    elif not all(isinstance(text, str) for text in [*tests["inputs"], *tests.get("outputs", ())]):
        raise UserError(f"{where}: without fn_name, inputs and outputs must be text")


# --------------------------------------------------------------------------- assert style
def from_mbpp(row: dict) -> Problem:
    """MBPP (Austin et al., arXiv 2108.07732): assert statements that call the function by name."""
    setup, asserts = row.get("test_setup_code", ""), list(row["test_list"])
    setup = "\n".join([*row.get("test_imports", ()), setup])
    name = mbpp_name(row)
    body = "\n".join([f"global {name}", f"{name} = candidate", setup, *asserts])
    check = "def check(candidate):\n" + textwrap.indent(body, "    ")
    # the tests may make objects of classes that the reference defines
    tests = {"check": check, "entry_point": name, "preamble": row["code"]}
    tests["calls"] = calls_of("\n".join(asserts), name)
    return Problem(f"mbpp/{row['task_id']}", mbpp_prompt(row), tests, row["code"])


def mbpp_name(row: dict) -> str:
    """The function under test: the last that the reference defines and an assert calls."""
    calls = [n for n in ast.walk(ast.parse("\n".join(row["test_list"]))) if isinstance(n, ast.Call)]
    called = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    defined = [n.name for n in ast.parse(row["code"]).body if isinstance(n, ast.FunctionDef)]
    return next(name for name in reversed(defined) if name in called)


def mbpp_prompt(row: dict) -> str:
    text = row.get("text") or row["prompt"]
    return text + "\nYour code should pass these tests:\n\n" + "\n".join(row["test_list"])


def from_leetcode(row: dict) -> Problem:
    """LeetCodeDataset (Xia et al., arXiv 2504.14655): check(candidate) for a method of Solution."""
    imports = row["prompt"]  # and ListNode, TreeNode and helpers, where a problem has them
    tests = {"check": row["test"], "entry_point": row["entry_point"]}
    tests |= {"preamble": imports, "prefix": imports, "calls": calls_of(row["test"], "candidate")}
    text, meta = row.get("query") or row["problem_description"], row.get("meta") or row
    difficulty, date = (str(meta.get(key) or "") for key in ("difficulty", "estimated_date"))
    about = {"difficulty": difficulty.lower(), "date": date[:10]}
    return Problem(row["task_id"], text, tests, row["completion"], **about)


def from_humaneval(row: dict) -> Problem:
    """HumanEval (Chen et al., arXiv 2107.03374), and HumanEval+ (arXiv 2305.01210), whose tests are
    lists: in the code of `test` as the hub has it, in `base_input` and `plus_input` in EvalPlus's
    own file. Outputs that are not stated are the reference's.
    """
    name, solution = row["entry_point"], row["prompt"] + row["canonical_solution"]
    if "base_input" in row and row["task_id"].startswith("Mbpp"):
        raise Unusable("the tuples of its inputs are lost in JSON; use mbpp+ of the hub")
    if "base_input" in row:
        found = {"inputs": [*row["base_input"], *(row["plus_input"] or [])]}
    else:
        found = listed_tests(row["test"])
    tests = {"prefix": with_body(row["prompt"])}  # imports, helpers, a stub that answers redefine
    if found:
        tests |= function_tests(found, name, solution)
    else:  # some checks call helpers that the prompt defines
        tests |= {"check": row["test"], "entry_point": name, "preamble": solution}
        tests["calls"] = calls_of(row["test"], "candidate")
    text = f"Complete this Python function.\n\n```python\n{row['prompt']}```"
    return Problem(row["task_id"], text, tests, solution)


def with_body(prompt: str) -> str:
    """A function that ends after its `def` line gets an empty docstring, to stand by itself too."""
    try:
        ast.parse(prompt)
    except SyntaxError:
        return prompt.rstrip("\n") + '\n    """"""\n'
    return prompt


def calls_of(source: str, name: str) -> list[list]:
    """Arguments of the calls name(...) in the asserts of `source`, as far as they are literals.

    Keyword arguments are taken in their order, which in LeetCodeDataset is the signature's.
    """
    calls = []
    try:
        asserts = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
    except (SyntaxError, RecursionError):
        return []
    for node in (inner for a in asserts for inner in ast.walk(a.test)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            try:
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                calls.append([ast.literal_eval(value) for value in values])
            except ValueError:
                continue
    return calls


# --------------------------------------------------------------------------- EvalPlus
def from_mbpp_plus(row: dict) -> Problem:
    """MBPP+ (Liu et al., arXiv 2305.01210) as the hub has it: MBPP's fields, and a longer test."""
    name = mbpp_name(row)
    found = listed_tests(row["test"])
    if not found:
        raise Unusable("its test lists no inputs")
    tests = function_tests(found, name, row["code"])
    return Problem(f"Mbpp/{row['task_id']}", mbpp_prompt(row), tests, row["code"])


def function_tests(found: dict, name: str, solution: str) -> dict:
    """`tests` of listed inputs. Outputs that are not listed are those of the solution."""
    tests = found | {"fn_name": name} | ({"oracle": name} if name in ORACLES else {})
    return tests if "outputs" in found else tests | {"reference": solution}


def listed_tests(source: str) -> dict | None:
    """{"inputs", "outputs"} from `inputs = [...]` and `results = [...]` in a test; None if not so.

    Without a list of results, which EvalPlus then computes by the reference, "inputs" alone.
    """
    found: dict[str, object] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = {"inputs": "inputs", "results": "outputs"}.get(node.targets[0].id)
            if name:
                try:
                    found[name] = ast.literal_eval(Finite().visit(node.value))
                except ValueError:
                    continue
    if not isinstance(found.get("inputs"), list):
        return None
    return found | {"inputs": [list(arguments) for arguments in found["inputs"]]}


class Finite(ast.NodeTransformer):
    """inf and nan, which are no literals, as literals: 1e999 is infinite."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in ("inf", "nan"):
            return node
        return ast.Constant(float(node.id))


# --------------------------------------------------------------------------- inputs and outputs
def from_apps(row: dict) -> Problem:
    """APPS (Hendrycks et al., arXiv 2105.09938) and TACO (arXiv 2312.14852)."""
    name = row.get("problem_id", row.get("id", row.get("name")))
    tests = io_tests(row["input_output"])
    text, starter = row["question"], row.get("starter_code") or ""
    name = str(name if name is not None else zlib.crc32(text.encode()))
    solutions = [str(source) for source in json.loads(row.get("solutions") or "[]")]
    about = {"starter": starter, "difficulty": str(row.get("difficulty") or "").lower()}
    return Problem(
        name, text + how_to_answer(tests, starter), tests, next(iter(solutions), ""), **about
    )


def io_tests(text: str | dict, packed: bool = False) -> dict:
    """{"inputs", "outputs", "fn_name"?}, as text or not, of APPS, TACO, PRIME and CodeRL+.

    packed: the arguments of a call may be one text, a JSON value a line, and its result another.
    """
    try:
        tests = json.loads(text) if isinstance(text, str) and text.strip() else text
    except json.JSONDecodeError:
        raise
    except ValueError:
        raise Unusable("an integer of more than 4,300 digits") from None
    if not tests or not tests.get("inputs"):
        raise Unusable("no test")
    inputs, outputs, name = tests["inputs"], tests["outputs"], tests.get("fn_name")
    if len(inputs) != len(outputs):
        raise Unusable(f"{len(inputs)} inputs and {len(outputs)} outputs")
    tests = {"inputs": inputs, "outputs": outputs, "fn_name": name or None, "prefix": IMPORTS}
    if not name:
        return tests | {key: [as_text(x) for x in tests[key]] for key in ("inputs", "outputs")}
    if packed and all(isinstance(x, str) for x in inputs + outputs):
        try:
            tests |= json_calls(inputs, outputs)
        except ValueError:
            raise Unusable("arguments or results that are no JSON") from None
    tests["inputs"] = [int_keys(x) if isinstance(x, list) else [x] for x in tests["inputs"]]
    return tests | {"outputs": [int_keys(x) for x in tests["outputs"]], "wrapped": True}


def json_calls(inputs: list[str], outputs: list[str]) -> dict[str, list]:
    """Calls with a JSON value a line for each argument, and results as JSON. Raises ValueError."""
    lines = [[line for line in text.split("\n") if line] for text in inputs]
    calls = [[json.loads(line) for line in call] for call in lines]
    return {"inputs": calls, "outputs": [json.loads(text) for text in outputs]}


def int_keys(value: object) -> object:
    """A dict, or those in a list, with integers for keys where JSON made texts of them."""
    if isinstance(value, list):
        return [int_keys(x) if isinstance(x, dict) else x for x in value]
    whole = isinstance(value, dict) and all(re.fullmatch(r"-?\d{1,18}", key) for key in value)
    return {int(key): x for key, x in value.items()} if whole else value


def as_text(value: object) -> str:
    """A stdin or stdout text; some rows hold a list of its lines."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def how_to_answer(tests: dict, starter: str) -> str:
    if tests.get("fn_name"):
        return "" if starter else f"\n\nWrite the function `{tests['fn_name']}`."
    return "\n\nRead from standard input and print to standard output."


def from_prime(row: dict) -> Problem:
    """PRIME's Eurus-2-RL-Data (arXiv 2502.01456) and the official data of CodeRL+."""
    if row.get("ability", "code") not in ("code", "coding"):
        raise Unusable(f"its ability is {row['ability']}")
    users = [message["content"] for message in row["prompt"] if message["role"] == "user"]
    tests = io_tests(row["reward_model"]["ground_truth"], packed=True)
    extra = row.get("extra_info") or {}
    index = extra.get("index", zlib.crc32(users[-1].encode()))
    return Problem(f"{row.get('data_source', 'prime')}/{index}", users[-1], tests)


def from_code_contests(row: dict) -> Problem:
    """CodeContests (Li et al., arXiv 2203.07814)."""
    if row.get("input_file") or row.get("output_file"):
        raise Unusable("it reads or writes a file")
    kinds = [row.get(kind) or {} for kind in ("public_tests", "private_tests", "generated_tests")]
    inputs, outputs = ([x for kind in kinds for x in kind.get(key, ())] for key in IO)
    if not inputs:
        raise Unusable("no test")
    tests = {"inputs": inputs, "outputs": outputs, "fn_name": None}
    told = row.get("solutions") or {}
    pairs = zip(told.get("language", ()), told.get("solution", ()), strict=True)
    solution = next((source for language, source in pairs if language == 3), "")  # 3 is Python 3
    text = row["description"] + how_to_answer(tests, "")
    return Problem(row["name"], text, tests, solution, difficulty=str(row.get("difficulty", "")))


def from_open_r1(row: dict) -> Problem:
    """open-r1's verifiable-coding-problems-python."""
    info = row["verification_info"]
    info = json.loads(info) if isinstance(info, str) else info
    if info.get("language", "python") != "python":
        raise Unusable(f"its language is {info['language']}")
    cases = info["test_cases"]
    kinds = {(case["type"], case.get("fn_name")) for case in cases}
    if len(kinds) != 1:
        raise Unusable("no test" if not kinds else "tests of several kinds")
    ((kind, name),) = kinds
    inputs, outputs = ([case[key] for case in cases] for key in IO)
    if kind == "function_call":
        inputs, outputs = ([decoded(x) for x in values] for values in (inputs, outputs))
    else:
        name = None
    tests = io_tests({"inputs": inputs, "outputs": outputs, "fn_name": name})
    name = row.get("problem_id") or row.get("in_source_id") or zlib.crc32(row["prompt"].encode())
    return Problem(str(name), row["prompt"], tests, str(row.get("gold_standard_solution") or ""))


def decoded(text: object) -> object:
    """A value written as JSON or as a Python literal; what is neither is itself."""
    if isinstance(text, str):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, SyntaxError):
                continue
    return text


def from_livecodebench(row: dict) -> Problem:
    """LiveCodeBench's code_generation_lite (Jain et al., arXiv 2403.07974)."""
    cases = json.loads(row["public_test_cases"]) + private_tests(row["private_test_cases"])
    if not cases:
        raise Unusable("no test")
    name = json.loads(row.get("metadata") or "{}").get("func_name")
    inputs, outputs = ([case[key] for case in cases] for key in IO)
    tests = {"inputs": inputs, "outputs": outputs, "fn_name": None, "prefix": IMPORTS}
    if cases[0]["testtype"] == "functional":
        tests |= json_calls(inputs, outputs) | {"fn_name": name}
    text = row["question_content"] + how_to_answer(tests, row["starter_code"])
    about = {"starter": row["starter_code"], "difficulty": row["difficulty"]}
    about["date"] = str(row["contest_date"])[:10]
    return Problem(str(row["question_id"]), text, tests, **about)


# The first format all of whose fields a row has.
FORMATS: list[tuple[tuple[str, ...], Callable]] = [
    (("task_id", "prompt", "tests"), own),
    (("canonical_solution", "base_input", "entry_point"), from_humaneval),
    (("test_list", "test"), from_mbpp_plus),
    (("test_list", "code"), from_mbpp),
    (("canonical_solution", "test", "entry_point"), from_humaneval),
    (("completion", "test", "entry_point"), from_leetcode),
    (("reward_model", "prompt"), from_prime),
    (("public_test_cases", "private_test_cases"), from_livecodebench),
    (("description", "public_tests"), from_code_contests),
    (("verification_info", "prompt"), from_open_r1),
    (("input_output", "question"), from_apps),
]
