"""Values with their identities as JSON, for the calls between a check and the program under test.

A value becomes references into a table with a row for each object, so that lists of nodes may have
any length, and objects that are shared, or part of themselves, stay so. The table lasts as long as
the run: what both sides hold is one object to both, and each message tells what its side has
changed, as if they lived in one process. Functions and iterators do not travel: the other side gets
a number to call them by (jail/peer.py).

What comes from the program may be anything. Reading it runs no code but the hashes of the check's
own classes, and it can put nothing into an instance that would stand for a method of its class. Of
the check's objects it changes only those that travelled as their content, each as its own kind.
An attribute such as __array_interface__ would give numpy memory of the check's process; none comes.

What the program makes of a subclass of a builtin type that the check does not know, such as a named
tuple of its own or a member of an IntEnum, arrives as the builtin value that it holds, and one of
Fraction or Decimal as a number.

Left out: instances of other classes that only one side knows, and subclasses of builtin types that
a check makes, other than named tuples. They raise Uncarried, which says so. Two arrays that share
their memory have two here.
"""

import builtins
import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import functools
import importlib
import marshal
import math
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import NamedTuple

from jail.values import DICTS, TYPES, Comparisons, decode, encode, held_by, is_array

SCALARS = (types.NoneType, bool, int, float, complex, str, bytes)
SEQUENCES = {kind.__name__: kind for kind in (list, tuple, set, frozenset, collections.deque)}
MAPPINGS = {kind.__name__: kind for kind in DICTS}
PARTS = {  # immutable values of the standard library: what their constructors take
    range: lambda x: [x.start, x.stop, x.step],
    slice: lambda x: [x.start, x.stop, x.step],
    fractions.Fraction: lambda x: [x.numerator, x.denominator],
    decimal.Decimal: lambda x: [str(x)],
    datetime.timedelta: lambda x: [x.days, x.seconds, x.microseconds],
    datetime.date: lambda x: [x.year, x.month, x.day],
    datetime.time: lambda x: [x.hour, x.minute, x.second, x.microsecond],
    datetime.datetime: lambda x: [
        x.year, x.month, x.day, x.hour, x.minute, x.second, x.microsecond,
    ],
}  # fmt: skip
VALUES = {kind.__name__: kind for kind in PARTS}
VIEWS = {kind.__name__: kind for kind in map(type, ({}.keys(), {}.values(), {}.items()))}
CARRIED = (*SCALARS, *SEQUENCES.values(), *MAPPINGS.values(), *PARTS, bytearray, type)
MUTABLE = {"list", "set", "deque", "bytearray", "object", "array", *MAPPINGS}
CONTENTS = {*SEQUENCES.values(), *MAPPINGS.values(), *VIEWS.values(), *PARTS, bytearray}
MAX_LOOKS = 500_000  # 0.3 to 0.6 s of each side
STOPPED = -1  # among the numbers forgotten: the looks are spent
PROBE = {0: object()}
ALONE = sys.getrefcount(PROBE[0])  # of an object that only a dict holds
SMALL = 1 << 63  # an integer below it is itself in JSON
MISSING = object()


class Uncarried(ValueError):
    """A value that cannot cross the pipe."""


class Told(NamedTuple):
    """What a message tells."""

    values: list  # the arguments, or the answer
    new: list  # objects that came with it
    theirs: list  # changed objects that the other side has given
    ours: list  # changed objects of this side


