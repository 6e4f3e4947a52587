"""Rows of the data sets that people train and evaluate on, each known by its fields, as Problems.

Here are our own format and the functions that asserts test; contests.py has the others.

`tests` of a Problem has one of two forms (expected values never enter the process that runs a
program):
    {"inputs": [...], "outputs": [...], "fn_name": None | name}   stdin text, or argument lists
    {"check": source of check(candidate), "entry_point": name, "preamble": source, "prefix": source}
where `preamble` runs before `check` on the trusted side and `prefix` before the program. More keys:
    "calls"      argument lists with which a check calls: inputs on which to trace
    "reference"  source that gives the outputs of `inputs`, where the data set states none
    "wrapped"    outputs may be wrapped in a one-element list, as APPS and its heirs do
    "written"    an output that is text may be a value, written as JSON or as Python
    "oracle"     the name of an exception in answers.py
What judging learns of a problem is kept there, too: "slow" (its solution needs more time), "room"
(of its values), "broken" (its solution fails), "gives" and "outputs" (of its solution).

Left out: data sets of other languages, and problems whose answers need a program to check them.
"""

import ast
import re
import textwrap
import typing
from collections.abc import Callable
from dataclasses import replace

from config import UserError
from problems import contests
from problems.answers import ORACLES
from problems.checks import asserts_something, calls_of, parsed_code, unfit
from problems.problem import Problem, Unusable

TYPING = frozenset(typing.__all__)
BROKEN = (SyntaxError, RecursionError, MemoryError)  # of source that is no Python
NOTHING = "it expects nothing in every test, so that a program of one `pass` would be paid"


def to_problem(row: dict, where: str) -> Problem:
    """One row of any format below. Raises UserError that names `where`, and Unusable."""
    known = (convert for fields, convert in FORMATS if all(field in row for field in fields))
    convert = next(known, None)
    if convert is None:
        lacks = [key for key in ("task_id", "prompt", "tests") if key not in row]
        hint = f" (ours lacks {lacks[0]!r})" if len(lacks) == 1 else ""
        raise UserError(
            f"{where}: no known format has the fields {', '.join(row)}{hint}; "
            "docs/data.md lists the formats"
        )
    try:
        problem = own(row, where) if convert is own else convert(row)
        check_tests(problem.tests, where)
        if "check" in problem.tests:
            calls = {"calls": calls_of(problem.tests["check"])}
            problem = replace(problem, tests=calls | problem.tests)
        given = row.get("task_id")  # a data set that knows no such field may be given one
        if isinstance(given, str) or (
            type(given) is int and convert not in (from_mbpp, from_mbpp_plus)
        ):
            problem = replace(problem, task_id=str(given))
        return replace(problem, where=where)
    except (LookupError, TypeError, ValueError, StopIteration, AttributeError, *BROKEN) as error:
        name = "this project" if convert is own else convert.__name__.removeprefix("from_")
        raise UserError(f"{where}: a row like those of {name}, but {error!r}") from error


def own(row: dict, where: str) -> Problem:
    """Our own format; see the README. A null is what is not there, and `tests` may be JSON text, as
    tables need it."""
    keys = ("solution", "starter", "difficulty", "family", "date")
    about = {key: row[key] for key in keys if row.get(key) is not None}
    for key, value in (about | {"prompt": row["prompt"]}).items():
        if key in ("prompt", "solution", "starter") and not isinstance(value, str):
            raise UserError(f"{where}: {key} must be text")
    about = {key: str(value) for key, value in about.items()}
    tests, starter = contests.parsed(row["tests"]), about.get("starter", "")
    if isinstance(tests, dict):
        tests = {key: value for key, value in tests.items() if value is not None}
        for key in ("inputs", "outputs"):
            if not isinstance(tests.get(key, []), list | tuple):
                raise UserError(f"{where}: {key} must be a list with one item for each test")
        if "inputs" in tests and "fn_name" not in tests:  # line ends of Windows
            texts = [contests.as_text(x) if isinstance(x, str) else x for x in tests["inputs"]]
            tests["inputs"] = texts
        if TYPING & set(re.findall(r"\w+(?=\[)", starter)) and not re.search(
            r"\bimport\b", starter
        ):
            tests = {"prefix": "from typing import *\n"} | tests  # such as LeetCode's List[int]
    return Problem(str(row["task_id"]), row["prompt"], tests, **about)


