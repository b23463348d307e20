"""What is stored of a capture to the Picture that its object states: samples, form, what was done, and what was lost.

A recording writes the first half (`begun`) into its frame log, so that after a crash the second (`settled`) needs nothing
but the log. The rule: a source that compresses with a loss is told as lossy however its pictures are stored (PS3.3
C.7.6.1.1.5), with the ratio of its own frames; loss of ours is told with the rule that allows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct, structs

from gateway.model import Picture
from gateway.objects import regions
from gateway.pixels import codecs
from gateway.service.encoding import COLOURS, GREYS, JPEG_GREY, JPEGS, MJPEG

if TYPE_CHECKING:
    from gateway.model import FrameFormat
    from gateway.profile import ModalityProfile
    from gateway.service.encoding import Encoder, Stored

JPEG_BASELINE: Final = codecs.LOSSY["passthrough"]


class Sums(Struct, frozen=True, kw_only=True):
    """What the stored frames of one object come to."""

    kinds: frozenset[bytes]
    frames: int
    data_bytes: int
    source_bytes: int = 0
    """Of an MJPEG grabber's frames, as they came."""

    @property
    def is_passthrough(self) -> bool:
        """Whether all of them are a grabber's own JPEGs, and alike."""
        return len(self.kinds) == 1 and self.kinds <= JPEGS

    @property
    def is_grey(self) -> bool:
        """Whether every one of them is."""
        return self.kinds <= GREYS


def begun(encoder: Encoder, fmt: FrameFormat) -> Picture:
    """Return what is known of the pictures of a capture before the first is stored: in colour, and encoded here."""
    chain, form, profile = encoder.chain, encoder.form, encoder.profile
    samples: Literal[1, 3] = 1 if form.bits_stored > 8 else 3
    blank = Picture(
        rows=chain.rows,
        columns=chain.columns,
        samples_per_pixel=samples,
        transfer_syntax_uid=codecs.transfer_syntax(form.compression),
        photometric_interpretation=codecs.photometric(form.compression, samples),
        bits_stored=form.bits_stored,
        pixel_aspect=chain.pixel_aspect,
        steps=chain.steps,
        is_cropped=chain.is_cropped,
        is_text_masked=profile.chain.mask_covers_all_text,
        source_format=fmt.standard,
        lossy_rule=profile.object.lossy_rule if form.is_lossy else "",
    )
    return regions.calibrate(blank, profile.region, chain.to_picture)


def of_one(encoder: Encoder, fmt: FrameFormat, stored: Stored) -> Picture:
    """Return what a still is."""
    sums = Sums(kinds=frozenset({stored.kind}), frames=1, data_bytes=len(stored.data), source_bytes=stored.source_bytes)
    return settled(begun(encoder, fmt), fmt, sums, encoder.profile, encoder.chain.steps_of(is_grey=True))


def settled(
    blank: Picture, fmt: FrameFormat | None, sums: Sums, profile: ModalityProfile, grey_steps: tuple[str, ...]
) -> Picture:
    """Return what the pictures of an object turned out to be; `grey_steps` are what was done to truly grey ones."""
    is_grey = blank.samples_per_pixel == 1 or sums.is_grey
    samples: Literal[1, 3] = 1 if is_grey else 3
    made = structs.replace(
        blank,
        samples_per_pixel=samples,
        photometric_interpretation="MONOCHROME2" if is_grey else blank.photometric_interpretation,
        steps=grey_steps if is_grey and grey_steps else blank.steps,
    )
    if sums.is_passthrough:
        made = structs.replace(
            made,
            transfer_syntax_uid=JPEG_BASELINE,
            photometric_interpretation=codecs.photometric("passthrough", samples),
            steps=(),
            notes=(*blank.notes, f"Kept as the grabber compressed it, by rule: {profile.object.lossy_rule}"),
        )
    return _with_loss(made, fmt, sums)


def is_mjpeg(fmt: FrameFormat | None) -> bool:
    """Say whether a grabber compresses its frames with a loss."""
    return fmt is not None and fmt.pixel_format == MJPEG


def _with_loss(picture: Picture, fmt: FrameFormat | None, sums: Sums) -> Picture:
    """State what was lost, by how much: at the source, or here."""
    if fmt is not None and is_mjpeg(fmt) and sums.source_bytes:
        samples = 1 if sums.kinds == {JPEG_GREY} else COLOURS
        whole, kept = fmt.width_px * fmt.height_px * samples * sums.frames, sums.source_bytes
    elif picture.lossy_rule and sums.data_bytes:
        whole, kept = picture.rows * picture.columns * picture.samples_per_pixel * sums.frames, sums.data_bytes
    else:
        return picture
    return structs.replace(picture, lossy_method=codecs.LOSSY_METHOD, lossy_ratio=round(whole / kept, 2))
