"""Each step of the pixel chain to one picture for the docs: what came, and what the step makes of it.

Only the simulator's drawn phantom is shown. The chain is the one that the box runs, fed with raw buffers as a grabber gives
them; nothing is retouched: a detail is enlarged by repeating its pixels.
"""

from collections.abc import Callable, Iterator

import numpy as np
from msgspec.structs import replace

from gateway.model import Range
from gateway.pixels import chain as chains
from gateway.profile import PixelChain
from gateway.simulators.glyphs import text
from gateway.simulators.pictures import Playback, parse

GAP = 12
PAPER, INK = 24, 214
COMBED = "phantom,720x576,interlaced,uyvy,10"
"""Ten frames a second: the heart moves far between two fields."""
VALVES = (255, 290, 150, 110)
"""Where it moves most: x, y, width, height."""
SCREEN = "phantom,800x600,progressive,uyvy,25"


def all_of_them() -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name of the file, picture)."""
    for name, step in STEPS.items():
        yield name, step()


def _crop() -> np.ndarray:
    return _beside(("BEFORE", _played(SCREEN, PixelChain())), ("AFTER", _played(SCREEN, CROP)), height=300)


CROP = PixelChain(crop=(105, 62, 690, 478))
MASK = PixelChain(mask=((10, 8, 190, 44),), mask_polygons=(((10, 90), (150, 90), (60, 400), (10, 400)),))


def _mask() -> np.ndarray:
    return _beside(("BEFORE", _played(SCREEN, PixelChain())), ("AFTER", _played(SCREEN, MASK)), height=300)


def _deinterlace() -> np.ndarray:
    ways = {"WOVEN": "weave", "BOB": "bob", "ADAPTIVE": "motion_adaptive", "BWDIF": "bwdif"}
    tiles = [
        (word, _detail(_played(COMBED, PixelChain(deinterlace=way), at=5), VALVES, 3)) for word, way in ways.items()
    ]
    return np.concatenate([_beside(*tiles[:2]), _beside(*tiles[2:])])


def _comb() -> np.ndarray:
    """A still of a moving picture and of a frozen one: the comb detector weaves only the second."""
    playback = Playback(parse(COMBED))
    moving = [playback.raw(number) for number in (4, 5, 6)]
    frozen = Playback(parse(COMBED.replace("interlaced", "progressive"))).raw(5)
    chain = chains.build(playback.format, PixelChain())
    made = []
    for word, frames in (("MOVING", moving), ("FROZEN", [frozen] * 3)):
        chosen = chain.for_still(*frames)
        made.append((word, _detail(chosen.run(*frames), VALVES, 3)))
    return _beside(*made)


def _levels() -> np.ndarray:
    """A modality that uses only a part of the range."""

    def flat(luma: np.ndarray) -> np.ndarray:
        return (16 + 60 + (luma.astype(float) - 16) * 0.45).astype(np.uint8)

    given = _grey_frames(flat)
    low, high = (round((60) * 255 / 219), round((60 + 219 * 0.45) * 255 / 219))
    return _beside(
        ("BEFORE", _run(given, PixelChain())), ("AFTER", _run(given, PixelChain(levels=(low, high)))), height=300
    )


def _square() -> np.ndarray:
    pal = "phantom,720x576,interlaced,uyvy,25"
    made = [
        (word, _detail(_played(pal, PixelChain(square_pixels=way)), (0, 0, 787, 576), 1))
        for word, way in (("KEEP 720X576", "keep"), ("LANCZOS", "lanczos"))
    ]
    return _beside(*made, height=300)


def _denoise() -> np.ndarray:
    rng = np.random.default_rng(7)

    def noisy(luma: np.ndarray) -> np.ndarray:
        return np.clip(luma + rng.normal(0, 14, luma.shape), 0, 255).astype(np.uint8)

    given = _grey_frames(noisy)
    where = (250, 250, 210, 160)
    return _beside(
        ("BEFORE", _detail(_run(given, PixelChain()), where, 2)),
        ("AFTER", _detail(_run(given, PixelChain(denoise="median3")), where, 2)),
    )


def _grey() -> np.ndarray:
    """A picture of which every pixel is grey, and one with a little colour in it: only the first becomes MONOCHROME2."""
    coloured = _played(SCREEN, PixelChain())
    inside = PixelChain(crop=(230, 90, 330, 430))
    chain = chains.build(Playback(parse(SCREEN)).format, inside)
    grey = _played(SCREEN, inside)
    assert chain.is_grey(grey)
    assert not chain.is_grey(coloured)
    return _beside(("RGB", coloured), ("MONOCHROME2", chain.to_grey(grey)), height=300)


# ---- a frame through the chain ----


def _played(script: str, recipe: PixelChain, at: int = 5) -> np.ndarray:
    playback = Playback(parse(script))
    return _run((playback.format, [playback.raw(number) for number in (at - 1, at, at + 1)]), recipe)


def _run(given, recipe: PixelChain) -> np.ndarray:
    fmt, frames = given
    return chains.build(fmt, recipe).run(*frames)


def _grey_frames(change: Callable[[np.ndarray], np.ndarray]):
    playback = Playback(parse("phantom,800x600,progressive,grey,25"))
    fmt = replace(playback.format, range=Range.LIMITED)
    return fmt, [change(np.frombuffer(playback.raw(number), np.uint8)) for number in (4, 5, 6)]


# ---- pictures beside one another ----


def _detail(picture: np.ndarray, where: tuple[int, int, int, int], times: int) -> np.ndarray:
    x, y, width, height = where
    return picture[y : y + height, x : x + width].repeat(times, 0).repeat(times, 1)


def _beside(*pictures: tuple[str, np.ndarray], height: int = 0) -> np.ndarray:
    """Put pictures beside one another, with a word above each."""
    columns = [
        _with_word(
            word, chains.shrink(_rgb(each), round(each.shape[1] * height / each.shape[0])) if height else _rgb(each)
        )
        for word, each in pictures
    ]
    rows = max(len(each) for each in columns)
    padded = [np.pad(each, ((0, rows - len(each)), (0, GAP), (0, 0)), constant_values=PAPER) for each in columns]
    return np.pad(np.concatenate(padded, axis=1), ((GAP, GAP), (GAP, 0), (0, 0)), constant_values=PAPER)


def _with_word(word: str, picture: np.ndarray) -> np.ndarray:
    line = np.full((26, picture.shape[1], 3), PAPER, np.uint8)
    ink = text(word, 2)[:, : picture.shape[1]]
    line[4 : 4 + ink.shape[0], : ink.shape[1]][ink] = INK
    return np.concatenate([line, picture])


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture if picture.ndim == 3 else picture[..., None].repeat(3, 2))


STEPS = {
    "pixels-crop": _crop,
    "pixels-mask": _mask,
    "pixels-deinterlace": _deinterlace,
    "pixels-comb": _comb,
    "pixels-levels": _levels,
    "pixels-square": _square,
    "pixels-denoise": _denoise,
    "pixels-grey": _grey,
}
