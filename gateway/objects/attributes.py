"""Values by keyword to a Dataset whose every element keeps its VR: cleaned and cut by `coerce`, then held to the standard.

An error names the attribute, never its value: a value may be a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from gateway.errors import ObjectInvalid
from gateway.model import Code
from gateway.objects import coerce

Value = str | int | float | bytes | Dataset | Sequence[str | int | Dataset] | None
"""None: the attribute is absent. Empty: it is there and has no value (type 2)."""

_TEXT = frozenset({"AE", "CS", "DA", "DS", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UT"})


def dataset(**values: Value) -> Dataset:
    """Return a Dataset of these attributes. Raises ObjectInvalid naming the one that breaks its VR."""
    ds = Dataset()
    for keyword, value in values.items():
        if value is not None:
            ds.add(_element(keyword, value))
    return ds


def code(concept: Code) -> Dataset:
    """Return a code sequence item (PS3.3 8.8); a value of more than 16 characters is a LongCodeValue."""
    is_long = len(concept.value) > 16
    return dataset(
        CodeValue=None if is_long else concept.value,
        CodingSchemeDesignator=concept.scheme,
        CodeMeaning=concept.meaning,
        LongCodeValue=concept.value if is_long else None,
    )


def merged(parts: Iterable[Dataset]) -> Dataset:
    """Return one Dataset of several modules; where two say the same attribute, the later one stands."""
    ds = Dataset()
    for part in parts:
        ds.update(part)
    return ds


def _element(keyword: str, value: Value) -> DataElement:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ObjectInvalid(problem=f"{keyword} is not an attribute of the standard")
    vr = dictionary_VR(tag)
    try:
        return DataElement(tag, vr, _fitted(vr, value), validation_mode=config.RAISE)
    except (ValueError, TypeError) as error:
        raise ObjectInvalid(problem=f"{keyword} breaks the rules of {vr}") from error


def _fitted(vr: str, value: Value) -> object:
    if isinstance(value, Dataset):
        return Items([value])
    if vr == "SQ":
        return Items(value)  # type: ignore[arg-type]  # a list of Dataset, as the standard says
    if vr not in _TEXT or isinstance(value, bytes) or value is None:
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [coerce.fit(vr, str(one)).value for one in value]
    return coerce.fit(vr, str(value)).value
