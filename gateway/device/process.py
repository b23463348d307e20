"""Programs: started, fed, heard line by line or to the end, stopped politely and then not."""

from __future__ import annotations

import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

STOP_S = 15.0
"""A program that has not ended so long after SIGTERM is killed."""


class Program:
    """One running program whose output lines are handed to `hear`, from a thread of its own."""

    def __init__(
        self, arguments: Sequence[str], hear: Callable[[str], None], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        self._hear = hear
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def status(self) -> int | None:
        """Return how it ended (a negative number: by that signal), or None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        if self.status() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once (SIGKILL): what a power cut does to a process."""
        if self.status() is None:
            self._process.send_signal(signal.SIGKILL)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait for its end; one that does not come is brought about."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        status = self._process.wait()
        self._reader.join(timeout_s)
        return status

    def _read(self) -> None:
        output = self._process.stdout
        if output is None:
            return
        with output:
            for line in output:
                self._hear(line.decode("utf-8", errors="replace").rstrip())


class Said(NamedTuple):
    """How a program ended, and what it said."""

    status: int
    text: str


def feed(arguments: Sequence[str], pieces: Iterable[bytes] = ()) -> Said:
    """Run a program to its end, with `pieces` as its standard input, one after the other as it takes them.

    One that ends before it has read them all is fed no more. What `pieces` raises ends it. Raises FileNotFoundError when
    there is no such program.
    """
    process = subprocess.Popen(
        list(arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(process.stdout.read() if process.stdout else b""), daemon=True)
    reader.start()
    try:
        _write(process, pieces)
    except BaseException:
        process.kill()
        raise
    finally:
        status = process.wait()
        reader.join()
        if process.stdout:
            process.stdout.close()
    return Said(status, b"".join(said).decode("utf-8", errors="replace"))


def _write(process: subprocess.Popen[bytes], pieces: Iterable[bytes]) -> None:
    """Write until there is no more, or the program takes no more: only its own broken pipe is no error."""
    end = process.stdin
    if end is None:
        return
    try:
        for piece in pieces:
            try:
                end.write(piece)
            except BrokenPipeError:
                return
    finally:
        with suppress(BrokenPipeError):
            end.close()
