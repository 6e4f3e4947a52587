"""How an answer is read (a program, values of variables, an assertion), and when it is right.

Nothing here runs what an answer says. Equal values and equal texts are right, and what the
exceptions of EvalPlus admit: an oracle (Liu et al., arXiv 2305.01210; evalplus/eval), by the name
of the function, takes (arguments, expected, got) and says whether `got` is right. Left out:
repairing what does not parse; EvalPlus's relative tolerance of 1e-7, where ours is 1e-6, and its
difference between a list and a tuple.
"""

import ast
import json
import math
import re
import sys
from collections.abc import Callable

from problems.problem import show

FENCE = re.compile(r"```[ \t]*+[\w+-]*+[ \t]*+\n(.*?)(?:\n[ \t]*+```|\Z)", re.DOTALL)
DEFINES = re.compile(r"^[ \t]*+(def|class)\s", re.MULTILINE)
ITEM = re.compile(r"[\s>*-]*[`*\"']?([\w.]+)[`*\"']*\s*[=:]\s*(.+?)[\s,`]*$")  # of an answer


def extract_program(text: str) -> str | None:
    """The last fenced block that defines something, else the last block; None without a fence.

    Models like to end with a block of example calls, so the last block alone is not the program.
    A fence left open by max_tokens counts: what stands there is all that was written.
    """
    blocks = [block.group(1) for block in FENCE.finditer(text)]
    defining = [block for block in blocks if DEFINES.search(block)]
    return (defining or blocks or [None])[-1]


# --------------------------------------------------------------------------- values
def parse_answer(text: str, names: list[str], printed: str = "") -> dict[str, object]:
    """Values from `name = literal` lines or one JSON object; the last answer to a name counts.

    `printed` is the name of an item that is text, which need not be quoted and is kept as it is.
    """
    found: dict[str, object] = {}
    for line in text.splitlines():
        match = ITEM.match(line)
        if match and match.group(1) in names:
            name, value = match.groups()
            try:
                found[name] = value if name == printed else read_literal(value)
            except ValueError:
                found.pop(name, None)
    start, end = text.find("{"), text.rfind("}")
    if not found and 0 <= start < end:
        try:
            answer = json.loads(text[start : end + 1])
        except (ValueError, RecursionError):
            return {}
        found = {name: answer[name] for name in names if name in answer}
    return found


def ends_with_values(text: str, names: list[str]) -> bool:
    """Whether one line for each name, or one line of JSON, is the end, and names have no others.

    A model that is paid for values alone goes on writing after them, noise that it then learns.
    """
    lines = [line for line in text.splitlines() if line.strip(" \t`{}")]
    found = [i for i, line in enumerate(lines) if (m := ITEM.match(line)) and m[1] in names]
    if not found and lines:
        return lines[-1].lstrip().startswith("{") and lines[-1].rstrip(" \t`").endswith("}")
    return found == list(range(len(lines) - len(names), len(lines)))


def is_literal(value: object) -> bool:
    """Whether an answer can say it: a type, a frozenset, a list that holds inf it cannot."""
    try:
        return same_value(value, read_literal(show(value)))
    except ValueError:
        return False


def read_literal(text: str) -> object:
    """A Python literal, or a JSON true/false/null. Raises ValueError; size and depth are capped."""
    if len(text) > 2_000 or sum(text.count(bracket) for bracket in "([{-+~") > 500:
        raise ValueError("too large")
    constants = {"true": True, "false": False, "null": None}
    constants |= {text: float(text) for text in ("inf", "-inf", "nan")}
    if text in constants:
        return constants[text]
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("not a literal") from error


def same_printed(expected: str, answer: object) -> bool:
    """Whether `answer` is what was printed, as it stands or as a literal: `yes` or `"yes"`."""
    if same_stdout(expected, show(answer) if not isinstance(answer, str) else answer):
        return True
    try:
        return isinstance(answer, str) and same_stdout(expected, str(read_literal(answer)))
    except ValueError:
        return False


# --------------------------------------------------------------------------- assertions
def read_assertion(text: str) -> tuple[ast.expr | None, ast.expr] | None:
    """(left, right) of the last `assert left == right` of an answer; (None, value) of a bare value.

    The last [ANSWER] counts, else the last fenced block, else the last line with an assert.
    """
    if "[ANSWER]" in text:
        text = text.rpartition("[ANSWER]")[2].partition("[/ANSWER]")[0]
    text = extract_program(text) or text
    asserts = re.findall(r"^[ \t]*(assert\b.*)$", text[:20_000], re.MULTILINE)
    try:
        if not asserts:
            return None, ast.parse(text.strip(), mode="eval").body
        test = ast.parse(asserts[-1]).body[0].test
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        return test.left, test.comparators[0]
    return None


