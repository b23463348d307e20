"""Values to the content items of which a document's tree is made: one function a value type, as PS3.3 C.17.3 names them.

The measurement report and the rejection note are written with the same items.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from gateway.model import Code
from gateway.objects.attributes import code, dataset


def container(concept: Code, items: Sequence[Dataset]) -> Dataset:
    """Return a container of other items: the root, or (with `related`) one below it."""
    return dataset(
        ValueType="CONTAINER",
        ConceptNameCodeSequence=code(concept),
        ContinuityOfContent="SEPARATE",
        ContentSequence=list(items),
    )


def related(relationship: str, item: Dataset) -> Dataset:
    """Return an item with its relationship to the one above it."""
    item.update(dataset(RelationshipType=relationship))
    return item


def item(relationship: str, value_type: str, concept: Code, **value: str | Dataset) -> Dataset:
    """Return one item of any other value type."""
    return dataset(RelationshipType=relationship, ValueType=value_type, ConceptNameCodeSequence=code(concept), **value)


def text(relationship: str, concept: Code, text: str) -> Dataset:
    """Return a text."""
    return item(relationship, "TEXT", concept, TextValue=text)


def coded(relationship: str, concept: Code, value: Code) -> Dataset:
    """Return a code."""
    return item(relationship, "CODE", concept, ConceptCodeSequence=code(value))


def uid(relationship: str, concept: Code, uid: str) -> Dataset:
    """Return a UID."""
    return item(relationship, "UIDREF", concept, UID=uid)


def person(relationship: str, concept: Code, name: str) -> Dataset:
    """Return a person's name."""
    return item(relationship, "PNAME", concept, PersonName=name)


def reference(value_type: str, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return an IMAGE or a COMPOSITE: a whole object that the document is about (it has no concept name)."""
    referenced = dataset(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid)
    return dataset(RelationshipType="CONTAINS", ValueType=value_type, ReferencedSOPSequence=referenced)


def language() -> Dataset:
    """Return the language of the items that follow (TID 1204): what we write ourselves is English."""
    concept = Code("121049", "DCM", "Language of Content Item and Descendants")
    return coded("HAS CONCEPT MOD", concept, Code("en", "RFC5646", "English"))
