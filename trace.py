"""The final value of each variable, after one run of a program on one input.

jail/instrument.py keeps the object of each last definition, inside the sandbox, and reads it when
the run is over, so an `append` counts. This file decides which variables a question may ask for.

A definition is an assignment (plain, augmented, annotated, `:=`), a `for`, `with` or `match`
target, or a parameter. `import`, `def`, `class`, `del` and `except ... as` define no variable, but
they end the one whose name they take. Left out: comprehension targets and everything inside a
lambda, which live for one expression; attributes and items, which are no names; `_`; and the names
of parameters of a generator or coroutine, which are bound before it runs.

    python trace.py program.py [--call='f([1, 2], k=3)'] [--json] < stdin
"""

import argparse
import json
import sys
from dataclasses import dataclass, field

from jail.calls import parse_call
from jail.chance import AS_IT_IS, reruns
from jail.terminal import command_line, printable, read_text
from jail.values import NO_CAPS, encode
from problems.programs import with_prefix
from sandbox import Sandbox

LONG = 1 << 16  # characters of an output, or of a value as JSON: no question can ask for as many


@dataclass
class Variable:
    scope: str | None  # "" is the module; "f", "Stack.push", "f.inner"; None: it is the output
    name: str
    line: int  # of its last definition
    order: int  # of its last definition: greater is later
    value: object  # at the end of the run
    parameter: bool  # its last definition was as a parameter
    last: bool  # no variable of its name, fit to ask for or not, was defined later
    given: bool  # the prompt says its value: as an argument of the call, or see jail/remarks.py


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
    trusted: bool = False, prefix: str = "",
) -> Trace:  # fmt: skip
    """Trace one run on `input`: a text for stdin, or with fn_name a list of arguments.

    trusted: skip the check for forgery; for one's own programs, never for a model's. prefix: what
    the problem's data set runs before the program; its variables are left out.
    """
    sandbox = sandbox.twin()  # whoever is judged next must not see that this was worth a trace
    text, own = with_prefix(prefix, program, fn_name), with_prefix("", program, fn_name)
    first_line = text[: text.find(prefix)].count("\n") + 1
    of_prefix = range(first_line, first_line + len(prefix.splitlines()))

    def run(sandbox: Sandbox, traced: int, vet: tuple = ()) -> tuple:
        (result,) = sandbox.run(text, [input], fn_name, traced, vet=vet)
        output = (result.status, result.stdout, json.dumps(encode(result.value)))
        return result, output, json.dumps(encode(result.variables, **NO_CAPS))

    first, output, values = run(sandbox, AS_IT_IS, vet=() if trusted else (own, prefix))
    arguments = [encode(argument, **NO_CAPS) for argument in input] if fn_name else []
    variables = []
    for row in (row for row in first.variables or [] if row["line"] not in of_prefix):
        said = row["parameter"] and encode(row["value"]) in arguments
        variables.append(Variable(**row, given=said))
    trace = Trace(variables, first.stdout, first.value, error=first.error)
    if first.status != "ok":
        trace.reason = first.status
    elif not trusted and max(map(len, output)) > LONG:
        trace.reason = "output too long"
    elif any(run(sandbox.twin(k), way)[1:] != (output, values) for k, way in reruns(text, input)):
        trace.reason = "nondeterministic"
    elif run(sandbox, traced=0)[1] != output:
        trace.reason = "changed by tracing"
    return trace


def choose_variables(trace: Trace, max_variables: int) -> list[Variable]:
    """The variables to ask for: the last ones defined, in the order of their definitions.

    If scopes share a name, only the one defined last counts, so that an answer `name = value` is
    unambiguous. It is left out if the prompt gives its value.
    """
    chosen = sorted((v for v in trace.variables if v.last and not v.given), key=lambda v: v.order)
    return chosen[-max_variables:] if max_variables > 0 else []


# --- Command line -------------------------------------------------------------------------------


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
