"""Random programs, traced by us and by sys.settrace at every bytecode: do the values agree?

    python bench/tracefuzz.py values [--n=20000] [--seed=0]     random programs over the grammar
    python bench/tracefuzz.py attacks [--n=2000] [--seed=0]     mutants of tests/test_forgery.py

Every value that we record must be the one that the oracle saw last, and of the scopes that share a
name the same one must have bound it last, or the program is refused. An attack must never make a
target of 777. Exits with 1, and prints the program, if one does.

Left out: async, and programs that end a value observably, which are refused before they run.
"""

import ast
import dis
import io
import random
import re
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from contextlib import redirect_stdout, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from jail.forgery import forgeable  # noqa: E402
from jail.instrument import FILENAME, HOOK, compile_traced  # noqa: E402
from jail.recorder import UNFIT, plain  # noqa: E402
from tools.command import options  # noqa: E402

CLEANS_UP = "a generator that cleans up"
SECONDS = 2.0  # for one program
NAMES = "a b c d e x y".split()  # noqa: SIM905
PROLOGUE = """
class Box:
    n = 1
    def __init__(self, v=0): self.v = v
    def __enter__(self): return self.v
    def __exit__(self, *why): return len(why) and self.v == 1
    def __setitem__(self, k, v):
        if v == 0: raise KeyError(k)
    @property
    def p(self): return self.v // 0
def txt(v): return str(v) if isinstance(v, (int, str)) else ''
a = b = c = d = e = x = y = 0
fuel = 60
def burn():
    global fuel
    fuel -= 1
    return fuel > 0
"""


