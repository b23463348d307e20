"""What every shipped modality profile makes is valid: a still in colour and a recording in grey."""

import pytest

from gateway import profile as profiles
from gateway.objects import iods, verify
from tests.objects import samples
from tests.objects.test_dciodvfy import unexplained


@pytest.mark.parametrize("name", profiles.names("modalities"))
def test_a_shipped_profile_makes_valid_objects(saved, name):
    found = profiles.modality(name)
    for shown in (samples.picture(samples=3), samples.picture(frames=3)):
        path = saved(samples.composed("us", shown, object=found.object, equipment=found.equipment)[0])
        assert unexplained(path) == []
        assert verify.check(path) == []


def test_the_shipped_profiles_make_more_than_secondary_captures():
    stills = {profiles.modality(name).object.still for name in profiles.names("modalities")}
    assert {"us", "sc", "endoscopic", "microscopic", "photographic"} <= stills <= set(iods.STILLS)
