"""What the guest says on its console, and how the host hears it: a line for each fact, after it has become one."""

import os
import re

_LINE = re.compile(r"power! (\S.*)$")


def say(*words: object) -> None:
    """Print a line in one piece, whoever else prints."""
    os.write(1, ("\npower! " + " ".join(map(str, words)) + "\n").encode())


def heard(line: str) -> list[str]:
    """Return the words of a line, none when it is somebody else's."""
    found = _LINE.search(line)
    return found[1].split() if found else []
