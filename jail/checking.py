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


def strict_numpy() -> Callable[[object], object]:
    """Let what a check asks numpy of an empty value and one that is not empty fail: else `return
    []` is all that a program needs to be close to any number.

    Returns what makes such an empty value of a program's, which numpy asks before it computes. Left
    out: lists that the program has emptied.
    """
    try:
        import numpy
        from numpy import testing
    except ImportError:
        return lambda value: value

    def strict(compare: Callable, answer: Callable) -> Callable:
        def compared(a: object, b: object, *args: object, **options: object) -> object:
            same = (numpy.size(a) == 0) == (numpy.size(b) == 0)
            return compare(a, b, *args, **options) if same else answer(a, b)

        return compared

    def unequal(a: object, b: object) -> None:
        raise AssertionError(f"{a!r} is not {b!r}"[:500])

    def compute(self: object, function: Callable, method: str, *given: object, **options) -> object:  # noqa: ANN003
        for value in given:
            if numpy.size(value):
                unequal(plain(self), value)
        return getattr(function, method)(*map(plain, given), **options)

    kinds = {kind: type(kind.__name__, (kind,), {"__array_ufunc__": compute})
             for kind in (list, tuple, numpy.ndarray)}  # fmt: skip

    def plain(value: object) -> object:
        return array(value) if type(value) in kinds.values() else value

    def guarded(value: object) -> object:
        if type(value) is numpy.ndarray:
            return value if value.size else value.view(kinds[numpy.ndarray])
        return kinds[type(value)](value) if type(value) in kinds and is_empty(value) else value

    array = numpy.array
    for name in ("array", "asarray", "asanyarray"):
        made = getattr(numpy, name)
        setattr(numpy, name, lambda *args, made=made, **options: guarded(made(*args, **options)))
    for name in ("allclose", "isclose", "array_equiv"):
        setattr(numpy, name, strict(getattr(numpy, name), lambda a, b: numpy.False_))
    for name in ("allclose", "almost_equal", "array_almost_equal", "equal", "array_equal"):
        name = f"assert_{name}"
        setattr(testing, name, strict(getattr(testing, name), unequal))
    return guarded


def is_empty(value: object) -> bool:
    """Whether numpy makes an array of no items of it."""
    return isinstance(value, list | tuple) and all(map(is_empty, value))
