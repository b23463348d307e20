"""Held to the standard's own tables, as highdicom ships them: every type 1 and 2 attribute, nothing that is not in the IOD."""

import importlib.resources
import json

import pytest

from gateway.objects import iods
from tests.objects import samples

TABLES = importlib.resources.files("highdicom") / "_standard"
IODS, MODULES, ATTRIBUTES = (
    json.loads((TABLES / f"{name}.json").read_text())
    for name in ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
)
CONDITIONAL = {
    "ultrasound-multi-frame-image": {"cine"},
    "multi-frame-grayscale-byte-secondary-capture-image": {"cine"},
    "multi-frame-grayscale-word-secondary-capture-image": {"cine", "voi-lut"},
    "multi-frame-true-color-secondary-capture-image": {"cine"},
}
"""Conditional modules whose condition our objects meet."""

FLATTENED = {"sr-document-content"}
"""The table lists the attributes of every value type as one; dciodvfy and dsrdump hold the tree instead."""

OBJECTS = list(samples.every_object())


@pytest.mark.parametrize(("name", "data"), OBJECTS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_required_attribute_is_there(read, name, data):
    ds = read(data)
    missing = []
    for attribute in _attributes(ds.SOPClassUID, mandatory=True):
        for item in _at(ds, attribute["path"]):
            keyword, kind = attribute["keyword"], attribute["type"]
            if (kind in {"1", "2"} and keyword not in item) or (kind == "1" and item[keyword].is_empty):
                missing.append(f"{'/'.join([*attribute['path'], keyword])} ({kind})")
    assert missing == [], name


@pytest.mark.parametrize(("name", "data"), OBJECTS, ids=lambda value: value if isinstance(value, str) else "")
def test_no_attribute_is_foreign_to_its_iod(read, name, data):
    ds = read(data)
    known = {(*attribute["path"], attribute["keyword"]) for attribute in _attributes(ds.SOPClassUID, mandatory=False)}
    assert [path for path in _paths(ds) if path not in known and "ContentSequence" not in path] == [], name


@pytest.mark.parametrize(
    "iod", [iod for iod in iods.ALL if iod.of_picture or iod.of_readings or iod.of_set], ids=lambda iod: iod.name
)
def test_an_iod_has_every_module_that_is_mandatory_and_none_that_is_foreign(iod):
    key = IODS[iod.sop_class_uid]
    ours = {
        module.__name__.replace("_", "-")
        for module in (*iod.of_words, *iod.of_picture, *iod.of_both, *iod.of_readings, *iod.of_set)
    }
    ours.add("sop-common")
    allowed = {module["key"] for module in MODULES[key]}
    mandatory = {module["key"] for module in MODULES[key] if module["usage"] == "M"}
    assert ours - allowed == set()
    assert mandatory | CONDITIONAL.get(key, set()) <= ours


def test_the_sop_classes_are_those_of_the_standard():
    assert [IODS[iod.sop_class_uid] for iod in iods.ALL] == [
        "ultrasound-image",
        "ultrasound-multi-frame-image",
        "secondary-capture-image",
        "multi-frame-grayscale-byte-secondary-capture-image",
        "multi-frame-grayscale-word-secondary-capture-image",
        "multi-frame-true-color-secondary-capture-image",
        "vl-endoscopic-image",
        "vl-microscopic-image",
        "vl-photographic-image",
        "dermoscopic-photography-image",
        "video-endoscopic-image",
        "video-microscopic-image",
        "video-photographic-image",
        "comprehensive-sr",
        "key-object-selection-document",
        "lensometry-measurements",
        "autorefraction-measurements",
        "keratometry-measurements",
        "subjective-refraction-measurements",
        "visual-acuity-measurements",
        "12-lead-ecg",
        "general-ecg",
        "hemodynamic-waveform",
        "arterial-pulse-waveform",
        "respiratory-waveform",
        "encapsulated-pdf",
    ]


def _attributes(sop_class_uid, *, mandatory):
    iod = IODS[sop_class_uid]
    for module in MODULES[iod]:
        if mandatory and module["key"] in FLATTENED:
            continue
        if not mandatory or module["usage"] == "M" or module["key"] in CONDITIONAL.get(iod, ()):
            yield from ATTRIBUTES[module["key"]]


def _at(ds, path):
    """Every item that is there at a path of sequences."""
    items = [ds]
    for keyword in path:
        items = [inner for item in items if keyword in item for inner in item[keyword].value]
    return items


def _paths(ds, above=()):
    """The path of every attribute, through all items of its sequences."""
    for element in ds:
        path = (*above, element.keyword)
        yield path
        if element.VR == "SQ":
            for item in element.value:
                yield from _paths(item, path)
