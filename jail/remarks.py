"""What a program says of itself besides what it does, and how complex it is.

A question must not be answered by its own text. A model that is paid for answers could learn to
write programs that give their values away.
"""

import ast
import io
import tokenize


def without_remarks(program: str) -> str:
    """The program without comments and docstrings, in which it could give its values away.

    Each string that is a statement counts as a docstring. What has no tokens stays as it is.
    """
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(program).readline))
    except (tokenize.TokenError, SyntaxError):
        return program
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    cuts = [(token.start, token.end, "") for token in comments]
    tokens = [t for t in tokens if t.type not in (tokenize.COMMENT, tokenize.NL)]
    begin = 0
    for i, token in enumerate(tokens):
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            strings = tokens[begin:i]
            if strings and all(t.type == tokenize.STRING for t in strings):
                alone = (
                    tokens[begin - 1].type == tokenize.INDENT
                    and tokens[i + 1].type == tokenize.DEDENT
                )
                cuts.append((strings[0].start, strings[-1].end, "pass" if alone else ""))
            begin = i + 1
    lines = io.StringIO(program).readlines()
    for (top, left), (bottom, right), instead in sorted(cuts, reverse=True):
        line = (lines[top - 1][:left] + instead).rstrip(" \t") + lines[bottom - 1][right:]
        lines[top - 1 : bottom] = [line] if line.strip() else []
    return "".join(lines)


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
