"""Answers that equality would misjudge: the exceptions of EvalPlus, by the function's name.

An oracle takes (arguments, expected, got) and says whether `got` is right. The rules are those of
EvalPlus (Liu et al., arXiv 2305.01210; evalplus/eval) in our words. Left out: its relative
tolerance of 1e-7, where ours is 1e-6, and its difference between a list and a tuple.
"""

import math
from collections.abc import Callable


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
