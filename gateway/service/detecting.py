"""A serial line, open, to what was found on it: sets it as the Listener asks, and hands on what arrives.

Whoever drives it looks at each Detection, and stops when it has heard enough; the Listener itself ends after a minute. What arrives
meanwhile is handed to `hear` before it is judged: a port that is in use has a journal.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway import profile as profiles
from gateway.errors import DeviceBusy, DeviceError, DeviceGone, NotReady, ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.clock import Clock
    from gateway.device.tty import Tty
    from gateway.model import Detection
    from gateway.profile import InstrumentProfile
    from gateway.source.detect import Listener

LISTEN_S: Final = 0.05
ON_ITS_WAY_NS: Final = 40_000_000
"""An FT232 hands on what it has each 16 ms."""


def detect(
    tty: Tty, listener: Listener, clock: Clock, hear: Callable[[bytes], None] = lambda _: None
) -> Iterator[Detection]:
    """Yield what was found so far, after each piece of the line, until it is certain or the time is over. Raises DeviceGone.

    `tty` is left as it was set last: whoever opened it closes it, or sets it anew.
    """
    now = None
    while not listener.is_over:
        if listener.settings != now:
            now = listener.settings
            try:
                tty.change(now)
            except (DeviceGone, DeviceBusy):
                raise
            except DeviceError:
                listener.refuse(clock.monotonic_ns())
                continue
            _let_pass(tty, clock, hear)
        if asked := listener.due(clock.monotonic_ns()):
            with suppress(NotReady):
                tty.write(asked)
        if data := tty.read(LISTEN_S):
            hear(data)
        listener.receive(data, tty.errors(), clock.monotonic_ns())
        yield listener.found()


def _let_pass(tty: Tty, clock: Clock, hear: Callable[[bytes], None]) -> None:
    """What was received before the line was set anew may still be on its way from the adapter: it is not judged."""
    until_ns = clock.monotonic_ns() + ON_ITS_WAY_NS
    while (left_ns := until_ns - clock.monotonic_ns()) > 0:
        if data := tty.read(left_ns / 1e9):
            hear(data)
    tty.errors()


def known(own: str) -> tuple[list[InstrumentProfile], list[ProfileError]]:
    """Return every instrument that has a profile, and what is wrong with those that cannot be used. `own`: the site's folder."""
    found: list[InstrumentProfile] = []
    wrong: list[ProfileError] = []
    for name in profiles.names("instruments", own):
        try:
            found.append(profiles.instrument(name, own))
        except ProfileError as error:
            wrong.append(error)
    return found, wrong
