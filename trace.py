"""The value of each variable at its last definition, after one run of a program on one input.

jail/instrument.py records them, inside the sandbox; here we decide which may be asked for.

A definition is an assignment (plain, augmented, annotated, `:=`), a `for`, `with` or `match`
target, or a parameter. `import`, `def` and `class` define no variable, but end the one whose name
they take, as `del` and `except ... as` do. Left out: comprehension targets and all inside a
lambda (they live for one expression), attributes and items (they are no names), and `_`.

    python trace.py program.py [--call='f([1,2])'] [--values=binding] [--json] < stdin
"""

import argparse
import ast
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from jail.instrument import HOOK
from jail.values import NO_CAPS, encode
from sandbox import Sandbox

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
                return dunders[0] if dunders else word
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
    sandbox: Sandbox, program: str, input: str | list, fn_name: str | None = None,
    values: str = "end", trusted: bool = False,
) -> Trace:  # fmt: skip
    """Trace one run on `input` (stdin text, or with fn_name a list of arguments).

    values: "end" reads them when the run is over, so that an in-place `append` counts; "binding"
    when the name was bound. `trusted` skips the check for forgery: for one's own programs, never
    for a model's.
    """
    if not trusted and (word := forgeable(program)):
        return Trace(reason="forgeable", error=f"it uses {word}")

    def run(traced: str) -> tuple:
        (result,) = sandbox.run(program, [input], fn_name, traced=traced)
        return result, (result.status, result.stdout, encode(result.value))

    first, observed = run(traced=values)
    arguments = [encode(argument, **NO_CAPS) for argument in input] if fn_name else []
    entry = (fn_name or "").split(".")[-1]  # of "f" or "Solution().f"
    variables = []
    for row in first.variables or []:
        of_call = row["parameter"] and row["scope"].split(".")[-1] == entry
        variables.append(Variable(**row, given=of_call and encode(row["value"]) in arguments))
    trace = Trace(variables, first.stdout, first.value, first.status, first.error)
    if first.status != "ok":
        return trace
    second, again = run(traced=values)
    if again != observed or encode(second.variables) != encode(first.variables):
        trace.reason = "nondeterministic"
    else:
        trace.reason = "" if run(traced="")[1] == observed else "changed by tracing"
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
    parser.add_argument("--values", choices=("end", "binding"), default="end", help="read when?")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    args = parser.parse_args()
    try:
        fn_name, input = parse_call(args.call) if args.call else (None, "")
        if not args.call and not sys.stdin.isatty():
            input = sys.stdin.read()
        program = args.program.read_text(encoding="utf-8")
        trace = trace_program(Sandbox(), program, input, fn_name, args.values, trusted=True)
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
