"""Python values as JSON, on their way out of the sandbox.

Most values stand for themselves; the others become an object with one tag: {"tuple": [1, 2]}.
Both directions distrust what they are given, and run no code of it.
"""

import builtins
import collections
import functools
import itertools
import json
import math

NO_CAPS = dict.fromkeys(("max_nodes", "max_chars", "max_bits"), 1 << 40)  # for our own values
TYPES = (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)  # as values
DICTS = (dict, collections.defaultdict, collections.OrderedDict, collections.Counter)


def encode(
    value: object, max_nodes: int = 200_000, max_chars: int = 1_000_000,
    max_bits: int = 4_000_000, max_depth: int = 150, classes: dict | None = None,
) -> object:  # fmt: skip
    """`value` as JSON data; ValueError if a part has no exact builtin type, or exceeds a cap.

    Calls no user code. max_chars limits all strings and bytes together, max_bits one integer.
    `classes`, the names of a module, also admits instances of that module's classes, such as
    LeetCode's TreeNode.
    """
    nodes, chars, path = itertools.count(1), 0, set()

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
            return x if math.isfinite(x) else {"float": repr(x)}
        if kind is type and any(x is known for known in TYPES):
            return {"type": x.__name__}
        if kind is complex:
            return {"complex": [repr(x.real), repr(x.imag)]}
        if id(x) in path or len(path) >= max_depth:
            raise ValueError("a value inside itself, or nested too deeply")
        path.add(id(x))
        if kind is list:
            data = [walk(y) for y in x]
        elif kind is tuple:
            data = {"tuple": [walk(y) for y in x]}
        elif kind is set or kind is frozenset:  # sorted, so that equal sets give equal data
            data = {kind.__name__: sorted((walk(y) for y in x), key=json.dumps)}
        elif kind in DICTS:  # a Counter equals the dict of its items
            data = {"dict": [[walk(k), walk(v)] for k, v in dict.items(x)]}
        elif classes is not None and classes.get(kind.__name__) is kind:
            data = {"object": [kind.__name__, {k: walk(v) for k, v in vars(x).items()}]}
        else:
            raise ValueError(f"a value of type {kind.__name__}, which is no plain builtin type")
        path.discard(id(x))
        return data

    return walk(value)


def decode(data: object, classes: dict | None = None, depth: int = 0) -> object:
    """The inverse of encode. ValueError for data that encode never makes. Runs no code."""
    if depth > 200:
        raise ValueError("an encoded value is nested too deeply")
    inner = functools.partial(decode, classes=classes, depth=depth + 1)
    if type(data) is not dict:
        return [inner(x) for x in data] if type(data) is list else data
    try:
        ((tag, x),) = data.items()
        if tag == "tuple":
            return tuple([inner(y) for y in x])
        if tag == "set" or tag == "frozenset":
            return getattr(builtins, tag)(hashable([inner(y) for y in x]))
        if tag == "dict":
            keys = hashable([inner(k) for k, _ in x])
            return dict(zip(keys, [inner(v) for _, v in x], strict=True))
        if tag == "type":
            return {known.__name__: known for known in TYPES}[x]
        if tag == "bytes":
            return bytes.fromhex(x)
        if tag == "int":
            return int(x, 16)
        if tag == "float":
            return float(x)
        if tag == "complex":
            return complex(*map(float, x))
        kind = classes[x[0]]
        if tag == "object" and type(kind) is type and kind.__module__ == classes["__name__"]:
            instance = object.__new__(kind)  # a class of that module; its __init__ does not run
            vars(instance).update({name: inner(y) for name, y in x[1].items()})
            return instance
    except (TypeError, LookupError, AttributeError, OverflowError) as error:
        raise ValueError(f"not an encoded value: {error}") from None
    raise ValueError("not an encoded value: unknown tag")


def hashable(items: list) -> list:
    """`items`, or ValueError if too many share a hash: 100,000 would cost the trainer minutes."""
    if len(items) > 100 and max(collections.Counter(map(hash, items)).values()) > 100:
        raise ValueError("not an encoded value: too many equal hashes")
    return items
