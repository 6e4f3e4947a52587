"""Python values as JSON, on their way out of the sandbox.

Most values stand for themselves; the others become an object with one tag: {"tuple": [1, 2]}.
Both directions distrust what they are given, and run no code of it.
"""

import builtins
import collections
import decimal
import fractions
import functools
import json
import math
import re
import sys
import time
from collections.abc import Iterable
from itertools import count, islice
from math import isfinite

# What a program may return: so many values, characters in all, bits of an integer, and levels.
# Where more is expected, it gets more room: a power of two that multiplies them all.
CAPS = {"max_nodes": 100_000, "max_chars": 1_000_000, "max_bits": 4_000_000, "max_depth": 150}
NO_CAPS = dict.fromkeys(CAPS, 1 << 40)  # for our own values
MAX_COMPARISONS = 500_000  # of items with equal hashes in one value: less than 0.1 s
SHOWN_ITEMS = 10_000  # no call with as many is shown
MAX_BUILD_S = 1.0  # of CPU time, for one set or dict; 200,000 items take 0.02 s
OUTPUT_BYTES = 4 << 20  # a program may print as much per input; some contests want 1e5 numbers
TYPES = (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)  # as values
SIMPLE = {bool, int, float, str, type(None)}  # in data: these stand for themselves
NEW = {  # a value of a subclass -> the builtin value that it holds; runs no code of the subclass
    str: str.__str__, bytes: lambda x: bytes.__add__(x, b""),
    int: int.__pos__, float: float.__pos__, bytearray: bytes,
    tuple: lambda x: tuple.__getitem__(x, slice(None)), list: list.copy, dict: dict.copy,
    set: lambda x: {*set.__iter__(x)}, frozenset: lambda x: frozenset(frozenset.__iter__(x)),
    fractions.Fraction: lambda x: x.numerator if x.denominator == 1 else float(x),
    decimal.Decimal: lambda x: int(x) if x == x.to_integral_value() else float(x),
    re.Match: repr,  # a text counts as true, as it does
}  # fmt: skip
DICTS = (dict, collections.defaultdict, collections.OrderedDict, collections.Counter)


@functools.cache
def caps(room: int) -> dict[str, int]:
    return {name: cap * room for name, cap in CAPS.items()}


def room_for(expected: list) -> int:
    """The room that leaves twice what these values take, or these texts when they are printed.

    It is coarse, because the program may see it: it says next to nothing of what is expected.
    """
    texts = [len(x.encode(errors="replace")) / OUTPUT_BYTES for x in expected if type(x) is str]
    need = max([*map(share, expected), *texts], default=0.0)
    return 1 << max(0, math.ceil(math.log2(need * 2 or 1)))


def share(value: object) -> float:
    """How much of the room 1 a value takes; 1.0 is all of one of the caps."""
    sizes, todo = dict.fromkeys(CAPS, 0), [(value, 1)]
    while todo:
        x, depth = todo.pop()
        kind = type(x)
        sizes["max_nodes"] += 1
        if kind in DICTS or kind in (list, tuple, set, frozenset):
            sizes["max_depth"] = max(sizes["max_depth"], depth)
            todo += [(y, depth + 1) for y in x]
            todo += [(y, depth + 1) for y in x.values()] if kind in DICTS else []
        elif kind is str or kind is bytes:
            sizes["max_chars"] += len(x)
        elif kind is int:
            sizes["max_bits"] = max(sizes["max_bits"], x.bit_length())
    return max(size / CAPS[name] for name, size in sizes.items())


