"""What an instrument stated becomes objects in a fixed order, and nothing of it is dropped in silence."""

from gateway import codes
from gateway.model import Observation, ReadingSet
from gateway.objects import stated
from tests.objects import samples

PRESSURE = Observation(concept=codes.PRESSURE, value="15.0", unit=codes.MMHG, laterality="R")


def objects_of(*observations, traces=()):
    return list(stated.objects_of(ReadingSet(observations=observations, traces=traces, received_ns=7, model_name="M")))


def test_the_report_comes_last_and_holds_what_no_other_object_does():
    found = objects_of(PRESSURE, *samples.EYES["final-prescription"], *samples.EYES["keratometry"])
    assert [kind.modality for kind, _ in found] == ["KER", "SRF", "SR"]
    assert found[-1][1] == ReadingSet(observations=(PRESSURE,), received_ns=7, model_name="M")


def test_a_set_of_nothing_becomes_nothing():
    assert objects_of() == []


def test_every_kind_of_object_is_found_again_by_its_modality():
    for kind, _ in objects_of(PRESSURE, *samples.EYES["lensometry"]):
        assert stated.kind_of(kind.modality) == kind
