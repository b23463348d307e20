"""The kernel's number decides what a person is told of a device that cannot be opened."""

import errno

import pytest

from gateway.device import refusal
from gateway.errors import DeviceBusy, DeviceError, DeviceGone


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.ENODEV, DeviceGone, "unplugged"),
        (errno.ENOENT, DeviceGone, "unplugged"),
        (errno.EBUSY, DeviceBusy, "/dev/x"),
        (errno.EACCES, DeviceError, "this user may not open it; the group `video` may"),
        (errno.E2BIG, DeviceError, "too much"),
        (errno.ENOMEM, DeviceError, "Cannot allocate memory"),
        (None, DeviceError, "Success"),
    ],
)
def test_a_number_of_the_kernel_is_said_in_words(number, error, words):
    said = refusal.named("/dev/x", number, "the group `video`", {errno.E2BIG: "too much"})
    assert type(said) is error
    assert words in str(said)