def encode(
    value: object, max_nodes: int = CAPS["max_nodes"], max_chars: int = CAPS["max_chars"],
    max_bits: int = CAPS["max_bits"], max_depth: int = CAPS["max_depth"],
    arrays: bool = False, ordered: bool = True, subclasses: bool = False,
) -> object:  # fmt: skip
    """`value` as JSON data; ValueError if a part has no exact builtin type, or exceeds a cap.

    Calls no user code. max_chars limits all strings and bytes together, max_bits one integer.
    `arrays` admits numpy's arrays and numbers, as lists and numbers. `ordered`: sets are sorted, so
    that equal sets give equal data. `subclasses` admits what equals a builtin value: named tuples,
    members of an IntEnum, a Fraction or Decimal.
    """
    if value is None or is_small(value):  # most values need no look
        return value
    if type(value) is list and len(value) < max_nodes and all(map(is_small, value)):
        return value[:]  # nor do most lists of arguments
    nodes, chars, path = count(1), 0, set()
    texts = {}  # id of a set's data -> its JSON, so that no outer set has to write it again

    def as_json(data: object) -> str:
        if text := texts.pop(id(data), None):
            return text
        if type(data) is list:
            return f"[{', '.join(map(as_json, data))}]"
        if type(data) is dict:
            pairs = (f"{json.dumps(k)}: {as_json(v)}" for k, v in data.items())
            return f"{{{', '.join(pairs)}}}"
        return json.dumps(data)

    def walk(x: object) -> object:
        nonlocal chars
        kind = type(x)  # isinstance and x.__class__ would ask the object
        if next(nodes) > max_nodes:
            raise ValueError(f"more than {max_nodes} values")
        if x is None or kind is bool:
            return x
        if kind is str or kind is bytes:
            chars += len(x)
            if chars > max_chars:
                raise ValueError(f"more than {max_chars} characters")
            return x if kind is str else {"bytes": x.hex()}
        if kind is int:
            if x.bit_length() > max_bits:
                raise ValueError(f"an integer of more than {max_bits} bits")
            return x if x.bit_length() < 64 else {"int": hex(x)}  # decimal takes quadratic time
        if kind is float:
            return x if isfinite(x) else {"float": repr(x)}
        if kind is type and any(x is known for known in TYPES):
            return {"type": x.__name__}
        if kind is complex:
            return {"complex": repr(x)}
        if id(x) in path or len(path) >= max_depth:
            raise ValueError("a value inside itself, or nested too deeply")
        path.add(id(x))
        if kind is list:
            data = [walk(y) for y in x]
        elif kind is tuple:
            data = {"tuple": [walk(y) for y in x]}
        elif kind is set or kind is frozenset:
            inside, items = len(texts), [walk(y) for y in x]
            if ordered:
                keys = list(map(as_json if len(texts) > inside else json.dumps, items))
                items = [items[i] for i in sorted(range(len(items)), key=keys.__getitem__)]
            data = {kind.__name__: items}
            if ordered:
                texts[id(data)] = f'{{"{kind.__name__}": [{", ".join(sorted(keys))}]}}'
        elif any(kind is x for x in DICTS):  # a Counter equals the dict of its items
            data = {"dict": [[walk(k), walk(v)] for k, v in dict.items(x)]}
        elif arrays and is_array(x, max_nodes):
            data = walk(x.tolist())
        elif subclasses and (held := held_by(x)) is not None:
            data = walk(held)
        else:
            raise ValueError(f"a value of type {kind.__name__}, which is no plain builtin type")
        path.discard(id(x))
        return data

    data = walk(value)
    texts.clear()  # walk refers to itself, and would keep them until the next collection
    return data


def is_small(x: object) -> bool:
    """Is it a number that stands for itself? A set of types would ask `x`'s type for its hash."""
    return (type(x) is int or type(x) is float) and -(1 << 63) < x < 1 << 63


def held_by(x: object) -> object:
    """The builtin value that a value of a subclass holds, by NEW; None if it is none."""
    base = next((base for base in NEW if issubclass(type(x), base)), None)
    return NEW[base](x) if base else None


def is_array(x: object, max_items: int) -> bool:
    """Is it numpy's, and no larger? A program may lie about it, for it is asked where it runs."""
    kind, numpy = type(x), sys.modules.get("numpy")
    if numpy is None or not (
        kind is numpy.ndarray or kind.__module__ == "numpy" and issubclass(kind, numpy.generic)
    ):
        return False
    # no dates, which become numbers; no long doubles, which tolist() leaves what they are
    return x.size <= max_items and x.dtype.kind in "biufcSUO" and x.dtype.char not in "gG"


