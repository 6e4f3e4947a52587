"""Calls through a pipe, in both directions, between a check and the program that it tests.

Either side calls the other's functions: the check calls the function under test, the program calls
a function that it was given, and both take the next value of an iterator. While a side waits for
an answer it answers the calls of the other. jail/objects.py says how values travel.

The side of the check trusts nothing that comes: it lends only what the check itself passed, and of
that only the call, or the next value. What a function of the program raises ends no loop of the
check, for its asserts would be left out. A program that is ended, that floods or that returns what
cannot travel raises Lost, which no `except Exception` of a check takes for an exception of the
program.
"""

import contextlib
import functools
import importlib
import json
import operator
import os
import traceback
import types
from collections import deque
from collections.abc import Callable, Iterator

from jail.objects import (
    MAPPINGS,
    SEQUENCES,
    VIEWS,
    Reader,
    Table,
    Uncarried,
    by_name,
    exception_names,
    make_exception,
)
from jail.protocol import REPORT_BYTES, RUN_STATUSES, Run
from jail.values import caps

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
# modules of the types whose instances a check may lend, and not a file, which can do more than that
LENT = ("builtins", "functools", "itertools", "operator", "check")
METHODS = {  # what may be done with an object that was lent, by the kind of its row
    "function": {"__call__": operator.call},
    "iterator": {"__next__": next},
    "generator": {"__next__": next, "send": types.GeneratorType.send},
}
SPECIAL = {  # what may be asked of an instance of the class under test, besides
    "__bool__": bool, "__str__": str, "__repr__": repr, "__len__": len, "__iter__": iter,
    "__contains__": operator.contains, "__getitem__": operator.getitem,
    "__setitem__": operator.setitem, "__delitem__": operator.delitem, "__format__": format,
}  # fmt: skip
BINARY = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
OPERATORS = [f"__{side}{name}__" for name in BINARY.split() for side in ("", "r", "i")]
OTHERS = "lt le gt ge neg pos abs invert int float complex index round trunc floor ceil enter exit"
OPERATORS += [f"__{name}__" for name in (*OTHERS.split(), "reversed")]
PEER = "peer of a Proxy"  # no name that a class can have
MOST_LEFT = 1000  # values of an iterator that a check has not asked for
SIZED = (*SEQUENCES.values(), *MAPPINGS.values(), *VIEWS.values(), bytearray, range)
ATTRIBUTES = {"getattr": getattr, "setattr": setattr}
ANY = METHODS["function"] | METHODS["generator"] | SPECIAL | ATTRIBUTES  # of the program's objects
to_json = json.JSONEncoder(ensure_ascii=False).encode


