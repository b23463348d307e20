"""What the kernel answers to an open or an ioctl, to an error that a person understands: gone, busy, not allowed, or its own words.

The kernel's number decides (errno(3)), never a library's sentence.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.errors import DeviceBusy, DeviceError, DeviceGone

_GONE: Final = {errno.ENODEV, errno.ENXIO, errno.ENOENT}
_NOTHING: Final[Mapping[int, str]] = MappingProxyType({})


def named(device: str, number: int | None, groups: str, meanings: Mapping[int, str] = _NOTHING) -> DeviceError:
    """Return the error for a number of errno(3). `groups`: who may open such devices; `meanings`: what else a number says of them."""
    number = number or 0
    if number in meanings:
        return DeviceError(device=device, problem=meanings[number])
    if number in _GONE:
        return DeviceGone(device=device)
    if number == errno.EBUSY:
        return DeviceBusy(device=device)
    if number in {errno.EACCES, errno.EPERM}:
        return DeviceError(device=device, problem=f"this user may not open it; {groups} may")
    return DeviceError(device=device, problem=os.strerror(number))
