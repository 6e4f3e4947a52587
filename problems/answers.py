"""How an answer about values is read, and when an answer of any kind is right.

Nothing here runs what an answer says. Equal values and equal texts are right, and what the
exceptions of EvalPlus admit: an oracle (Liu et al., arXiv 2305.01210; evalplus/eval), by the name
of the function, takes (arguments, expected, got) and says whether `got` is right. Left out:
repairing what does not parse; EvalPlus's relative tolerance of 1e-7, where ours is 1e-6, and its
difference between a list and a tuple.
"""

import ast
import contextlib
import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from jail.protocol import Run
from problems.problem import decoded, final_answer, show

MAX_ANSWER = 4_000  # characters at the end of an answer that are read for values
MAX_LITERAL = 2_000  # characters of one value
MAX_DEPTH = 50  # of its brackets


# --------------------------------------------------------------------------- values
class Item(NamedTuple):
    """`name = value`, as an answer says it, on the lines from `first` to `last`."""

    name: str
    value: object
    is_read: bool  # False: what stands there is no literal
    first: int
    last: int


LEAD = re.compile(r"(?:[ \t>|*+•#`$\"'-]|\d{1,3}[.)][ \t])*+")  # bullets, numbers, bold, backticks
OPENING = "(?:so|thus|hence|therefore|finally|then|here)"  # words that begin a sentence
NAME = re.compile(
    rf"(?:{OPENING},?[ \t]++)?"
    r"(?:(?:the |final |last )*+values? of[ \t]++)?+[`*$\"']*+([^\W\d][\w.]*+)[`*$\"']*+[ \t]*+"
    r"(:[ \t]*+[A-Za-z][\w.\[\], |]{0,40}?[ \t]*=(?!=)|:?={1,2}|:|->|=>|→|\||"
    r"(?:is|will be|has)(?: equal to| the value)?+\b|equals\b)",
    re.IGNORECASE,
)
# Their insides: no backtracking, for an answer may hold a thousand that nothing closes.
IN_TRIPLES = (r'(?:[^"\\]++|\\.|"(?!""))*+', r"(?:[^'\\]++|\\.|'(?!''))*+")
STRING = re.compile(
    rf"[bBrRuU]{{0,2}}(?:\"\"\"{IN_TRIPLES[0]}\"\"\"|'''{IN_TRIPLES[1]}'''"
    r"|\"(?:[^\"\\\n]|\\.)*+\"|'(?:[^'\\\n]|\\.)*+')",
    re.DOTALL,
)
ATOM = re.compile(r"[-+]?(?:0[xXbBoO]\w+|[\d.][\d._]*(?:[eE][-+]?\d+)?j?|[A-Za-z][\w.]*)")
CALLED = re.compile(r"-?[A-Za-z][\w.]*(?=\()")
# A triple quote that nothing closes takes all: else each one is followed to the end of the text.
TOKEN = re.compile(
    rf"\"\"\"{IN_TRIPLES[0]}(?:\"\"\"|\\?\Z)|'''{IN_TRIPLES[1]}(?:'''|\\?\Z)|"
    + STRING.pattern
    + r"|[\[\](){}]",
    re.DOTALL,
)
SEVERAL = re.compile(  # x, y = 1, 2
    rf"(?:{OPENING}[ \t]++)?([A-Za-z_]\w*(?:[ \t]*,[ \t]*[A-Za-z_]\w*)+)[ \t]*=(?!=)",
    re.IGNORECASE,
)
CHANGED = re.compile(r"([^\W\d]\w*+)[ \t]*+([-+%&|^@]|\*\*?|//?|<<|>>)=")  # x += 1
TAGS = re.compile(r"^[ \t]*<answer>|</answer>\s*$", re.MULTILINE)
WORDS = re.compile(r"[^=:\n]{1,80}:[ \t*`$]*+")
BLANK = re.compile(r"[ \t`*$]*+")
# What may follow a value on its line: decoration, a comment, a remark in parentheses; a new item.
TAIL = re.compile(r"[`*$\"' \t]*+[.,;|]?[`*$| \t]*(?:(?<![\w\])}'\"])[(#].*)?(?:\n|\Z)")
REASON = re.compile(r"[, \t]+(?:because|since)\b")
NEXT = re.compile(r"[`*$\"' \t]*+(?:,? ?and\b|[,;|])[ \t]*")
EQUALS = re.compile(r"(?<![=<>!])=(?!=)")


