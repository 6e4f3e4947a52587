"""The value of each variable at its last definition, after one run of a program on one input.

The program's syntax tree gets one statement after each definition, which stores a reference to
the value and a tick (the order of execution) in a plain list. The values are read when the run
is over, so an in-place `append` counts. This costs about a tenth of `sys.settrace`, adds no stack
frame, and leaves output, exceptions and their line numbers as they were.

A definition is an assignment (plain, augmented, annotated, `:=`), a `for`, `with` or `match`
target, or a parameter. `import`, `def` and `class` define no variable, but end the one whose name
they take, as `del` and `except ... as` do. Left out: comprehension targets and all inside a
lambda (they live for one expression), attributes and items (they are no names), and `_`.

    python trace.py program.py [--call='f([1,2])'] [--json] < stdin
"""

import argparse
import ast
import itertools
import json
import re
import symtable
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

from sandbox import Sandbox, encode

FILENAME = "<program>"
HOOK = "__nanocoderl_trace__"  # it ends in underscores: class bodies mangle `__name` only
CAPS = {"max_nodes": 100, "max_chars": 200, "max_bits": 1000}

# --- Inside the sandbox: instrument, run, read the values ---------------------------------------


@dataclass
class Site:
    """One name that one statement defines, ends, or takes as a parameter."""

    scope: str  # "f", "Stack.push", "f.inner"; "" is the module
    name: str
    line: int
    kind: str  # "definition", "parameter" or "end"
    slot: int  # of the value: one for all sites of a variable, so that an old value is freed
    tick: int  # of the tick: one for all names of a statement


class Recorder:
    """What an instrumented program writes to: the list `hook`.

    hook[0] counts ticks, hook[1] is for definitions inside expressions, the rest are slots. To
    trace one call only, set `active` to False before the module runs, and to True before the
    call, which forgets all that was recorded until then.
    """

    def __init__(self, sites: list[Site], n_slots: int) -> None:
        self.sites = sites
        self.hook = [itertools.count(1), self.define] + [0] * (n_slots - 2)
        self.kept = None  # a copy of the slots, from when recording was switched off

    def define(self, tick: int, slot: int, value: object) -> object:
        self.hook[tick], self.hook[slot] = next(self.hook[0]), value
        return value

    @property
    def active(self) -> bool:
        return self.kept is None

    @active.setter
    def active(self, on: bool) -> None:
        if on:
            self.hook[2:] = [0] * (len(self.hook) - 2)
        self.kept = None if on else list(self.hook)

    def snapshot(self) -> list[dict]:
        """The variables whose value is now plain and small, in the order of their definitions."""
        slots = self.hook if self.active else self.kept
        last = {}
        for site in sorted(self.sites, key=lambda site: slots[site.tick]):
            last.pop((site.scope, site.name), None)  # a dict keeps the place of the first key
            if slots[site.tick] and site.kind != "end":
                last[site.scope, site.name] = site
        variables = []
        for (scope, name), site in last.items():
            try:
                value = encode(slots[site.slot], **CAPS)
            except ValueError:  # an instance, a function, or too big to ask for
                continue
            row = {"scope": scope, "name": name, "line": site.line, "order": slots[site.tick]}
            variables.append(row | {"value": value, "parameter": site.kind == "parameter"})
        return variables


