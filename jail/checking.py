"""An assert-style check as code: the trainer compiles it once, and runs it on many programs."""

import ast
import functools
from collections.abc import Callable
from types import CodeType

FAILED = "__failed__"  # what a check calls with an assert's exception
(TEMPLATE,) = ast.parse(f"try: 0\nexcept Exception as {FAILED}e: {FAILED}({FAILED}e)").body


class GoingOn(ast.NodeTransformer):
    """Lets a check go on after an assert that failed. Else the program would see which of its
    answers was wrong, for it was asked no more, and could leave a sign for those after it. For the
    same reason all parts of `assert a and b` are asked, and all of `assert all(...)`."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.Try]:
        match node.test:
            case ast.BoolOp(op=ast.And(), values=parts):
                tests = [ast.copy_location(ast.Assert(part, node.msg), node) for part in parts]
                return [one for test in tests for one in self.visit_Assert(test)]
            case ast.Call(func=ast.Name("all"), args=[ast.GeneratorExp() as asked]):
                node.test.args = [ast.copy_location(ast.ListComp(**vars(asked)), asked)]
        return [ast.copy_location(ast.Try([node], TEMPLATE.handlers, [], []), node)]

    def visit_Try(self, node: ast.Try | ast.With) -> ast.AST:
        return node  # which may wait for the exception

    visit_With = visit_Try


@functools.lru_cache(maxsize=1000)
def compiled(preamble: str, check: str) -> tuple[CodeType | None, CodeType | None]:
    """Both as code, the check as one that goes on; None for what does not compile."""
    as_it_is = ast.NodeTransformer()
    return code_of(preamble, "<string>", as_it_is), code_of(check, "<check>", GoingOn())


def code_of(source: str, name: str, change: ast.NodeTransformer) -> CodeType | None:
    try:
        return compile(change.visit(ast.parse(source)), name, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def strict_numpy() -> Callable[[type], type] | None:
    """Let what a check asks numpy of an empty value and one that is not empty fail: else `return
    []` is all that a program needs to be close to any number.

    Returns what makes the type of such an empty value of a program's, which numpy asks before it
    computes; None without numpy. Left out: lists that the program has emptied; sums; numpy.float64
    and the like as functions.
    """
    try:
        import numpy
        from numpy import testing
    except ImportError:
        return None

    def differ(values: tuple) -> bool:
        return len({numpy.size(value) == 0 for value in values}) > 1

    def unequal(values: tuple) -> None:
        raise AssertionError(f"{' and '.join(map(repr, values))} are not alike"[:500])

    def compute(self: object, function: Callable, method: str, *given: object, **options) -> object:  # noqa: ANN003
        if differ((self, *given)):
            unequal(given)
        made = getattr(function, method)(*map(plain, given), **options)
        return made if len(given) > 1 else guarded(made)  # two are compared now, and alike

    @functools.cache
    def strictly(kind: type) -> type:
        kind = list if kind is range else kind  # which has no subclass
        return type(kind.__name__, (kind,), {"__array_ufunc__": compute, "__plain__": kind})

    def plain(value: object) -> object:
        return array(value) if hasattr(type(value), "__plain__") else value

    def is_empty(value: object) -> bool:
        return type(value) is numpy.ndarray and value.size == 0

    def guarded(value: object) -> object:
        return value.view(strictly(numpy.ndarray)) if is_empty(value) else value

    class Asked:
        """A function of numpy's, of which no array without items comes that is not strict."""

        def __init__(self, function: Callable, pair: Callable | None = None) -> None:
            """pair: what it does with two values of which one is empty."""
            self.function, self.pair = function, pair

        def __call__(self, *args: object, **options: object) -> object:
            if self.pair and len(args) > 1 and differ(args[:2]):
                return self.pair(args[:2])
            made = self.function(*args, **options)
            compared = self.pair and len(args) > 1 or any(map(is_empty, args))
            return made if compared else guarded(made)

        def __getattr__(self, name: str) -> object:
            return getattr(self.function, name)

    array = numpy.array
    pairs = dict.fromkeys(("allclose", "isclose", "array_equiv"), lambda _: numpy.False_)
    for name, found in vars(numpy).items():
        if callable(found) and not isinstance(found, type) and name[0] != "_":
            pair = unequal if isinstance(found, numpy.ufunc) else None
            setattr(numpy, name, Asked(found, pairs.get(name, pair)))
    for name in ("allclose", "almost_equal", "array_almost_equal", "equal", "array_equal"):
        name = f"assert_{name}"
        setattr(testing, name, Asked(getattr(testing, name), unequal))
    return strictly
