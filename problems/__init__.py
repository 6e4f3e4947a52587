"""Problems and benchmarks: where they come from, their formats, their prompts and their rules."""

import ast
import functools
import threading
from collections.abc import Callable


def one_at_a_time(parse: Callable) -> Callable:
    """CPython 3.11 counts how deep a syntax tree is for all threads together: if the garbage
    collector lets another thread make one meanwhile, either may end in a SystemError. Sandbox
    workers are threads, and read programs and answers."""
    lock = threading.RLock()

    @functools.wraps(parse)
    def locked(*args: object, **options: object) -> ast.AST:
        with lock:
            return parse(*args, **options)

    return locked


ast.parse = one_at_a_time(ast.parse)  # ast.literal_eval() calls it, too