class Lost(BaseException):
    """The other side gave no answer that can be used. Its Run says why."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.error)
        self.run = run


def last_line(error: BaseException) -> str:
    return traceback.format_exception_only(type(error), error)[-1].strip()[:500]


def receive(fd: int, room: int) -> bytes:
    """The next message; b"" if the other end is closed or the message is too long."""
    size = int.from_bytes(read_exactly(fd, 4), "big")
    return read_exactly(fd, size) if size <= REPORT_BYTES * room else b""


def read_exactly(fd: int, size: int) -> bytes:
    """b"" if the end comes first. A file object would do it, too, but to make one is slow."""
    pieces = []
    while size and (piece := os.read(fd, min(size, 1 << 20))):
        pieces.append(piece)
        size -= len(piece)
    return b"" if size else b"".join(pieces)


def ends_loops(error: BaseException, method: str) -> bool:
    """Would the check's loops take this exception of a call for their end? As in PEP 479, only an
    iterator may raise it. IndexError ends a loop whose values come from a __getitem__."""
    if isinstance(error, StopIteration) and method not in ("__next__", "send"):
        return True
    if isinstance(error, IndexError):
        return any(frame.f_code.co_name == "__getitem__" for frame, _ in traceback.walk_stack(None))
    return isinstance(error, StopAsyncIteration)


def is_bare(value: object) -> bool:
    """Whether it has no items, of which numpy takes each for right."""
    if type(value).__module__ == "numpy":
        return value.size == 0
    return isinstance(value, SIZED) and not len(value)


def is_hollow(value: object) -> bool:
    """Whether numpy makes an array of no items of it, as of [] and [[], []]."""
    todo, seen = [value], set()
    while todo:
        part = todo.pop()
        if is_bare(part) or id(part) in seen:
            continue
        if not isinstance(part, list | tuple | deque):
            return False
        seen.add(id(part))
        todo += part
    return True


class Proxy:
    """An instance of the class under test, which stays with the program.

    Nothing is compared with it, for whether two values are the same is not the program's to say.
    """

    def __init__(self, peer: "Peer", number: int) -> None:
        vars(self)[PEER] = functools.partial(peer.call, number), peer.lose

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return vars(self)[PEER][0]("getattr", (name,), {})

    def __setattr__(self, name: str, value: object) -> None:
        vars(self)[PEER][0]("setattr", (name, value), {})

    def __eq__(self, other: object) -> bool:
        if other is not self and other is not None:
            vars(self)[PEER][1](Run("unjudged", error="the check compares objects of the program"))
        return other is self

    __hash__ = object.__hash__


def forward(name: str) -> Callable:
    return lambda self, *args, **kwargs: vars(self)[PEER][0](name, args, kwargs)


def refuse(name: str) -> Callable:
    why = Run("unjudged", error=f"the check asks {name} of an object of the program")
    return lambda self, *args: vars(self)[PEER][1](why)


for special in ("__call__", "__next__", *SPECIAL):
    setattr(Proxy, special, forward(special))
for special in OPERATORS:  # by which an object could pass for any number
    setattr(Proxy, special, refuse(special))


class Peer:
    """One end of the pipe."""

    def __init__(
        self,
        fd: int,
        send: Callable,
        names: dict,
        room: int,
        strict: bool,
        started: Callable = None,
    ) -> None:
        """send(fd, message) writes; names: of the module with the classes that both sides know;
        strict: this is the side of the check; started() is called before each call."""
        self.fd, self.send, self.names, self.room, self.strict = fd, send, names, room, strict
        self.started = started or (lambda: None)
        self.lent, self.numbers = [], {}  # (kind, object that the other side may use); id -> number
        self.borrowed, self.theirs = {}, {}  # number -> what stands for theirs; id -> number
        self.by_numpy = False  # whether the check looks at answers by numpy
        # Of each call, first of the answer, then of what the program gave to the check's functions:
        # how many values are instances, how many are iterators that were asked and have not ended,
        # for both may say what they like; is one bare; is all of one hollow? Last: is it None?
        self.odd, self.given = [], 0
        self.born, self.begun = {}, {}  # iterators, not asked or not ended yet -> their row of odd
        self.kind = None  # the class under test; the side of the check knows only that it is one
        self.lost = None  # the Run of a Lost, which a check may have caught
        self.raised = None, None  # the last exception that came, and its Run

    # --- calls to the other side

    def call(self, number: int, method: str, args: tuple, kwargs: dict) -> object:
        self.started()
        if self.strict:
            self.note(number, method)
        place = len(self.odd) - 1
        try:
            table = Table(self.names, caps(self.room), self.lend, exact=self.strict)
            roots = table.pack([*args, *kwargs.values()])
        except Uncarried as error:
            self.lose(Run("unjudged", error=f"the check cannot give the program {error}"))
        request = {"call": [number, method, list(kwargs), roots, table.rows]}
        try:
            self.send(self.fd, request, self.room)
        except BrokenPipeError:
            self.lose(Run("killed"))  # the other side is dead
        while "call" in (message := self.receive()):
            try:
                value = self.answer(*message["call"])
            except MALFORMED as error:
                self.lose(Run("error", error=f"malformed call: {error}"[:200]))
            self.send(self.fd, {"status": "ok", "value": value}, self.room)
        return self.read_answer(message, table, number, method, place)

    def receive(self) -> dict:
        data = receive(self.fd, self.room)
        if not data:
            self.lose(Run("killed"))
        if data.count(b"[") + data.count(b"{") > 1_000_000 * self.room:
            self.lose(Run("error", error="malformed report: too many values"))
        try:
            message = json.loads(data.decode("utf-8", "surrogatepass"))
            if type(message) is not dict:
                raise ValueError("no object")
            return message
        except MALFORMED as error:
            self.lose(Run("error", error=f"malformed report: {error}"[:200]))

    def read_answer(
        self, message: dict, sent: Table, number: int, method: str, place: int
    ) -> object:
        status, error = message.get("status"), message.get("error", "")
        if status not in RUN_STATUSES or type(error) is not str:
            self.lose(Run("error", error="malformed report: no status"))
        if status != "ok":
            self.lose(Run(status, error=error[:500]))
        try:
            names, text, roots, rows = message["value"]
            known = sent.objects, sent.rows
            reader = Reader(rows, self.names, self.revive, self.strict, *known)
            values = [reader.get(root) for root in roots]
            if self.strict:
                self.count(reader.made[len(sent.objects) :], values, self.odd[place][0])
            if names is None:
                (value,) = values
                if self.strict and method == "__call__":
                    self.odd[place][2] = value is None
                return value
            problem = make_exception(names, values, self.names)
            if isinstance(problem, StopIteration) and number in self.begun:
                self.begun.pop(number)[1] -= 1
            if self.strict and ends_loops(problem, method):
                problem = RuntimeError(f"the program raised {type(problem).__name__}")
            self.raised = problem, Run("error", error=str(text)[:500])
        except MALFORMED as error:
            self.lose(Run("error", error=f"malformed report: {error}"[:200]))
        raise problem

    def note(self, number: int, method: str) -> None:
        """An object of the program's is asked. An iterator that nobody asks says nothing."""
        if number in self.born:
            self.begun[number] = row = self.born.pop(number)
            row[1] += 1
        if method == "__call__":
            self.odd.append([[0] * 4, [0] * 4, False])

    def count(self, made: list, values: list, row: list[int]) -> None:
        """Note what answers as it likes, and of what all holds that numpy asks."""
        row[0] += sum(type(x) is Proxy for x in made)
        if self.by_numpy:
            texts = [x for x in values if type(x) in (str, bytes) and not x]
            row[2] |= any(map(is_bare, made)) or bool(texts)
            row[3] |= any(map(is_hollow, values))

    def drain(self) -> None:
        """Ask iterators for what is left, to tell those that end from those that do not."""
        for number in [*self.begun]:
            with contextlib.suppress(Exception, Lost):
                for _ in range(MOST_LEFT):
                    self.call(number, "__next__", (), {})

    def lose(self, run: Run) -> None:
        self.lost = self.lost or run
        raise Lost(run)

    # --- calls from the other side

    def answer(self, number: int, method: str, keys: list, roots: list, rows: list) -> list:
        """[names of the exception's classes or None, its text, roots, rows]"""
        self.given = 1
        reader = Reader(rows, self.names, self.revive, self.strict)
        values = [reader.get(root) for root in roots]
        if self.odd:
            self.count(reader.made, values, self.odd[-1][1])
        self.given = 0
        kwargs = dict(zip(keys, values[len(values) - len(keys) :], strict=True))
        kind, target = self.lent[number]
        do = (METHODS[kind] if self.strict else ANY)[method]
        names, text = None, ""
        try:
            results = [do(target, *values[: len(values) - len(keys)], **kwargs)]
        except (MemoryError, Lost):
            raise
        except BaseException as error:
            names, text, results = exception_names(error, self.names), last_line(error), error.args
            results = results if self.carries(results) else [str(error)]
        known = reader.made, rows
        table = Table(self.names, caps(self.room), self.lend, *known, exact=self.strict)
        roots = table.pack(list(results))
        return [names, text, roots, table.rows]

    def carries(self, values: tuple) -> bool:
        try:
            Table(self.names, caps(self.room), lambda x: None).pack(list(values))
        except ValueError:
            return False
        return True

    # --- objects that stay where they are

    def lend(self, x: object) -> list | None:
        """The row of an object that the other side may call, or that is the other side's."""
        if id(x) in self.theirs:
            return ["yours", self.theirs[id(x)]]
        if isinstance(x, type) and self.names.get(x.__name__) is x:
            return ["class", x.__name__]
        if self.strict and (row := by_name(x)):
            return row
        kind = type(x)
        if kind is self.kind:
            return ["instance", self.number(x)]
        if isinstance(x, type) or (self.strict and kind.__module__ not in LENT):
            return None
        if issubclass(kind, Iterator) and iter(x) is x:
            lent_as = "generator" if kind is types.GeneratorType else "iterator"
            return ["iterator", self.number(x, lent_as)]
        if callable(x) and kind.__module__ in LENT:
            return ["function", self.number(x)]
        return None

    def number(self, x: object, kind: str = "function") -> int:
        """kind: one of METHODS."""
        if id(x) not in self.numbers:
            self.numbers[id(x)] = len(self.lent)
            self.lent.append((kind, x))  # it stays alive, and so its id stays its own
        return self.numbers[id(x)]

    def revive(self, row: list) -> object:
        """What stands here for an object of the other side."""
        kind, number, *rest = row
        if kind == "yours":
            return self.lent[number][1]
        if kind == "class" and isinstance(known := self.names[number], type):
            return known
        if kind == "named" and not self.strict:
            return getattr(importlib.import_module(number), rest[0])
        make = {"function": self.function, "iterator": self.iterator}
        if self.kind:
            make["instance"] = functools.partial(Proxy, self)
        if type(number) is not int or kind not in make:
            raise ValueError(f"a value of an unknown kind, {kind}")
        if number not in self.borrowed:
            self.borrowed[number] = made = make[kind](number)
            self.theirs[id(made)] = number
            if self.strict and kind == "iterator":
                self.born[number] = self.odd[-1][self.given]
        return self.borrowed[number]

    def function(self, number: int) -> Callable:
        return lambda *args, **kwargs: self.call(number, "__call__", args, kwargs)

    def iterator(self, number: int) -> Iterator:
        return self.values(number, len(self.odd) - 1)

    def values(self, number: int, place: int) -> Iterator:
        given, asked = None, False
        while True:
            try:
                method, args = ("__next__", ()) if given is None else ("send", (given,))
                value = self.call(number, method, args, {})
            except StopIteration as stop:
                if self.by_numpy and not asked:
                    self.odd[place][0][2:] = True, True
                return stop.value
            asked = True
            given = yield value