def decode(data: object, max_depth: int = 200, max_nodes: int = NO_CAPS["max_nodes"]) -> object:
    """The inverse of encode. ValueError for data that encode never makes. Runs no code."""
    if type(data) is not dict and type(data) is not list:
        return data
    if type(data) is list and len(data) <= max_nodes and SIMPLE.issuperset(map(type, data)):
        return data[:]
    nodes, hashable = 0, Comparisons().hashable

    def inner(items: list, depth: int) -> list:
        nonlocal nodes
        nodes += len(items)
        if nodes > max_nodes:
            raise ValueError(f"more than {max_nodes} values")
        return [read(x, depth) for x in items]

    def read(data: object, depth: int) -> object:
        if type(data) is not dict and type(data) is not list:
            return data
        if depth < 0:
            raise ValueError("an encoded value is nested too deeply")
        depth -= 1
        if type(data) is list:
            return inner(data, depth)
        try:
            ((tag, x),) = data.items()
            if tag == "tuple":
                return tuple(inner(x, depth))
            if tag == "set" or tag == "frozenset":
                return built(getattr(builtins, tag), hashable(inner(x, depth)))
            if tag == "dict":
                keys = hashable(inner([k for k, _ in x], depth))
                return built(dict, zip(keys, inner([v for _, v in x], depth), strict=True))
            if tag == "type":
                return {known.__name__: known for known in TYPES}[x]
            if tag == "bytes":
                return bytes.fromhex(x)
            if tag == "int":
                return int(x, 16)
            if tag == "float":
                return float(x)
            if tag == "complex":
                return complex(x)
        except (TypeError, LookupError, AttributeError, OverflowError) as error:
            raise ValueError(f"not an encoded value: {error}") from None
        raise ValueError("not an encoded value: unknown tag")

    return read(data, max_depth)


class Comparisons:
    """What the sets and dicts of one value may cost: n items with one hash take n * n comparisons.

    A program may give as many as it likes one hash, and the trainer's threads stand while Python
    compares them. What one comparison costs multiplies with each level of sets in sets.
    """

    def __init__(self) -> None:
        self.left = MAX_COMPARISONS

    def hashable(self, items: list) -> list:
        """`items`; ValueError if a set of them, with those before, would cost too much."""
        if len(built(set, map(hash, items))) < len(items):
            for group in by_hash(items):
                for x in group if len(group) > 1 else ():
                    self.left -= len(group) * comparisons(x)
                    if self.left < 0:
                        raise ValueError("not an encoded value: too many equal hashes")
        return items


def built(kind: type, items: Iterable) -> set | frozenset | dict:
    """kind(items). ValueError if it takes longer than any honest value: keys can lie in each
    other's way though their hashes differ, and building a set in one go lets no other thread run.

    A set has a table as large as Python gives its text, such as `{1, 2, 3}`: of three constants or
    more it makes a frozenset, and copies that. So the order is that of the call which we show.
    """
    whole: set | dict = {} if kind is dict else set()
    items, end = iter(items), time.thread_time() + MAX_BUILD_S
    while part := list(islice(items, 1000)):
        whole.update(part)
        if time.thread_time() > end:
            raise ValueError("not an encoded value: keys in each other's way")
    if kind is set and 2 < len(whole) < SHOWN_ITEMS and all(map(is_constant, whole)):
        display = set()
        display.update(frozenset(whole))
        return display
    return frozenset(whole) if kind is frozenset else whole


def is_constant(x: object) -> bool:
    """Whether its text is one to the compiler: inf and frozenset({1}) are none."""
    if isinstance(x, float | complex):
        return isfinite(x.real) and isfinite(x.imag)
    return all(map(is_constant, x)) if isinstance(x, tuple) else not isinstance(x, frozenset)


def by_hash(items: Iterable) -> Iterable[list]:
    groups = collections.defaultdict(list)
    for x in items:
        groups[hash(x)].append(x)
    return groups.values()


def comparisons(x: object) -> int:
    """At most so many comparisons tell `x` from a value that has its hash."""
    if type(x) is tuple:
        return 1 + sum(map(comparisons, x))
    if type(x) is frozenset:
        return 1 + sum(len(group) * sum(map(comparisons, group)) for group in by_hash(x))
    return 1 + (x.bit_length() >> 9) if type(x) is int else 1
