"""Words to the modules that only objects of visible light have: what their IODs ask beyond those of every image.

What nobody told the gateway (the polarisation of a dermatoscope's light, the context of an acquisition) is there and empty.
PS3.3 C.7.5.2 Enhanced General Equipment, C.7.6.14 Acquisition Context, C.7.6.22 Specimen, C.8.12 VL Image, Dermoscopic Image.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from gateway import uids
from gateway.objects import modules
from gateway.objects.attributes import code, dataset
from gateway.objects.words import Words

# fmt: off
_UNPAIRED = frozenset({
    "818981001", "818982008", "12738006", "89837001", "71854001", "38848004", "38266002", "32849002", "110861005", "28231008",
    "69536005", "774007", "80891009", "34516001", "21306003", "14742008", "4596009", "10200004", "72410000", "45048000",
    "417437006", "416550000", "416775004", "15776009", "816092008", "41216001", "34402009", "54735007", "89546000", "30315005",
    "421060004", "78961009", "56873002", "69695003", "9875009", "69748006", "21974007", "44567001", "13648007", "35039007",
})
# fmt: on
"""SNOMED CT codes of anatomic regions of which there is only one (PS3.16 CID 4031, 4042, annex L): Laterality shall not be there."""


def general_series(words: Words) -> Dataset:
    """C.7.3.1: without Laterality where the anatomic region has no sides; a specimen has none either."""
    region = words.object.anatomic_region
    has_no_sides = words.object.specimen or (region is not None and region.value in _UNPAIRED)
    return modules.general_series(words, has_sides=not has_no_sides)


def enhanced_general_equipment(words: Words) -> Dataset:
    """C.7.5.2: as General Equipment, and everything of the maker must be known (`unknown_equipment`)."""
    return modules.general_equipment(words)


def unknown_equipment(words: Words) -> Iterator[str]:
    """Yield what Enhanced General Equipment asks and the profile does not say."""
    for name in ("manufacturer", "model_name", "serial_number", "software_versions"):
        if not getattr(words.equipment, name):
            yield f"equipment.{name}"


def acquisition_context(_words: Words) -> Dataset:
    """C.7.6.14: nobody told the gateway of any."""
    return dataset(AcquisitionContextSequence=[])


def specimen(words: Words) -> Dataset:
    """C.7.6.22: one, of which only the order is known: the accession number names it, else the exam's own number."""
    if not words.object.specimen:
        return Dataset()
    step = words.exam.scheduled
    name = (step.accession_number if step else "") or words.exam.exam_id.hex[:8].upper()
    return dataset(
        ContainerIdentifier=name,
        IssuerOfTheContainerIdentifierSequence=[],
        ContainerTypeCodeSequence=[],
        SpecimenDescriptionSequence=dataset(
            SpecimenIdentifier=name,
            IssuerOfTheSpecimenIdentifierSequence=[],
            SpecimenUID=uids.specimen(words.exam.exam_id),
            SpecimenPreparationSequence=[],
        ),
    )


def vl_image(words: Words) -> Dataset:
    """C.8.12.1: what it asks beyond General Image and Image Pixel."""
    region = words.object.anatomic_region
    return dataset(AnatomicRegionSequence=code(region) if region is not None else None)


def dermoscopic_image(_words: Words) -> Dataset:
    """C.8.12, Dermoscopic Image: of the optics nothing is known. RecognizableVisualFeatures comes with General Image."""
    return dataset(
        LightSourcePolarization="", EmitterColorTemperature="", ContactMethod="", OpticalMagnificationFactor=""
    )
