"""What a program says of itself besides what it does, and how complex it is.

A question must not be answered by its own text, or it teaches copying. Nobody is paid for writing
a text that does: questions pay answers, and not the program. Left out, therefore: values that are
said in other words, or by a comparison; and what a computation tells a reader who understands it,
which is what we ask for.
"""

import ast
import bisect
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Protocol

from jail.forms import literal
from jail.names import binds, identifiers

CONDITIONS = (ast.If, ast.For, ast.While, ast.Try, ast.Match, ast.IfExp, ast.BoolOp)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DIGITS = r"0[xX]_?[\da-fA-F][\da-fA-F_]*|0[oO]_?[0-7][0-7_]*|0[bB]_?[01][01_]*|"
DIGITS += r"(?:\d[\d_]*%s(?:\.\d[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?"
NUMBER = re.compile(DIGITS % r"(?:,\d{3})*", re.ASCII)
PIECE = re.compile(rf"(?a:{DIGITS % ''})|[^\W\d_]+")
JOINT = re.compile(r"['\"]\s*[bBrRuU]{0,2}['\"]")  # of two literals that Python reads as one
JOINS = re.compile(r"[\W_]+|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")  # of the words of a name
ESCAPE = re.compile(
    r"\\(?:(x[\da-f]{2}|u[\da-f]{4}|U[\da-f]{8})|([0-7]{1,3})|N\{([\w -]+)\}|([abfnrtv\\'\"\n]))",
    re.I,
)
SHORT = dict(zip("abfnrtv\n", ["\a", "\b", "\f", "\n", "\r", "\t", "\v", ""], strict=True))


class Variable(Protocol):
    """What mark_given reads and writes of trace.Variable."""

    scope: str | None  # None: it is what the program returns
    name: str
    value: object
    given: bool


class Text:
    """A text of a program. What it has between letters and digits may mean anything to a reader, so
    it names what has its letters, and says what has its words and numbers, in any order."""

    def __init__(self, text: str) -> None:
        self.whole = unicodedata.normalize("NFKC", text)
        self.letters, self.squeezed = letters(self.whole), without_blanks(self.whole)
        self.pieces = {*pieces_of(self.whole)} | numbers_of(self.whole)
        self.sizes = sizes(self.pieces)

    def says(self, value: "Form") -> bool:
        found = any(form in self.squeezed for form in value.squeezed)
        found |= bool(value.text) and value.whole.search(self.whole) is not None
        return found or any(map(self.has, value.pieces))

    def has(self, pieces: set[str]) -> bool:
        return all(
            piece in self.pieces or any(is_near(x, self.sizes) for x in sizes({piece}))
            for piece in pieces
        )


class Form:
    """A value as a text may say it. Made once: a program has many texts, and many variables."""

    def __init__(self, value: object) -> None:
        self.text, self.squeezed = "", set()
        if isinstance(value, str | bytes):
            self.text = value if isinstance(value, str) else value.decode("latin-1")
            self.whole = re.compile(rf"(?<!\w){re.escape(self.text)}(?!\w)")
            forms = {self.text}
        else:
            forms = {alike(value), unescaped(alike(value))}
            self.squeezed = {*map(without_blanks, forms)}
        self.pieces = [found for form in forms if (found := {*pieces_of(form)})]


