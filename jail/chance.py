"""What a program must not depend on: where its objects lie, and the order of its sets.

A program that shows an address, or iterates a set whose order depends on addresses, is not asked
about. CPython does both in a few C functions, to which its types point; we point them to ours,
which tell. No program may name what else could tell (forgery.py).

A traced run is repeated, and a variable that differs cannot be asked for. A program that has sets
is repeated under other hash seeds, and with sets that are iterated in an order that hangs on their
items and on the program's text alone; in that one backwards; from its second item on, so that no
place holds the same item in all of them; and in some that have nothing to do with each other. No
program is asked about that could see which of these runs it is in. Numbers are iterated as they
lie if nothing has left their set and no two want the same place in it, for else their order may
come from something that was there, or from another set.

Left out: from Python 3.13 on, all that list(set) does, which asks no slot.
"""

import ast
import ctypes
import functools
import gc
import operator
import os
import random
import sys

from jail.allowlist import MODULES
from jail.names import identifiers

AS_IT_IS, DRAWN = 1, 2  # ways to run a traced program; DRAWN + turn
TURNS = 3  # of an order that is drawn: as it is, backwards, and from its second item on
N_DRAWN, N_SEEDS = 6, 8  # how often a program that has sets is repeated in either way
# The places, in pointers, of slots in CPython's PyTypeObject, and of the slot that
# `object.__repr__` calls in PyWrapperDescrObject.
TP_REPR, TP_HASH, TP_ITER, D_WRAPPED = 11, 15, 27, 6
# Of PySetObject: how many places were taken; how many still are; one less than its places. An
# item's is its hash & MASK, or the next that is free; behind which place pop() looks for one.
FILL, USED, MASK, FINGER = 2, 3, 4, 7
MAKES_SETS = {"set", "frozenset", "keys", "items"}  # of the last two, & and - make some
MAKES_SETS |= {"Set", "FrozenSet"}
NUMBERS = (int, bool, float, complex)
Slot = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)
HashSlot = ctypes.PYFUNCTYPE(ctypes.c_ssize_t, ctypes.py_object)
TOLD = (str, bytes, *NUMBERS, type(None))  # whose repr() says all
way, seed = 0, ""  # of this process: see begin()
shown: list[object] = []  # types whose addresses it has shown, or iterated a set by; our failures
# A model that knew all hash seeds could write words whose order is the same under each. So they
# differ from one machine to the other, and are the same when a run is resumed.
SECRET = os.stat(__file__).st_ctime_ns
ROOM = 100  # levels of recursion for what we do where Python itself needs none
DEEPEST = 20  # of tuples in each other, in a set


def hash_seed(number: int) -> int:
    """PYTHONHASHSEED of a twin; that of the sandbox itself is 0."""
    return random.Random(f"{SECRET} {number}").randrange(1, 2**32)


def reruns(program: str, given: object = ()) -> list[tuple[int, int]]:
    """(twin, way): how to run it again, to see that it depends on nothing of the kind."""
    if not makes_sets(ast.parse(program)) and not holds_set(given):
        return [(0, AS_IT_IS)]
    seeds = [(k, AS_IT_IS) for k in range(N_SEEDS)]
    return [*((k, DRAWN + k) for k in range(N_DRAWN)), *seeds]


def makes_sets(tree: ast.Module) -> bool:
    """Whether it can: it has a display of one, or a name for one of their types."""
    nodes = list(ast.walk(tree))
    names = {name for node in nodes for name in identifiers(node)}
    return bool(names & MAKES_SETS) or any(isinstance(n, ast.Set | ast.SetComp) for n in nodes)


def holds_set(given: object) -> bool:
    """Whether an input, which is of builtin types, has a set anywhere."""
    if isinstance(given, dict):
        return any(map(holds_set, [*given, *given.values()]))
    inner = isinstance(given, list | tuple) and any(map(holds_set, given))
    return inner or isinstance(given, set | frozenset)


def generator() -> object:
    yield


def show(x: object) -> str:
    shown.append(type(x).__name__)
    return f"<{shown[-1]} object>"


def iterate(xs: set | frozenset) -> object:
    found = [*plain_iterate(xs)]
    if len(found) > 1:
        shown.extend(type(x).__name__ for x in found if hangs_on_address(x))
    if way < DRAWN or lie_at_home(xs, found):
        return plain_iterate(xs)  # which notices that the set changes meanwhile
    found.sort(key=text_of)
    turn = way - DRAWN
    draw = "" if turn < TURNS else str(turn)
    random.Random(" ".join([draw, seed, *map(text_of, found)])).shuffle(found)
    return iter((found, found[::-1], found[1:] + found[:1])[turn] if not draw else found)