class Table:
    """The objects that both sides hold, under the same numbers, and what each was like when a
    message last told of it. Each side forgets what it alone holds."""

    def __init__(self, names: dict, caps: dict[str, int], remote: Callable, exact: bool) -> None:
        """names: of the module whose classes both sides know. remote(x): the row of an object that
        stays here, or None. exact: a value of a subclass is not the builtin value that it holds."""
        self.names, self.caps, self.remote, self.exact = names, caps, remote, exact
        self.objects, self.rows, self.index = {}, {}, {}  # number -> object, -> row; id -> number
        self.next = 0  # number of the next new object
        self.open = []  # of each call that awaits its answer: numbers that its message referred to
        self.given = set()  # numbers of what the other side has made, or answered with (odd.py)
        self.dropped = []  # numbers that it has forgotten, to be told
        self.looks = MAX_LOOKS  # at so many more values, in objects that came long ago
        self.nodes = self.chars = 0
        self.closed = False  # whether no object may get a number now
        self.classes = None  # the names of those that the other side has, where this one knows it

    def write(self, roots: list, answer: bool = False) -> list:
        """A message: references to the `roots`, which are taken out of their list, so that it holds
        them no more; rows of new objects; [number, row] of changed ones; numbers forgotten here."""
        first = self.next
        try:
            asked = self.open.pop() if answer else set()
            self.nodes = self.chars = 0
            changed = self.changes(asked)
            if self.looks <= 0:
                self.dropped.append(STOPPED)
                self.forget_old(asked.union(range(first, self.next)))
            start, references = self.next, [self.refer(x) for x in roots]
            roots.clear()
            self.describe(start)
        except BaseException:  # the program may go on
            self.unmake(first)
            raise
        self.rows.update(changed)
        if not answer:
            self.open.append(referred(references, range(first, self.next)))
        new = [self.rows[i] for i in range(first, self.next)]
        self.forget_own()
        dropped, self.dropped = self.dropped, []
        return [references, new, changed, dropped]

    def unmake(self, first: int) -> None:
        """Forget the objects that got a number from `first` on: no message tells of them."""
        for i in range(first, self.next):
            self.forget(i)
        self.next = first

    def describe(self, start: int) -> None:
        """Make the rows of new objects, from this number on, and of those that they hold."""
        while start < self.next:
            self.rows[start] = self.row(self.objects[start])
            start += 1

    def changes(self, asked: set[int]) -> list:
        """[number, row] of what differs from what the other side knows. asked: what the call
        referred to that is answered now; once the looks are spent, of these alone."""
        changed = []
        for i in list(self.objects if self.looks > 0 else asked):
            old, before, start = self.rows.get(i, [None]), (self.nodes, self.chars), self.next
            if old[0] not in MUTABLE:
                continue
            try:
                row = self.row(self.objects[i])
                self.describe(start)
            except Uncarried:
                if i in asked and not self.exact:
                    raise
                self.unmake(start)
                row = old  # it holds what cannot travel, perhaps for a moment
            if i not in asked:
                self.looks -= self.nodes - before[0]
            if marshal.dumps(row, 2) == marshal.dumps(old, 2):  # 1, 1.0 and True are equal
                self.nodes, self.chars = before
            else:
                changed.append([i, row])
        return changed

    def forget_own(self) -> None:
        """Forget what nothing but this table holds. Objects that hold each other stay."""
        if self.looks <= 0:
            return self.forget_old()
        self.looks -= len(self.objects) // 4
        for i in list(self.objects):
            if sys.getrefcount(self.objects[i]) == ALONE:
                self.forget(i)
                self.dropped.append(i)

    def forget_old(self, kept: set[int] = frozenset()) -> None:
        """Forget all but `kept` and what the calls refer to that await an answer. Once the looks of
        one side are spent, both do so with each message."""
        for i in self.objects.keys() - kept.union(*self.open):
            self.forget(i)

    def forget(self, i: int) -> None:
        x = self.objects.pop(i)
        del self.index[id(x)]
        self.rows.pop(i, None)

    def add(self, i: int, x: object, row: list) -> None:
        """x came under this number."""
        if type(x) not in SCALARS and id(x) not in self.index:
            self.objects[i], self.rows[i], self.index[id(x)] = x, row, i
            self.given.add(i)
        else:
            self.dropped.append(i)

    def keep(self, dropped: list[int], told: list[int]) -> None:
        """Forget what the other side has forgotten. told: numbers whose rows row() may say
        otherwise here; note how, or they would seem changed. What is another kind here is a copy.
        """
        for i in dropped:
            if i in self.objects:
                self.forget(i)
        if STOPPED in dropped:
            self.looks = 0
            self.forget_old()
        self.nodes, self.chars, self.closed = 0, 0, True
        for i in told:
            if i in self.objects:
                try:
                    row = self.row(self.objects[i])
                except Uncarried:
                    row = [None]
                if lasting(row) == lasting(self.rows[i]):
                    self.rows[i] = row
                else:
                    self.forget(i)
                    self.dropped.append(i)
        self.closed = False

    def refer(self, x: object) -> object:
        kind = type(x)
        self.nodes += 1
        if self.nodes > self.caps["max_nodes"]:
            raise Uncarried(f"more than {self.caps['max_nodes']} values")
        if x is None or kind is bool or (kind is int and -SMALL < x < SMALL):
            return x
        if kind is str or kind is bytes:
            self.chars += len(x)
            if self.chars > self.caps["max_chars"]:
                raise Uncarried(f"more than {self.caps['max_chars']} characters")
        if kind in SCALARS or (kind is type and any(x is known for known in TYPES)):
            return x if kind is str else encode(x, **self.caps)
        if id(x) not in self.index:
            if kind not in CONTENTS and (row := self.remote(x)):
                return {"far": row}
            if self.closed:
                raise Uncarried("an object that no message told of")
            self.index[id(x)] = self.next
            self.objects[self.next] = x  # it stays alive, and so its id stays its own
            self.next += 1
        return {"at": self.index[id(x)]}

    def row(self, x: object) -> list:
        kind, refer = type(x), self.refer
        name = kind.__name__
        if SEQUENCES.get(name) is kind:
            size = [x.maxlen] if kind is collections.deque else []
            return [name, [refer(y) for y in x], *size]
        if MAPPINGS.get(name) is kind:
            factory = getattr(x, "default_factory", None)
            factory = factory if any(factory is known for known in TYPES) else None
            return [name, [[refer(k), refer(v)] for k, v in x.items()], encode(factory)]
        if VIEWS.get(name) is kind:
            return [name, [refer(y) for y in x]]
        if kind is bytearray:
            return [name, refer(bytes(x))]
        if kind in PARTS and getattr(x, "tzinfo", None) is None:
            return [name, [refer(y) for y in PARTS[kind](x)]]
        if is_array(x, self.caps["max_nodes"]):
            flat = x.ravel().tolist()
            return ["array", x.dtype.str, list(x.shape), [refer(y) for y in flat]]
        known, held = self.names.get(name) is kind, None if self.exact else held_by(x)
        scalar = held is not None and type(held) in SCALARS
        value = [encode(held, **self.caps)] if scalar else []
        if known and issubclass(kind, tuple):
            return ["record", name, [refer(y) for y in x]]
        if known and isinstance(x, enum.Enum):
            return ["member", name, x.name, *value]
        theirs = self.classes is None or name in self.classes
        if known and theirs and held is None and not is_builtin(kind):
            return ["object", name, [[refer(k), refer(v)] for k, v in attributes(x).items()]]
        if held is not None:
            return ["value", *value] if scalar else self.row(held)
        raise Uncarried(f"a value of type {name}, which is no plain builtin type")