def mark_given(program: str, variables: list[Variable]) -> None:
    """Set `given` where the program's text says the value.

    It says a long value, such as 777 or "ab", wherever that stands as a literal or in a text; but
    where the name is bound to several literals, it among them, which of them it is is the question.
    It says a short one where all statements that bind the name, or the last of them and on no
    condition, bind it to this very literal, where a statement only claims it or has it beside the
    name, where a text is nothing else, where a text has the name, too, and where the name says it.
    It need not say it in Python's way: see Text.
    """
    nodes = list(ast.walk(ast.parse(program)))
    texts = texts_of(nodes, program)
    spelled = {id(n): said for n in nodes if is_literal(n) and (said := written(n)) is not None}
    names = {name for node in nodes for name in identifiers(node)}
    stated = {text.whole.strip() for text in texts} | {*spelled.values()}
    words = names.union(*(re.findall(r"-?\w+(?:\.\w+)*|[^\W_]+", text.whole) for text in texts))
    numbers = set().union(*map(numbers_of, (*spelled.values(), *names)), *(t.pieces for t in texts))
    near = sizes(numbers)
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    depends = {part for n in nodes if isinstance(n, CONDITIONS) for part in ast.walk(n)}
    literals = {name: value for node in nodes for name, value in literal_bindings(node)}
    wanted = {v.name for v in variables}
    claimed = [claim for node in nodes for claim in claims(node, wanted, spelled)]
    claimed = [("".join(map(in_words, names)), {}, said) for names, said in claimed if said]
    claimed += [together(node, wanted, spelled) for node in nodes if isinstance(node, ast.stmt)]
    said_pieces = {said: {*pieces_of(said)} for *_, values in claimed for said in values}
    bindings = bindings_of(nodes[0], literals)
    for v in variables:
        places = bindings[v.scope, v.name]
        value, plain, number = alike(v.value), str(v.value), size_of(v.value)
        form = Form(v.value)
        own = letters(plain)  # "yes" names no y if it is the value
        named = [t for t in texts if letters(v.name) in t.letters.replace(own, "", 1)]
        v.given |= any(text.says(form) or (plain or "''") in text.whole for text in named)
        if value in ("[]", "{}") and v.name in read:
            continue  # whether it has grown is the question
        name, beside = in_words(v.name), set()
        for said, others, values in claimed:
            if name in said or any(name in others[x] for x in others if x != v.name):
                beside |= values
        v.given |= value in beside
        if value[0] in "[{":
            pieces = {*pieces_of(value)}
            v.given |= any(pieces <= said_pieces[said] for said in beside)
        said = {literals.get(place) for place in places} - {None}
        choice = len(said) > 1 and value in said and all(place in literals for place in places)
        choice |= v.scope is None and isinstance(v.value, str)  # which text it returns
        if is_long(v.value) and not choice:
            v.given |= value in stated or plain in stated | words or number in numbers
            v.given |= type(v.value) is float and is_near(v.value, near)
            v.given |= any(text.says(form) for text in texts)
        v.given |= type(v.value) is not str and any(plain == text.whole for text in texts)
        v.given |= plain.lower() in re.findall(r"\d+|[a-z]+", v.name.lower())  # y_is_777
        if places:
            deciding = places if places[-1] in depends else places[-1:]
            v.given |= all(literals.get(place) == value for place in deciding)


def texts_of(nodes: list[ast.AST], program: str) -> list[Text]:
    """The texts among the nodes, those of f-strings with their constants; as they are, and with
    what escapes in them stand for."""
    found = {str(n.value) for n in nodes if isinstance(getattr(n, "value", 0), str | bytes)}
    if "\\" in program:  # which eats a letter in '\total = 5'
        joined = [n for n in nodes if isinstance(n, ast.JoinedStr)]
        inside = {id(part) for n in joined for part in ast.walk(n) if part is not n}
        texts = (n for n in nodes if isinstance(getattr(n, "value", 0), str | bytes))
        apart = [n for n in (*texts, *joined) if id(n) not in inside]  # 3.11 misplaces what is not
        found |= {(ast.get_source_segment(program, n) or "")[1:-1] for n in apart}
    found |= {"".join(map(constant_text, n.values)) for n in nodes if isinstance(n, ast.JoinedStr)}
    found |= {unescaped(text) for text in found}
    return [Text(text) for text in found | {JOINT.sub("", text) for text in found}]


