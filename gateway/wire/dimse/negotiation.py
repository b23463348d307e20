"""An A-ASSOCIATE-RQ to the answer of a Storage SCP: who calls, which presentation contexts are accepted, with which syntax.

pynetdicom decides the contexts (`negotiate_as_acceptor`) and writes the A-ASSOCIATE-AC; the request is read here, because
items that nobody knows must be passed over (PS3.8 9.3.1) and pynetdicom's decoder stops at them.

Rule: every storage SOP class is accepted, private ones and ones younger than this release too, with every transfer syntax
that is offered, since nothing is decoded on the way in. Where one context offers several, an uncompressed one is taken, then a
lossless one, so that no sender is ever asked to compress its pixels with loss (law 4). PS3.7 annex D, PS3.8 9.3.2 and 9.3.3.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

from msgspec import Struct
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, build_context, negotiate_as_acceptor

from gateway import uids
from gateway.wire.dimse.pdu import HEADER, PDUType
from gateway.wire.dimse.stream import INVALID_PARAMETER, Breach

MAX_PDU_BYTES = 256 * 1024
"""What we ask the peer not to exceed; longer ones are read all the same."""
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""DICOM (PS3.7 A.2.1), the only one there is."""
VERIFICATION = "1.2.840.10008.1.1"

UNKNOWN_CONTEXT_NAME = (1, 1, 2)
CALLING_AE_NOT_RECOGNIZED = (1, 1, 3)
CALLED_AE_NOT_RECOGNIZED = (1, 1, 7)
UNKNOWN_PROTOCOL_VERSION = (1, 2, 2)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)
"""Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21); result 2 is transient."""


class Offer(Struct, frozen=True):
    """One presentation context of a request."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


class Request(Struct, frozen=True, kw_only=True):
    """What an A-ASSOCIATE-RQ says, as far as it concerns a Storage SCP."""

    protocol_version: int
    called_ae: str
    calling_ae: str
    names: bytes
    """AE titles and reserved bytes as they came; the answer repeats them (PS3.8 table 9-17)."""
    application_context: str
    offers: tuple[Offer, ...]


class Accepted(Struct, frozen=True):
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


def read(body: bytes) -> Request:
    """Read what follows the header of an A-ASSOCIATE-RQ. Unknown items are passed over. Raises Breach."""
    if len(body) < _NAMES.stop:
        raise Breach(f"an association request of {len(body)} bytes", INVALID_PARAMETER)
    application_context, offers = "", []
    for kind, item in _items(body[_NAMES.stop :]):
        if kind == _APPLICATION_CONTEXT:
            application_context = _text(item)
        elif kind == _PRESENTATION_CONTEXT:
            offers.append(_offer(item))
    if len({offer.context_id for offer in offers}) != len(offers):
        raise Breach("a presentation context ID is used twice", INVALID_PARAMETER)
    return Request(
        protocol_version=int.from_bytes(body[:2], "big"),
        called_ae=_text(body[4:20]),
        calling_ae=_text(body[20:36]),
        names=body[_NAMES],
        application_context=application_context,
        offers=tuple(offers),
    )


def refusal(request: Request) -> tuple[int, int, int] | tuple[()]:
    """Return why no association is possible at all: result, source, reason; empty when one is."""
    if not request.protocol_version & 1:
        return UNKNOWN_PROTOCOL_VERSION
    if request.application_context != APPLICATION_CONTEXT:
        return UNKNOWN_CONTEXT_NAME
    return ()


def reject(result: int, source: int, reason: int) -> bytes:
    """Write an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return HEADER.pack(PDUType.ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))