def referred(roots: list, new: range) -> set[int]:
    """The numbers of what a message refers to, but for old objects inside of new ones."""
    return {*new, *(x["at"] for x in roots if type(x) is dict and "at" in x)}


def lasting(row: list) -> list:
    """The part of a row that no change in place alters: the kind, a class, an array's shape."""
    return row[: {"object": 2, "array": 3}.get(row[0], 1)]


@functools.cache
def slots_of(kind: type) -> dict[str, types.MemberDescriptorType]:
    named = [item for base in reversed(kind.__mro__) for item in vars(base).items()]
    return {name: slot for name, slot in named if type(slot) is types.MemberDescriptorType}


def attributes(x: object) -> dict[str, object]:
    found = dict(getattr(x, "__dict__", {}))
    for name, slot in slots_of(type(x)).items():
        with contextlib.suppress(AttributeError):  # it is not set
            found[name] = slot.__get__(x)
    return found


def set_attributes(x: object, state: dict[str, object]) -> None:
    """Let it have these and no others."""
    for name, slot in slots_of(type(x)).items():
        if name in state:
            slot.__set__(x, state.pop(name))
        elif name in attributes(x):
            slot.__delete__(x)
    if state or hasattr(x, "__dict__"):
        vars(x).clear()
        vars(x).update(state)