class Instrumenter(ast.NodeTransformer):
    """Adds the recording statements to a syntax tree and collects their sites."""

    def __init__(self, source: str) -> None:
        tables = [symtable.symtable(source, FILENAME, "exec")]
        self.scopes = [("", tables[0])]  # (qualified name, symbols), innermost last
        self.tables = {}  # of all functions and classes
        for table in tables:
            tables += table.get_children()  # the loop goes on through these
            if table.get_type() in ("function", "class"):
                self.tables[table.get_name(), table.get_lineno()] = table
        self.sites: list[Site] = []
        self.slots = {}  # (scope, name) -> slot of the value
        self.n_slots = 2  # the recorder's own two

    def owner(self, name: str) -> str:
        """The scope that `name`, bound in the innermost one, belongs to: global and nonlocal."""
        *outer, (scope, table) = self.scopes
        if name in table.get_identifiers():  # not so for a private name that a class mangles
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
        """The statement that records the binding of `names`, [(name, node)]; none if empty.

        A `for` over the counter that breaks at once takes a tick without calling anything: no
        frame, and no builtin that the program may have redefined.
        """
        names = [(name, node) for name, node in names if name != "_"]
        if not names:
            return []
        sites = self.new_sites(names, kind)
        code = f"for {HOOK}[{sites[0].tick}] in {HOOK}[0]:\n"
        for site in sites:
            code += f" {HOOK}[{site.slot}] = {'None' if kind == 'end' else site.name}\n"
        return [placed(ast.parse(code + " break").body[0], names[0][1])]

    def visit_scope(self, node: ast.AST) -> list[ast.stmt]:
        """Instrument a function or class: what it holds belongs to it, the rest to outside."""
        docstring = 0 if ast.get_docstring(node, clean=False) is None else 1
        inner, node.body = ast.Module(node.body, []), []
        self.generic_visit(node)  # decorators, defaults, bases
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
        """The node with its recording statements: here is what counts as a definition."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return self.visit_scope(node)
            case ast.Lambda():
                node.args = self.visit(node.args)  # the defaults, which are evaluated outside
                return node
            case ast.ImportFrom(module="__future__"):  # nothing may stand before such a line
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
                if guard:  # it sees the captures, which stay bound when it fails
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


def placed(new: ast.AST, where: ast.AST) -> ast.AST:
    """`new`, each part of it on the line of `where`, so that tracebacks keep their lines."""
    for part in ast.walk(new):
        ast.copy_location(part, where)
    return new


def compile_traced(source: str) -> tuple[CodeType, Recorder]:
    """Code to run with globals[HOOK] = recorder.hook; recorder.snapshot() then has the values."""
    instrumenter = Instrumenter(source)
    tree = instrumenter.visit(ast.parse(source, FILENAME))
    code = compile(tree, FILENAME, "exec", dont_inherit=True)
    return code, Recorder(instrumenter.sites, instrumenter.n_slots)


# --- Outside: decide what may be asked ----------------------------------------------------------

# The record is made in the program's own process, so a program that could reach it (by a frame, a
# function's globals, a module, computed code) is not asked about. What is not known to be harmless
# is refused: a lost sample costs nothing, a forged one teaches forging.
MODULES = r"""(?x) (__future__|abc|array|bisect|cmath|collections|copy|dataclasses|datetime|decimal
    |enum|fractions|functools|heapq|itertools|math|numbers|operator|random|re|statistics|string
    |sys|textwrap|time|typing) (\..*)?"""
REFUSED = r"""(?x) exec|eval|compile|open|globals|locals|vars|getattr|setattr|delattr|breakpoint
    |(f|tb|gi|cr|ag|func)_(frame|code|back|next|globals|locals|builtins)|with_traceback|exc_info
    |_getframe\w*|_current_\w+|settrace|setprofile|monitoring|modules|builtins|bltns|inspect|types
    |help|gc|ctypes|_?os|io|raw|detach|FunctionType|CodeType|Formatter|get_field|ForwardRef
    |get_type_hints|singledispatch\w*|attrgetter|methodcaller|wraps|update_wrapper|meta_path"""
DUNDERS = r"__(name|main|init|class|doc|slots|future)__"  # to use; a method may be named any


def forgeable(source: str) -> str:
    """What in the program could reach its own record, as a word or two; "" if nothing."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "code that does not parse"
    for node in nodes:
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            if not re.fullmatch(MODULES, module):
                return f"import {module}"
        is_method = isinstance(node, ast.FunctionDef) and node.name != HOOK
        fields = [] if is_method else ast.iter_fields(node)
        words = [w for _, value in fields for w in (value if isinstance(value, list) else [value])]
        for word in (w for w in words if isinstance(w, str)):  # an identifier, or a constant
            dunders = [d for d in re.findall(r"__\w+__", word) if not re.fullmatch(DUNDERS, d)]
            refused = not isinstance(node, ast.Constant) and re.fullmatch(REFUSED, word)
            if dunders or refused:
                return [*dunders, word][0]
    ids = [node.ctx for node in nodes if isinstance(node, ast.Name) and node.id == "id"]
    # The builtin id() forges nothing, but an address, equal in two runs by chance, is no question.
    return "id" if ids and all(isinstance(ctx, ast.Load) for ctx in ids) else ""


@dataclass
class Variable:
    scope: str  # "" is the module; "f", "Stack.push", "f.inner"
    name: str
    line: int  # of its last definition
    order: int  # of its last definition: greater is later
    value: object  # at the end of the run
    parameter: bool  # last defined as a parameter
    given: bool  # and, in the call under test, still the argument that the caller gave


