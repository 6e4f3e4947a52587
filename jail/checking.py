"""An assert-style check as code: the trainer compiles it once, and runs it on many programs."""

import ast
import contextlib
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


def strict_numpy() -> None:
    """Let numpy's comparisons of a check say no where one side is empty and the other is not: else
    `return []` is all that a program needs to be close to any number."""
    with contextlib.suppress(ImportError):
        import numpy
        from numpy import testing

        def strict(compare: Callable, answer: Callable) -> Callable:
            def compared(a: object, b: object, *args: object, **options: object) -> object:
                same = (numpy.size(a) == 0) == (numpy.size(b) == 0)
                return compare(a, b, *args, **options) if same else answer(a, b)

            return compared

        def unequal(a: object, b: object) -> None:
            raise AssertionError(f"{a!r} is not {b!r}"[:500])

        for name in ("allclose", "isclose"):
            setattr(numpy, name, strict(getattr(numpy, name), lambda a, b: numpy.False_))
        for name in ("allclose", "almost_equal", "array_almost_equal", "equal", "array_equal"):
            name = f"assert_{name}"
            setattr(testing, name, strict(getattr(testing, name), unequal))
