"""An assert-style check as code: the trainer compiles it once, and runs it on many programs."""

import ast
import functools
import re
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


IMPORTS_NUMPY = re.compile(r"(?m)^[ \t]*import numpy(?: as (\w+))?[ \t]*$")


def asks_numpy(*sources: str) -> bool:
    """Whether they do more with numpy than to import it, as many checks do that never use it."""
    text = "\n".join(sources)
    if "numpy" not in text:
        return False
    names, rest = {*IMPORTS_NUMPY.findall(text)} - {""}, IMPORTS_NUMPY.sub("", text)
    return any(re.search(rf"\b{name}\b", rest) for name in {"numpy", *names})


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
