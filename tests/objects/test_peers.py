"""Other people's programs read what we write: DCMTK, and pydicom at its strictest."""

import subprocess

import numpy as np
import pytest
from msgspec.structs import replace

from tests import dcmtk
from tests.objects import samples

pytestmark = pytest.mark.peers


def test_dcmtk_reads_every_object_without_a_remark(saved):
    for name, data in samples.every_object():
        path = saved(data)
        tested = subprocess.run([dcmtk.program("dcmftest"), path], capture_output=True, text=True, check=False)
        assert tested.stdout.startswith("yes:"), name
        dumped = subprocess.run([dcmtk.program("dcmdump"), path], capture_output=True, text=True, check=False)
        assert (dumped.returncode, dumped.stderr) == (0, ""), name


def test_dcmtk_shows_the_tree_of_the_report(saved):
    done = subprocess.run(
        [dcmtk.program("dsrdump"), saved(samples.report()[0].getvalue())], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert '<contains NUM:(,,"Heart rate")="72" (/min,UCUM,"per minute")>' in done.stdout
    assert '<has properties TEXT:(,,"Comment")="it is outside 0 to 10">' in done.stdout


def test_strict_pydicom_reads_every_value(strict, read):
    for name, data in samples.every_object():
        assert len(list(read(data).iterall())) > 30, name


def test_pydicom_decodes_native_pixels_as_they_were(kind, read):
    of, shown = samples.KINDS[kind]
    shown = replace(shown, rows=15, columns=17, regions=())  # an odd number of bytes
    ds = read(samples.composed(of, shown)[0])
    assert np.array_equal(ds.pixel_array, np.squeeze(np.array(samples.pixels(shown))))


@pytest.mark.parametrize("syntax", [samples.JPEG_LS, samples.RLE, samples.JPEG_2000])
@pytest.mark.parametrize(("samples_per_pixel", "frames"), [(1, 1), (3, 1), (1, 4), (3, 4)])
def test_pydicom_decodes_compressed_pixels_as_they_were(read, syntax, samples_per_pixel, frames):
    shown = samples.picture(samples=samples_per_pixel, frames=frames, transfer_syntax_uid=syntax)
    if syntax == samples.JPEG_2000 and samples_per_pixel == 3:
        shown = replace(shown, photometric_interpretation="YBR_RCT")
    pixels = samples.pixels(shown)
    encoded = [samples.encode(frame, syntax) for frame in pixels]
    shown = replace(shown, frame_lengths=tuple(map(len, encoded)))
    ds = read(samples.composed("us", shown, encoded)[0])
    assert np.array_equal(ds.pixel_array, np.squeeze(np.array(pixels)))
