"""The half of the tracer that runs inside the sandbox: it instruments a program, reads its values.

The instrumenter adds one statement after each definition of the program's syntax tree. The
statement stores a reference to the value and a tick (the order of execution) in a plain list. We
read the values when the run is over, so an in-place `append` counts. This costs about a tenth of
`sys.settrace`, calls nothing, adds no stack frame, and leaves the output, the exceptions and their
line numbers as they were. `trace.py` says what a definition is, and which values may be asked for.

A statement that may bind a name and then raise first marks the name as UNASKED. If it raises, the
mark stays; if not, the recording statement after it puts the value in the mark's place.
"""

import ast
import symtable
from collections.abc import Iterator
from types import CodeType

from jail.recorder import FIRST_SLOT, HOOK, MIXED, Recorder, Site, floating_name

FILENAME = "<program>"
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
RUNS = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.Starred, ast.In, ast.NotIn)
RUNS += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)  # may run a generator's code
PLAIN = ast.Constant | ast.List | ast.Tuple | ast.Load  # these raise nothing


class Instrumenter(ast.NodeTransformer):
    """Adds the recording statements to a syntax tree and collects their sites."""

    def __init__(self, source: str) -> None:
        tables = [symtable.symtable(source, FILENAME, "exec")]
        self.scopes = [("", tables[0])]  # (qualified name, symbols), innermost last
        # (name, line) of a function or class -> its symbols; not of a comprehension, which takes .0
        self.tables = {}
        for table in tables:
            tables += table.get_children()  # the loop goes on through these
            if table.get_type() in ("function", "class") and ".0" not in table.get_identifiers():
                self.tables[table.get_name(), table.get_lineno()] = table
        self.tree = ast.parse(source, FILENAME)
        some = ast.walk(self.tree) if ":=" in source or "case" in source else []
        self.in_expressions = {name for node in some for name in floats(node)}
        self.sites: list[Site] = []
        self.slots = {}  # (scope, name) -> slot of the value
        self.n_slots = FIRST_SLOT
        self.classes: set[str] = set()  # the scopes that are those of a class
        self.floating: set[int] = set()  # slots of the names in_expressions, in any scope
        self.late: set[str] = set()  # parameters of generators, which bind them before they run
        self.globals = [set()]  # the floating variables' own names, for each of self.scopes
        self.stars: list[ast.If] = []  # stand before `from m import *`

    def owner(self, name: str) -> str | None:
        """The scope of `name` when the innermost scope binds it: obeys global and nonlocal.

        None for a private name of a class that is none of the function's own: it has another name.
        """
        *outer, (scope, table) = self.scopes
        if name in table.get_identifiers():
            symbol = table.lookup(name)
            if symbol.is_declared_global():
                return ""
            if symbol.is_nonlocal():
                homes = [(s, t) for s, t in outer if t.get_type() == "function"]
                homes = [(s, t) for s, t in homes if name in t.get_identifiers()]
                return next(s for s, t in reversed(homes) if t.lookup(name).is_local())
        elif name.startswith("__"):  # a class has mangled it
            mangled = [table.lookup(n) for n in table.get_identifiers() if n.endswith(name)]
            return scope if len(mangled) == 1 and mangled[0].is_local() else None
        return scope

    def new_slot(self) -> int:
        self.n_slots += 1
        return self.n_slots - 1

    def slot_of(self, name: str) -> int:
        key = self.owner(name), name
        if key not in self.slots:
            self.slots[key] = self.new_slot()
            if name in self.in_expressions:
                self.floating.add(self.slots[key])
        return self.slots[key]

    def store(self, name: str, value: str) -> str:
        """The statement that stores what the expression `value` gives as the value of `name`."""
        slot = self.slot_of(name)
        if slot in self.floating:
            self.globals[-1].add(floating_name(slot))
        return self.mark(slot, value)

    def mark(self, slot: int, value: str = "...") -> str:
        if slot in self.floating:
            return f"{floating_name(slot)} = {value}, 2, 2"
        return f"{HOOK}[{slot}] = {value}"

    def new_sites(self, names: list[tuple], parameter: bool = False) -> list[Site]:
        first, tick = len(self.sites), self.new_slot()
        for name, node in names:
            slot = self.slot_of(name)
            self.sites.append(Site(self.owner(name), name, node.lineno, parameter, slot, tick))
        return self.sites[first:]

    def record(
        self, names: list[tuple], late: list[tuple] = (), parameter: bool = False
    ) -> list[ast.stmt]:
        """The statements that record the binding of `names`, [(name, node)]; none if empty.

        A `for` over the counter breaks at once, and so takes a tick without a call: it needs no
        frame, and no builtin that the program may have redefined. `late`: those of the names that
        are recorded only if they are still marked, since what ran in between may have bound them.
        """
        names = [(name, node) for name, node in names if self.is_asked(name)]
        if not names:
            return []
        sites = self.new_sites(names, parameter)
        tick = sites[0].tick
        code = [f"if {HOOK}[2] != {tick}:\n for {HOOK}[{tick}] in {HOOK}[0]: break"]
        code[0] += f"\n {HOOK}[2] = {tick}"
        for site, pair in zip(sites, names, strict=True):
            now = f"{HOOK}[{site.slot}]"
            if site.slot in self.floating:
                now = f"{floating_name(site.slot)}[0]"
            store = self.store(site.name, site.name)
            if pair in late:  # what ran in between may have deleted it, too
                store = f"if {now} is ...:\n try: {store}\n except: pass"
            code.append(store)
        statements = added("\n".join(code), names[0][1])
        statements[0].takes_tick_for = sites
        return statements

    def is_asked(self, name: str) -> bool:
        return name != "_" and self.owner(name) is not None

    def unset(self, names: list[tuple]) -> list[ast.stmt]:
        """The statements that mark `names`: they are not bound, or we cannot say to what."""
        names = [(name, node) for name, node in names if self.is_asked(name)]
        code = "\n".join(self.store(name, "...") for name, _ in names)
        return added(code, names[0][1]) if names else []

    def spare(self, where: ast.AST) -> tuple[ast.expr, ast.expr]:
        """A slot that is written and at once read: (it as a target, it as a value)."""
        code = f"{HOOK}[{self.new_slot()}]"
        store, load = (placed(ast.parse(code, mode="eval").body, where) for _ in range(2))
        store.ctx = ast.Store()
        return store, load

    def bind(self, targets: list[ast.expr], value: ast.expr) -> list[ast.stmt]:
        half = half_bound(*targets)
        assign = ast.copy_location(ast.Assign(targets, value), targets[0])
        return [*self.unset(half), assign, *self.record(bound_names(*targets), half)]

    def visit_scope(self, node: ast.AST) -> list[ast.stmt]:
        """Instrument a function or class. Decorators, defaults and bases run outside its scope."""
        docstring = 0 if ast.get_docstring(node, clean=False) is None else 1
        if not isinstance(node, ast.ClassDef) and runs_later(node):
            self.late |= {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)}
        inner, node.body = ast.Module(node.body, []), []
        self.generic_visit(node)  # its body is empty now
        end = self.unset([(node.name, node)])
        scope = f"{self.scopes[-1][0]}.{node.name}".lstrip(".")
        self.scopes.append((scope, self.tables[node.name, node.lineno]))
        self.globals.append(set())
        if isinstance(node, ast.ClassDef):
            self.classes.add(scope)
        parts = [] if isinstance(node, ast.ClassDef) else ast.iter_child_nodes(node.args)
        parameters = [(part.arg, part) for part in parts if isinstance(part, ast.arg)]
        entry = self.record(parameters, parameter=True)
        body = self.generic_visit(inner).body
        if names := self.globals.pop():
            entry.insert(0, ast.copy_location(ast.Global(sorted(names)), node))
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
            case ast.With(items=[first, *rest]) | ast.AsyncWith(items=[first, *rest]) if rest:
                inner = ast.copy_location(type(node)(rest, node.body), node)
                node.items, node.body = [first], [inner]
        self.generic_visit(node)
        in_function = self.scopes[-1][1].get_type() == "function"
        match node:
            case ast.Assign(targets=targets) if not half_bound(*targets):
                return [node, *self.record(bound_names(*targets))]
            case ast.Assign(targets=targets):
                spare, value = self.spare(node)
                node.targets = [spare]
                return [node, *self.bind(targets, value)]
            case ast.AnnAssign(target=ast.Name() as name, value=ast.expr()) if not in_function:
                spare, value = self.spare(node)  # its annotation runs last, and may raise
                early = ast.copy_location(ast.Assign([spare], node.value), node)
                node.value, names = value, bound_names(name)
                return [early, *self.unset(names), node, *self.record(names, names)]
            case ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()):
                return [node, *self.record(bound_names(target))]
            case ast.Delete(targets=targets):
                names = bound_names(*targets)
                return [*self.unset(names), node, *self.unset(names)]
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                if aliases[0].name == "*":
                    self.stars += added("if 1: pass", node)
                    return [self.stars[-1], node]
                return [
                    *self.unset([((a.asname or a.name).split(".")[0], a) for a in aliases]),
                    node,
                ]
            case ast.For(target=target) | ast.AsyncFor(target=target):
                if half_bound(target):
                    node.target, value = self.spare(target)
                    node.body = self.bind([target], value) + node.body
                else:
                    node.body = self.record(bound_names(target)) + node.body
            case ast.With(items=[item]) | ast.AsyncWith(items=[item]) if item.optional_vars:
                target = item.optional_vars
                item.optional_vars, value = self.spare(target)
                node.body = self.bind([target], value) + node.body
            case ast.ExceptHandler(name=str(name)):  # which is deleted at the end
                unset = [self.unset([(name, node)]) for _ in range(2)]
                if unset[0]:
                    body = ast.Try(unset[0] + node.body, [], [], unset[1])
                    node.body = [ast.copy_location(body, node)]
            case ast.NamedExpr(target=ast.Name(id=name)) if self.is_asked(name):
                code = self.floating_record([(name, node)])
                result = placed(ast.parse(f"{code}[0]", mode="eval").body, node)
                result.value.value.elts[0] = node
                return result
            case ast.match_case(pattern=pattern, guard=guard):
                parts = [(getattr(p, "name", getattr(p, "rest", 0)), p) for p in ast.walk(pattern)]
                names = [(name, part) for name, part in parts if name and self.is_asked(name)]
                if guard and names:  # it sees the captures, and they stay bound when it fails
                    code = self.floating_record(names)
                    node.guard = placed(ast.parse(f"({code}, 0)[-1]", mode="eval").body, guard)
                    node.guard.value.elts[-1] = guard
                else:
                    node.body = self.record(names) + node.body
        return node

    def floating_record(self, names: list[tuple]) -> str:
        """Expressions that record names which are bound in an expression.

        `(hidden := (x, ...))` stores in a global, and unlike a call it adds no frame.
        """
        parts = []
        for site in self.new_sites(names):
            self.globals[-1].add(floating_name(site.slot))
            value = f"({site.name}, {site.tick}, {HOOK}[2])"
            parts.append(f"({floating_name(site.slot)} := {value})")
        return ", ".join(parts)

    def finish(self) -> list[Site]:
        """Fill in what only the whole program tells. Returns the sites that may be asked about."""
        for star in self.stars:  # it may bind any name of the module
            names = [(name, star) for scope, name in self.slots if scope == ""]
            star.body += self.unset(names)
        set_outside = {
            node.attr
            for node in (ast.walk(self.tree) if self.classes else [])
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
        }
        scopes = {key[1]: set() for key in self.slots}
        for scope, name in self.slots:
            scopes[name].add(scope)
        for site in self.sites:
            # The attribute of a class is no variable any more, if the program sets it as one, or
            # a metaclass of the library may: ABC sets _abc_impl.
            private = site.name.startswith("_")
            if site.scope in self.classes and (private or site.name in set_outside):
                site.slot = 1  # which holds nothing that is fit
        return [
            site
            for site in self.sites
            # If an expression binds it, we cannot order it among others of its name.
            if not (site.slot in self.floating and len(scopes[site.name]) > 1)
            and site.name not in self.late
        ]