# --------------------------------------------------------------------------- equality
def same_value(expected: object, got: object) -> bool:
    """Equal values of builtin types: a tuple equals a list, a bool no int, floats within 1e-6."""
    if isinstance(expected, float) and type(got) in (int, float):
        return close(expected, got)
    if type(expected) is type(got) is complex:
        return close(expected.real, got.real) and close(expected.imag, got.imag)
    if isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple) or len(expected) != len(got):
            return False
        return all(same_value(e, g) for e, g in zip(expected, got, strict=True))
    if isinstance(expected, dict) and isinstance(got, dict):
        theirs = {exact(key): value for key, value in got.items()}
        return len(expected) == len(got) and all(
            exact(key) in theirs and same_value(value, theirs[exact(key)])
            for key, value in expected.items()
        )
    if isinstance(expected, set | frozenset) and isinstance(got, set | frozenset):
        return set(map(exact, expected)) == set(map(exact, got))
    if type(expected) is int and type(got) is float:
        return expected == got
    return type(expected) is type(got) and expected == got


def exact(key: object) -> object:
    """What tells apart the members of a set that Python takes for one: 1 and True."""
    if isinstance(key, tuple | frozenset):
        return type(key)(map(exact, key))
    return ("bool", key) if isinstance(key, bool) else key


def close(expected: float, got: float) -> bool:
    """Within 1e-6, absolute or relative to `expected`; nan and infinity equal themselves only."""
    if expected == got or not math.isfinite(expected):
        return expected == got or (expected != expected and got != got)
    if abs(got) > sys.float_info.max:  # a large int has no float
        return False
    return abs(expected - got) <= 1e-6 * max(1.0, abs(expected))


def same_stdout(expected: str, got: str) -> bool:
    """Equal token by token; a number is compared as one only where a float is expected."""
    left, right_ = expected.split(), got.split()
    return len(left) == len(right_) and all(map(same_token, left, right_))


def same_token(expected: str, got: str) -> bool:
    if expected == got:
        return True
    if not re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", expected):
        return False
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", got):
        return False
    return close(float(expected), float(got))


# --------------------------------------------------------------------------- oracles
def same_set(arguments: list, expected: object, got: object) -> bool:
    """In any order, and however often."""
    return set(got) == set(expected)


def something(arguments: list, expected: object, got: object) -> bool:
    """A match object, or True: only whether there is one counts."""
    wanted = expected if isinstance(expected, bool) else expected is not None
    return got == wanted if isinstance(got, bool) else (got is not None) == wanted


def anything(arguments: list, expected: object, got: object) -> bool:
    """The problem's text does not say what is wanted."""
    return True


def or_zero(arguments: list, expected: object, got: object) -> bool:
    return got in (expected, 0)


def root(arguments: list, expected: object, got: object) -> bool:
    """A zero of the polynomial with these coefficients; there may be several."""
    (coefficients,) = arguments
    return abs(sum(c * math.pow(got, i) for i, c in enumerate(coefficients))) <= 1e-4


def pyramid(arguments: list, expected: object, got: object) -> bool:
    """Surface of a square pyramid; the height may be meant to the apex or along the side."""
    base, height = arguments
    by_apex = round(base**2 + 2 * base * math.sqrt((base / 2) ** 2 + height**2))
    return got in (expected, by_apex)


def digit_distance(arguments: list, expected: object, got: object) -> bool:
    """Sum of differences of digits; the shorter number may be padded with zeros."""
    first, second = map(str, arguments)
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return got == expected or got == sum(abs(int(a) - int(b)) for a, b in pairs)


ORACLES: dict[str, Callable[[list, object, object], bool]] = {
    "find_zero": root,  # HumanEval/32
    "similar_elements": same_set,  # the others are MBPP's
    "find_char_long": same_set,
    "common_in_nested_lists": same_set,
    "extract_singly": same_set,
    "larg_nnum": same_set,
    "intersection_array": same_set,
    "find_dissimilar": same_set,
    "Diff": same_set,
    "check_str": something,
    "text_match_three": something,
    "text_starta_endb": something,
    "are_equivalent": anything,
    "sum_div": or_zero,
    "surface_Area": pyramid,
    "digit_distance_nums": digit_distance,
}


def agrees(oracle: str, arguments: list, expected: object, got: object) -> bool:
    """Ask the oracle; an answer that it cannot even look at is wrong."""
    try:
        return bool(ORACLES[oracle](arguments, expected, got))
    except (TypeError, ValueError, OverflowError):
        return False
