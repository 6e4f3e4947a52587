"""Which programs may be asked about: those made of nothing but what jail/allowlist.py names.

The record of the values is made in the program's own process. So we ask only about a program that
can reach neither the record nor the code that makes it, and that cannot tell whether it is traced.
What we do not know to be harmless is refused, because a lost sample costs nothing and a forged one
teaches forging.
"""

import ast
import builtins
import io
import re
import symtable
import tokenize
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction

from jail.allowlist import (
    ATTRIBUTES,
    BUILTINS,
    CALLED,
    DECORATORS,
    FILE_ATTRIBUTES,
    FILES,
    INSIDES,
    ITERATE,
    MAY_BE_SAID,
    MODULES,
    OPERATORS,
    PATCHABLE,
    PLACED,
    SYNTAX,
    TYPES,
)
from jail.chance import makes_sets
from jail.forms import has_plain_fields, is_main_guard, is_type_call, without_lazy_annotations
from jail.names import binds, identifiers, origins, since, stars, words

# The compiler turns __x, in a class A, into _A__x: a name that is spelled in two ways.
MANGLED = r"__\w*[^\W_]_?|_[^\W_]\w*__\w+"  # of ASCII
VALUES = (str, bytes, bytearray, int, float, complex, list, tuple, dict, set, frozenset, range,
          slice, Counter, OrderedDict, deque, Fraction, Decimal, date, datetime, time, timedelta,
          re.Pattern, re.Match, type(iter(())), type(x for x in ()))  # fmt: skip
METHODS = {name for kind in VALUES for name in dir(kind) if callable(getattr(kind, name))}
TAKE_FIRST, TAKE_KEY = {"map", "filter"}, {"sorted", "min", "max"}
OTHERWISE = {"fromkeys", "pop"}  # methods that look otherwise, for jail/chance.py has its own
TEXTS = {tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}  # Python 3.12 has the latter
SCOPES = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Refused(Exception):
    """What the program uses that it may not, as a word."""


def forgeable(program: str, prefix: str = "") -> str:
    """What in `program` could reach or mislead the record of its values; "" if nothing could.

    `prefix` is trusted code that runs before it, and whose names it may use. Runs no code of
    either, but imports what the prefix and MODULES name.
    """
    try:
        if not program.isascii():
            check_spelling(program)
        tree, given = without_lazy_annotations(ast.parse(program)), ast.parse(prefix)
        reader = Reader(tree, given, symtable.symtable(program, "<program>", "exec"))
        reader.visit(tree)
        stores = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)
                  and not isinstance(n.ctx, ast.Load)}  # fmt: skip
        others = [n for n in ast.walk(tree) if not (n in tree.body and isinstance(n, ast.ClassDef))]
        if any("Solution" in binds(n) for n in others):  # which of two f is called would hang on it
            raise Refused("a Solution that is no class of the module")
        private = {name for name in stores if name.startswith("_") and reader.replaceable}
        for name in sorted(private | stores & reader.replaceable):
            raise Refused(f"{name} as a target, beside a class of the library that may have it")
        names = {name for node in ast.walk(tree) for name in identifiers(node)}
        makers = (ast.Yield, ast.GeneratorExp)
        if "merge" in names and (
            "close" in names or any(isinstance(node, makers) for node in ast.walk(tree))
        ):
            raise Refused("heapq.merge, which closes the generators that it reads")
        catches = (ast.Try, ast.TryStar, ast.With)
        if any(isinstance(node, catches) for node in ast.walk(given)):
            # What it catches may be the end of the stack, which a traced run meets later.
            raise Refused("a prefix that catches exceptions")
        if makes_sets(tree) and "cmp_to_key" in names:
            raise Refused("a comparison of its own, beside sets that may come in any order")
    except Refused as refused:
        return str(refused)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "code that does not parse"
    return ""


