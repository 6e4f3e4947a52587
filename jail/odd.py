"""Which answers of a program could pass for whatever a check wants.

An instance of a class of the program's hears what it is asked, and can say yes. And numpy finds
nothing wrong with a value that has no items. A check that its author tried on honest answers may
miss both. So each is noted, call for call, and is right only where the solution's run of the same
check has such a thing, too (problems/failures.py).

What a call gives is its answer; or where the solution's is None, what it changed of its arguments.

Left out: long answers in which a check finds what it looks for, wherever it is. Its author allows
them, as a list or as an iterator without an end.
"""

import types
from collections import deque
from collections.abc import Iterable

from jail.objects import MAPPINGS, SEQUENCES, VIEWS

MOST_ROWS = 1000  # the last one counts for all calls after it
LARGE = 1_000_000  # a range of more numbers holds what no list could, without counting so far
SIZED = (*SEQUENCES.values(), *MAPPINGS.values(), *VIEWS.values(), bytearray, range)


def is_bare(value: object) -> bool:
    """Whether it has no items, of which numpy takes each for right."""
    if isinstance(value, str | bytes):
        return not value
    if type(value).__module__ == "numpy":
        return value.size == 0
    return isinstance(value, SIZED) and not value


def parts_of(values: Iterable) -> list:
    """The values and all that they hold, each object once."""
    todo, found = [*values], {}
    while todo:
        part = todo.pop()
        if id(part) in found:
            continue
        found[id(part)] = part
        if isinstance(part, dict):
            todo += [*part, *part.values()]
        elif isinstance(part, SIZED) and not isinstance(part, range | bytearray):
            todo += part
        elif type(part).__module__ == "numpy" and part.dtype == object:
            todo += part.ravel().tolist()
        elif type(part).__module__ == "check":
            todo += vars(part).values() if hasattr(part, "__dict__") else []
    return [*found.values()]


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


class Odd:
    """What is noted of a run, on the side of the check.

    A slot is [instances, is one value bare?, is all of one hollow?], and the row of a call [slot of
    its answer, of what it changed, of what the program gave to functions of the check meanwhile, is
    its answer None?].
    """

    def __init__(self, theirs: dict[int, int]) -> None:
        """theirs: id of an object that stands for one of the program's -> its number."""
        self.theirs, self.by_numpy = theirs, False  # whether the check looks at answers by numpy
        self.rows, self.depth = [], 0  # depth: of functions of the check that the program calls
        self.places = {}  # number of an iterator -> the slot of the call that gave it last
        self.gave, self.ended = set(), set()  # numbers of iterators that had a value, or no more

    def call(self, method: str) -> list:
        """The program is asked. Returns the row of the call: a new one, but for the next value of
        an iterator, and for what a function of the check asks while the program calls it."""
        new = not self.depth and method not in ("__next__", "send") and len(self.rows) < MOST_ROWS
        if new or not self.rows:
            self.rows.append([[0] * 3, [0] * 3, [0] * 3, False])
        return self.rows[-1]

    def answer(
        self, row: list, number: int, made: list, values: list, changed: list, raised: bool
    ) -> None:  # fmt: skip
        """values are its answer to a call, or of what it raised; of an iterator, its next one.
        made: all that came."""
        if number in self.places:
            self.gave |= set() if raised else {number}
            self.count(self.places[number], made, values, whole=False)
        else:
            self.count(row[2 if self.depth else 0], made, values)
            row[3] = all(x is None for x in values) if not self.depth else row[3]
        self.count(row[1], made, changed)

    def end(self, number: int) -> None:
        """An iterator ends. For numpy it is bare if it had no value."""
        self.ended.add(number)
        if self.by_numpy and number not in self.gave:
            self.places[number][1:] = True, True

    def count(self, slot: list, made: list, values: list, whole: bool = True) -> None:
        if not self.by_numpy and range not in map(type, made) and not self.theirs:
            return
        for part in parts_of(values):
            number = self.theirs.get(id(part))
            if number is not None and type(part) is types.GeneratorType:
                self.places[number] = slot
                slot[1:] = [True, True] if self.by_numpy and number in self.ended else slot[1:]
            elif number is not None and type(part) is not types.FunctionType:
                slot[0] += 1
            elif type(part) is range:
                slot[0] += bool(part[LARGE:])
            if self.by_numpy and not isinstance(part, str | bytes):
                slot[1] |= is_bare(part)
        if self.by_numpy and whole:
            slot[1] |= any(isinstance(x, str | bytes) and not x for x in values)
            slot[2] |= any(map(is_hollow, values))
