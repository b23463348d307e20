"""The network's part of the DICOM conformance statement, computed from what negotiates, asks and judges: it cannot go stale.

PS3.2 annex A: association policies, SOP classes as SCP and SCU, the worklist's keys, and what each status is taken for.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from gateway import uids
from gateway.wire.dimse import names, negotiation, proposal, scp, scu, status, worklist


def as_markdown() -> str:
    """Return the chapter."""
    return "\n".join((*_associations(), *_scp(), *_scu(), *_worklist(), *_statuses()))


def _associations() -> Iterator[str]:
    yield from ("## Associations", "", "| | |", "|---|---|")
    yield f"| application context | `{negotiation.APPLICATION_CONTEXT}` |"
    yield f"| implementation class UID | `{uids.IMPLEMENTATION_CLASS_UID}` |"
    yield f"| implementation version name | `{uids.IMPLEMENTATION_VERSION_NAME}` |"
    yield f"| longest PDU received | {negotiation.MAX_PDU_BYTES} bytes as SCP, {proposal.MAX_PDU_BYTES} bytes as SCU |"
    yield f"| ARTIM timer | {scp.ARTIM_S:g} s |"
    yield f"| presentation contexts proposed | at most {proposal.MAX_CONTEXTS} in one association |"
    yield "| asynchronous operations, role selection, user identity | not negotiated |"
    yield ""


def _scp() -> Iterator[str]:
    yield from ("## As SCP", "", "| SOP class | UID | transfer syntaxes |", "|---|---|---|")
    syntaxes = ", ".join(names.name(uid) for uid in scu.UNCOMPRESSED[:2])
    yield f"| {names.name(negotiation.VERIFICATION)} | `{negotiation.VERIFICATION}` | {syntaxes} |"
    yield "| every storage SOP class of PS3.4 B.5, and private ones | | every one that is offered |"
    yield ""
    yield "An object is received as it is, without decoding, and answered with Success only once it is on the disk. Where one"
    yield "presentation context offers several transfer syntaxes, an uncompressed one is taken, then a lossless one. A full"
    yield "disk is answered with A700 after the data set has been read. The same UID with the same content is answered with"
    yield "Success; with other content it is kept beside the first, answered with Success, and delivered only when a person"
    yield "decides. Callers are admitted by AE title and address."
    yield ""


def _scu() -> Iterator[str]:
    yield from ("## As SCU", "", "| SOP class | UID | transfer syntaxes |", "|---|---|---|")
    plain = ", ".join(names.name(uid) for uid in scu.UNCOMPRESSED[:2])
    yield f"| {names.name(scu.VERIFICATION)} | `{scu.VERIFICATION}` | {names.name(scu.UNCOMPRESSED[1])} |"
    yield f"| {names.name(worklist.MODALITY_WORKLIST_FIND)} | `{worklist.MODALITY_WORKLIST_FIND}` | {plain} |"
    yield "| the SOP class of each object that is delivered | | see Forms of an object |"
    yield ""


def _worklist() -> Iterator[str]:
    yield from ("### Keys of the worklist query", "", "| attribute | tag | matching |", "|---|---|---|")
    keys = worklist.Keys(first_date="20260101", last_date="20260102", station_ae_title="STATION", modality="US")
    asked = read_dataset(
        BytesIO(worklist.identifier(keys, is_implicit=False)), is_implicit_VR=False, is_little_endian=True
    )
    yield from _keys(asked, "")
    yield ""


def _keys(asked: Dataset, before: str) -> Iterator[str]:
    for element in asked:
        name = f"{before}{keyword_for_tag(element.tag)}"
        if element.VR == "SQ":
            yield from _keys(element.value[0], f"{name} > ")
        else:
            matching = "where configured" if element.value else "return key"
            yield f"| {name} | ({element.tag.group:04X},{element.tag.element:04X}) | {matching} |"


def _statuses() -> Iterator[str]:
    yield from ("### What a C-STORE status is taken for", "", "| status | verdict | in words |", "|---|---|---|")
    for row in status.TABLE:
        codes = f"{row.first:04X}" if row.first == row.last else f"{row.first:04X} to {row.last:04X}"
        yield f"| {codes} | {row.verdict} | {row.words or 'stored'} |"
    yield ""
    yield "The first row that fits counts. *accepted* ends the delivery, *later* is tried again without limit, *never* waits"
    yield "for a person."
    yield ""
