"""A stored transfer syntax to every form in which the object may be sent, and which of the accepted ones to try first.

Fewest bytes first, as far as that can be known before: the table's shares were measured on ultrasound (docs/benchmarks.md),
and a form that turns out no smaller than what is stored is not sent. Law 4: pixels are never altered silently. A lossless
or uncompressed object goes in any lossless form; a lossy one goes as it is or, where the peer does not take that,
decompressed, but never compressed anew; video goes as it is. PS3.5 annex A, PS3.6 annex A.
"""

from __future__ import annotations

from types import MappingProxyType

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_LOSSY = "1.2.840.10008.1.2.4.81"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
JPEG_2000_LOSSY = "1.2.840.10008.1.2.4.91"
HTJ2K = "1.2.840.10008.1.2.4.201"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K_LOSSY = "1.2.840.10008.1.2.4.203"
JPEG_XL = "1.2.840.10008.1.2.4.110"

SHARE = MappingProxyType(
    {
        HTJ2K: 0.18,
        JPEG_2000: 0.18,
        HTJ2K_RPCL: 0.18,
        JPEG_XL: 0.18,
        JPEG_LS: 0.28,
        JPEG_LOSSLESS_SV1: 0.40,
        JPEG_LOSSLESS: 0.40,
        RLE: 0.60,
        DEFLATED: 0.60,
        EXPLICIT: 1.0,
        IMPLICIT: 1.0,
        BIG_ENDIAN: 1.0,
    }
)
"""Bytes of each lossless form, of what the object takes uncompressed; equal ones in order of preference (HTJ2K is the quick one)."""

WORTH_IT = 0.9
"""A transcoding that saves less than a tenth is not worth its time: what is stored goes as it is."""

SLOW, SLOW_BYTES = frozenset({JPEG_2000}), 256 << 20
"""At 40 MB/s a longer one would keep the association waiting until the peer ends it for idleness (30 s in Orthanc)."""

_COMPRESSED = (HTJ2K, JPEG_2000, JPEG_LS, RLE)
"""What the gateway compresses into on the way; JPEG XL only goes as it was stored: few take it yet."""
_PLAIN = (EXPLICIT, IMPLICIT)
_LOSSY_STILLS = {JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_LOSSY, JPEG_2000_LOSSY, HTJ2K_LOSSY}


def offered(stored: str, *, is_image: bool) -> tuple[str, ...]:
    """Return every transfer syntax in which an object stored in one can be sent, the stored one first."""
    if stored in SHARE and is_image:
        return tuple(dict.fromkeys((stored, *_COMPRESSED, *_PLAIN)))
    if stored in SHARE or stored in _LOSSY_STILLS:
        return tuple(dict.fromkeys((stored, *_PLAIN)))
    return (stored,)


def in_order(stored: str, accepted: tuple[str, ...]) -> list[str]:
    """Order the accepted syntaxes: those that clearly save bytes, then the stored one, then the rest; fewest bytes first."""
    as_stored = SHARE.get(stored, 0.0)
    smaller = [uid for uid in SHARE if uid in accepted and SHARE[uid] <= WORTH_IT * as_stored]
    kept = [stored] if stored in accepted else []
    return list(dict.fromkeys((*smaller, *kept, *(uid for uid in SHARE if uid in accepted))))
