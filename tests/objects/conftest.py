"""Fixtures of the tests of objects."""

import io

import pydicom
import pytest

from tests.objects import samples


@pytest.fixture
def strict():
    """pydicom raises for every value that breaks its VR, where the gateway reads quietly."""
    settings = pydicom.config.settings
    before = settings.reading_validation_mode
    settings.reading_validation_mode = pydicom.config.RAISE
    yield
    settings.reading_validation_mode = before


@pytest.fixture
def saved(tmp_path):
    """`saved(bytes)` is a file that holds them."""
    numbers = iter(range(1000))

    def save(data):
        path = tmp_path / f"{next(numbers)}.dcm"
        path.write_bytes(data)
        return path

    return save


@pytest.fixture(params=samples.KINDS)
def kind(request):
    """Each kind of image: its name."""
    return request.param


@pytest.fixture
def read():
    """`read(bytes)` is the Dataset that pydicom sees."""
    return lambda data: pydicom.dcmread(io.BytesIO(data))