def is_builtin(kind: type) -> bool:
    """Does it inherit from a builtin type, whose content is in no attribute?"""
    return any(base.__module__ == "builtins" for base in kind.__mro__[:-1])


class Reader:
    """Makes and changes the objects that a message tells of."""

    def __init__(self, table: Table, revive: Callable, strict: bool) -> None:
        """revive(row): what stands for an object of the other side. strict: trust nothing."""
        self.table, self.names, self.revive, self.strict = table, table.names, revive, strict
        self.made, self.inexact = {}, False  # whether row() may say otherwise what came

    def read(
        self, roots: list, new: list, changed: list, dropped: list, answer: bool = False
    ) -> Told:
        """What a message that Table.write() made says."""
        table, first = self.table, self.table.next
        table.next = first + len(new)
        if answer:
            table.open.pop()
        else:
            table.open.append(referred(roots, range(first, table.next)))
        if not (new or changed or table.objects):
            return Told([self.get(root) for root in roots], [], [], [])
        self.hashable = Comparisons().hashable
        self.rows = dict(enumerate(new, first))
        self.made = table.objects | dict.fromkeys(self.rows, MISSING)
        for i, row in changed:
            before = table.rows[i]
            if self.strict and (before[0] not in MUTABLE or lasting(row) != lasting(before)):
                raise ValueError(f"a change of a {before[0]} that it does not allow")
        for i in self.rows:
            self.made[i] = self.shell(i)
        for i in self.rows:
            self.build(i)
        for i, row in self.rows.items():
            table.add(i, self.made[i], row)
        told = []
        for hashed in (False, True):  # instances first, for their hashes may need their attributes
            for i, row in [*self.rows.items(), *changed]:
                if row[0] in MUTABLE and (row[0] in MAPPINGS or row[0] == "set") == hashed:
                    self.inexact = self.strict or row[0] == "set"  # or get() finds that it is
                    if row[0] != "array" or i not in self.rows:  # it was made with its content
                        self.fill(self.made[i], *row)
                    told += [i] if self.inexact else []
        theirs = [self.made[i] for i, _ in changed if i in table.given]
        ours = [self.made[i] for i, _ in changed if i not in table.given]
        values = [self.get(root) for root in roots]
        table.rows |= changed
        table.keep(dropped, told)
        return Told(values, [self.made[i] for i in self.rows], theirs, ours)

    def get(self, data: object) -> object:
        if type(data) is dict and "at" in data:
            return self.made[data["at"]]
        if type(data) is dict and "far" in data:
            self.inexact = True
            return self.revive(data["far"])
        return decode(data)

    def shell(self, i: int) -> object:
        """A mutable object, still empty; MISSING for one that is made with its parts."""
        kind, *rest = self.rows[i]
        known = self.names.get(rest[0]) if kind in ("object", "member") else None
        if kind == "object":
            if type(known) is not type or known.__module__ != self.names["__name__"]:
                raise ValueError(f"an instance of {rest[0]}, which is no class here")
            if is_builtin(known):
                raise ValueError(f"{rest[0]} has more than attributes")
            return object.__new__(known)
        if kind == "member" and isinstance(known, enum.EnumMeta) and rest[1] in known.__members__:
            return known.__members__[rest[1]]
        if kind == "value" or (kind == "member" and len(rest) == 3):
            value = decode(rest[-1])
            plain([value])
            return value
        if kind == "member":
            raise ValueError(f"a member of {rest[0]}, which is no class here")
        if kind == "deque":
            return collections.deque(maxlen=rest[1])
        if kind == "defaultdict":
            return collections.defaultdict(decode(rest[1]))
        if kind in ("list", "set", "bytearray") or kind in MAPPINGS:
            return {**SEQUENCES, **MAPPINGS, "bytearray": bytearray}[kind]()
        if kind in ("tuple", "frozenset", "record", "array") or kind in VALUES or kind in VIEWS:
            return MISSING
        raise ValueError(f"an object of an unknown kind, {kind}")

    def build(self, i: int) -> None:
        """Make an immutable object after its parts, which may need to be made first."""
        todo, opened = [i], set()
        while todo:
            i = todo[-1]
            if self.made[i] is not MISSING:
                todo.pop()
                continue
            kind, *rest = self.rows[i]
            parts = rest[-1] if isinstance(rest[-1], list) else rest
            places = [x["at"] for x in parts if type(x) is dict and "at" in x]
            if waiting := [at for at in places if self.made[at] is MISSING]:
                if i in opened:
                    raise ValueError("a tuple inside itself")
                opened.add(i)
                todo += waiting
                continue
            parts = [self.get(x) for x in parts]
            if kind == "record":
                known = self.names.get(rest[0])
                named = isinstance(known, type) and issubclass(known, tuple)
                self.made[i] = tuple.__new__(known if named else tuple, parts)
            elif kind == "array":
                self.made[i] = self.array(parts, *rest)
            elif kind in VALUES:
                if kind != "slice":
                    plain(parts)
                self.made[i] = VALUES[kind](*parts)
            elif kind in VIEWS:
                self.made[i] = self.view(kind, parts)
            else:
                parts = self.hashable(parts) if kind == "frozenset" else parts
                self.made[i] = SEQUENCES[kind](parts)

    def view(self, kind: str, parts: list) -> object:
        if kind == "dict_values":
            return dict(enumerate(parts)).values()
        if kind == "dict_keys":
            return dict.fromkeys(self.hashable(parts)).keys()
        if any(type(pair) is not tuple for pair in parts):
            raise ValueError("items that are no pairs")
        self.hashable([key for key, _ in parts])
        return dict(parts).items()

    def array(self, flat: list, dtype: str, shape: list, _: list) -> object:
        """numpy's array or number; lists or builtins for a check that has not imported numpy."""
        if math.prod(shape) != len(flat) or max(shape, default=0) > max(len(flat), 1000):
            raise ValueError("an array of another shape")
        if self.strict and "numpy" not in sys.modules:
            return nested(iter(flat), shape)
        numpy = importlib.import_module("numpy")
        if not re.fullmatch(r"[<>|][biufcSUO]\d{0,5}", dtype) or numpy.dtype(dtype).str != dtype:
            raise ValueError("an unknown type of array")
        if "O" not in dtype:
            plain(flat)
        # A Python number that is compared with such a type is rounded to it, or becomes inf.
        wide = {"f2": "f8", "f4": "f8", "c8": "c16"}.get(dtype[-2:], dtype)
        if self.strict and (dtype.endswith("f2") or wide != dtype and any(x - x for x in flat)):
            dtype = wide
        if self.strict and dtype[1] == "i":  # else abs(x - y) may be less than any number: -128
            large = max(map(abs, flat), default=0)
            small = dtype.endswith("4") and large < 1 << 29
            dtype = "O" if large >= SMALL >> 2 else dtype if small else "i8"
        if self.strict and not flat:
            shape = [0]  # else it has an axis along which it equals whatever it is compared with
        made = numpy.empty(len(flat), dtype=dtype)
        for i, value in enumerate(flat):
            made[i] = value
        return made.reshape(shape)[()]

    def fill(self, x: object, kind: str, *rest: object) -> None:
        """Give a mutable object its content, in place of what it had."""
        if kind in ("list", "bytearray"):
            items = [self.get(y) for y in rest[0]] if kind == "list" else self.get(rest[0])
            if type(items) not in (list, bytes):
                raise ValueError("a bytearray of other values")
            x[:] = items
        elif kind in ("set", "deque"):
            items = [self.get(y) for y in rest[0]]
            if kind == "deque" and len(items) == len(x):  # whoever is at its items goes on
                for i, item in enumerate(items):
                    x[i] = item
            else:
                x.clear()
                x.extend(items) if kind == "deque" else x.update(self.hashable(items))
        elif kind in MAPPINGS:
            keys = self.hashable([self.get(k) for k, _ in rest[0]])
            if len(x) != len(keys) or not all(map(is_same, x, keys)):
                x.clear()
            for key, (_, value) in zip(keys, rest[0], strict=True):
                x[key] = self.get(value)
        elif kind == "array" and x.shape:
            x[...] = self.array([self.get(y) for y in rest[2]], *rest)
        elif kind == "object":
            state = {self.get(k): self.get(v) for k, v in rest[1]}
            for name, value in list(state.items()) if self.strict else ():
                if type(name) is not str or name.startswith("__"):
                    raise ValueError("an attribute of no name, or one that a library would ask for")
                kinds = [kind for kind in type(x).__mro__ if name in vars(kind)]
                hidden = vars(kinds[0])[name] if kinds else None
                if isinstance(hidden, functools.cached_property):
                    del state[name]  # the check computes it anew
                elif type(hidden) is types.MemberDescriptorType and not callable(value):
                    continue
                elif callable(value) or callable(hidden) or hasattr(hidden, "__get__"):
                    raise ValueError(f"the attribute {name!r} could stand for a method")
            set_attributes(x, state)