def check_spelling(program: str) -> None:
    """Refuse what is not of ASCII besides texts and remarks: Python takes such a name for another
    one (NFKC), or for a name at all where a regular expression takes it for none."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(program).readline))
    except (tokenize.TokenError, SyntaxError):
        raise Refused("characters that are not of ASCII, in code that has no tokens") from None
    for kind, text, *_ in tokens:
        plain = kind == tokenize.STRING and "f" not in re.match(r"\w*", text)[0].lower()
        if not (text.isascii() or plain or kind in TEXTS):
            raise Refused("a character that is not of ASCII in its code")


class Reader(ast.NodeVisitor):
    """Visits a program, and raises Refused at the first part that no table names."""

    def __init__(self, tree: ast.Module, given: ast.Module, table: symtable.SymbolTable) -> None:
        self.tables = defaultdict(list)  # (name, line) of a scope -> its symbols, or those of
        todo = [table]  # several scopes: then a name is local only if it is so in each of them
        for table in todo:
            todo += table.get_children()
            self.tables[table.get_name(), table.get_lineno()].append(table)
        self.scope: list[symtable.SymbolTable] = []  # of the innermost function; [] outside of any
        self.fine: set[ast.AST] = set()  # nodes that are harmless where they stand
        self.placed: set[ast.AST] = set()  # names of the library that may stand where they stand
        self.called = {n.func for n in ast.walk(tree) if isinstance(n, ast.Call)}
        everything = [*ast.walk(tree), *ast.walk(given)]
        self.bound = {name for node in everything for name in binds(node)}
        stores = {n.attr for n in everything if isinstance(n, ast.Attribute)
                  and isinstance(n.ctx, ast.Store)}  # fmt: skip
        self.own = self.bound | stores
        self.classes = {n.name for n in everything if isinstance(n, ast.ClassDef)}
        others = [node for node in everything if not isinstance(node, ast.ClassDef)]
        self.sure_classes = self.classes - {name for node in others for name in binds(node)}
        self.origins = origins(everything)
        imports = (ast.ImportFrom, ast.Import)
        self.rebound = {
            n for node in everything if not isinstance(node, imports) for n in binds(node)
        }
        self.replaceable: set[str] = set()  # attributes of the library's classes that it uses
        self.modules = defaultdict(set)  # name -> the modules that it may be
        for node in everything:
            for alias in node.names if isinstance(node, ast.Import) else []:
                top = alias.name if alias.asname else alias.name.partition(".")[0]
                self.modules[alias.asname or top].add(top)
        functions = [n for n in everything if isinstance(n, SCOPES) and self.modules]
        inside = [n for f in functions for n in ast.walk(f) if isinstance(n, ast.Import)]
        self.local_modules = {name for node in inside for name in binds(node)}
        self.starred, self.hidden = stars(everything, [*ast.walk(given)])
        self.since = since(tree)
        self.handed = self.handed_over(tree)

    # --- Names ---

    def is_local(self, name: str) -> bool:
        """Whether the compiler says that it can be nothing but a variable of a function."""
        return bool(self.scope) and all(
            table.get_type() == "function"
            and name in table.get_identifiers()
            and (table.lookup(name).is_local() or table.lookup(name).is_free())
            for table in self.scope
        )

    def is_own(self, node: ast.Name) -> bool:
        """Whether it can be nothing but what the program itself has bound."""
        return self.is_local(node.id) or node.lineno > self.since.get(node.id, node.lineno)

    def may_be_module(self, name: str) -> bool:
        return name in self.modules and (name in self.local_modules or not self.is_local(name))

    def visit_Name(self, node: ast.Name) -> None:
        name = node.id
        if self.may_be_module(name):
            raise Refused(f"the module {name} as a value")
        self.library(node)
        if node in self.fine:
            return
        if name.startswith("__") and name.endswith("__"):  # the record has such a name itself
            raise Refused(name)
        elif self.is_own(node):
            return
        elif name in vars(builtins) and isinstance(node.ctx, ast.Load):
            if name not in BUILTINS:
                raise Refused(name)
        elif name in self.hidden or name not in self.bound | self.starred | BUILTINS:
            raise Refused(name)

    def module_of(self, node: ast.expr) -> set[str]:
        """The modules that `m` or `m.n` may be; empty if it is something else."""
        if isinstance(node, ast.Name) and self.may_be_module(node.id):
            return self.modules[node.id]
        if isinstance(node, ast.Attribute) and (outer := self.module_of(node.value)):
            inner = {f"{module}.{node.attr}" for module in outer}
            return inner if inner <= MODULES.keys() else set()
        return set()

    def origin(self, node: ast.expr) -> set[str]:
        """What of the library `n` or `m.n` may be, such as {"copy.deepcopy"}."""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, set())
        if isinstance(node, ast.Attribute):
            return {f"{module}.{node.attr}" for module in self.module_of(node.value)}
        return set()

    def library(self, node: ast.Name | ast.Attribute) -> None:
        """Refuse what may not stand here; note what of a class of the library could be replaced."""
        found = self.origin(node)
        if node not in self.placed and isinstance(node.ctx, ast.Load):
            for name in sorted(found & PLACED):
                raise Refused(f"{name} as a value")
        self.replaceable |= {a for name in found for a in PATCHABLE.get(name, ())}

    def is_file(self, node: ast.expr) -> bool:
        inner = isinstance(node, ast.Attribute) and node.attr == "buffer"
        return bool(self.origin(node) & FILES) or (inner and self.is_file(node.value))

    def is_library(self, node: ast.expr) -> bool:
        """Whether it can be nothing but what an import brings."""
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        rebound = isinstance(root, ast.Name) and root.id in self.rebound
        return bool(self.origin(node)) and not rebound

    def is_builtin(self, node: ast.expr, names: set[str]) -> bool:
        return isinstance(node, ast.Name) and node.id in names - self.bound - self.starred

    def is_plain_annotation(self, node: ast.expr) -> bool:
        """Whether it can call nothing of the program's own."""
        match node:
            case ast.Subscript(value=value, slice=inner):
                known = self.is_library(value) or self.is_builtin(value, TYPES)
                return known and self.is_plain_annotation(inner)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return all(map(self.is_plain_annotation, parts))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.is_plain_annotation(left) and self.is_plain_annotation(right)
            case ast.Name(id=name) if name in self.sure_classes:
                return True
        plain = isinstance(node, ast.Constant) or self.is_builtin(node, TYPES)
        return plain or self.is_library(node)

    def annotation(self, node: ast.expr | None) -> None:
        """What is said of a type stays there: nothing can get at it."""
        if node and self.is_plain_annotation(node):
            self.placed |= set(ast.walk(node))

    def visit_arg(self, node: ast.arg) -> None:
        self.annotation(node.annotation)
        self.generic_visit(node)

    visit_AnnAssign = visit_arg

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name, load = node.attr, isinstance(node.ctx, ast.Load)
        if modules := self.module_of(node.value):
            for module in sorted(modules):
                if name not in MODULES.get(module, ()) or not load:
                    raise Refused(f"{module}.{name}" if load else f"{module}.{name} as a target")
            self.library(node)
            return
        if self.is_file(node.value):
            if name not in FILE_ATTRIBUTES or not load:
                raise Refused(f"{name} of a file")
            self.placed.add(node.value)
            if name == "buffer" and node not in self.placed:
                raise Refused("a file as a value")
        if load and name in METHODS and not self.is_only_called(node):
            raise Refused(f"{name} as a value")
        if name == "__name__" and load and is_type_call(node.value):
            self.fine.add(node.value.func)
        elif name in OPERATORS and load:
            pass
        elif name == "format":
            if not (isinstance(node.value, ast.Constant) and has_plain_fields(node.value.value)):
                raise Refused("a format that looks into its arguments")
        else:
            self.attribute(name)
        base = node.value.id if isinstance(node.value, ast.Name) else ""
        known = self.classes | self.origins.keys() | BUILTINS
        if not load and base in known and not self.is_local(base):
            raise Refused(f"{base}.{name} as a target")
        self.visit(node.value)

    def is_only_called(self, node: ast.Attribute) -> bool:
        """Whether nothing can compare a method: two are equal if they are of one object."""
        if node in self.called or node.attr in OTHERWISE:
            return node in self.called
        constant = self.is_builtin(node.value, TYPES) or self.is_file(node.value)
        return constant or node in self.handed

    def handed_over(self, tree: ast.Module) -> set[ast.AST]:
        """What a builtin takes to call it, and what a name stands for that is only called."""
        found, nodes = set(), [*ast.walk(tree)]
        seen = {n.attr for n in nodes if isinstance(n, ast.Attribute)}
        seen |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
                 and n not in self.called}  # fmt: skip
        for node in nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in seen:
                    found.add(value)
                case ast.Call(func=func, args=[first, *_]) if self.is_builtin(func, TAKE_FIRST):
                    found.add(first)
                case ast.Call(func=ast.Attribute(attr="sort"), keywords=words):
                    found |= {word.value for word in words if "sort" not in self.own}
                case ast.Call(func=func, keywords=words) if self.is_builtin(func, TAKE_KEY):
                    found |= {word.value for word in words if word.arg == "key"}
        return found

    def attribute(self, name: str) -> None:
        dunder = name.startswith("__") and name.endswith("__")
        own = name in self.own and name not in INSIDES and not dunder
        if not (name in ATTRIBUTES or own):
            raise Refused(name)

    # --- Scopes ---

    def within(self, name: str, node: ast.AST, parts: list) -> None:
        if getattr(node, "type_params", []):
            raise Refused("type parameters")
        outer, self.scope = self.scope, self.tables[name, node.lineno]
        for part in parts:
            self.visit(part)
        self.scope = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.decorated(node)
        if node.name.startswith("__") and (node.name != "__init__" or node.decorator_list):
            raise Refused(f"def {node.name}")
        self.visit(node.args)
        self.annotation(node.returns)
        if node.returns:
            self.visit(node.returns)
        self.within(node.name, node, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.args)
        self.within("lambda", node, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        plain = all(self.is_builtin(base, {"object"}) for base in node.bases)
        if node.keywords or node.decorator_list or not plain:
            raise Refused("a class that is not plain")
        self.within(node.name, node, node.body)

    def decorated(self, node: ast.FunctionDef) -> None:
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = getattr(called, "attr", getattr(called, "id", ""))
            known = self.is_builtin(called, DECORATORS) or self.is_library(called)
            if name not in DECORATORS or not known:
                raise Refused(f"the decorator {ast.unparse(called)[:50]}")
            self.visit(decorator)

    def visit_comprehension_scope(self, node: ast.expr) -> None:
        first, *_ = node.generators
        for part in node.generators:
            self.placed |= {part.iter} if self.is_file(part.iter) else set()
        self.visit(first.iter)  # it runs outside
        name = {ast.ListComp: "listcomp", ast.SetComp: "setcomp", ast.DictComp: "dictcomp"}
        parts = [first.target, *first.ifs, *node.generators[1:]]
        parts += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self.within(name.get(type(node), "genexpr"), node, parts)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_scope

    # --- Single forms ---

    def generic_visit(self, node: ast.AST) -> None:
        if not isinstance(node, SYNTAX):
            raise Refused(f"the syntax {type(node).__name__}")
        super().generic_visit(node)

    def visit(self, node: ast.AST) -> None:
        for word in identifiers(node):
            if re.fullmatch(MANGLED, word):
                raise Refused(f"{word}, a private name")
        for word in words(node):
            for dunder in re.findall(r"__\w+__", word):
                if not (isinstance(node, ast.Constant) and dunder in MAY_BE_SAID):
                    raise Refused(dunder)
        super().visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name not in MODULES:
                raise Refused(f"import {alias.name}")
        self.check_place()
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        if module == "__future__":
            if any(alias.asname for alias in node.names):
                raise Refused("a future by another name")
            return
        if module not in MODULES:
            raise Refused(f"import {module}")
        for alias in node.names:
            if alias.name not in MODULES[module] | {"*"}:
                raise Refused(f"{module}.{alias.name}")
        self.check_place()
        self.generic_visit(node)

    def check_place(self) -> None:
        """What a class imports is an attribute of it, whose origin the other rules do not see."""
        if any(table.get_type() == "class" for table in self.scope):
            raise Refused("an import in a class")

    def visit_Call(self, node: ast.Call) -> None:
        several = len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred)
        if several and isinstance(node.func, ast.Name) and node.func.id == "type":
            raise Refused("type() with several arguments")
        origin = self.origin(node.func)
        if "copy.deepcopy" in origin and several:  # its memo maps addresses
            raise Refused("deepcopy() with several arguments")
        if not origin & (PLACED - CALLED):
            self.placed.add(node.func)
        place = slice(1, None) if self.is_builtin(node.func, {"filter", "map"}) else slice(1)
        if self.is_builtin(node.func, ITERATE):
            self.placed |= {arg for arg in node.args[place] if self.is_file(arg)}
        if self.is_builtin(node.func, {"print"}):
            files = {word.value for word in node.keywords if word.arg == "file"}
            self.placed |= set(filter(self.is_file, files))
        if self.is_builtin(node.func, {"isinstance", "issubclass"}):
            for kinds in node.args[1:]:
                self.annotation(kinds)
                if is_type_call(kinds) and self.is_plain_type(kinds):
                    self.fine.add(kinds.func)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if is_main_guard(node) and not self.scope:  # of a function's program it is gone
            self.fine.add(node.test.left)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.placed |= {node.iter} if self.is_file(node.iter) else set()
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for op, *pair in zip(node.ops, sides, sides[1:], strict=False):
            if isinstance(op, ast.Is | ast.IsNot) and not any(map(self.is_one, pair)):
                raise Refused("`is` between values")  # are equal ones one? That hangs on the call
        if all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            sides = [side for side in sides if isinstance(side, ast.Call)]  # `is` calls nothing
        if all(map(self.is_plain_type, sides)):
            self.fine |= {n.func for side in sides for n in ast.walk(side) if is_type_call(n)}
        self.generic_visit(node)

    def is_one(self, node: ast.expr) -> bool:
        """Whether equal ones are the same: None, True, False, ..., or a type."""
        value = node.value if isinstance(node, ast.Constant) else 0
        return any(value is one for one in (None, True, False, ...)) or self.is_plain_type(node)

    def is_plain_type(self, node: ast.expr) -> bool:
        """`type(x)`, `int`, `(int, str)`: nothing whose `==` could keep a class of classes."""
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return all(map(self.is_plain_type, node.elts))
        if isinstance(node, ast.Call):
            return is_type_call(node) and not any(map(is_type_call, ast.walk(node.args[0])))
        return isinstance(node, ast.Name) and node.id in TYPES and node.id not in self.bound
