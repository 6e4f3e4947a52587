"""Which answers of a program could pass for whatever a check wants.

An object of the program's hears what it is asked, and can say yes. numpy finds nothing wrong with a
value that has no items. A type that stands for a function, or that makes the missing values of a
defaultdict, gives the check such a value without a call. An instance of a class of the check's that
has an __eq__ compares as the check wrote it. A check that its author tried on honest answers may
miss all of these, so a run counts them, and a program may give no more than the solution does, and
as often nothing where the solution gives nothing.

The counts are of whole runs: what is compared call by call can be shifted by one call more. What
becomes of arguments counts where the solution works in place: where it changes some, and each of
these calls answers None.

What a program has given, and changes later while the check still holds it, counts again.

Left out: what comes back as an argument counts as one; long answers in which a check finds what it
looks for, wherever it is; items where none are wanted, if numpy alone looks. The bare script passes
these as well.
"""

import enum
import functools
import types
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jail.objects import MAPPINGS, SCALARS, SEQUENCES, VIEWS, Table, Told, attributes

SIZED = (*SEQUENCES.values(), *MAPPINGS.values(), *VIEWS.values(), bytearray, range)
WHEN = "", "later ", "changed "  # in an answer; given before; of the check's own
KINDS = ("bare", "hollow", "maker", "instance")
HEARS = ("eq", "ne", "lt", "le", "gt", "ge", "bool", "len", "contains", "getitem", "iter", "next")
HEARS += ("call", "getattr", "getattribute")
PLAIN = frozenset(SCALARS)
NEXT = ("__next__", "send")  # what asks an iterator for a value


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
        elif type(part).__module__ == "check" and not isinstance(part, enum.Enum):
            inner = attributes(part).values()
        todo += [x for x in inner if type(x) not in PLAIN]


@functools.cache
def hears(kind: type) -> bool:
    """Whether a class of the check's says itself how it compares, and so on."""
    own = [base for base in kind.__mro__ if base.__module__ == "check"]
    return any(f"__{name}__" in vars(base) for base in own for name in HEARS)


