"""Classes to classes that several threads may read at once.

msgspec (0.22.0) learns a class when it is read for the first time, and shows what it has learnt so far to every thread: a
second one that reads the same class in that moment ends the process (SIGSEGV in json_decode_struct_map_inner, seen in the
rig). So each class that JSON, a row or a file is read into is learnt where it is made, while its module is imported and
nobody else can see it; with it, all that it holds.
"""

from msgspec.json import Decoder


def learn(*classes: type) -> None:
    """Let msgspec learn these classes now. Raises what their annotations are wrong with."""
    for each in classes:
        Decoder(each)