def bindings_of(tree: ast.Module, literals: dict) -> dict[tuple[str, str], list[ast.AST]]:
    """(scope, name) -> the nodes that bind it, in order of places; scope is that of trace.Variable.

    What a lambda or a comprehension binds is nobody else's. What a function binds by `global` or
    `nonlocal` counts for all scopes that have the name, unless it is a literal.
    """
    found, shared, waiting = defaultdict(list), set(), [(tree, "", "")]
    while waiting:
        node, scope, walrus = waiting.pop()  # the scope, None for one of no name; that of a walrus
        for name in binds(node):
            found[scope, name].append(node)
        if isinstance(node, ast.Global | ast.Nonlocal):
            shared |= {(scope, name) for name in node.names}
        outside = set()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            outside = {*node.decorator_list}
            inner = f"{scope}.{node.name}" if scope else node.name
            inner = inner, inner
        elif isinstance(node, ast.NamedExpr):
            inner = walrus, walrus
        elif isinstance(node, ast.Lambda):
            inner = None, None
        else:
            inner = None if isinstance(node, COMPREHENSIONS) else scope, walrus
        for child in ast.iter_child_nodes(node):
            waiting.append((child, *((scope, walrus) if child in outside else inner)))
    for place, name in shared:
        added = [node for node in found.pop((place, name), []) if node not in literals]
        for key in {(scope, word) for scope, word in found if word == name} | {("", name)}:
            found[key] += added
    for nodes in found.values():
        nodes.sort(key=lambda n: (n.lineno, n.col_offset))
    return found


def is_long(value: object) -> bool:
    """Whether few programs name it, so that to see it in one says something."""
    if isinstance(value, str | bytes):
        return len(value) > 1
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, Collection):
        return len(value) > 1 or any(map(is_long, value))
    small = isinstance(value, int | float) and value in range(-10, 11)
    return value is not None and not small


def alike(value: object) -> str:
    """One text for all values that are one as an answer (problems/answers.py): 3 and 3.0, (9, 8)
    and [9, 8], 1 / 9 and 0.1111111. ValueError for a number of more digits than Python writes."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(alike, value))}]"
    if isinstance(value, set | frozenset):
        return f"{{{','.join(sorted(map(alike, value)))}}}"
    if isinstance(value, dict):
        return f"{{{','.join(sorted(f'{alike(k)}:{alike(v)}' for k, v in value.items()))}}}"
    if isinstance(value, float) and abs(value) < 1e300:
        return str(int(value)) if value == int(value) else f"{value:.5e}"
    return repr(value)


def size_of(value: object) -> str | None:
    """A number without its sign, which may stand elsewhere."""
    return alike(abs(value)) if type(value) in (int, float) else None


def sizes(pieces: set[str]) -> list[float]:
    """The numbers among the pieces, in order."""
    return sorted(float(p) for p in pieces if p[0] in ".0123456789" and len(p) < 300)


def is_near(value: float, known: list[float]) -> bool:
    """Whether a size is known that is as near as an answer (problems/answers.py) may be, beside
    what alike() rounds. known: in order."""
    at = bisect.bisect(known, abs(value))
    return any(abs(abs(value) - size) <= 1e-5 * size for size in known[max(0, at - 1) : at + 1])


def numbered(digits: str) -> str:
    """alike() of a number in a text: 778.50, 0777, 3,000, 3e-05, 0x309, 7_7_7."""
    digits = digits.replace(",", "").replace("_", "")
    if digits[1:2] in ("x", "X", "o", "O", "b", "B"):
        return str(int(digits, 0)) if len(digits) < 1000 else digits
    return (digits.lstrip("0") or "0") if digits.isdigit() else alike(float(digits))


def numbers_of(text: str) -> set[str]:
    """A comma may stand within a number or between two."""
    return {numbered(n) for way in (text, text.replace(",", " ")) for n in NUMBER.findall(way)}


def pieces_of(text: str) -> list[str]:
    """Its numbers and words, without what joins them to a value: brackets, signs, quotation marks.
    The words are Python's, or JSON's."""
    words = {"null": "none", "infinity": "inf"}
    found = (piece.lower() for piece in PIECE.findall(text))
    return [numbered(p) if p[0] in ".0123456789" else words.get(p, p) for p in found]


def unescaped(text: str) -> str:
    """With the characters that escapes stand for, in a text that says a literal."""

    def meant(found: re.Match) -> str:
        if found[3]:
            try:
                return unicodedata.lookup(found[3])
            except KeyError:
                return found[0]
        if found[4]:
            return SHORT.get(found[4].lower(), found[4])
        number = int(found[1][1:], 16) if found[1] else int(found[2], 8)
        return chr(min(number, sys.maxunicode))

    return ESCAPE.sub(meant, text)


def letters(text: str) -> str:
    """Its letters and digits of ASCII, in small letters."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def in_words(text: str) -> str:
    """Its words, in small letters, with _ before, between and behind them; those of a name, too."""
    return f"_{JOINS.sub('_', text.lower())}_"


