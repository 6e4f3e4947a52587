"""What scripts have in common: usage, flags, errors of one sentence, and `| head`."""

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


def options(usage: str, **known: int | str) -> tuple[list[str], dict]:
    """(What is no flag, the values of --key=...) of the command line. `known` has the defaults,
    whose types the values get. What is not known ends the script with `usage`."""
    files, values = [], dict(known)
    for argument in sys.argv[1:]:
        key, _, text = argument.lstrip("-").partition("=")
        if not argument.startswith("-"):
            files.append(argument)
        elif key not in known or not text:
            sys.exit(f"error: {argument}\n\n{usage}" if key not in ("h", "help") else usage)
        else:
            try:
                values[key] = type(known[key])(text)
            except ValueError:
                sys.exit(f"error: {argument} is no number")
    return files, values
