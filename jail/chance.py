"""What a program must not depend on: where its objects lie, and the order of its sets.

A traced run is repeated in ways in which these are otherwise, so that a variable that depends on
them differs. SAME: all objects seem to lie at one address. APART and more: addresses are drawn, and
sets are iterated in an order that is drawn, then in that one backwards, then from its second
element on, so that no place holds the same element in all of them. A record keeps objects alive,
and so an address that would be used again may not be; what is the same in SAME and APART cannot
depend on it. The order of numbers in a set is the same in every run, so it stays as it is.

CPython writes an address into a text in a few C functions, to which its types point. We point them
to ours, in the child that the program runs in. No program may name what could tell (forgery.py).

Left out: the order in which a set is copied into another one, and from Python 3.13 on that of
list(set), which asks no slot; there each way has another hash seed.
"""

import ast
import ctypes
import functools
import gc
import random
import sys
from itertools import count

from jail.allowlist import MODULES
from jail.names import identifiers

AS_IT_IS, SAME, APART = 1, 2, 3  # ways to run a traced program
TURNS = 3  # of an order that is drawn: as it is, backwards, and from its second element on
N_ORDERS = 3 * TURNS  # of a program that makes sets
# The places, in pointers, of slots in CPython's PyTypeObject, and of the slot that
# `object.__repr__` calls in PyWrapperDescrObject.
TP_REPR, TP_HASH, TP_ITER, D_WRAPPED = 11, 15, 27, 6
MAKES_SETS = {"set", "frozenset", "keys", "items"}  # of the last two, & and - make some
MAKES_SETS |= {"Set", "FrozenSet", "AbstractSet", "MutableSet", "SortedSet"}
DIRECT = sys.version_info >= (3, 13)  # list(set) looks into the set, and asks no slot
NUMBERS = (int, bool, float, complex)
Slot = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)
HashSlot = ctypes.PYFUNCTYPE(ctypes.c_ssize_t, ctypes.py_object)
addresses = count()
dice, turn, factor = random.Random(), 0, 0


def otherwise(program: str) -> list[tuple[int, int]]:
    """(twin, way): how to run it again, to see that it depends on nothing of the kind."""
    sets = makes_sets(ast.parse(program))
    seeds = range(N_ORDERS) if DIRECT else [k // TURNS for k in range(N_ORDERS)]
    ways = range(APART, APART + (N_ORDERS if sets else 2))
    return [(0, SAME), *zip(seeds, ways, strict=False)]


def makes_sets(tree: ast.Module) -> bool:
    """Whether it can: it has a display of one, or a name for one of their types."""
    nodes = list(ast.walk(tree))
    names = {name for node in nodes for name in identifiers(node)}
    return bool(names & MAKES_SETS) or any(isinstance(n, ast.Set | ast.SetComp) for n in nodes)


def generator() -> object:
    yield


def show(x: object) -> str:
    return f"<{type(x).__name__} object at {next(addresses):#x}>"


def hash_of(x: object) -> int:
    return id(x) // 16 * factor % (1 << 61)


def iterate(xs: set | frozenset) -> object:
    found = [*plain_iterate(xs)]
    if not all(map(has_fixed_hash, found)):
        dice.shuffle(found)
        found = (found, found[::-1], found[1:] + found[:1])[turn]
    return iter(found)


def pop(xs: set) -> object:
    x = plain_pop(xs)
    if not xs or has_fixed_hash(x):
        return x
    set.add(xs, x)
    y = next(iterate(xs))
    set.remove(xs, y)
    return y


def from_keys(kind: type, keys: object, *value: object) -> dict:
    return plain_from_keys.__get__(None, kind)(iter(keys), *value)  # of a set it would not ask this


def has_fixed_hash(x: object) -> bool:
    kind = type(x)
    if kind in NUMBERS:
        return x == x  # a NaN has that of its address
    return kind is tuple and all(map(has_fixed_hash, x))


def pointer(x: object, place: int) -> ctypes.c_void_p:
    """The pointer at that place of a C structure, to be read or written as `.value`."""
    width = ctypes.sizeof(ctypes.c_void_p)
    return ctypes.c_void_p.from_address(id(x) + place * width)


def all_types(kind: type) -> set[type]:
    inner = (all_types(sub) for sub in type.__subclasses__(kind))
    return {kind}.union(*inner)


@functools.cache
def shown_by_address() -> list[ctypes.c_void_p]:
    """Where the types that a program can reach keep how they are shown, if that is by an address.
    Those made later have it from one of these. Each that is changed costs a child a page."""
    originals = {pointer(kind, TP_REPR).value for kind in SHOW_ADDRESS}
    near = {name.partition(".")[0] for name in (*MODULES, "builtins", "io", "types")}
    kinds = [k for k in all_types(object) if k.__module__.lstrip("_").partition(".")[0] in near]
    return [p for p in (pointer(kind, TP_REPR) for kind in kinds) if p.value in originals]


def address_of(function: Slot | HashSlot) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value


SHOW_ADDRESS = [object, type(show), type(generator()), type([].append), type((1).__add__)]
plain_pop, plain_from_keys = set.pop, vars(dict)["fromkeys"]
plain_iterate = Slot(pointer(set, TP_ITER).value)
# They are kept here as long as types point to them.
our_show, our_iterate, our_hash = Slot(show), Slot(iterate), HashSlot(hash_of)


def be_otherwise(way: int, program: str) -> None:
    """From now on, in this process. Call it before the program makes a class of its own. What is
    drawn hangs on the program's text, so that no way to write programs survives it always."""
    global addresses, turn, factor
    if way == AS_IT_IS:
        return
    for place in shown_by_address():
        place.value = address_of(our_show)
    for kind in SHOW_ADDRESS:
        pointer(vars(kind)["__repr__"], D_WRAPPED).value = address_of(our_show)
    for place in (pointer(object, TP_HASH), pointer(vars(object)["__hash__"], D_WRAPPED)):
        place.value = address_of(our_hash)  # of the instances of classes that come later
    if way == SAME:
        addresses = iter(int, 1)  # 0 for ever
        return
    draw, turn = divmod(way - APART, TURNS)
    dice.seed(f"{draw} {program}")
    factor = dice.getrandbits(60) | 1
    mask = (1 << 42) - 1 if turn == 1 else 0  # which turns the order of addresses, as texts too
    addresses = (1 << 46 | (dice.getrandbits(42) ^ mask) << 4 for _ in count())
    for kind in (set, frozenset):
        for place in (pointer(kind, TP_ITER), pointer(vars(kind)["__iter__"], D_WRAPPED)):
            place.value = address_of(our_iterate)
    for kind, name, ours in ((set, "pop", pop), (dict, "fromkeys", classmethod(from_keys))):
        (names,) = gc.get_referents(vars(kind))  # the dict behind the read-only view
        names[name] = ours
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
