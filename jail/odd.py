"""Which answers of a program could pass for whatever a check wants.

An object of the program's hears what it is asked, and can say yes. numpy finds nothing wrong with a
value that has no items. A type that stands for a function, or that makes the missing values of a
defaultdict, gives the check such a value without a call. An instance of a class of the check's
compares as the check wrote it. A check that its author tried on honest answers may miss all of
these, so a run counts them, and a program may give no more than the solution does.

The counts are of whole runs: what is compared call by call can be shifted by one call more.

Left out: long answers in which a check finds what it looks for, wherever it is, and items where
none are wanted, if numpy alone looks. The bare script passes these as well.
"""

import types
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator

from jail.objects import MAPPINGS, SCALARS, SEQUENCES, VIEWS, attributes

SIZED = (*SEQUENCES.values(), *MAPPINGS.values(), *VIEWS.values(), bytearray, range)
KINDS = ("bare", "maker", "instance")
PLAIN = frozenset(SCALARS)
NEXT = ("__next__", "send")  # what asks an iterator for a value
Report = list  # [what was asked of objects, kinds given to functions, [[kind, count], ...]]


def is_bare(value: object) -> bool:
    """Whether it has no items, of which numpy takes each for right."""
    if type(value).__module__ == "numpy":
        return value.size == 0
    return isinstance(value, SIZED) and not value


def is_blank(value: object) -> bool:
    """Whether it is a text of which split() leaves nothing."""
    return isinstance(value, str | bytes) and not value.strip()


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


def parts_of(values: Iterable) -> Iterator:
    """All that they hold, themselves included, but for plain numbers and texts."""
    todo, seen = [x for x in values if type(x) not in PLAIN], {}
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part  # it stays alive, and so its id stays its own
        yield part
        inner: Iterable = ()
        if isinstance(part, dict):
            inner = [*part, *part.values()]
        elif isinstance(part, SIZED) and not isinstance(part, range | bytearray):
            inner = part
        elif type(part) is slice:
            inner = part.start, part.stop, part.step
        elif type(part).__module__ == "numpy" and part.dtype == object:
            inner = part.ravel().tolist()
        elif type(part).__module__ == "check":
            inner = attributes(part).values()
        todo += [x for x in inner if type(x) not in PLAIN]


class Odd:
    """What is counted of a run, on the side of the check."""

    def __init__(self, theirs: dict[int, int]) -> None:
        """theirs: id of what stands for a function, iterator or object of the program's -> its
        number."""
        self.theirs, self.by_numpy = theirs, False  # whether the check looks at answers by numpy
        self.depth = 0  # of functions of the check that the program calls
        self.asked, self.given, self.counts = set(), set(), Counter()
        self.gave, self.ended = set(), set()  # iterators: with a value since they came; at an end
        self.noted = set()  # (iterator, kind) of what it gave

    def report(self) -> Report:
        return [sorted(self.asked), sorted(self.given), sorted(self.counts.items())]

    def ask(self, target: object, method: str, args: tuple) -> None:
        """The program is called. target: what stands for the object; None: the function under test.
        Functions and iterators have one use, and objects have those that the solution's have."""
        if not isinstance(target, types.FunctionType | types.GeneratorType | None):
            self.asked.add(f"{method} {args[0]}" if method in ("getattr", "setattr") else method)

    def answer(
        self, number: int, method: str, values: list, changed: list, error: Exception | None
    ) -> None:
        """A call is answered by values, or by what the error holds; some arguments have changed."""
        if method in NEXT:
            self.next(number, values, error)
        elif self.depth:
            self.given |= self.kinds(values)
        else:
            self.counts.update(self.kinds(values))
            self.empty([x for x in values if is_hollow(x)])
            self.counts["nothing"] += sum(type(x) in PLAIN and not x for x in values)
        self.counts.update(f"changed {kind}" for kind in self.kinds(changed))
        self.counts["changes"] += bool(changed)

    def next(self, number: int, values: list, error: Exception | None) -> None:
        new = {(number, kind) for kind in self.kinds(values)} - self.noted
        self.noted |= new
        self.counts.update(kind for _, kind in new)
        if error is None:
            self.gave.add(number)
        elif isinstance(error, StopIteration):
            self.ended.add(number)
            if number not in self.gave:
                self.counts["bare"] += self.by_numpy
                self.empty([number])

    def empty(self, answers: list) -> None:
        if self.by_numpy:
            self.counts.update({"hollow": len(answers), "nothing": len(answers)})

    def kinds(self, values: Iterable) -> set[str]:
        """Which of KINDS they hold."""
        values, found = list(values), set()
        for part in parts_of(values):
            number = self.theirs.get(id(part))
            if number is not None:
                self.gave.discard(number)
                bare = self.by_numpy and number in self.ended
            else:
                bare = is_bare(part) and (self.by_numpy or type(part).__module__ == "numpy")
            if bare:
                found.add("bare")
            if isinstance(part, type) or isinstance(part, defaultdict) and part.default_factory:
                found.add("maker")
            elif type(part).__module__ == "check":
                found.add("instance")
        if self.by_numpy and any(map(is_blank, values)):
            found.add("bare")
        return found


def is_report(value: object) -> bool:
    """Whether it has the form of one, which says nothing of where it comes from."""
    try:
        asked, given, counts = value
        texts = [*asked, *given, *(kind for kind, _ in counts)]
        return {*map(type, texts)} <= {str} and {type(n) for _, n in counts} <= {int}
    except (TypeError, ValueError):
        return False


def counts_of(report: Report) -> Counter:
    return Counter(dict(report[2]))


def is_noted(found: Report) -> bool:
    """Whether it has anything to compare, but for what numpy takes for nothing."""
    counts = counts_of(found)
    return bool(found[0] or found[1] or any(counts[kind] for kind in (*KINDS, "changes")))


def has_bare(found: Report) -> bool:
    return counts_of(found)["bare"] > 0


def exceeds(found: Report, own: Report) -> bool:
    """Whether a program's run gives more than the solution's. Changed arguments count where the
    solution changes some, too. What holds nothing is wanted as often as the solution gives it."""
    counts, most = counts_of(found), counts_of(own)
    kinds = ["hollow", *KINDS, *(f"changed {kind}" for kind in KINDS if most["changes"])]
    return (
        not {*found[0]} <= {*own[0]}
        or not {*found[1]} <= {*own[1]}
        or any(counts[kind] > most[kind] for kind in kinds)
        or counts["nothing"] < most["hollow"]
    )
