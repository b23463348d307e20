"""The conformance statement says what the code does."""

from gateway.objects import iods, statement
from tests.objects import samples


def test_every_class_and_every_attribute_we_write_is_stated(read):
    text = statement.as_markdown()
    for iod in iods.ALL:
        assert f"| {iod.name} | `{iod.sop_class_uid}` |" in text
    for _, data in samples.every_object():
        for element in read(data):
            assert (
                f"| {element.keyword} | ({element.tag.group:04X},{element.tag.element:04X}) |" in text
                or element.keyword == "PixelData"
            )


def test_what_is_always_there_and_what_may_be_empty_is_told_apart():
    rows = statement.as_markdown().splitlines()
    assert "| PatientID | (0010,0020) | LO | always |" in rows
    assert "| PatientSex | (0010,0040) | CS | always; may be empty |" in rows
    assert "| FrameTimeVector | (0018,1065) | DS | where it applies |" in rows


def test_the_statement_is_the_same_every_time():
    assert statement.as_markdown() == statement.as_markdown()
