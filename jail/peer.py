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

import functools
import importlib
import json
import operator
import os
import sys
import traceback
import types
from collections.abc import Callable, Iterator

from jail.objects import Reader, Table, Told, Uncarried, by_name, exception_names, make_exception
from jail.odd import Odd
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
COPIES = ("__copy__", "__deepcopy__", "__reduce_ex__")
ROOM_FRAMES = 100  # of the stack: where a program meets its end, a call must not stop half-way
PEER = "peer of a Proxy"  # no name that a class can have
ATTRIBUTES = {"getattr": getattr, "setattr": setattr, "delattr": delattr}
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

    def __delattr__(self, name: str) -> None:
        vars(self)[PEER][0]("delattr", (name,), {})

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
for special in (*OPERATORS, *COPIES):  # by which an object could pass for any number, or two
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
        self.table = Table(names, caps(room), self.lend, exact=strict)
        self.odd = Odd(self.theirs, self.table)
        self.introduced = False  # whether the other side was told which classes this one has
        self.kind = None  # the class under test; the side of the check knows only that it is one
        self.lost = None  # the Run of a Lost, which a check may have caught
        self.raised = None, None  # the last exception that came, and its Run
        self.fails = lambda error: False  # notes that an assert of the check has failed, if it has

    # --- calls to the other side

    def call(self, number: int, method: str, args: tuple, kwargs: dict) -> object:
        self.started()
        if self.strict:
            self.odd.ask(self.borrowed.get(number), method, args)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit)  # raises here, where nothing is told yet, if not below
        sys.setrecursionlimit(with_room := min(limit + ROOM_FRAMES, 2**31 - 1))
        try:
            self.ask(number, method, args, kwargs)
            while "call" in (message := self.receive()):
                sys.setrecursionlimit(limit)
                try:
                    value = self.answer(*message["call"])
                except MALFORMED as error:
                    self.lose(Run("error", error=f"malformed call: {error}"[:200]))
                sys.setrecursionlimit(with_room)
                self.send(self.fd, {"status": "ok", "value": value}, self.room)
            return self.read_answer(message, number, method)
        finally:
            sys.setrecursionlimit(limit)

    def ask(self, number: int, method: str, args: tuple, kwargs: dict) -> None:
        """Send the request."""
        try:
            parts = self.table.write([*args, *kwargs.values()])
        except Uncarried as error:
            self.lose(Run("unjudged", error=f"the check cannot give the program {error}"))
        request = {"call": [number, method, list(kwargs), *parts]}
        if self.strict and not self.introduced:
            request["classes"] = [k for k, x in self.names.items() if isinstance(x, type)]
            self.introduced = True
        try:
            self.send(self.fd, request, self.room)
        except BrokenPipeError:
            self.lose(Run("killed"))  # the other side is dead

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

    def read_answer(self, message: dict, number: int, method: str) -> object:
        status, error = message.get("status"), message.get("error", "")
        if status not in RUN_STATUSES or type(error) is not str:
            self.lose(Run("error", error="malformed report: no status"))
        if status != "ok":
            self.lose(Run(status, error=error[:500]))
        try:
            names, text, *parts = message["value"]
            told = self.read(*parts, answer=True)
            raised = names is not None
            problem = make_exception(names, told.values, self.names) if raised else None
            if self.strict:
                self.odd.answer(number, method, told, problem)
            if problem is None:
                (value,) = told.values
                return value
            if self.strict and ends_loops(problem, method):
                problem = RuntimeError(f"the program raised {type(problem).__name__}")
            self.raised = problem, Run("error", error=str(text)[:500])
        except MALFORMED as error:
            self.lose(Run("error", error=f"malformed report: {error}"[:200]))
        raise problem

    def read(self, *parts: list, answer: bool = False) -> Told:
        return Reader(self.table, self.revive, self.strict).read(*parts, answer=answer)

    def lose(self, run: Run) -> None:
        self.lost = self.lost or run
        raise Lost(run)

    # --- calls from the other side

    def answer(self, number: int, method: str, keys: list, *parts: list) -> list:
        """[names of the exception's classes or None, its text, *message of Table.write()]"""
        told = self.read(*parts)
        if self.strict:
            self.odd.called(told)
        count = len(told.values) - len(keys)
        kwargs = dict(zip(keys, told.values[count:], strict=True))
        args, told = told.values[:count], None
        kind, target = self.lent[number]
        do = (METHODS[kind] if self.strict else ANY)[method]
        names, text = None, ""
        self.odd.depth += 1
        try:
            results = [do(target, *args, **kwargs)]
        except (MemoryError, Lost):
            raise
        except BaseException as error:
            names, text, results = exception_names(error, self.names), last_line(error), error.args
            results = results if self.carries(results) else [str(error)]
            theirs = error is self.raised[0]
            if isinstance(error, AssertionError) and not theirs and self.fails(error):
                # its text may say what was expected
                names, text, results = ["AssertionError"], "AssertionError", []
        finally:
            self.odd.depth -= 1
        results, args, kwargs = list(results), None, None  # which would hold what nobody else does
        return [names, text, *self.table.write(results, answer=True)]

    def carries(self, values: tuple) -> bool:
        try:
            table = Table(self.names, caps(self.room), lambda x: None, exact=True)
            table.classes = self.table.classes
            table.write(list(values))
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
        return self.borrowed[number]

    def function(self, number: int) -> Callable:
        return lambda *args, **kwargs: self.call(number, "__call__", args, kwargs)

    def iterator(self, number: int) -> Iterator:
        given = None
        try:
            while True:
                method, args = ("__next__", ()) if given is None else ("send", (given,))
                given = yield self.call(number, method, args, {})
        except StopIteration as stop:
            return stop.value
        finally:  # this one has ended, which says nothing of theirs: it may raise, and go on
            self.theirs.pop(id(self.borrowed.pop(number, None)), None)