def words_of(text: str) -> set[str]:
    return {*re.findall(r"\w+", text), *re.findall(r"[^\W_]+", text)}


def said_by(node: ast.AST | None) -> set[str]:
    """The names that one node may mean: a name itself, the words of a text."""
    if isinstance(node, ast.Constant):
        return words_of(node.value) if isinstance(node.value, str) else set()
    return {node.id} if isinstance(node, ast.Name) else set()


def without_blanks(text: str) -> str:
    """Without quotation marks, too, which JSON writes otherwise, and with one kind of brackets."""
    return re.sub(r"[\s'\"]", "", text).replace("(", "[").replace(")", "]")


def is_literal(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant | ast.UnaryOp | ast.List | ast.Tuple | ast.Set | ast.Dict)


def written(node: ast.AST) -> str | None:
    """alike() of what a literal stands for; None for any other expression."""
    found = literal(node)
    try:
        return alike(found[0]) if found else None
    except (ValueError, RecursionError):  # 0xff... may have more digits than Python writes
        return None


def literal_bindings(node: ast.AST) -> Iterator[tuple[ast.Name, str]]:
    """The names that one node binds to a literal: (name, alike() of the value)."""
    match node:
        case ast.Assign(targets=targets, value=value):
            pairs = [(target, value) for target in targets]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            pairs = [(target, value)]
        case ast.NamedExpr(target=target, value=value):
            pairs = [(target, value)]
        case ast.For(target=target, iter=ast.List(elts=[value]) | ast.Tuple(elts=[value])):
            pairs = [(target, value)]
        case ast.arguments():
            pairs = defaults(node)
        case _:
            return
    for target, value in pairs:
        match target, value:
            case ((ast.Name() | ast.arg()), _):
                if value and (said := written(value)) is not None:
                    yield target, said
            case ((ast.Tuple() | ast.List()), (ast.Tuple() | ast.List())):
                pairs += zip(target.elts, value.elts, strict=False)


def defaults(node: ast.arguments) -> list[tuple[ast.arg, ast.expr | None]]:
    plain = [*node.posonlyargs, *node.args]
    pairs = [*zip(plain[::-1], node.defaults[::-1], strict=False)]
    return [*pairs, *zip(node.kwonlyargs, node.kw_defaults, strict=True)]


def constant_text(part: ast.expr) -> str:
    """Of a part of an f-string, what is printed for it if that is a constant."""
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    value = getattr(inner, "value", "") if isinstance(inner, ast.Constant) else ""
    return value if isinstance(value, str) else written(inner) or ""