def is_same(x: object, y: object) -> bool:
    """Whether they are one, or plain and equal. Runs no code of theirs."""
    return x is y or (type(x) is type(y) and type(x) in SCALARS and x == y)


def plain(parts: list) -> None:
    """ValueError if a constructor could run code of these values, like __index__ or __float__."""
    if any(type(x) not in SCALARS for x in parts):
        raise ValueError("a value of other parts")


def nested(flat: Iterator, shape: list) -> object:
    return [nested(flat, shape[1:]) for _ in range(shape[0])] if shape else next(flat)


def by_name(x: object) -> list | None:
    """The row of a function or class that both sides have: max, math.sqrt, ValueError."""
    name, module = getattr(x, "__qualname__", ""), getattr(x, "__module__", "")
    if not isinstance(x, type | types.BuiltinFunctionType) or type(module) is not str:
        return None
    same = getattr(sys.modules.get(module, builtins), name, None) is x
    return ["named", module, name] if same else None


def exception_names(error: BaseException, names: dict) -> list[str]:
    """Its class and bases, as far as the other side may know them."""
    kinds = type(error).__mro__
    known = [k for k in kinds if k.__module__ == "builtins" or names.get(k.__name__) is k]
    return [kind.__name__ for kind in known]


def make_exception(found: list, args: list, names: dict) -> BaseException:
    """The nearest exception that is known here."""
    for name in found:
        kind = names.get(name, getattr(builtins, name, None))
        if isinstance(kind, type) and issubclass(kind, BaseException):
            try:
                return kind(*args)
            except Exception:  # its __init__ wants other arguments
                error = kind.__new__(kind)
                error.args = tuple(args)
                return error
    return RuntimeError(*args)