@dataclass
class Trace:
    """What a run left behind. It is fit for a question only if `reason` is "".

    reason: "forgeable"; "nondeterministic"; "changed by tracing"; or the run's status ("error",
    "timeout", ...), with the values that the variables had by then. `error` says more.
    """

    variables: list[Variable] = field(default_factory=list)  # in the order of their definitions
    stdout: str = ""
    value: object = None
    reason: str = ""
    error: str = ""


def trace_program(
    sandbox: Sandbox, program: str, input: str | list, fn_name: str | None = None, trusted=False
) -> Trace:
    """Trace one run on `input` (stdin text, or with fn_name a list of arguments).

    `trusted` skips the check for forgery: for one's own programs, never for a model's.
    """
    if not trusted and (word := forgeable(program)):
        return Trace(reason="forgeable", error=f"it uses {word}")

    def run(traced: bool) -> tuple:
        (result,) = sandbox.run(program, [input], fn_name, traced=traced)
        return result, (result.status, result.stdout, encode(result.value))

    first, observed = run(traced=True)
    arguments = [encode(argument) for argument in input] if fn_name else []
    entry = (fn_name or "").split(".")[-1]  # of "f" or "Solution().f"
    variables = []
    for row in first.variables or []:
        of_call = row["parameter"] and row["scope"].split(".")[-1] == entry
        variables.append(Variable(**row, given=of_call and encode(row["value"]) in arguments))
    trace = Trace(variables, first.stdout, first.value, first.status, first.error)
    if first.status != "ok":
        return trace
    second, again = run(traced=True)
    if again != observed or encode(second.variables) != encode(first.variables):
        trace.reason = "nondeterministic"
    else:
        trace.reason = "" if run(traced=False)[1] == observed else "changed by tracing"
    return trace


def choose_variables(trace: Trace, max_variables: int) -> list[Variable]:
    """The last defined variables to ask for, in the order of their definitions.

    Of several scopes' variables with one name only the last defined is meant, so that an answer
    `name = value` is unambiguous; and if that one is given in the prompt, it is not asked for.
    """
    last = {v.name: v for v in sorted(trace.variables, key=lambda v: v.order)}
    chosen = sorted((v for v in last.values() if not v.given), key=lambda v: v.order)
    return chosen[-max_variables:] if max_variables > 0 else []


# --- Command line -------------------------------------------------------------------------------


def parse_call(text: str) -> tuple[str, list]:
    """("f", [[1, 2]]) from "f([1, 2])"; ValueError if it is anything but a call with literals."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
            raise ValueError
        return call.func.id, [ast.literal_eval(argument) for argument in call.args]
    except (SyntaxError, ValueError):
        raise ValueError(f"{text} is no call with literal arguments, like f([1, 2], 'a')") from None


def table(trace: Trace, fn_name: str | None) -> str:
    rows = [("variable", "scope", "line", "value")]
    rows += [(v.name, v.scope or "module", str(v.line), repr(v.value)) for v in trace.variables]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  ".join([*map(str.ljust, row, widths), row[3]]) for row in rows]
    lines += ["", f"output:\n{trace.stdout}".rstrip()] if trace.stdout else []
    lines += ["", f"{fn_name} returned {trace.value!r}"] if fn_name and not trace.reason else []
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The last value of each variable of a program.")
    parser.add_argument("program", type=Path)
    parser.add_argument("--call", help="trace one call, e.g. --call='f([1, 2])'")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    args = parser.parse_args()
    try:
        fn_name, input = parse_call(args.call) if args.call else (None, "")
        if not args.call and not sys.stdin.isatty():
            input = sys.stdin.read()
        program = args.program.read_text(encoding="utf-8")
        trace = trace_program(Sandbox(), program, input, fn_name, trusted=True)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no sandbox to be had
        sys.exit(f"trace.py: {error}")
    if args.json:
        rows = [vars(v) | {"value": repr(v.value)} for v in trace.variables]
        print(json.dumps(vars(trace) | {"value": repr(trace.value), "variables": rows}, indent=1))
    else:
        print(table(trace, fn_name))
    if trace.reason:
        sys.exit(f"trace.py: {args.program}: {trace.reason}. {trace.error}".rstrip())


if __name__ == "__main__":
    main()