def check_tests(tests: dict, where: str) -> None:
    """Raises UserError for tests of neither form."""
    if not isinstance(tests, dict) or not ("check" in tests or "inputs" in tests):
        raise UserError(f"{where}: tests must be an object with inputs and outputs, or check")
    name = tests.get("entry_point" if "check" in tests else "fn_name") or "f"
    if not all(part.isidentifier() for part in str(name).replace("()", "").split(".")):
        raise Unusable(f"{name!r} is no name of a function, such as f or Solution().f")
    if "check" in tests:
        if not isinstance(tests["check"], str) or not tests["check"].strip():
            raise UserError(f"{where}: check must be the source of check(candidate)")
        if not tests.get("entry_point"):
            raise UserError(f"{where}: an assert-style problem needs check and entry_point")
        check, preamble = (parsed_code(tests.get(key, "")) for key in ("check", "preamble"))
        if not (asserts_something(check) or asserts_something(preamble)):  # which may define how
            raise Unusable("its test asserts nothing, so that any program would pass")
        if why := unfit(check, preamble, tests["entry_point"]):
            raise Unusable(why)
        return
    n_inputs, n_outputs = len(tests["inputs"]), len(tests.get("outputs", ()))
    if "reference" in tests and not n_inputs:
        raise Unusable("no test")
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
    if "outputs" in tests and expects_nothing(tests):
        raise Unusable(NOTHING)


def expects_nothing(tests: dict) -> bool:
    """All outputs are None or blank: a program of one `pass` would earn the reward."""
    outputs = tests["outputs"]
    if "wrapped" in tests:
        outputs = [x[0] if isinstance(x, list) and len(x) == 1 else x for x in outputs]
    return all(x is None or isinstance(x, str) and not x.strip() for x in outputs)


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
    others = [text for text in asserts if not re.search(rf"\b{name}\b", text)]
    if others and all(text.lstrip().startswith("assert") for text in asserts):
        raise Unusable(f"{others[0]!r} tests something else than {name}")
    return Problem(f"mbpp/{row['task_id']}", mbpp_prompt(row), tests, row["code"])


def mbpp_name(row: dict) -> str:
    """The function under test: the last that the reference defines and an assert calls."""
    calls = [n for n in ast.walk(ast.parse("\n".join(row["test_list"]))) if isinstance(n, ast.Call)]
    called = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    defined = [n.name for n in ast.parse(row["code"]).body if isinstance(n, ast.FunctionDef)]
    if not (names := [name for name in defined if name in called]):
        raise Unusable("its reference defines no function that its asserts call")
    return names[-1]


def mbpp_prompt(row: dict) -> str:
    text = row.get("text") or row["prompt"]
    return text + "\nYour code should pass these tests:\n\n" + "\n".join(row["test_list"])


def from_leetcode(row: dict) -> Problem:
    """LeetCodeDataset (Xia et al., arXiv 2504.14655): check(candidate) for a method of Solution."""
    imports = row["prompt"]  # and ListNode, TreeNode and helpers, where a problem has them
    tests = {"check": row["test"], "entry_point": row["entry_point"]}
    tests |= {"preamble": imports, "prefix": imports}
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
    else:  # EvalPlus compares with its own assertion(); a check that asserts by itself stays one
        found = "def assertion(" in row["test"] and listed_tests(row["test"])
    tests = {"prefix": with_body(row["prompt"])}  # imports, helpers, a stub that answers redefine
    if found:
        tests |= function_tests(found, name, solution)
    else:  # some checks call helpers that the prompt defines
        tests |= {"check": row["test"], "entry_point": name, "preamble": solution}
    text = f"Complete this Python function.\n\n```python\n{row['prompt']}```"
    return Problem(row["task_id"], text, tests, solution)


def with_body(prompt: str) -> str:
    """A function that ends after its `def` line gets an empty docstring, to stand by itself too."""
    try:
        ast.parse(prompt)
    except SyntaxError:
        return prompt.rstrip("\n") + '\n    """"""\n'
    return prompt


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
    inputs = found.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(x, list | tuple) for x in inputs):
        return None
    return found | {"inputs": [*map(list, inputs)]}


class Finite(ast.NodeTransformer):
    """inf and nan, which are no literals, as literals: 1e999 is infinite."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in ("inf", "nan"):
            return node
        return ast.Constant(float(node.id))


# The first format all of whose fields a row has.
FORMATS: list[tuple[tuple[str, ...], Callable]] = [
    (("task_id", "prompt", "tests"), own),
    (("canonical_solution", "base_input", "entry_point"), from_humaneval),
    (("test_list", "test"), from_mbpp_plus),
    (("test_list", "code"), from_mbpp),
    (("canonical_solution", "test", "entry_point"), from_humaneval),
    (("completion", "test", "entry_point"), from_leetcode),
    (("reward_model", "prompt"), contests.from_prime),
    (("public_test_cases", "private_test_cases"), contests.from_livecodebench),
    (("description", "public_tests"), contests.from_code_contests),
    (("description", "official_tests"), contests.from_codeforces),
    (("verification_info", "prompt"), contests.from_verifiable),
    (("verification_info", "problem_statement"), contests.from_verifiable),
    (("verification_info", "problem"), contests.from_verifiable),
    (("responses_create_params", "verifier_metadata"), contests.from_nemotron),
    (("input_output", "question"), contests.from_apps),
    (("problem", "tests"), contests.from_deepcoder),
    (("question", "inputs", "outputs"), contests.from_rstar),
    (("question", "test_cases"), contests.from_acecode),
    (("question", "test", "solution"), contests.from_kodcode),
]
