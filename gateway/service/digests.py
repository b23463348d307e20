"""SHA-256 of what is being written, computed in a thread beside the writers: disk and processor work at the same time.

One thread for all writers, in the order in which they hand bytes in; hashlib lets the others run meanwhile. A writer that is
far ahead waits, so that no object of gigabytes is held in memory.
"""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue

from gateway.spool.blobs import Digest

PIECES_AHEAD = 16
"""How many pieces a writer may be ahead of the digests: 8 MB at most."""


class Digester:
    """The thread."""

    def __init__(self) -> None:
        """Start it."""
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="digests", daemon=True)
        self._thread.start()

    def begin(self) -> Digests:
        """Begin with an object."""
        return Digests(self._queue)

    def close(self) -> None:
        """End the thread; what was handed in before is still computed."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work.do()


class Digests:
    """The two digests of one object: of its file, and of the data set in it."""

    def __init__(self, queue: SimpleQueue[_Work | None]) -> None:
        """Use Digester.begin."""
        self._queue = queue
        self._room = threading.Semaphore(PIECES_AHEAD)
        self._file = hashlib.sha256()
        self._data = hashlib.sha256()
        self._growing = [self._file]

    def begin_data(self) -> None:
        """What comes from now on is the data set."""
        self._growing = [self._file, self._data]

    def update(self, data: memoryview, /) -> None:
        """Take the next bytes of the file; they are copied."""
        self._room.acquire()  # given back in the other thread
        self._queue.put(_Work(self._growing, bytes(data), self._room))

    def hexdigest(self) -> str:
        """Wait for all that was handed in; return the digest of the file."""
        self._settle()
        return self._file.hexdigest()

    def data_hexdigest(self) -> str:
        """Wait for all that was handed in; return the digest of the data set."""
        self._settle()
        return self._data.hexdigest()

    def _settle(self) -> None:
        done = threading.Semaphore(0)
        self._queue.put(_Work([], b"", done))
        done.acquire()


class _Work:
    """One piece for some digests, and who is told."""

    __slots__ = ("_data", "_digests", "_done")

    def __init__(self, digests: list[hashlib._Hash], data: bytes, done: threading.Semaphore) -> None:
        self._digests = digests
        self._data = data
        self._done = done

    def do(self) -> None:
        for digest in self._digests:
            digest.update(self._data)
        self._done.release()


_digest: type[Digest] = Digests
