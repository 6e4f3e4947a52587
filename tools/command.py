"""What the scripts of this folder have in common: usage, errors of one sentence, and `| head`."""

import sys
from collections.abc import Callable

from config import UserError
from jail.terminal import command_line


def answer_help(usage: str) -> None:
    """End the script with `usage` if that is asked for, or if there are no arguments at all."""
    if not sys.argv[1:]:
        sys.exit(usage)
    if {"-h", "--help"} & set(sys.argv[1:]):
        command_line(lambda: print(usage))
        sys.exit()


def run(main: Callable[[list[str]], None], usage: str) -> None:
    """main(arguments), as the command line has them; a UserError ends the script in a sentence."""
    answer_help(usage)
    try:
        command_line(lambda: main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"error: {error}")