def together(
    statement: ast.stmt, wanted: set[str], spelled: dict[int, str]
) -> tuple[str, dict[str, str], set[str]]:
    """What one statement has side by side, as in `d["y"] = 3` and `y_is = 3`: the in_words() of its
    texts, attributes and the like; its variables, with theirs; the alike() of its values.

    wanted: the names of variables; spelled: id of a node -> written() of it.
    """
    words, variables, values, waiting = "", {}, set(), [statement]
    while waiting:
        part = waiting.pop()
        waiting += [x for x in ast.iter_child_nodes(part) if not isinstance(x, ast.stmt)]
        texts = [*identifiers(part)]
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            texts = [part.value]
            values |= {*part.value.split()}
        if isinstance(part, ast.Call):  # print("y =", 3, 2)
            values.add(",".join(spelled.get(id(argument), "_") for argument in part.args))
        if isinstance(part, ast.Name | ast.arg | ast.FunctionDef) and wanted & {*texts}:
            variables |= {text: in_words(text) for text in texts}
        else:
            words += "".join(map(in_words, texts))
        values |= set().union(*map(numbers_of, texts))
        values |= {spelled[id(part)]} if id(part) in spelled else set()
    return words, variables, values


def claims(
    node: ast.AST, wanted: set[str], spelled: dict[int, str]
) -> Iterator[tuple[set[str], set[str]]]:
    """What one statement that only compares or calls says, (names, alike() of values), such as
    `assert y == 3` and `print(y, 3)`; or what gives a name to a value, as `{y: 3}` and `y: 3 = x`.

    What a comparison decides, as in `if n == 1`, is what a question asks for.
    """

    def values(*parts: ast.AST | None) -> set[str]:
        texts = (part.value for part in parts if isinstance(part, ast.Constant))
        said = {spelled[id(part)] for part in parts if id(part) in spelled}
        return said.union(*(text.split() for text in texts if isinstance(text, str)))

    match node:
        case ast.Dict(keys=keys, values=others):
            for key, value in zip(keys, others, strict=True):
                yield said_by(key), values(value)
                yield said_by(value), values(key)
        case ast.AnnAssign(target=ast.Name(id=name), annotation=note, value=value):
            yield {name}, values(note)
            yield said_by(note), values(value)
        case ast.arguments():
            for argument, value in defaults(node):
                yield {argument.arg, *said_by(argument.annotation)}, values(value)
        case ast.arg(arg=name, annotation=value):
            yield {name}, values(value)
        case ast.Tuple(elts=parts, ctx=ast.Load()) | ast.List(elts=parts, ctx=ast.Load()):
            yield wanted & set().union(*map(said_by, parts)), values(*parts)
        case (
            ast.Assert(test=said, msg=None)
            | ast.Expr(value=said)
            | ast.Raise(exc=ast.Call() as said)
        ):
            yield both_in(said, wanted, spelled)
        case ast.Assert(test=test, msg=message):
            yield both_in(ast.Tuple([test, message]), wanted, spelled)
        case ast.If(test=said, body=[ast.Pass() | ast.Raise()], orelse=[]):
            if any(isinstance(part, ast.Compare) for part in ast.walk(said)):
                yield both_in(said, wanted, spelled)
        case ast.While(test=said, body=[ast.Pass()]):
            yield both_in(said, wanted, spelled)


def both_in(
    expression: ast.expr, wanted: set[str], spelled: dict[int, str]
) -> tuple[set[str], set[str]]:
    """(names, alike() of values) that an expression has, in its texts, too."""
    parts = [*ast.walk(expression)]
    values = {spelled[id(part)] for part in parts if id(part) in spelled}
    texts = (part.value for part in parts if isinstance(part, ast.Constant))
    words = {word for text in texts if isinstance(text, str) for word in words_of(text)}
    return wanted & set().union(*map(said_by, parts)), values | words | {*map(repr, words)}


def has_class(program: str, name: str) -> bool:
    """Whether a class of the module is called so."""
    try:
        body = ast.parse(program).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in body)


def complexity(program: str) -> int:
    """McCabe's cyclomatic complexity: 1 + decision points. A program that does not parse: 0."""
    branches = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension)
    try:
        nodes = ast.walk(ast.parse(program))
        return 1 + sum(
            len(n.values) - 1 if isinstance(n, ast.BoolOp) else isinstance(n, branches)
            for n in nodes
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0