class Writer:
    """Writes one random program. It ends, because each loop and call burns a common fuel."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.functions = rng, ["burn"]

    def pick(self, *options: str) -> str:
        return self.rng.choice(options)

    def name(self) -> str:
        return self.rng.choice(NAMES)

    def value(self, depth: int = 0) -> str:
        n, r = self.name, self.rng.randrange(5 if depth > 1 else 18)
        if r < 3:
            return self.pick("0", "1", "2", "'s'", "None", "True", "[]", "{}", "(1, 2)")
        if r < 5:
            return n()
        v = [self.value(depth + 1) for _ in range(2)]
        return self.pick(
            f"[{v[0]}, {v[1]}]", f"({v[0]}, {v[1]})", f"{v[0]} + {v[1]}", f"{v[0]} // {v[1]}",
            f"({n()} := {v[0]})", f"[q for q in [{v[0]}, {v[1]}]]",
            f"({v[0]} if {v[1]} else {n()})",
            f"[({n()} := q) for q in (1, 2) if q]", f"{{'k': {v[0]}}}", f"txt({v[0]})",
            f"{self.rng.choice(self.functions)}()", f"({v[0]} and {v[1]})", f"{v[0]}[0]",
            f"list(g({v[0]}))", f"Box({v[0]})", f"Box({v[0]}).p", f"(lambda {n()}: {v[0]})(1)",
            f"f'{{txt({v[0]})}}'", f"next(iter({v[0]}), {v[1]})",
        )  # fmt: skip

    def target(self, depth: int = 0) -> str:
        n = self.name
        if depth > 1 or self.rng.random() < 0.5:
            return self.pick(n(), n(), n(), f"{n()}[0]", f"{n()}.v", f"Box()[{n()}]")
        parts = [self.target(depth + 1) for _ in range(self.rng.randrange(1, 4))]
        if self.rng.random() < 0.2:
            parts[-1] = f"*{n()}"
        return self.pick(f"({', '.join(parts)},)", f"[{', '.join(parts)}]")

    def block(self, depth: int, scope: str) -> list[str]:
        lines = [x for _ in range(self.rng.randrange(1, 4)) for x in self.statement(depth, scope)]
        return ["    " + line for line in lines]

    def statement(self, depth: int, scope: str) -> list[str]:
        n, v, t = self.name, self.value, self.target
        r = self.rng.randrange(13 if depth > 2 else 24)
        if r < 5:
            return [f"{t()} = {v()}"]
        if r < 12:
            name = n()
            return [self.pick(
                f"{t()} = {t()} = {v()}", f"{name} += {v()}", f"{name}: int = {v()}",
                f"{name}: ({v()}) = {v()}", f"del {name}, {n()}", f"del {n()}[0], {name}",
                f"{name}.append({v()})", f"import math as {name}", f"from math import pi as {name}",
                f"from math import e, floor as {name}, nope", f"{v()}", f"assert {v()}",
                f"raise ValueError({v()})", f"{name}, {n()} = {n()}, {v()}", "from math import *"
                if scope == "module" else "pass", f"{t()}, = [{v()}]",
            )]  # fmt: skip
        if r == 12:
            loop = ["return " + v()] if scope == "function" else ["pass"]
            return loop
        inside = self.block(depth + 1, scope)
        if r == 13:
            return [f"if {v()}:", *inside, "else:", *self.block(depth + 1, scope)]
        if r < 16:
            extra = ["    break", "    continue", "    pass"][self.rng.randrange(3)]
            head = f"for {t()} in {v()}:" if r == 14 else f"while burn() and {v()}:"
            return [head, "    if not burn(): break", *inside, extra]
        if r < 19:
            wrong = self.pick("Exception", "ValueError", "(TypeError, NameError)", "LookupError")
            lines = ["try:", *inside, f"except {wrong} as {n()}:", *self.block(depth + 1, scope)]
            return lines + (["finally:", *self.block(depth + 1, scope)] if r == 18 else [])
        if r == 19:
            return [f"with Box({v()}) as {t()}, Box({v()}) as {t()}:", *inside]
        if r == 20:
            pattern = self.pick(
                "[q, r]", n(), f"[{n()}, *{n()}]", f"{{'k': {n()}}}", f"int() as {n()}"
            )
            guard = self.pick("", "", f" if {v()}")
            return [f"match {v()}:", f"    case {pattern}{guard}:", *["    " + x for x in inside]]
        if r == 21:
            body = self.block(depth + 1, "class")
            return [f"class {self.pick('K', n())}:", f"    __q = {v()}", *body]
        name = f"f{len(self.functions)}"
        body = self.block(depth + 1, "function")
        declared = self.pick("", "", "", f"    global {n()}", "    global __h")
        kind = self.pick("", "", f"    yield {v()}", f"    __m = {v()}")
        parameters = self.pick("", f"{n()}=1", f"*{n()}")
        bound = set(parameters.replace("*", "").split("="))
        if declared.split()[-1:] and declared.split()[-1] in bound:
            declared = ""
        self.functions.append(name)
        lines = [f"def {name}({parameters}):", declared, "    if not burn(): return 0", *body, kind]
        if self.rng.random() < 0.3:  # a closure that binds the outer name
            inner = n()
            lines += [f"    {inner} = 1" if inner not in declared else "",
                      "    def inner():", f"        nonlocal {inner}", f"        {inner} = {v()}",
                      "    inner()"]  # fmt: skip
        return [line for line in lines if line] + [f"{n()} = {name}()"]

    def program(self) -> str:
        self.functions.append("len")
        lines = [PROLOGUE, "def g(v):\n    for w in v:\n        yield w"]
        while sum(x.count("\n") + 1 for x in lines) < self.rng.randrange(25, 60):
            body = self.statement(0, "module")
            if self.rng.random() < 0.6:
                body = ["try:", *("    " + x for x in body if "import *" not in x), "    pass",
                        "except Exception: pass"]  # fmt: skip
            lines += body
        return "\n".join(lines) + "\n"


# --- The oracle ---------------------------------------------------------------------------------


def targets_of(tree: ast.AST) -> dict[tuple, str]:
    """{position: name} of all that the compiler stores to as a variable."""
    found = {}
    for case in ast.walk(tree):  # a pattern's captures are stored at the place of some part of it
        parts = list(ast.walk(case.pattern)) if isinstance(case, ast.match_case) else [case]
        names = [getattr(p, "name", None) or getattr(p, "rest", None) for p in parts]
        if isinstance(case, ast.Name) and isinstance(case.ctx, ast.Store):
            names = [case.id]
        elif not isinstance(case, ast.match_case):
            continue
        for node in (part for part in parts if hasattr(part, "lineno")):
            place = node.lineno, node.end_lineno, node.col_offset, node.end_col_offset
            found |= {(*place, name): name for name in names if name}
    return found


class Oracle:
    """Runs a program under sys.settrace and looks at what each store instruction has stored."""

    def __init__(self, source: str) -> None:
        self.code = compile(source, FILENAME, "exec", dont_inherit=True)
        self.targets = targets_of(ast.parse(source))
        self.bound: dict[tuple, object] = {}
        self.codes, self.stores, todo = {}, {}, [self.code]
        for code in todo:
            todo += [c for c in code.co_consts if isinstance(c, type(code))]
            self.codes.setdefault(scope_of(code), []).append(code)
            self.stores[code] = {
                i.offset: i for i in dis.get_instructions(code)
                if i.opname.startswith(("STORE_", "DELETE_")) and isinstance(i.argval, str)
                and i.opname not in ("STORE_ATTR", "DELETE_ATTR")
            }  # fmt: skip
        self.calm = True
        self.before: dict = {}  # frame -> the offset of its last instruction

    def run(self) -> None:
        names = {"__name__": "__main__"}
        sys.settrace(self.on_event)
        try:
            exec(self.code, names)  # noqa: S102 (our own program)
        except Exception:  # noqa: BLE001, S110 (whatever it raises)
            pass
        finally:
            sys.settrace(None)
        if not self.calm:
            raise AssertionError(f"{FILENAME}: the oracle itself failed")

    def on_event(self, frame: object, event: str, _: object) -> object:
        self.calm = False  # an error here would silently end the tracing
        code = frame.f_code
        if code.co_filename != FILENAME:
            self.calm = True
            return None
        frame.f_trace_opcodes = True
        if frame not in self.before and code.co_name in EXPRESSIONS:
            pass
        elif frame not in self.before:
            n = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4)
            for name in code.co_varnames[: n + bool(code.co_flags & 8)]:
                self.bound.pop((scope_of(code), name), None)
                self.bound[scope_of(code), name] = frame.f_locals[name]
        else:
            self.look(frame, self.before[frame])
        self.before[frame] = frame.f_lasti if event == "opcode" else None
        self.calm = True
        return self.on_event

    def look(self, frame: object, offset: int | None) -> None:
        instruction = self.stores[frame.f_code].get(offset)
        if not instruction:
            return
        name, scope = instruction.argval, scope_of(frame.f_code)
        plain_name = name
        position = instruction.positions
        if instruction.opname.endswith("GLOBAL"):
            scope = ""
        elif instruction.opname.endswith("DEREF") and name in frame.f_code.co_freevars:
            while not any(name in code.co_cellvars for code in self.codes[scope]):
                scope = scope.rpartition(".")[0]
            if scope.rpartition(".")[2] in EXPRESSIONS:
                return  # a lambda's
        elif frame.f_code.co_name in EXPRESSIONS:
            return
        places = [n for (*p, n) in self.targets if p == [*position] and name.endswith(n)]
        self.bound.pop((scope, name), None)
        if instruction.opname.startswith("STORE") and places:
            if plain_name != places[0] and instruction.opname.endswith("GLOBAL"):
                return
            values = frame.f_globals if instruction.opname.endswith("GLOBAL") else frame.f_locals
            self.bound[scope, places[0]] = values[name]
        elif places or not instruction.opname.startswith("STORE"):
            self.bound.pop((scope, name), None)


EXPRESSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>")


def scope_of(code: object) -> str:
    return code.co_qualname.replace("<module>", "").replace(".<locals>", "")


def disagreement(source: str, seen: Counter) -> str:
    """What we record and the oracle has not seen; "" if there is nothing."""
    if word := forgeable(source):  # a random program's values should be right all the same
        seen["refused"] += 1
        if word == CLEANS_UP or PROLOGUE not in source:
            return ""
    code, recorder = compile_traced(source)
    with redirect_stdout(io.StringIO()):
        oracle = Oracle(source)
        oracle.run()
        with suppress(Exception):  # whatever it raises
            exec(code, {"__name__": "__main__", HOOK: recorder.hook})  # noqa: S102
    true = {key: plain(value) for key, value in oracle.bound.items()}
    true = {key: value for key, value in true.items() if value is not UNFIT and key[1] != "_"}
    rows = recorder.snapshot()
    ours = {(row["scope"], row["name"]): row["value"] for row in rows}
    seen["values"] += len(ours)
    seen["values of the oracle alone"] += len(true.keys() - ours.keys())
    for scope, name in ours.keys() - true.keys():  # a class declared global has a short name
        true[scope, name] = true.get((scope.rpartition(".")[2], name), UNFIT)
    wrong = [k for k in ours if repr(ours[k]) != repr(true[k])]
    told = [f"{k}: {ours[k]!r}, not {true[k]!r}" for k in wrong]
    if not recorder.hook[3]:  # else it is refused
        scopes = {name: scope for scope, name in oracle.bound}  # of its last definition
        last = [(row["scope"], row["name"]) for row in rows if row["last"]]
        seen["last of a name"] += len(last)
        told += [f"{k}: not the last" for k in last if scopes.get(k[1], k[0]) != k[0]]
    return ", ".join(told)


class TooLong(BaseException):
    """No program catches it."""


def end(*_: object) -> None:
    raise TooLong


def check_values(n: int, seed: int) -> Counter:
    return check(Writer(random.Random(f"{seed}/{i}")).program() for i in range(n))


def check(sources: Iterable[str]) -> Counter:
    seen: Counter = Counter()
    signal.signal(signal.SIGALRM, end)
    for source in sources:
        try:
            compile(source, FILENAME, "exec")
        except SyntaxError:
            seen["no program"] += 1
            continue
        seen["programs"] += 1
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            wrong = disagreement(source, seen)
        except TooLong:  # the text of a value that holds itself many times
            seen["took too long"] += 1
            continue
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if wrong:
            raise AssertionError(f"{source}\n{wrong}")
    return seen


def mutant(attacks: list[str], rng: random.Random) -> str:
    """An attack with lines of another in it, without some of its own, or with other names."""
    lines = rng.choice(attacks).strip().split("\n")
    words = re.findall(r"[A-Za-z_]\w*", " ".join(attacks))
    for _ in range(rng.randrange(1, 5)):
        i = rng.randrange(len(lines))
        indent = re.match(" *", lines[i])[0]
        what = rng.randrange(4)
        if what == 0:
            lines.insert(i, indent + rng.choice(rng.choice(attacks).strip().split("\n")).strip())
        elif what == 1 and len(lines) > 3:
            del lines[i]
        else:
            old = re.findall(r"[A-Za-z_]\w*", lines[i]) or [""]
            lines[i] = lines[i].replace(rng.choice(old) or "?", rng.choice(words))
    return "\n".join(lines) + "\nf(1)\n"


def check_attacks(attacks: list[str], n: int, rng: random.Random) -> Counter:
    sources = (mutant(attacks, rng) for _ in range(n))
    return check(sources)


def main() -> None:
    what, flags = options(__doc__, n=20_000, seed=0)
    if what not in (["attacks"], ["values"]):
        sys.exit(__doc__)
    warnings.simplefilter("ignore", SyntaxWarning)  # of the random programs
    n, seed = flags.values()
    if what == ["attacks"]:
        from test_forgery import ATTACKS

        seen = check_attacks(list(ATTACKS.values()), n, random.Random(seed))
    else:
        seen = check_values(n, seed)
    for what, count in seen.most_common():
        print(f"{count:8} {what}")


if __name__ == "__main__":
    main()