def parse_answer(text: str, names: list[str], printed: str = "") -> dict[str, object]:
    """Values from `name = literal` and from JSON objects; the last answer to a name counts.

    `printed` is the name of an item that is text, which need not be quoted and is kept as it is.
    """
    found: dict[str, object] = {}
    for item in read_items(last_part(text), names, printed):
        if item.is_read:
            found[item.name] = item.value
        else:
            found.pop(item.name, None)
    return found


def last_part(text: str) -> str:
    """The end of the answer, without the tags of a model that puts it between two."""
    text = TAGS.sub("", final_answer(text))[-MAX_ANSWER:].replace("\xa0", " ")
    names = re.sub(r"(?m)^[^'\"=:\n]+", lambda part: part[0].replace("\\_", "_"), text)  # max\_len
    return re.sub(r"([=:(\[,][ \t]*+)\u2212(?=[\d.])", r"\1-", names)


def ends_with_values(text: str, names: list[str], printed: str = "") -> bool:
    """Whether one value for each name is the end of the answer, and the names have no others.

    A model that is paid for values alone goes on writing after them, noise that it then learns.
    """
    text = last_part(text)
    items = list(read_items(text, names, printed))
    if sorted(item.name for item in items) != sorted(names):
        return False
    covered = {line for item in items for line in range(item.first, item.last + 1)}
    said = [i for i, line in enumerate(text.split("\n")) if line.strip(" \t\r`{}")]
    return all(i in covered for i in said if i >= min(covered))


def read_items(text: str, names: list[str], printed: str) -> Iterator[Item]:
    """What an answer says of `names`: several items on a line, or one over several lines."""
    wanted, at = set(names), 0
    while at < len(text):
        start, end = at, line_end(text, at)
        at = LEAD.match(text, at, end).end()
        found = []
        if text.startswith("{", at):
            value, at = read_value(text, at, end)
            found = members(value, wanted)
        if several := SEVERAL.match(text, at, end):
            value, stop = read_value(text, several.end(), end)
            both = re.findall(r"\w+", several[1])
            fits = isinstance(value, list | tuple) and len(value) == len(both)
            is_word = both[0].istitle() or re.fullmatch(OPENING, both[0])  # "So, y = [7, 2]"
            if fits and (both[0] in wanted or not is_word):
                found, at = members(dict(zip(both, value, strict=True)), wanted), stop
            elif value is INVALID and several.start(1) == at:  # x, y = y, x
                found = [(name, INVALID, False) for name in both if name in wanted]
        changed = CHANGED.match(text, at, end)
        if changed and changed[1] in wanted and not text[at - 1 : at] == "*" == changed[2][:1]:
            found.append((changed[1], INVALID, False))
            at = end  # what follows is no new value
        at = after_words(text, at, end, wanted)
        while named := NAME.match(text, at, end):
            name = named[1]
            if name == printed:
                value, at = read_printed(text, start, named, wanted)
                found.append((name, value, True))
            else:
                value, stop = read_value(text, named.end(), end)
                reason = named[2].endswith("=") and REASON.search(text, named.end(), end)
                if value is INVALID and reason:  # x = 3 because it counts
                    value, _ = read_value(text[: reason.start()], named.end(), reason.start())
                    stop = end
                remark = re.match(OPENING, text[at : named.start(1)], re.IGNORECASE)
                states = named[2].endswith("=") and not remark
                if name in wanted and (value is not INVALID or states):
                    found.append((name, value, value is not INVALID))
                found += members(value, wanted) if name not in wanted else []  # `answer: {"x": 1}`
                at = at if value is INVALID else stop
            following = NEXT.match(text, at)
            if not following:
                break
            at = following.end()
            end = line_end(text, at)
        last = text.count("\n", 0, at)
        yield from (Item(*item, text.count("\n", 0, start), last) for item in found)
        at = line_end(text, at) + 1


