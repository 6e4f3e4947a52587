"""The built-in problem set: small one-function problems, in two tiers.

A 135M model can begin to solve `basics`. `basics-hard` is for a model of 0.5B that can code: one
loop, two or three cases to tell apart, several variables to follow.

Problems come in families (one task, several constants). No family is in both splits, so the
held-out score tells whether training on these problems helps with *other* tasks. The problems
follow from the seed alone; `family.py` says how a family is written down.

Left out: stdin problems, classes, imports, and anything that needs more than a screen of Python.
The set shows that training works; how good a model is, other benchmarks say.
"""

from problems.basics import (
    hard_heldout,
    hard_heldout_text,
    hard_lists,
    hard_nested,
    hard_numbers,
    hard_steps,
    hard_text,
    heldout,
    heldout_text,
    train_lists,
    train_lists_medium,
    train_nested,
    train_numbers,
    train_text,
)
from problems.basics.family import Family

TIERS = {
    "basics": {
        "train": [train_numbers, train_lists, train_lists_medium, train_text, train_nested],
        "heldout": [heldout, heldout_text],
    },
    "basics-hard": {
        "train": [hard_numbers, hard_lists, hard_text, hard_nested, hard_steps],
        "heldout": [hard_heldout, hard_heldout_text],
    },
}


def families(split: str, tier: str = "basics") -> list[Family]:
    """All families of a split, in the order of their files."""
    values = (value for module in TIERS[tier][split] for value in vars(module).values())
    return [value for value in values if isinstance(value, Family)]


def problems(split: str, seed: int = 0, tier: str = "basics") -> list[dict]:
    """All problems of a split, "train" or "heldout", as rows of a problems file.

    The seed chooses the examples and the hidden tests; tasks and programs are always the same.
    """
    return [
        family.problem(split, index, seed)
        for family in families(split, tier)
        for index in range(len(family.settings))
    ]