def lie_at_home(xs: set | frozenset, found: list) -> bool:
    """Whether the order of these items, numbers alone, is the only one that they can have in `xs`.

    Two that want the same place lie in the order in which they came: perhaps that of another set,
    with words and instances between the numbers. And what is gone may have had the place of one.
    """
    fill, used, mask = (pointer(xs, place).value for place in (FILL, USED, MASK))
    if fill != used or not all(map(is_number, found)):
        return False
    homes = [plain_hash.get(type(x), hash)(x) & mask for x in found]
    return all(map(operator.lt, homes, homes[1:]))


def pop(*args: object, **options: object) -> object:
    xs = args[0] if args and isinstance(args[0], set) else ()
    found = [*plain_iterate(xs)] if xs else []
    sure = len(found) < 2 or (lie_at_home(xs, found) and not pointer(xs, FINGER).value)
    x = plain_pop(*args, **options)
    if len(found) > 1 and hangs_on_address(x):
        shown.append(type(x).__name__)
    if way < DRAWN or sure:
        return x
    set.add(xs, x)
    y = next(iterate(xs))
    set.remove(xs, y)
    return y


def from_keys(kind: type, *args: object, **options: object) -> dict:
    if args and isinstance(args[0], set | frozenset):
        args = (iter(args[0]), *args[1:])  # of a set it would not ask for this
    return plain_from_keys.__get__(None, kind)(*args, **options)


def set_limit(*args: object) -> None:
    """sys.setrecursionlimit(), with room for us. A program that goes deeper than it may raises when
    it is run without a trace, and then it is not asked about."""
    plain_set_limit(*args)
    plain_set_limit(min(args[0] + ROOM, 2**31 - 1))


def hash_of(x: float | complex) -> int:
    """The hash of a number. That of a NaN is its address, on which the order of a set may hang even
    when the NaN is gone from it."""
    if x != x:
        shown.append("NaN")
    return plain_hash[type(x)](x)


def is_number(x: object) -> bool:
    return type(x) in NUMBERS


def hangs_on_address(x: object, depth: int = 0) -> bool:
    """Whether its hash does: that of a NaN, a function, None, or an instance. We do not look at
    tuples that are too deep for it, and say that they do."""
    kind = type(x)
    if kind is tuple or kind is frozenset:
        inner = x if kind is tuple else plain_iterate(x)
        return depth == DEEPEST or any(hangs_on_address(y, depth + 1) for y in inner)
    return x != x if kind in NUMBERS else pointer(kind, TP_HASH).value not in BY_CONTENT


def text_of(x: object, depth: int = 0) -> str:
    """The same for equal values of builtin types, whatever they hold; runs no code of theirs."""
    if (type(x) is tuple or type(x) is frozenset) and depth < DEEPEST:
        items = [text_of(y, depth + 1) for y in (x if type(x) is tuple else plain_iterate(x))]
        return " ".join(items if type(x) is tuple else sorted(items))
    return repr(x) if type(x) in TOLD else ""


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
    near = {name.partition(".")[0] for name in (*MODULES, "builtins", "io", "sre", "types")}
    kinds = [k for k in all_types(object) if k.__module__.lstrip("_").partition(".")[0] in near]
    return [p for p in (pointer(kind, TP_REPR) for kind in kinds) if p.value in originals]


def address_of(function: Slot) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value


SHOW_ADDRESS = [object, type(show), type(generator()), type([].append), type((1).__add__)]
plain_pop, plain_from_keys = set.pop, vars(dict)["fromkeys"]
plain_set_limit = sys.setrecursionlimit
BY_CONTENT = {pointer(kind, TP_HASH).value for kind in (str, bytes)}  # of more than numbers
plain_iterate = Slot(pointer(set, TP_ITER).value)
plain_hash = {kind: HashSlot(pointer(kind, TP_HASH).value) for kind in (float, complex)}
# They are kept here as long as types point to them.
our_show, our_iterate, our_hash = Slot(show), Slot(iterate), HashSlot(hash_of)


def begin(new_way: int, program: str) -> None:
    """Point the types to our functions, in this process. Call it before the program makes a class.
    What is drawn hangs on its text, so that no way to write programs survives it always."""
    global way, seed
    way, seed = new_way, program
    sys.unraisablehook = shown.append  # written in C, so that it works where ours do not
    plain_set_limit(sys.getrecursionlimit() + ROOM)
    sys.setrecursionlimit = set_limit
    for place in shown_by_address():
        place.value = address_of(our_show)
    for kind in SHOW_ADDRESS:
        pointer(vars(kind)["__repr__"], D_WRAPPED).value = address_of(our_show)
    for kind in (set, frozenset):
        for place in (pointer(kind, TP_ITER), pointer(vars(kind)["__iter__"], D_WRAPPED)):
            place.value = address_of(our_iterate)
    for kind in plain_hash:
        pointer(kind, TP_HASH).value = address_of(our_hash)
    for kind, name, ours in ((set, "pop", pop), (dict, "fromkeys", classmethod(from_keys))):
        (names,) = gc.get_referents(vars(kind))  # the dict behind the read-only view
        names[name] = ours
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
