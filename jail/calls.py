"""Calls as text: what the arguments of `f([1, 2], k=3)` are, by the `def` of a program."""

import ast
import re
from inspect import Parameter, Signature


def parse_call(text: str, program: str = "") -> tuple[str, list]:
    """("A().f", [[1], 2]) from "A().f([1], k=2)"; ValueError if it is no such call.

    A traced call takes its arguments by position. The `def` in `program` says where keywords go.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
        fn_name, named = ast.unparse(call.func), {k.arg: k.value for k in call.keywords}
        if not re.fullmatch(r"(\w+(\(\))?\.)?\w+", fn_name):
            raise ValueError
        nodes = by_position(program, fn_name, call.args, named) if named else call.args
        return fn_name, [ast.literal_eval(node) for node in nodes]
    except TypeError as error:  # the arguments do not fit
        raise ValueError(f"{text}: {error}") from None
    except (AttributeError, SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        wanted = "a call whose arguments, and defaults before a keyword, are literals"
        raise ValueError(f"cannot read {text}; write {wanted}, like f([1, 2], k=3)") from None


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
