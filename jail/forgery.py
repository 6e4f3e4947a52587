"""Which programs may be asked about: those that cannot reach their own record, and simple ones."""

import ast
import re

from jail.instrument import HOOK

# The record is made in the program's own process, so we do not ask about a program that could reach
# it: by a frame, a function's globals, a module or computed code. We refuse what we do not know to
# be harmless, because a lost sample costs nothing and a forged one teaches forging.
MODULES = r"""(?x) (__future__|abc|array|bisect|cmath|collections|copy|dataclasses|datetime|decimal
    |enum|fractions|functools|heapq|itertools|math|numbers|operator|random|re|statistics|string
    |sys|textwrap|time|typing) (\..*)?"""
REFUSED = r"""(?x) exec|eval|compile|open|globals|locals|vars|getattr|setattr|delattr|breakpoint
    |(f|tb|gi|cr|ag|func)_(frame|code|back|next|globals|locals|builtins)|with_traceback|exc_info
    |_getframe\w*|_current_\w+|settrace|setprofile|monitoring|modules|builtins|bltns|inspect|types
    |help|gc|ctypes|_?os|io|raw|detach|FunctionType|CodeType|Formatter|get_field|ForwardRef
    |get_type_hints|singledispatch\w*|attrgetter|methodcaller|wraps|update_wrapper|meta_path"""
DUNDERS = r"__(name|main|init|class|doc|slots|future)__"  # may be used; any may name a method


def forgeable(source: str) -> str:
    """The first word of the program that could reach its own record; "" if there is none."""
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
                return dunders[0] if dunders else word
    ids = [node.ctx for node in nodes if isinstance(node, ast.Name) and node.id == "id"]
    # The builtin id() forges nothing, but nobody can predict an address.
    return "id" if ids and all(isinstance(ctx, ast.Load) for ctx in ids) else ""


def complexity(program: str) -> int:
    """McCabe's cyclomatic complexity: 1 + decision points. A program that does not parse: 0."""
    branches = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension)
    try:
        nodes = ast.walk(ast.parse(program))
        return 1 + sum(
            len(n.values) - 1 if isinstance(n, ast.BoolOp) else isinstance(n, branches)
            for n in nodes
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0
