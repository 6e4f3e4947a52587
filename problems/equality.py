"""When an answer is right: equal values, equal texts, and the exceptions that EvalPlus makes.

An oracle (Liu et al., arXiv 2305.01210; evalplus/eval), by the name of the function, takes
(arguments, expected, got) and says whether `got` is right. Left out: a relative tolerance of 1e-7,
where ours is 1e-6, and the difference between a list and a tuple.
"""

import math
import re
import sys
from collections.abc import Callable


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