def accept(request: Request) -> tuple[bytes, dict[int, Accepted]]:
    """Write the A-ASSOCIATE-AC that answers a request; return it with the accepted contexts by their id."""
    usable = [_proposed(offer) for offer in request.offers if _is_usable(offer)]
    results, _ = negotiate_as_acceptor(usable, _supported(request.offers))
    results += [_unusable(offer) for offer in request.offers if not _is_usable(offer)]
    accepted = {
        _id(context): Accepted(str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in results
        if context.result == 0
    }
    return _answer(request, sorted(results, key=_id)), accepted


def is_storage(abstract_syntax: str) -> bool:
    """Say whether objects may come under an abstract syntax: known storage classes, private ones, and unknown storage ones.

    1.2.840.10008.5.1.4.1.1 is the root under which the standard registers composite storage classes.
    """
    if not abstract_syntax.startswith("1.2.840.10008."):
        return True
    name, kind, *_ = UID_dictionary.get(abstract_syntax, ("", ""))
    if not name:
        return abstract_syntax.startswith("1.2.840.10008.5.1.4.1.1.")
    return kind == "SOP Class" and "Storage" in name and not name.startswith(("Storage Commitment", "Media Storage"))


_NAMES = slice(4, 68)
_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x10, 0x20, 0x30, 0x40
_ITEM = struct.Struct(">BxH")
_UID = re.compile(r"[0-9.]{1,64}")
_PREFERENCE = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLosslessSV1,
    JPEGLossless,
    RLELossless,
)


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each item (PS3.8 9.3.1: type, reserved, length)."""
    start = 0
    while start < len(data):
        if len(data) - start < _ITEM.size:
            raise Breach("an item of the association request ends in its header", INVALID_PARAMETER)
        kind, length = _ITEM.unpack_from(data, start)
        start += _ITEM.size
        if length > len(data) - start:
            raise Breach(f"an item of the association request says that it has {length} bytes", INVALID_PARAMETER)
        yield kind, data[start : start + length]
        start += length


def _offer(item: bytes) -> Offer:
    if len(item) < 4 or not item[0] & 1:
        raise Breach("a presentation context without an odd ID", INVALID_PARAMETER)
    abstract_syntax, transfer_syntaxes = "", []
    for kind, value in _items(item[4:]):
        if kind == _ABSTRACT_SYNTAX:
            abstract_syntax = _text(value)
        elif kind == _TRANSFER_SYNTAX and _UID.fullmatch(_text(value)):
            transfer_syntaxes.append(_text(value))
    return Offer(item[0], abstract_syntax, tuple(transfer_syntaxes))


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip("\0 ")


def _is_usable(offer: Offer) -> bool:
    return bool(_UID.fullmatch(offer.abstract_syntax) and offer.transfer_syntaxes)


def _proposed(offer: Offer) -> PresentationContext:
    context = build_context(offer.abstract_syntax, list(offer.transfer_syntaxes))
    context.context_id = offer.context_id
    return context


def _unusable(offer: Offer) -> PresentationContext:
    """Answer a context without a legible abstract or transfer syntax; the syntax of the answer means nothing then."""
    context = build_context(VERIFICATION, ImplicitVRLittleEndian)
    context.context_id = offer.context_id
    context.result = 0x04 if _UID.fullmatch(offer.abstract_syntax) else 0x03
    return context


def _supported(offers: Sequence[Offer]) -> list[PresentationContext]:
    """What we accept of these offers: one entry for each abstract syntax, best transfer syntax first."""
    wanted: dict[str, list[str]] = {}
    for offer in offers:
        if _is_usable(offer) and (offer.abstract_syntax == VERIFICATION or is_storage(offer.abstract_syntax)):
            wanted.setdefault(offer.abstract_syntax, []).extend(offer.transfer_syntaxes)
    return [build_context(abstract, sorted(dict.fromkeys(offered), key=_rank)) for abstract, offered in wanted.items()]


def _id(context: PresentationContext) -> int:
    return context.context_id or 0


def _rank(transfer_syntax: str) -> int:
    return _PREFERENCE.index(UID(transfer_syntax)) if transfer_syntax in _PREFERENCE else len(_PREFERENCE)


def _answer(request: Request, results: list[PresentationContext]) -> bytes:
    longest, implementation, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    longest.maximum_length_received = MAX_PDU_BYTES
    implementation.implementation_class_uid = UID(uids.IMPLEMENTATION_CLASS_UID)
    version.implementation_version_name = uids.IMPLEMENTATION_VERSION_NAME
    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title = primitive.called_ae_title = "SEE-NAMES"
    primitive.result = 0x00
    primitive.presentation_context_definition_results_list = results
    primitive.user_information = [longest, implementation, version]
    written: bytes = A_ASSOCIATE_AC(primitive).encode()
    start = HEADER.size + _NAMES.start
    return written[:start] + request.names + written[start + len(request.names) :]