INVALID = object()  # in the place of a value: what stands there is no literal
BELOW = re.compile(r"\s*+(?:(?:```|~~~)[\w]*+\s)?\s*")
TRIPLE = re.compile(r"[`* \t]*+(\"\"\".*?\"\"\"|'''.*?''')", re.DOTALL)
PROSE = re.compile(r"\A\s*\Z|\A\s*(?:```|~~~|</|\[/)|(?:[^\W\d]{2,}\W+){3}")  # or no line of output
FENCED = re.compile(r"\s*+(```|~~~)\w*+[ \t]*+\n(.*?)\n?[ \t]*\1", re.DOTALL)


def after_words(text: str, at: int, end: int, wanted: set[str]) -> int:
    """Where the first item of a line begins, if words stand before it: `Final values: x = 3`."""
    words, here = WORDS.match(text, at, end), NAME.match(text, at, end)
    there = words and NAME.match(text, words.end(), end)
    if there and there[1] in wanted and not (here and here[1] in wanted):
        return words.end()
    return at


def line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def members(value: object, wanted: set[str]) -> list[tuple[str, object, bool]]:
    """The items that a JSON object or a Python dict holds."""
    if type(value) is not dict:
        return []
    if len(value) == 1 and not wanted & value.keys():  # {"values": {"x": 3}}
        return members(*value.values(), wanted)
    return [(name, inner, True) for name, inner in value.items() if name in wanted]


def read_value(text: str, at: int, end: int) -> tuple[object, int]:
    """The literal that begins at `at`, and where it ends; INVALID and `at` for anything else.

    `end` is that of the line. Where nothing else stands on it, the value may be on the next; no sum
    is, for there `x = 5` under `Answer:` is an item of its own.
    """
    start, at = at, BLANK.match(text, at, end).end()
    below = at == end
    if below:
        at = BELOW.match(text, at).end()
        end = line_end(text, at)
    stop = literal_end(text, at)
    whole = text[at:end].rstrip(" \t\r`*$,;")
    following = NEXT.match(text, stop) if stop else None
    ends = [stop - 1] if stop and text[stop - 1] == "." and TAIL.match(text, stop - 1) else []
    if stop and (TAIL.match(text, stop) or following and NAME.match(text, following.end())):
        ends.append(stop)
    for stop in [*ends, at + len(whole)]:
        try:
            return read_literal(text[at:stop]), stop
        except ValueError:
            continue
    *terms, result = EQUALS.split(whole) if len(whole) < 300 and not below else [whole]
    if terms and all(map(is_sum, terms)):
        with contextlib.suppress(ValueError):
            return read_literal(result.strip()), at + len(whole)
    return INVALID, start


