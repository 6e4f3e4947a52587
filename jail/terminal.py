"""The wall between a program's words and the terminal, and what our command lines have in common.

A program may print escape sequences that move the cursor, rename the window or rewrite earlier
lines, and its error text may hold them too. So both are shown as plain text only.
"""

import os
import re
import sys
from collections.abc import Callable

# C0 and C1 but for \n and \t, marks that turn the direction of text, and halves of a surrogate pair
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with U+FFFD in place of each character that could command the terminal."""
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def read_text(path: str | None) -> str:
    """The text of a UTF-8 file, or of standard input for None; OSError or ValueError if none."""
    name = path or "standard input"
    try:
        with open(path or 0, encoding="utf-8", closefd=path is not None) as file:
            return file.read()
    except OSError as error:
        why = f"cannot read {name} ({error.strerror}); give a text file that you may read"
        raise OSError(why) from None
    except UnicodeDecodeError as error:
        why = f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8"
        raise ValueError(why) from None


def command_line(main: Callable[[], None]) -> None:
    """Run main(). An error ends as one sentence, and a reader that leaves (`| head`) in silence."""
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # a normal exit would try to flush once more
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(printable(f"{os.path.basename(sys.argv[0])}: {error}"))
