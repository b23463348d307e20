"""Which forms an object may take on the wire (law 4), and which goes first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.forward import forms

LOSSLESS = list(forms.SHARE)
LOSSY = [forms.JPEG_BASELINE, forms.JPEG_EXTENDED, forms.JPEG_LS_LOSSY, forms.JPEG_2000_LOSSY, forms.HTJ2K_LOSSY]
VIDEO = ["1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.107"]
PLAIN = {forms.EXPLICIT, forms.IMPLICIT}


@pytest.mark.parametrize("stored", LOSSLESS)
def test_a_lossless_picture_is_offered_in_every_lossless_form(stored):
    offered = forms.offered(stored, is_image=True)
    assert offered[0] == stored
    assert {forms.HTJ2K, forms.JPEG_2000, forms.JPEG_LS, forms.RLE, *PLAIN} <= set(offered)
    assert not set(offered) & set(LOSSY)


@pytest.mark.parametrize("stored", LOSSY)
def test_a_lossy_picture_is_never_compressed_anew(stored):
    assert set(forms.offered(stored, is_image=True)) == {stored, *PLAIN}


@pytest.mark.parametrize("stored", [*VIDEO, "1.2.840.10008.1.2.4.94", "1.2.3.4"])
def test_video_and_what_we_do_not_know_go_as_they_are(stored):
    assert forms.offered(stored, is_image=True) == (stored,)


def test_a_report_is_not_a_picture():
    assert forms.offered(forms.IMPLICIT, is_image=False) == (forms.IMPLICIT, forms.EXPLICIT)


@pytest.mark.parametrize(
    ("stored", "accepted", "order"),
    [
        (forms.EXPLICIT, (forms.EXPLICIT, forms.IMPLICIT), [forms.EXPLICIT, forms.IMPLICIT]),
        (forms.IMPLICIT, (forms.EXPLICIT, forms.IMPLICIT), [forms.IMPLICIT, forms.EXPLICIT]),
        (forms.EXPLICIT, (forms.EXPLICIT, forms.RLE, forms.JPEG_LS), [forms.JPEG_LS, forms.RLE, forms.EXPLICIT]),
        (forms.JPEG_LS, (forms.EXPLICIT, forms.JPEG_LS), [forms.JPEG_LS, forms.EXPLICIT]),
        (forms.JPEG_LS, (forms.HTJ2K, forms.JPEG_2000, forms.JPEG_LS), [forms.HTJ2K, forms.JPEG_2000, forms.JPEG_LS]),
        (forms.JPEG_2000, (forms.HTJ2K, forms.JPEG_2000), [forms.JPEG_2000, forms.HTJ2K]),
        (forms.HTJ2K, (forms.EXPLICIT, forms.RLE), [forms.RLE, forms.EXPLICIT]),
        (forms.JPEG_XL, (forms.HTJ2K, forms.JPEG_XL), [forms.JPEG_XL, forms.HTJ2K]),
        (forms.JPEG_XL, (forms.EXPLICIT, forms.JPEG_2000), [forms.JPEG_2000, forms.EXPLICIT]),
        (forms.JPEG_BASELINE, (forms.JPEG_BASELINE, forms.EXPLICIT), [forms.JPEG_BASELINE, forms.EXPLICIT]),
        (forms.JPEG_BASELINE, (forms.IMPLICIT,), [forms.IMPLICIT]),
    ],
)
def test_fewest_bytes_go_first_and_a_small_saving_is_not_worth_it(stored, accepted, order):
    assert forms.in_order(stored, accepted) == order


@given(st.sampled_from(LOSSLESS + LOSSY + VIDEO), st.booleans(), st.data())
def test_every_accepted_form_is_tried_once(stored, is_image, data):
    offered = forms.offered(stored, is_image=is_image)
    accepted = tuple(data.draw(st.lists(st.sampled_from(offered), unique=True)))
    assert sorted(forms.in_order(stored, accepted)) == sorted(accepted)