def is_sum(term: str) -> bool:
    """Whether it computes something, and says nothing of another name."""
    try:
        nodes = [*ast.walk(ast.parse(term.strip(), mode="eval"))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    other = ast.BoolOp | ast.IfExp | ast.Compare | ast.Tuple | ast.Dict | ast.Set
    return not any(isinstance(n, other) or isinstance(getattr(n, "value", 0), str) for n in nodes)


def literal_end(text: str, at: int) -> int | None:
    """Where the string, the bracket or the word that begins at `at` ends."""
    if called := CALLED.match(text, at):  # frozenset({1}), as Python prints it
        at = called.end()
    elif text[at : at + 1] not in ("(", "[", "{"):
        found = STRING.match(text, at) or ATOM.match(text, at)
        return found and found.end()
    depth = 0
    for token in TOKEN.finditer(text, at, at + MAX_LITERAL):
        depth += (token[0] in "([{") - (token[0] in ")]}")
        if depth == 0:
            return token.end()
        if depth > MAX_DEPTH:
            break
    return None


def read_printed(text: str, start: int, named: re.Match, wanted: set[str]) -> tuple[str, int]:
    """The text that stands for what a program printed: on its line and on those below that are no
    prose, or in a fence below."""
    end = named.endpos
    value = text[named.end() : end].strip(" \t\r")
    fenced = FENCED.match(text, end)
    if not value.strip("*`") and fenced:
        return fenced[2], fenced.end()
    if triple := TRIPLE.match(text, named.end()):
        return triple[1], triple.end()
    is_bold = "**" in text[start : named.start(1)]
    if is_bold and value.startswith("**"):  # **output:** yes
        value = value[2:].lstrip()
    elif is_bold and value.endswith("**"):
        value = value[:-2]
    quoted = STRING.match(value)
    if quoted and TAIL.match(value, quoted.end()):
        return quoted[0], end
    for other in re.finditer(r"[,;][ \t]*(\w[\w.]*)[`*]*[ \t]*=", value):
        if other[1] in wanted:
            value, end = value[: other.start()], named.end() + text[named.end() :].index(other[0])
            return value.strip("` \t").rstrip(" \t,;`"), end
    value = value.strip("` \t").rstrip(" \t,;`")
    while end < len(text):
        line = text[end + 1 : line_end(text, end + 1)]
        item = NAME.match(line, LEAD.match(line).end())
        if PROSE.search(line) or (item and item[1] in wanted):
            break
        value, end = f"{value}\n{line}", end + 1 + len(line)
    return value, end


def is_literal(value: object) -> bool:
    """Whether an answer can say it: a type it cannot."""
    try:
        return same_answer(value, read_literal(show(value)))
    except ValueError:
        return False


def read_literal(text: str) -> object:
    """A Python literal, a builtin value as Python prints it, or a JSON value.

    Raises ValueError; size and depth are capped.
    """
    if len(text) > MAX_LITERAL or sum(text.count(bracket) for bracket in "([{-+~") > 500:
        raise ValueError("too large")
    for read in (ast.literal_eval, read_printed_value, json.loads):
        try:
            return read(text)
        except (SyntaxError, ValueError, TypeError, ArithmeticError, MemoryError, RecursionError):
            continue
    raise ValueError("not a literal")


def read_printed_value(text: str) -> object:
    """inf, float("inf"), set(), frozenset({1}), Counter({"a": 2}) and the like; runs nothing."""
    tree = ast.parse(re.sub(r"<class '(\w+)'>", r"\1", text), mode="eval")
    return ast.literal_eval(Printed().visit(tree))


class Printed(ast.NodeTransformer):
    """Puts literals in the place of what Python prints for values that have none. A Counter, a
    defaultdict and an OrderedDict equal the dict of their items."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in ("inf", "nan") else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self.visit(ast.Name(node.attr)) if ast.unparse(node.value) == "math" else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = ast.unparse(node.func).removeprefix("collections.")
        given = [self.visit(argument) for argument in node.args]
        if name == "defaultdict" and given and isinstance(given[0], ast.Name | ast.Constant):
            name, given = "dict", given[1:]
        if node.keywords or len(given) > 1 or name not in READ_AS:
            return node
        return ast.Constant(READ_AS[name](*map(ast.literal_eval, given)))


def members_of(kind: type, *shown_as: type) -> Callable[[object], object]:
    """kind(value) of a display that Python would print so; it computes nothing."""

    def made(value: object = None) -> object:
        if value is None:
            return kind()
        if type(value) not in shown_as or len(found := kind(value)) != len(value):
            raise ValueError("no display")
        return found

    return made


def infinity(value: object = "") -> float:
    if value not in ("inf", "-inf", "nan"):
        raise ValueError("float() of something else than inf and nan")
    return float(value)


READ_AS = {kind.__name__: members_of(kind, list, set) for kind in (set, frozenset)}
READ_AS |= {kind.__name__: members_of(kind, list, tuple) for kind in (list, tuple)}
READ_AS |= {name: members_of(dict, dict) for name in ("dict", "Counter")}
READ_AS |= {"OrderedDict": members_of(dict, dict, list), "float": infinity}


def same_printed(expected: str, answer: object) -> bool:
    """Whether `answer` is what was printed, as it stands or as a literal: `yes` or `"yes"`."""
    if same_stdout(expected, show(answer) if not isinstance(answer, str) else answer, 0.0):
        return True
    try:
        return isinstance(answer, str) and same_stdout(expected, str(read_literal(answer)), 0.0)
    except ValueError:
        return False


# --------------------------------------------------------------------------- equality
def same_value(expected: object, got: object, strict: bool = False) -> bool:
    """Equal values of builtin types: as Python's own == has it, a tuple equals a list, and floats
    are equal within 1e-6. strict: what == takes for one, but is of two types, differs."""
    if isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple) or len(expected) != len(got):
            return False
        return all(same_value(e, g, strict) for e, g in zip(expected, got, strict=True))
    if isinstance(expected, dict) and isinstance(got, dict):
        known = exact if strict else lambda key: key
        theirs = {known(key): value for key, value in got.items()}
        return len(expected) == len(got) and all(
            known(key) in theirs and same_value(value, theirs[known(key)], strict)
            for key, value in expected.items()
        )
    if isinstance(expected, set | frozenset) and isinstance(got, set | frozenset):
        return set(map(exact, expected)) == set(map(exact, got)) if strict else expected == got
    if strict and type(expected) is not type(got) and {type(expected), type(got)} != {int, float}:
        return False
    least = 0.0 if strict else 1.0
    if isinstance(expected, float) and isinstance(got, int | float):
        return close(expected, got, least)
    if type(expected) is type(got) is complex:
        parts = (expected.real, got.real), (expected.imag, got.imag)
        return all(close(*part, least) for part in parts)
    return expected == got


def same_answer(expected: object, got: object) -> bool:
    """same_value for an answer about a value, where 1, True and "true" are three answers."""
    return same_value(expected, got, strict=True)


def exact(key: object) -> object:
    """What tells apart the members of a set that Python takes for one: 1 and True."""
    if isinstance(key, tuple | frozenset):
        return type(key)(map(exact, key))
    return (exact, key) if isinstance(key, bool) else key


def close(expected: float, got: float, least: float = 1.0) -> bool:
    """Within 1e-6 of `expected`, or of `least` if that is more; nan and infinity equal themselves
    only."""
    if expected == got or not math.isfinite(expected):
        return expected == got or (expected != expected and got != got)
    if abs(got) > sys.float_info.max:  # a large int has no float
        return False
    return abs(expected - got) <= 1e-6 * max(least, abs(expected))


INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*+)", re.ASCII)
FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", re.ASCII)
PARTS = re.compile(r"[\[\](){},]|[^\s\[\](){},]+")


def same_stdout(expected: str, got: str, least: float = 1.0) -> bool:
    """Equal token by token; where texts differ, brackets and commas are tokens of their own.
    least: see close()."""
    wanted = expected.split()
    found = got.split(None, len(wanted))  # a flood has more tokens than memory
    if same_tokens(wanted, found, least):
        return True
    if not any(bracket in expected for bracket in "[](){},"):
        return False
    wanted = PARTS.findall(expected)
    found = itertools.islice(PARTS.finditer(got), len(wanted) + 1)
    return same_tokens(wanted, [part[0] for part in found], least)


def same_tokens(expected: list[str], got: list[str], least: float) -> bool:
    alike = len(expected) == len(got)
    return alike and all(same_token(e, g, least) for e, g in zip(expected, got, strict=True))


def same_token(expected: str, got: str, least: float) -> bool:
    """An integer equals a float of its value, a float any number that is close; else as text."""
    if expected == got:
        return True
    if FLOAT.fullmatch(expected) and math.isfinite(float(expected)):
        is_number = FLOAT.fullmatch(got) or re.fullmatch(r"[+-]?[0-9]+", got)
        return bool(is_number) and close(float(expected), float(got), least)
    if not all(INTEGER.fullmatch(token) or FLOAT.fullmatch(token) for token in (expected, got)):
        return False
    try:
        return Decimal(expected) == Decimal(got)
    except InvalidOperation:  # an exponent of 20 digits
        return False


def right(run: Run, arguments: object, expected: object, tests: dict) -> bool:
    """Whether the Run of one input gave what the tests expect."""
    if run.status != "ok":
        return False
    if not tests.get("fn_name"):
        return same_stdout(expected, run.stdout)
    if "oracle" in tests:
        return agrees(tests["oracle"], arguments, expected, run.value)
    wanted = [expected]
    if "written" in tests and isinstance(expected, str) and run.value is not None:
        wanted += spelled(expected)
    if "wrapped" in tests:
        wanted += [x[0] for x in wanted if isinstance(x, list) and len(x) == 1]
    if isinstance(expected, str):  # 1 is not how "true" is written, nor 5 how "5.0" is
        kinds = (list, tuple) if isinstance(run.value, list | tuple) else (type(run.value),)
        wanted = [value for value in wanted if type(value) in kinds]
    return any(same_value(value, run.value) for value in wanted)


def spelled(text: str) -> list:
    """The value, no text, that `text` is the usual form of: 3.5 for "3.5", none for "3.50" or
    "0b11". There a task may ask for just this form, and the value alone has not done it."""
    value = decoded(text)
    if isinstance(value, str):
        return []
    if isinstance(value, set):  # whose text has any order
        return [value]
    forms = []
    with contextlib.suppress(TypeError, ValueError):  # ValueError: 4,300 digits
        forms.append(repr(value))
        forms.append(json.dumps(value))
        forms.append(json.dumps(value, ensure_ascii=False))
    return [value] * ("".join(text.split()) in ["".join(form.split()) for form in forms])


# --------------------------------------------------------------------------- oracles
def same_set(arguments: list, expected: object, got: object) -> bool:
    """In any order, and however often. What we hash of `got` is in `expected`: the hashes of the
    others may all be one, and then a set of them takes minutes."""
    wanted = set(expected)
    return all(x in wanted for x in got) and set(got) == wanted


def something(arguments: list, expected: object, got: object) -> bool:
    """A match object, or True: only whether there is one counts."""
    wanted = expected if isinstance(expected, bool) else expected is not None
    return got == wanted if isinstance(got, bool) else (got is not None) == wanted


def anything(arguments: list, expected: object, got: object) -> bool:
    """The problem's text does not say what is wanted."""
    return True


def or_zero(arguments: list, expected: object, got: object) -> bool:
    return got in (expected, 0)


def root(arguments: list, expected: object, got: object) -> bool:
    """A zero of the polynomial with these coefficients; there may be several."""
    (coefficients,) = arguments
    return abs(sum(c * math.pow(got, i) for i, c in enumerate(coefficients))) <= 1e-4


def pyramid(arguments: list, expected: object, got: object) -> bool:
    """Surface of a square pyramid; the height may be meant to the apex or along the side."""
    base, height = arguments
    by_apex = round(base**2 + 2 * base * math.sqrt((base / 2) ** 2 + height**2))
    return got in (expected, by_apex)


def digit_distance(arguments: list, expected: object, got: object) -> bool:
    """Sum of differences of digits; the shorter number may be padded with zeros."""
    first, second = map(str, arguments)
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return got == expected or got == sum(abs(int(a) - int(b)) for a, b in pairs)


ORACLES: dict[str, Callable[[list, object, object], bool]] = {
    "find_zero": root,  # HumanEval/32
    "similar_elements": same_set,  # the others are MBPP's
    "find_char_long": same_set,
    "common_in_nested_lists": same_set,
    "extract_singly": same_set,
    "larg_nnum": same_set,
    "intersection_array": same_set,
    "find_dissimilar": same_set,
    "Diff": same_set,
    "check_str": something,
    "text_match_three": something,
    "text_starta_endb": something,
    "are_equivalent": anything,
    "sum_div": or_zero,
    "surface_Area": pyramid,
    "digit_distance_nums": digit_distance,
}


def agrees(oracle: str, arguments: list, expected: object, got: object) -> bool:
    """Ask the oracle; an answer that it cannot even look at is wrong."""
    try:
        return bool(ORACLES[oracle](arguments, expected, got))
    except (TypeError, ValueError, ArithmeticError, RecursionError):
        return False
