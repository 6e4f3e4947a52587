"""The half of the tracer that runs inside the sandbox: it instruments a program, reads its values.

The instrumenter adds one statement after each definition of the program's syntax tree. The
statement stores a reference to the value and a tick (the order of execution) in a plain list. We
read the values when the run is over, so an in-place `append` counts. This costs about a tenth of
`sys.settrace`, adds no stack frame, and leaves the output, the exceptions and their line numbers as
they were. `trace.py` says what a definition is, and which values may be asked for.
"""

import ast
import itertools
import symtable
from dataclasses import dataclass
from inspect import Parameter, Signature
from types import CodeType

from jail.values import encode

FILENAME = "<program>"
HOOK = "__nanocoderl_trace__"  # it ends in underscores: class bodies mangle `__name` only
UNFIT = object()
SIMPLE = ast.Assign | ast.AugAssign | ast.AnnAssign
CALLS = ast.Call | ast.Await | ast.Yield | ast.YieldFrom
CAPS = {"max_nodes": 100, "max_chars": 200, "max_bits": 1000}


@dataclass
class Site:
    """One name that one statement defines, ends, or takes as a parameter."""

    scope: str  # "f", "Stack.push", "f.inner"; "" is the module
    name: str
    line: int
    kind: str  # "definition", "parameter" or "end"
    slot: int  # where the value goes: all sites of a variable share it, which frees the old value
    tick: int  # where the tick goes: all names of a statement share it, and so may neighbours
    place: int = 0  # its position among the statements that share the tick


class Recorder:
    """What an instrumented program writes to: the list `hook`.

    hook[0] counts ticks. hook[1] records definitions inside expressions. hook[2] says whose tick
    was taken last, so that a loop over the same few definitions takes only one. The rest are slots.
    To trace one call only, set `active` to False before the module runs, and to True before the
    call, which forgets everything recorded until then.
    """

    def __init__(self, sites: list[Site], n_slots: int) -> None:
        self.sites = sites
        values = {site.slot for site in sites}
        self.unset = [UNFIT if slot in values else 0 for slot in range(2, n_slots)]
        self.hook = [itertools.count(1), self.define, *self.unset]
        self.kept = None  # a copy of the slots, from when recording was switched off

    def define(self, tick: int, slot: int, value: object) -> object:
        self.hook[tick], self.hook[2] = next(self.hook[0]), tick
        self.hook[slot] = value
        return value

    @property
    def active(self) -> bool:
        return self.kept is None

    @active.setter
    def active(self, on: bool) -> None:
        if on:
            self.hook[2:] = self.unset
        self.kept = None if on else list(self.hook)

    def snapshot(self) -> list[dict]:
        """The variables whose value is now plain and small, in the order of their definitions."""
        slots = self.hook if self.active else self.kept
        last = {}
        for site in sorted(self.sites, key=lambda site: (slots[site.tick], site.place)):
            last.pop((site.scope, site.name), None)  # a dict keeps the place of the first key
            if slots[site.tick] and site.kind != "end":
                last[site.scope, site.name] = site
        variables = []
        for (scope, name), site in last.items():
            value = plain(slots[site.slot])
            if value is not UNFIT:
                row = {"scope": scope, "name": name, "line": site.line, "order": len(variables)}
                variables.append(row | {"value": value, "parameter": site.kind == "parameter"})
        return variables


def plain(value: object) -> object:
    """`value` encoded; UNFIT for an instance, a function, or a value that is too big to ask for."""
    try:
        return encode(value, **CAPS)
    except ValueError:
        return UNFIT


