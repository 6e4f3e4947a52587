"""The value of each variable at its last definition, after one run of a program on one input.

jail/instrument.py records the values inside the sandbox, and reads them when the run is over. This
file decides which variables a question may ask for.

A definition is an assignment (plain, augmented, annotated, `:=`), a `for`, `with` or `match`
target, or a parameter. `import`, `def`, `class`, `del` and `except ... as` define no variable, but
they end the one whose name they take. Left out: comprehension targets and everything inside a
lambda, which live for one expression; attributes and items, which are no names; and `_`.

    python trace.py program.py [--call='f([1, 2], k=3)'] [--json] < stdin
"""

import argparse
import ast
import json
import re
import sys
from dataclasses import dataclass, field

from jail.forgery import forgeable
from jail.instrument import by_position
from jail.terminal import command_line, printable, read_text
from jail.values import NO_CAPS, encode
from sandbox import Sandbox


@dataclass
class Variable:
    scope: str  # "" is the module; "f", "Stack.push", "f.inner"
    name: str
    line: int  # of its last definition
    order: int  # of its last definition: greater is later
    value: object  # at the end of the run
    parameter: bool  # its last definition was as a parameter
    given: bool  # it is a parameter of the call under test, with the value that the caller gave


@dataclass
class Trace:
    """What a run left behind. A question may use it only if `reason` is "".

    Else it is "forgeable", "nondeterministic", "changed by tracing", or the status of a run that
    failed ("error", "timeout", ...), which leaves the values of that moment. `error` says more.
    """

    variables: list[Variable] = field(default_factory=list)  # in the order of their definitions
    stdout: str = ""
    value: object = None
    reason: str = ""
    error: str = ""


def trace_program(
    sandbox: Sandbox, program: str, input: str | list, fn_name: str | None = None,
    trusted: bool = False,
) -> Trace:  # fmt: skip
    """Trace one run on `input`: a text for stdin, or with fn_name a list of arguments.

    trusted: skip the check for forgery; for one's own programs, never for a model's.
    """
    if not trusted and (word := forgeable(program)):
        return Trace(reason="forgeable", error=f"it uses {word}")

    def run(traced: bool) -> tuple:
        (result,) = sandbox.run(program, [input], fn_name, traced)
        return result, (result.status, result.stdout, encode(result.value))

    first, observed = run(traced=True)
    arguments = [encode(argument, **NO_CAPS) for argument in input] if fn_name else []
    entry = (fn_name or "").split(".")[-1]  # of "f" or "Solution().f"
    variables = []
    for row in first.variables or []:
        of_call = row["parameter"] and row["scope"].split(".")[-1] == entry
        variables.append(Variable(**row, given=of_call and encode(row["value"]) in arguments))
    trace = Trace(variables, first.stdout, first.value, first.status, first.error)
    if first.status != "ok":
        return trace
    second, again = run(traced=True)
    rows, again_rows = (encode(run.variables, **NO_CAPS) for run in (first, second))
    if again != observed or again_rows != rows:
        trace.reason = "nondeterministic"
    else:
        trace.reason = "" if run(traced=False)[1] == observed else "changed by tracing"
    return trace


def choose_variables(trace: Trace, max_variables: int) -> list[Variable]:
    """The variables to ask for: the last ones defined, in the order of their definitions.

    If scopes share a name, only the one defined last counts, so that an answer `name = value` is
    unambiguous. It is left out if the prompt gives its value.
    """
    last = {v.name: v for v in sorted(trace.variables, key=lambda v: v.order)}
    chosen = sorted((v for v in last.values() if not v.given), key=lambda v: v.order)
    return chosen[-max_variables:] if max_variables > 0 else []


# --- Command line -------------------------------------------------------------------------------


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
    except (AttributeError, SyntaxError, ValueError, RecursionError, MemoryError):
        wanted = "a call whose arguments, and defaults before a keyword, are literals"
        raise ValueError(f"cannot read {text}; write {wanted}, like f([1, 2], k=3)") from None


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
    parser.add_argument("program")
    parser.add_argument("--call", help="trace one call, e.g. --call='f([1, 2], k=3)'")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    args = parser.parse_args()
    sys.set_int_max_str_digits(0)  # a value may be longer than Python's 4,300 digits
    program = read_text(args.program)
    fn_name, input = parse_call(args.call, program) if args.call else (None, "")
    if not args.call and not (sys.stdin and sys.stdin.isatty()):
        input = read_text(None)
    trace = trace_program(Sandbox(), program, input, fn_name, trusted=True)
    if args.json:
        rows = [vars(v) | {"value": repr(v.value)} for v in trace.variables]
        print(json.dumps(vars(trace) | {"value": repr(trace.value), "variables": rows}, indent=1))
    else:
        print(printable(table(trace, fn_name)))
    if trace.reason:
        raise ValueError(f"{args.program}: {trace.reason}. {trace.error}".rstrip())


if __name__ == "__main__":
    command_line(main)
