"""What an instrumented program writes to, and how the values are read from it when the run is over.

The program and this record share a process, so nothing here calls what the program has made.
"""

from dataclasses import dataclass
from itertools import count

from jail.values import encode

HOOK = "__nanocoderl_trace__"  # it ends in underscores: class bodies mangle `__name` only
UNASKED = ...  # the mark of a variable that is not bound any more, or whose value we cannot know
UNBOUND = object()  # the value of a variable that has not been bound
UNFIT = object()
MIXED = "code of the program ran between definitions that seemed to follow each other"
FIRST_SLOT = 4
CAPS = {"max_nodes": 100, "max_chars": 200, "max_bits": 1000}


@dataclass
class Site:
    """One name that one statement defines or takes as a parameter."""

    scope: str  # "f", "Stack.push", "f.inner"; "" is the module
    name: str
    line: int
    parameter: bool
    slot: int  # where the value goes: all sites of a variable share it, which frees the old value.
    # 1 if it may not be asked for.
    tick: int  # where the tick goes: all names of a statement share it, and so may neighbours
    place: int = 0  # its position among the statements that share the tick


class Recorder:
    """What an instrumented program writes to: the list `hook`.

    hook[0] counts ticks. hook[1] is the program's globals. hook[2] says whose tick was taken last,
    so that a loop over the same few definitions takes only one. hook[3] says why the values cannot
    be trusted: MIXED. The rest are slots. The slots of `floating` variables, which expressions
    bind, are globals: (value, the slot of the binding's tick, whose tick was taken last before it).

    To trace one call only, set `active` to False before the module runs, and to True before the
    call, which forgets everything recorded until then.
    """

    def __init__(self, sites: list[Site], n_slots: int, floating: set[int]) -> None:
        self.sites, self.floating = sites, floating
        values = {site.slot for site in sites}
        self.unset = [UNBOUND if slot in values else 0 for slot in range(FIRST_SLOT, n_slots)]
        self.hook = [count(1), {}, 0, "", *self.unset]
        self.kept = None  # a copy of the slots, from when recording was switched off

    @property
    def active(self) -> bool:
        return self.kept is None

    @active.setter
    def active(self, on: bool) -> None:
        if on:
            self.hook[2], self.hook[FIRST_SLOT:] = 0, self.unset
            for slot in self.floating:
                self.hook[1].pop(floating_name(slot), None)
        self.kept = None if on else self.slots()

    def slots(self) -> list:
        """The slots, with the values of floating variables in theirs, and a tick for each."""
        slots = [0, UNFIT, *self.hook[2:]]
        for slot in self.floating:
            value, tick, before = self.hook[1].get(floating_name(slot), (UNBOUND, 2, 2))
            slots[slot], slots[tick] = value, slots[before]
        return slots

    def snapshot(self) -> list[dict]:
        """The variables whose value is now plain and small, in the order of their definitions.

        `last`: no variable of another scope that has its name, whatever its value, came later.
        """
        slots = self.slots() if self.active else self.kept
        bound = [site for site in self.sites if slots[site.slot] is not UNBOUND]
        bound.sort(key=lambda site: (slots[site.tick], site.place))
        last = {}
        for site in bound:
            last.pop((site.scope, site.name), None)  # a dict keeps the place of the first key
            last[site.scope, site.name] = site
        last_scope = {name: scope for scope, name in last}
        # We cannot say when a variable was bound that is marked, so of its name none is the last.
        last_scope |= {site.name: None for site in bound if slots[site.slot] is UNASKED}
        variables = []
        for (scope, name), site in last.items():
            value = plain(slots[site.slot])
            if value is not UNFIT:
                row = {"scope": scope, "name": name, "line": site.line, "order": len(variables)}
                row |= {"value": value, "parameter": site.parameter}
                variables.append(row | {"last": last_scope[name] == scope})
        return variables


def plain(value: object) -> object:
    """`value` encoded; UNFIT for an instance, a function, or a value that is too big to ask for."""
    try:
        return encode(value, **CAPS)
    except ValueError:
        return UNFIT


def floating_name(slot: int) -> str:
    return f"__nanocoderl_{slot}__"
