"""Rows of contest problems, with inputs and outputs, and of the mixtures for RL that hold them.

A mixture may also state its tests as source, which checks.py reads, and may hold tasks without
tests (mathematics, say), which are left out. formats.py knows each format by its fields.
"""

import contextlib
import json
import re
import zlib

from problems.checks import IMPORTS, asserts_something, check_tests_of, parsed_code
from problems.pickles import private_tests
from problems.problem import Problem, Unusable, decoded

IO = ("input", "output")  # keys of the tests of several sources
DEFINITION = re.compile(r"^[ \t]*(class|def)\s", re.MULTILINE)
FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)\n?```", re.DOTALL)


# --------------------------------------------------------------------------- tests
def tests_of(given: object, name: str | None = None) -> dict:
    """`tests` of what a mixture states, as JSON text or not. Raises Unusable.

    {"inputs", "outputs", "fn_name"?}, or [{"input", "output", ...}, ...], or source: a text, a list
    of asserts, {"functional": source} as in code-r1, {"pytest": source}, {"assert_case": [...]} and
    {"test_code", "entry_point", "import_prefix"?} as in Skywork-OR1.
    """
    if isinstance(given, str) and is_test_source(given):
        return check_tests_of(given)
    given = parsed(given)
    stated = given if isinstance(given, dict) else {}
    if (check := stated.get("test_code")) and (name := stated.get("entry_point")):
        before = stated.get("import_prefix") or ""
        return {"check": check, "entry_point": name, "preamble": before, "prefix": before}
    if source := stated.get("functional") or stated.get("pytest"):
        return check_tests_of(source)
    given = stated.get("assert_case") or given
    if isinstance(given, list) and given and all(isinstance(x, str) for x in given):
        return check_tests_of("\n".join(given))
    return io_tests(given, name, packed=True)


def is_test_source(text: str) -> bool:
    with contextlib.suppress(Unusable):  # it is no Python
        return "assert" in text and asserts_something(parsed_code(text))
    return False


def parsed(value: object) -> object:
    """The value of a JSON text, or of a list or dict as Python prints it; another value is itself.
    Raises Unusable."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except json.JSONDecodeError:
        if isinstance(literal := decoded(value), (list, dict)):
            return literal
        raise Unusable("its tests are no JSON") from None
    except (ValueError, RecursionError):
        raise Unusable("an integer of more than 4,300 digits, or too deep a list") from None


def io_tests(given: object, name: str | None = None, packed: bool = False) -> dict:
    """tests_of() inputs and outputs. name: of the function, where `given` names none.

    packed: the arguments of a call may be one text, a JSON value a line, and its result another.
    """
    tests = parsed(given)
    if isinstance(tests, list):
        tests = listed_cases(tests, name)
    if tests is not None and not isinstance(tests, dict):
        raise Unusable(f"its tests are {type(tests).__name__}, no inputs and outputs")
    if not tests or not tests.get("inputs"):
        raise Unusable("no test")
    inputs, outputs = parsed(tests["inputs"]), parsed(tests["outputs"])
    flags = {"wrapped": tests.get("wrapped", True), "written": tests.get("written", False)}
    # listed_cases(), which adds "wrapped", has said already whether a function is called
    name = tests.get("fn_name") or (None if "wrapped" in tests else name)
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise Unusable("its inputs or outputs are no list")
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
    tests["outputs"] = [int_keys(x) for x in tests["outputs"]]
    return tests | {key: True for key, is_set in flags.items() if is_set}


def listed_cases(cases: list, name: str | None) -> dict:
    """A list of {"input", "output"} as io_tests() reads it; a case may say what it calls.

    "type" is open-r1's and PrimeIntellect's (function_call, stdin_stdout), "testtype" is
    LiveCodeBench's (functional, stdin).
    """
    if not all(isinstance(case, dict) and case.keys() >= set(IO) for case in cases):
        raise Unusable("its tests are a list of something else than inputs and outputs")
    kinds = {(case.get("type") or case.get("testtype"), case_name(case) or name) for case in cases}
    if len(kinds) != 1:
        raise Unusable("no test" if not kinds else "tests of several kinds")
    ((kind, name),) = kinds
    if kind in ("function_call", "functional") and not name:
        raise Unusable("its tests do not name the function that they call")
    name = None if str(kind).startswith("stdin") else name
    inputs, outputs = ([case[key] for case in cases] for key in IO)
    native = not any(isinstance(x, str) for x in inputs)  # else all is JSON text, as in tables
    if name and kind != "functional" and not native:
        inputs, outputs = ([decoded(x) for x in values] for values in (inputs, outputs))
    tests = {"inputs": inputs, "outputs": outputs, "fn_name": name}
    return tests | {"wrapped": kind != "functional", "written": native and kind != "functional"}


def case_name(case: dict) -> str | None:
    return case.get("fn_name") or (parsed(case.get("metadata")) or {}).get("func_name")


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
    """A stdin or stdout text; some rows hold a list of its lines, or lines as Windows ends them."""
    lines = value if isinstance(value, list) else str(value).split("\n")
    return "\n".join(str(line).removesuffix("\r") for line in lines)


def how_to_answer(tests: dict, starter: str) -> str:
    """What a statement leaves open: what to define, or where to read and to print. Raises Unusable
    where a driver that is not here would read and call the starter, as in geeksforgeeks' rows."""
    if name := tests.get("fn_name") or tests.get("entry_point"):
        return "" if starter else f"\n\nWrite the function `{name}`."
    if DEFINITION.search(starter) and not re.search("input|stdin", starter):
        raise Unusable("its tests are for a driver that calls the starter code and is not here")
    return "\n\nRead from standard input and print to standard output."


def first_name(*names: object, text: str) -> str:
    """The first name that is one, or a digest of the text; some sets leave their names empty."""
    given = (str(name) for name in names if name is not None and str(name).strip())
    return next(given, str(zlib.crc32(text.encode())))


def user_text(prompt: str | list[dict]) -> str:
    """What the user says last in a chat, which may be JSON text, or the text that a prompt is."""
    is_text = isinstance(prompt, str)
    chat = decoded(prompt) if is_text and prompt.startswith("[") else prompt
    if is_text and not is_chat(chat):
        return prompt
    users = [message["content"] for message in chat if message["role"] == "user"]
    last = users[-1] if users else ""
    if isinstance(last, list):  # in parts, as some interfaces have it
        last = "".join(part.get("text") or "" for part in last)
    if not last:
        raise Unusable("its prompt holds no text of a user")
    return last


def is_chat(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(turn, dict) and {"role", "content"} <= turn.keys() for turn in value)


# --------------------------------------------------------------------------- sets of problems
def from_apps(row: dict) -> Problem:
    """APPS (Hendrycks et al., arXiv 2105.09938) and TACO (arXiv 2312.14852)."""
    tests = io_tests(row["input_output"])
    text, starter = row["question"], row.get("starter_code") or ""
    name = first_name(*(row.get(key) for key in ("problem_id", "id", "name")), text=text)
    solutions = [str(source) for source in parsed(row.get("solutions")) or []]
    about = {"starter": starter, "difficulty": str(row.get("difficulty") or "").lower()}
    return Problem(
        name, text + how_to_answer(tests, starter), tests, next(iter(solutions), ""), **about
    )


def from_code_contests(row: dict) -> Problem:
    """CodeContests (Li et al., arXiv 2203.07814)."""
    if row.get("input_file") or row.get("output_file"):
        raise Unusable("it reads or writes a file")
    kinds = [row.get(kind) or {} for kind in ("public_tests", "private_tests", "generated_tests")]
    inputs, outputs = ([as_text(x) for kind in kinds for x in kind.get(key, ())] for key in IO)
    if not inputs or len(inputs) != len(outputs):
        raise Unusable(f"{len(inputs)} inputs and {len(outputs)} outputs" if inputs else "no test")
    tests = {"inputs": inputs, "outputs": outputs, "fn_name": None}
    told = row.get("solutions") or {}
    pairs = zip(told.get("language", ()), told.get("solution", ()), strict=True)
    solution = next((source for language, source in pairs if language == 3), "")  # 3 is Python 3
    text = row["description"] + how_to_answer(tests, "")
    return Problem(row["name"], text, tests, solution, difficulty=str(row.get("difficulty", "")))


def from_codeforces(row: dict) -> Problem:
    """open-r1's codeforces: a statement in parts, and official tests."""
    if row.get("generated_checker") or row.get("interaction_format"):
        raise Unusable("its answers need a program to check them")
    if row.get("input_mode", "stdio") != "stdio":
        raise Unusable("it reads or writes a file")
    if row.get("language", "python") != "python":
        raise Unusable(f"its language is {row['language']}")
    if row.get("official_tests_complete") is False:  # the large ones, which the site cuts off
        raise Unusable("its official tests are incomplete")
    if row.get("executable") is False:
        raise Unusable("it says that no program can be judged by it")
    tests = io_tests(parsed(row["official_tests"]))
    parts = [row.get("title"), row["description"]]
    titles = {"Input": row.get("input_format"), "Output": row.get("output_format")}
    for number, case in enumerate(parsed(row.get("examples")) or (), start=1):
        titles[f"Example {number}"] = f"Input:\n{case['input']}\nOutput:\n{case['output']}"
    parts += [f"{title}\n{part}" for title, part in titles.items() if part]
    parts.append(row.get("note"))
    text = "\n\n".join(part.strip() for part in parts if part) + how_to_answer(tests, "")
    level = str(row.get("rating") or "")
    return Problem(first_name(row.get("id"), text=text), text, tests, difficulty=level)


def from_livecodebench(row: dict) -> Problem:
    """LiveCodeBench's code_generation_lite (Jain et al., arXiv 2403.07974)."""
    cases = json.loads(row["public_test_cases"]) + private_tests(row["private_test_cases"])
    if not cases:
        raise Unusable("no test")
    name = json.loads(row.get("metadata") or "{}").get("func_name")
    inputs, outputs = ([as_text(case[key]) for case in cases] for key in IO)
    tests = {"inputs": inputs, "outputs": outputs, "fn_name": None, "prefix": IMPORTS}
    if cases[0]["testtype"] == "functional":
        tests |= json_calls(inputs, outputs) | {"fn_name": name}
    text = row["question_content"] + how_to_answer(tests, row["starter_code"])
    about = {"starter": row["starter_code"], "difficulty": row["difficulty"]}
    about["date"] = str(row["contest_date"])[:10]
    return Problem(str(row["question_id"]), text, tests, **about)


def from_deepcoder(row: dict) -> Problem:
    """Agentica's DeepCoder-Preview-Dataset: its files have four sources, each with its tests."""
    about = parsed(row.get("metadata")) or {}
    tests, starter = tests_of(row["tests"], about.get("func_name")), row.get("starter_code") or ""
    solutions = parsed(row.get("solutions")) or [""]
    text = row["problem"]
    full = text + how_to_answer(tests, starter)
    return Problem(first_name(text=text), full, tests, unfenced(solutions[0]), starter=starter)


def unfenced(solution: str) -> str:
    found = FENCED.search(solution)
    return found[1] if found else solution


def from_rstar(row: dict) -> Problem:
    """rStar-Coder's seed_testcase and synthetic_rl_testcase (arXiv 2505.21297)."""
    name, class_name = row.get("func_name"), row.get("class_name")
    if name and class_name not in (None, "", "Solution"):
        name = f"{class_name}().{name}"
    tests = tests_of({key: row[key] for key in ("inputs", "outputs")}, name)
    text, starter = row["question"], row.get("starter_code") or ""
    full = text + how_to_answer(tests, starter)
    return Problem(first_name(row.get("question_id"), text=text), full, tests, starter=starter)


# --------------------------------------------------------------------------- mixtures for RL
def from_prime(row: dict) -> Problem:
    """PRIME's Eurus-2-RL-Data (arXiv 2502.01456), the official data of CodeRL+, and what else is in
    verl's format, such as code-r1's and DeepCoder's files."""
    if row.get("ability", "code") not in ("code", "coding", "codegen"):
        raise Unusable(f"its ability is {row['ability']}")
    text, extra = user_text(row["prompt"]), row.get("extra_info") or {}
    tests = tests_of(row["reward_model"]["ground_truth"])
    index = first_name(extra.get("index"), text=text)
    return Problem(f"{row.get('data_source', 'prime')}/{index}", text, tests)


def from_verifiable(row: dict) -> Problem:
    """open-r1's verifiable-coding-problems-python, SYNTHETIC-1 and -2, and INTELLECT-2."""
    info, kind = parsed(row["verification_info"]), row.get("task_type")
    if not isinstance(info, dict) or "test_cases" not in info:
        other = kind and kind != "verifiable_code"
        raise Unusable(f"its task_type is {kind}" if other else "no test cases to verify it")
    if (info.get("language") or "python") != "python":
        raise Unusable(f"its language is {info['language']}")
    stated = row.get("prompt") or row.get("problem_statement") or row["problem"]
    tests, text = tests_of(info["test_cases"], info.get("fn_name")), user_text(stated)
    name = first_name(row.get("problem_id"), row.get("in_source_id"), text=text)
    full = text if row.get("prompt") else text + how_to_answer(tests, "")
    return Problem(name, full, tests, unfenced(str(row.get("gold_standard_solution") or "")))


def from_nemotron(row: dict) -> Problem:
    """NVIDIA's Nemotron-RL-coding-competitive_coding, and other sets of NeMo Gym's format."""
    params, about = parsed(row["responses_create_params"]), parsed(row["verifier_metadata"])
    if not isinstance(about, dict) or "unit_tests" not in about:
        raise Unusable("no unit tests in its verifier_metadata")
    tests, text = tests_of(about["unit_tests"]), user_text(params["input"])
    names = (about.get("problem_id"), row.get("hash_id"))
    return Problem(first_name(*names, text=text), text, tests)


def from_acecode(row: dict) -> Problem:
    """AceCode-87K (arXiv 2502.01718): asserts that call the function by its name."""
    if not (asserts := parsed(row["test_cases"])):
        raise Unusable("no test")
    tests, text = tests_of(asserts), row["question"]
    full = text + how_to_answer(tests, "")
    return Problem(first_name(row.get("id"), text=text), full, tests)


def from_kodcode(row: dict) -> Problem:
    """KodCode-V1 (arXiv 2503.02951): test functions, as pytest runs them."""
    tests, text = check_tests_of(row["test"]), row["question"]
    names = (row.get("question_id"), row.get("conversation_id"))
    about = {"difficulty": str(row.get("gpt_difficulty") or "")}
    full = text + how_to_answer(tests, "")
    return Problem(first_name(*names, text=text), full, tests, row["solution"], **about)