def runs_later(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a call of it, a generator or coroutine, runs nothing of its body yet."""
    parts: list[ast.AST] = [*function.body]
    for part in parts:
        inner = part.body if isinstance(part, FUNCTIONS) else []
        inner = [part.body] if isinstance(part, ast.Lambda) else inner
        parts += [child for child in ast.iter_child_nodes(part) if child not in inner]
    return isinstance(function, ast.AsyncFunctionDef) or any(
        isinstance(part, ast.Yield | ast.YieldFrom) for part in parts
    )


def floats(node: ast.AST) -> list[str]:
    """The names that one node binds in the middle of an expression or before a guard."""
    match node:
        case ast.NamedExpr(target=ast.Name(id=name)):
            return [name]
        case ast.match_case(pattern=pattern, guard=ast.expr()):
            names = [getattr(p, "name", getattr(p, "rest", None)) for p in ast.walk(pattern)]
            return [name for name in names if name]
    return []


class TickSharer:
    """Lets definitions that follow each other share a tick, if nothing between them runs code.

    If one of them raises, it and the next ones would look as if they had been defined again, so
    their names are marked then. Whether code has run cannot be seen from a program's text alone
    (`a += b` runs the generator b), so the last one looks whose tick was taken last.
    """

    def __init__(self, instrumenter: Instrumenter) -> None:
        defs = [n for n in ast.walk(instrumenter.tree) if isinstance(n, FUNCTIONS)]
        names = {n.name for n in defs if n.name.startswith("__")} - {"__init__"}
        self.overloads = names or any(n.decorator_list for n in defs)
        self.functions = bool(defs)
        self.instrumenter = instrumenter

    def share(self, body: list[ast.stmt]) -> list[ast.stmt]:
        tick, place, kept = 0, 0, []
        start, later = 0, []  # where something may raise for the first time; what is defined then
        for statement in [*body, None]:
            sites = getattr(statement, "takes_tick_for", None)
            if sites and tick:
                place += 1
                for site in sites:
                    site.tick, site.place = tick, place
                later += sites if start else []
                continue
            if sites or not statement or not self.runs_nothing(statement):
                if later:
                    look = f"if {HOOK}[2] != {tick}: {HOOK}[3] = {MIXED!r}"
                    kept += added(look, kept[-1]) if self.functions else []
                    kept[start:] = [self.guarded(kept[start:], later)]
                tick, place, start, later = sites[0].tick if sites else 0, 0, 0, []
            elif tick and not start and not raises_nothing(statement):
                start = len(kept)
            kept += [statement] if statement else []
        takers = [n for s in kept for n in statements(s) if hasattr(n, "takes_tick_for")]
        if len(takers) > 1:  # they take turns, so it saves nothing to ask whose tick was last
            kept = [n for s in kept for n in (s.body if s in takers else [s])]
        return kept

    def runs_nothing(self, statement: ast.stmt) -> bool:
        """Whether it is not likely to run other code of the program's."""
        if raises_nothing(statement):
            return True
        match statement:
            case ast.AugAssign(target=target) | ast.Assign(targets=[target]):
                simple = isinstance(target, ast.Name) and not self.overloads
                return simple and not any(isinstance(node, RUNS) for node in ast.walk(statement))
        return False

    def guarded(self, body: list[ast.stmt], sites: list[Site]) -> ast.Try:
        code = "\n".join(self.instrumenter.mark(site.slot) for site in sites)
        handler = ast.ExceptHandler(None, None, added(f"{code}\nraise", body[0]))
        return ast.copy_location(ast.Try(body, [placed(handler, body[0])], [], []), body[0])


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """The node and the statements in it, without the parts of ours."""
    yield node
    if not hasattr(node, "ours"):
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            for part in getattr(node, name, []):
                yield from statements(part)


def raises_nothing(statement: ast.stmt) -> bool:
    """Whether it is ours, or binds names to constants."""
    return hasattr(statement, "ours") or (
        isinstance(statement, ast.Assign)
        and all(isinstance(target, ast.Name) for target in statement.targets)
        and all(isinstance(node, PLAIN) for node in ast.walk(statement.value))
    )


def steps(target: ast.expr) -> list[tuple]:
    """What is done, in order, to bind a target: (name, node), or (None, node) if it may raise."""
    if isinstance(target, ast.Name):
        return [(target.id, target)]
    if isinstance(target, ast.Starred):
        return steps(target.value)
    if isinstance(target, ast.Tuple | ast.List):
        return [(None, target), *(step for part in target.elts for step in steps(part))]
    return [(None, target)]


def bound_names(*targets: ast.expr) -> list[tuple]:
    """[(name, node)] that assignment targets bind: `a, (b, *c), d[0], e.f` binds a, b and c."""
    return [step for target in targets for step in steps(target) if step[0]]


def half_bound(*targets: ast.expr) -> list[tuple]:
    """Those of bound_names() that are bound before something that may raise or run other code."""
    todo = [step for target in targets for step in steps(target)]
    while todo and todo[-1][0]:
        todo.pop()
    return [step for step in todo if step[0]]


def placed(new: ast.AST, where: ast.AST) -> ast.AST:
    """Put each part of `new` on the line of `where`, so that tracebacks keep their lines."""
    for part in ast.walk(new):
        if "lineno" in part._attributes:
            part.lineno, part.end_lineno = where.lineno, where.end_lineno
            part.col_offset, part.end_col_offset = where.col_offset, where.end_col_offset
    return new


def added(code: str, where: ast.AST) -> list[ast.stmt]:
    """Statements of ours, on the line of `where`."""
    statements = [placed(node, where) for node in ast.parse(code).body]
    for statement in statements:
        statement.ours = True
    return statements


def compile_traced(source: str) -> tuple[CodeType, Recorder]:
    """Code to run with globals[HOOK] = recorder.hook; recorder.snapshot() then has the values."""
    instrumenter = Instrumenter(source)
    tree = instrumenter.visit(instrumenter.tree)
    sites = instrumenter.finish()
    sharer = TickSharer(instrumenter)
    for node in statements(tree):
        for name in ("body", "orelse"):  # not of a `try`, where statements often raise
            if isinstance(body := getattr(node, name, 0), list) and not isinstance(node, ast.Try):
                setattr(node, name, sharer.share(body))
    place = 0 if ast.get_docstring(tree, clean=False) is None else 1
    futures = [n for n in tree.body if getattr(n, "module", None) == "__future__"]
    place += len(futures)  # no other statement may stand before those
    start = f"global {HOOK}"  # makes the module find it faster
    if instrumenter.floating:
        start += f"\n{HOOK}[1] = globals()"
    tree.body[place:place] = ast.parse(start).body
    code = compile(tree, FILENAME, "exec", dont_inherit=True)
    return code, Recorder(sites, instrumenter.n_slots, instrumenter.floating)