class Instrumenter(ast.NodeTransformer):
    """Adds the recording statements to a syntax tree and collects their sites."""

    def __init__(self, source: str) -> None:
        tables = [symtable.symtable(source, FILENAME, "exec")]
        self.scopes = [("", tables[0])]  # (qualified name, symbols), innermost last
        self.tables = {}  # (name, line) of a function or class -> its symbols
        for table in tables:
            tables += table.get_children()  # the loop goes on through these
            if table.get_type() in ("function", "class"):
                self.tables[table.get_name(), table.get_lineno()] = table
        self.sites: list[Site] = []
        self.slots = {}  # (scope, name) -> slot of the value
        self.n_slots = 3  # the recorder's own

    def owner(self, name: str) -> str:
        """The scope of `name` when the innermost scope binds it: obeys global and nonlocal."""
        *outer, (scope, table) = self.scopes
        if name in table.get_identifiers():  # a private name, which a class mangles, is not
            symbol = table.lookup(name)
            if symbol.is_declared_global():
                return ""
            if symbol.is_nonlocal():
                homes = [(s, t) for s, t in outer if t.get_type() == "function"]
                homes = [(s, t) for s, t in homes if name in t.get_identifiers()]
                return next(s for s, t in reversed(homes) if t.lookup(name).is_local())
        return scope

    def new_sites(self, names: list[tuple], kind: str = "definition") -> list[Site]:
        first, tick = len(self.sites), self.n_slots
        self.n_slots += 1
        for name, node in names:
            key = self.owner(name), name
            if key not in self.slots:
                self.slots[key] = self.n_slots
                self.n_slots += 1
            self.sites.append(Site(*key, node.lineno, kind, self.slots[key], tick))
        return self.sites[first:]

    def record(self, names: list[tuple], kind: str = "definition") -> list[ast.stmt]:
        """The statements that record the binding of `names`, [(name, node)]; none if empty.

        A `for` over the counter breaks at once, and so takes a tick without a call: it needs no
        frame, and no builtin that the program may have redefined.
        """
        names = [(name, node) for name, node in names if name != "_"]
        if not names:
            return []
        sites = self.new_sites(names, kind)
        tick, end = sites[0].tick, kind == "end"
        code = [f"if {HOOK}[2] != {tick}:\n for {HOOK}[{tick}] in {HOOK}[0]: break"]
        code[0] += f"\n {HOOK}[2] = {tick}"
        code += [f"{HOOK}[{site.slot}] = {None if end else site.name}" for site in sites]
        statements = [placed(node, names[0][1]) for node in ast.parse("\n".join(code)).body]
        statements[0].takes_tick_for = sites
        return statements

    def visit_scope(self, node: ast.AST) -> list[ast.stmt]:
        """Instrument a function or class. Decorators, defaults and bases run outside its scope."""
        docstring = 0 if ast.get_docstring(node, clean=False) is None else 1
        inner, node.body = ast.Module(node.body, []), []
        self.generic_visit(node)  # its body is empty now
        end = self.record([(node.name, node)], "end")
        scope = f"{self.scopes[-1][0]}.{node.name}".lstrip(".")
        self.scopes.append((scope, self.tables[node.name, node.lineno]))
        parts = [] if isinstance(node, ast.ClassDef) else ast.iter_child_nodes(node.args)
        parameters = [(part.arg, part) for part in parts if isinstance(part, ast.arg)]
        entry = self.record(parameters, "parameter")
        body = self.generic_visit(inner).body
        node.body = body[:docstring] + entry + body[docstring:]
        self.scopes.pop()
        return [node, *end]

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        """The node with its recording statements. These cases say what counts as a definition."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return self.visit_scope(node)
            case ast.Lambda():
                node.args = self.visit(node.args)  # the defaults, which run outside the lambda
                return node
            case ast.ImportFrom(module="__future__"):  # no statement may stand before such a line
                return node
        self.generic_visit(node)
        match node:
            case ast.Assign(targets=targets):
                return [node, *self.record(bound_names(*targets))]
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()):
                return [node, *self.record(bound_names(target))]
            case ast.Delete(targets=targets):
                return [node, *self.record(bound_names(*targets), "end")]
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names = [((a.asname or a.name).split(".")[0], a) for a in aliases if a.name != "*"]
                return [node, *self.record(names, "end")]
            case ast.For(target=target) | ast.AsyncFor(target=target):
                node.body = self.record(bound_names(target)) + node.body
            case ast.With(items=items) | ast.AsyncWith(items=items):
                node.body = self.record(bound_names(*(i.optional_vars for i in items))) + node.body
            case ast.ExceptHandler(name=str(name)):
                node.body = self.record([(name, node)], "end") + node.body
            case ast.NamedExpr(target=ast.Name(id=name)) if name != "_":
                (site,) = self.new_sites([(name, node)])
                code = f"{HOOK}[1]({site.tick}, {site.slot}, 0)"
                call = placed(ast.parse(code, mode="eval").body, node)
                call.args[2] = node
                return call
            case ast.match_case(pattern=pattern, guard=guard):
                parts = [(getattr(p, "name", getattr(p, "rest", 0)), p) for p in ast.walk(pattern)]
                names = [(name, part) for name, part in parts if name]
                if guard:  # the guard sees the captures, and they stay bound when it fails
                    node.guard = self.record_before(guard, names)
                else:
                    node.body = self.record(names) + node.body
        return node

    def record_before(self, value: ast.expr, names: list[tuple]) -> ast.expr:
        """(record each of `names`, ..., value)[-1]"""
        code = "".join(f"{HOOK}[1]({s.tick}, {s.slot}, {s.name}), " for s in self.new_sites(names))
        result = placed(ast.parse(f"({code}0)[-1]", mode="eval").body, value)
        result.value.elts[-1] = value
        return result


def share_ticks(body: list[ast.stmt]) -> list[ast.stmt]:
    """Let definitions that follow each other share a tick, if nothing between them calls anything.

    If one of them raises, the next ones look as if they had been defined again.
    """
    shared, place, kept = 0, 0, []
    for statement in body:
        sites = getattr(statement, "takes_tick_for", None)
        if sites and shared:
            place += 1
            for site in sites:
                site.tick, site.place = shared, place
            continue
        if sites:
            shared, place = sites[0].tick, 0
        elif not isinstance(statement, SIMPLE) or any(
            isinstance(x, CALLS) for x in ast.walk(statement)
        ):
            shared = 0
        kept.append(statement)
    takers = [n for s in kept for n in ast.walk(s) if hasattr(n, "takes_tick_for")]
    if len(takers) > 1:  # they take turns, so it saves nothing to ask whose tick was last
        kept = [n for s in kept for n in (s.body if s in takers else [s])]
    return kept


def bound_names(*targets: ast.expr | None) -> list[tuple]:
    """[(name, node)] that assignment targets bind: `a, (b, *c), d[0], e.f` binds a, b and c."""
    names = []
    for target in targets:
        if isinstance(target, ast.Name):
            names.append((target.id, target))
        elif isinstance(target, ast.Tuple | ast.List):
            names += bound_names(*target.elts)
        elif isinstance(target, ast.Starred):
            names += bound_names(target.value)
    return names


def by_position(source: str, fn_name: str, given: list, named: dict) -> tuple:
    """The arguments of a call of fn_name ("f", "Solution().f"), with the named ones in their place.

    It reads the `def` and runs nothing, so the defaults that fill gaps are syntax trees, as the
    arguments should be. TypeError if the arguments do not fit.
    """
    owner, _, name = fn_name.replace("()", "").rpartition(".")
    try:
        body = ast.parse(source).body
    except SyntaxError:
        raise TypeError("the program is not valid Python") from None
    classes = [c for c in body if isinstance(c, ast.ClassDef) and c.name == (owner or "Solution")]
    methods = [node for c in classes for node in c.body]
    defs = methods if owner else [*body, *methods]  # the last one counts, as in zygote.find
    defs = [d for d in defs if isinstance(d, ast.FunctionDef) and d.name == name]
    if not defs:
        raise TypeError(f"the program has no `def {name}`, so give all arguments by position")
    arguments, decorators = defs[-1].args, map(ast.unparse, defs[-1].decorator_list)
    names = [a.arg for a in arguments.posonlyargs + arguments.args]
    defaults = [Parameter.empty] * (len(names) - len(arguments.defaults)) + arguments.defaults
    kind = Parameter.POSITIONAL_OR_KEYWORD
    parameters = [Parameter(n, kind, default=d) for n, d in zip(names, defaults, strict=True)]
    bound = defs[-1] in methods and "staticmethod" not in decorators  # the first one is self
    call = Signature(parameters[bound:]).bind(*given, **named)
    call.apply_defaults()
    return call.args[: 1 + max(map(names[bound:].index, named))]


def placed(new: ast.AST, where: ast.AST) -> ast.AST:
    """Put each part of `new` on the line of `where`, so that tracebacks keep their lines."""
    for part in ast.walk(new):
        ast.copy_location(part, where)
    return new


def compile_traced(source: str) -> tuple[CodeType, Recorder]:
    """Code to run with globals[HOOK] = recorder.hook; recorder.snapshot() then has the values."""
    instrumenter = Instrumenter(source)
    tree = instrumenter.visit(ast.parse(source, FILENAME))
    for node in ast.walk(tree):
        for name in ("body", "orelse"):  # not of a `try`, where statements often raise
            if isinstance(body := getattr(node, name, 0), list) and not isinstance(node, ast.Try):
                setattr(node, name, share_ticks(body))
    place = 0 if ast.get_docstring(tree, clean=False) is None else 1
    futures = [n for n in tree.body if getattr(n, "module", None) == "__future__"]
    place += len(futures)  # no other statement may stand before those
    tree.body[place:place] = ast.parse(f"global {HOOK}").body  # makes the module find it faster
    code = compile(tree, FILENAME, "exec", dont_inherit=True)
    return code, Recorder(instrumenter.sites, instrumenter.n_slots)
