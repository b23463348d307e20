"""What a chain does to the pixels, in words, in order: what an object says of its derivation.

The rule: a step is named when it changes the picture, and only then.
"""

from __future__ import annotations

from gateway.model import Field, FrameFormat, Matrix, Range
from gateway.pixels import kernels, steps
from gateway.pixels.steps import Cut
from gateway.profile import PixelChain

WHOLE_LEVELS = (0, 255)


def before_colour(fmt: FrameFormat, recipe: PixelChain, cut: Cut, *, is_jpeg: bool) -> tuple[str, ...]:
    """Return what comes first: the source's own compression, the crop, the filter in time."""
    words = []
    if is_jpeg:
        words.append("decoded from the grabber's JPEG frames (lossy source)")
    if (cut.columns, cut.rows) != (fmt.width_px, fmt.height_px):
        words.append(f"crop {steps.in_words((cut.left, cut.top, cut.columns, cut.rows))}")
    if recipe.denoise == "median3":
        words.append("noise filter in time (median of three frames)")
    if fmt.field in {Field.TOP, Field.BOTTOM}:
        words.append(f"one field only ({fmt.field.name.lower()})")
    return tuple(words)


def fields(fmt: FrameFormat, method: int, why: str, *, is_top_first: bool) -> tuple[str, ...]:
    """Return what is done with the two fields of a frame; `why` is what chose it, or empty."""
    if not steps.is_interlaced(fmt):
        return ()
    order = "top" if is_top_first else "bottom"
    return (f"{_METHODS[method]}{order} field first{'; ' + why if why else ''})",)


def colour(fmt: FrameFormat) -> tuple[str, ...]:
    """Return how colour was computed; nothing when every sample keeps its level."""
    pack = steps.packing(fmt)
    has_chroma = pack.chroma_step > 0 and not pack.is_rgb
    if fmt.range is Range.FULL and not has_chroma:
        return ()
    if pack.bits > 8:
        return (f"luma {fmt.range} range to full range",)
    source = f"Y'CbCr BT.{fmt.matrix}" if has_chroma else "R'G'B'" if pack.is_rgb else "luma"
    return (f"{source} {fmt.range} range to RGB full range{' (chroma replicated)' if pack.is_half else ''}",)


def after_colour(fmt: FrameFormat, recipe: PixelChain, cut: Cut, shape: tuple[int, int]) -> tuple[str, ...]:
    """Return what comes last; `shape` is the picture's rows and columns in the end."""
    words = []
    if recipe.levels != WHOLE_LEVELS:
        words.append(f"levels {recipe.levels[0]} to {recipe.levels[1]} spread to 0 to 255")
    words.extend(
        f"masked {steps.in_words(rectangle)} with black"
        for rectangle in recipe.mask
        if steps.visible((rectangle,), cut)
    )
    words.extend(
        f"masked a shape of {len(polygon)} corners within {steps.in_words(steps.around(polygon))} with black"
        for polygon in recipe.mask_polygons
        if len(steps.spans((polygon,), cut))
    )
    if shape != (cut.rows, cut.columns):
        tall, wide = fmt.pixel_aspect
        words.append(
            f"pixels of {tall}:{wide} resampled to square ones ({recipe.square_pixels}, {shape[1]}x{shape[0]})"
        )
    return tuple(words)


def grey(matrix: Matrix) -> str:
    """Return the step from colour to grey."""
    return f"reduced to luma BT.{matrix}"


_METHODS = {
    kernels.WEAVE: "fields woven together (",
    kernels.BOB: "de-interlaced (one field, lines averaged, ",
    kernels.ADAPTIVE: "de-interlaced (motion adaptive, ",
    kernels.BWDIF: "de-interlaced (motion adaptive with bwdif's filters, ",
}