class Odd:
    """What is counted of a run, on the side of the check."""

    def __init__(self, theirs: dict[int, int], table: Table) -> None:
        """theirs: id of what stands for a function, iterator or object of the program's -> its
        number. table: of the objects that the program holds, too."""
        self.theirs, self.table = theirs, table
        self.by_numpy = False  # whether numpy looks at answers
        self.depth = 0  # of functions of the check that the program calls
        self.asked, self.passed_on, self.counts = set(), set(), Counter()
        self.valued, self.ended = set(), set()  # iterators: with a value since they came; at an end
        self.noted = set()  # (iterator, kind) of what it gave
        self.changed = []  # the check's objects that the program has changed, in the present call
        self.defaults = {}  # id -> a defaultdict that came, and its length then

    def report(self) -> list:
        """A Report as JSON has it, at the end of the run."""
        self.counts["maker"] += sum(len(x) > size for x, size in self.defaults.values())
        self.counts["numpy"] += self.by_numpy
        return [sorted(self.asked), sorted(self.passed_on), sorted(self.counts.items())]

    def ask(self, target: object, method: str, args: tuple) -> None:
        """The program is called. target: what stands for the object; None: the function under test.
        Functions and iterators have one use, and objects have those that the solution's have."""
        if method not in NEXT and not isinstance(target, types.FunctionType | None):
            self.asked.add(f"{method} {args[0]}" if method.endswith("attr") else method)

    def called(self, told: Told) -> None:
        """The program calls a function of the check's."""
        self.passed_on |= self.kinds(told.values)
        self.note_changes(told)

    def note_changes(self, told: Told) -> None:
        """What the program has given before counts again, each object singly, where it became empty
        or holds new instances: the check may look at it only now. An instance that hears, and comes
        to hold another one, is no more than it was."""
        self.changed += told.ours
        for part in parts_of(told.values) if self.table.objects else ():
            if (number := self.table.index.get(id(part))) is not None:
                self.table.given.add(number)
        for x in told.theirs:
            kinds = self.kinds([x], sent=True) - {"instance"}
            kinds |= {"maker"} if getattr(x, "default_factory", None) else set()
            self.counts.update(f"later {kind}" for kind in kinds)
        fresh = {id(x) for x in told.new if hears(type(x))} - {*map(id, parts_of(told.values))}
        deaf = [x for x in told.theirs if not hears(type(x))] if fresh else []
        self.counts["later instance"] += any(id(x) in fresh for x in parts_of(deaf))

    def answer(self, number: int, method: str, told: Told, error: Exception | None) -> None:
        """A call is answered by values, or by what the error holds."""
        values = told.values
        self.note_changes(told)
        changed, self.changed = self.changed, []
        if method in NEXT:
            self.next(number, values, error)
        elif self.depth:
            self.passed_on |= self.kinds(values)
        else:
            self.counts.update(self.kinds(values))
            self.counts["nothing"] += sum(
                is_hollow(x) or type(x) in PLAIN and not x for x in values
            )
        if changed:
            self.counts.update(f"changed {kind}" for kind in self.kinds(changed, sent=True))
            answers = [x for x in values if x is not None]
            self.counts["also changes" if answers else "only changes"] += 1

    def next(self, number: int, values: list, error: Exception | None) -> None:
        new = {(number, kind) for kind in self.kinds(values)} - self.noted
        self.noted |= new
        self.counts.update(kind for _, kind in new)
        self.counts["nothing"] += (number, "hollow") in new
        if error is None:
            self.valued.add(number)
        elif isinstance(error, StopIteration):
            self.ended.add(number)
            if number not in self.valued:
                self.counts.update(("bare", "hollow", "nothing"))

    def kinds(self, values: Iterable, sent: bool = False) -> set[str]:
        """Which of KINDS they hold. sent: the check itself has made them."""
        values, found = list(values), set()
        for part in parts_of(values):
            number = self.theirs.get(id(part))
            if number is not None:
                self.valued.discard(number)
            self.by_numpy |= type(part).__module__ == "numpy"
            own = not sent and isinstance(
                part, Iterator
            )  # of the check's: the program may have used it
            if number in self.ended if number is not None else own or is_bare(part):
                found.add("bare")
            if isinstance(part, type):
                found.add("maker")
            elif isinstance(part, defaultdict) and part.default_factory and not sent:
                self.defaults.setdefault(id(part), (part, len(part)))
            elif hears(type(part)):
                found.add("instance")
        if any(map(is_blank, values)):
            found.add("bare")
        if any(map(is_hollow, values)):
            found.add("hollow")
        return found


class Report(NamedTuple):
    """What is known of a run, on the side of the trainer."""

    asked: set[str]  # of the program's objects
    passed_on: set[str]  # which of KINDS functions of the check were given
    counts: Counter  # of KINDS, among else

    @classmethod
    def read(cls, data: object) -> "Report":
        """Odd.report() that came out of the sandbox. ValueError if it is none."""
        try:
            asked, passed_on, counts = data
            report = cls({*asked}, {*passed_on}, Counter(dict(counts)))
        except TypeError:
            raise ValueError("no report") from None
        texts = {*map(type, report.asked | report.passed_on | report.counts.keys())}
        if not texts <= {str} or not {*map(type, report.counts.values())} <= {int}:
            raise ValueError("no report")
        return report

    def kinds(self) -> list[str]:
        """Those that count: of what numpy takes for right, if it looks."""
        return [*KINDS] if self.counts["numpy"] else ["maker", "instance"]

    def has_bare(self) -> bool:
        return bool(self.counts["bare"] and self.counts["numpy"])

    def is_noted(self) -> bool:
        """Whether there is anything to compare."""
        kinds = self.kinds()
        odd = any(self.counts[f"{when}{kind}"] for when in WHEN for kind in kinds)
        return bool(self.asked or self.passed_on.intersection(kinds) or odd)

    def exceeds(self, own: "Report") -> bool:
        """Whether the program's run gives more than the solution's, or not as often nothing."""
        kinds = self.kinds()
        too_rare = self.counts["numpy"] and self.counts["nothing"] < own.counts["hollow"]
        if too_rare or not self.asked <= own.asked:
            return True
        if self.passed_on.intersection(kinds) - own.passed_on:
            return True
        kinds += [f"later {kind}" for kind in kinds]
        if own.counts["only changes"] and not own.counts["also changes"]:
            kinds += [f"changed {kind}" for kind in self.kinds()]
        return any(self.counts[kind] > own.counts[kind] for kind in kinds)
