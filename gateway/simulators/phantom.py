"""A moment of the heart's cycle to the screen of an ultrasound scanner, drawn: nobody's heart, and always the same one.

Speckle is what a scanner's beam makes of scatterers that lie at random: here complex noise, blurred along and across the
beam, its magnitude compressed to decibels. Four chambers, their walls and valves and two cysts say how much each place
echoes. The beating heart is a warp of that one picture, so that speckle moves with the tissue as it does in life. Around the
sector stand what scanners burn in: PHANTOM where the name would be, grey bar, depth scale, settings and an ECG.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.simulators.glyphs import COLUMNS, ROWS, text

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

_RANGES: Final = 900
_BEAMS: Final = 420
_HALF_ANGLE: Final = math.radians(39)
"""Of the sector on the screen."""
_MAP_ANGLE: Final = math.radians(46)
"""Of the tissue that is made: moving tissue comes in from beyond the sector."""
_FLOOR_DB: Final = -58.0
_DEPTH_CM: Final = 16
_SEED: Final = 20261124

_PALE: Final = (196, 208, 214)
_AMBER: Final = (232, 190, 92)
_GREEN: Final = (64, 214, 120)
_BLUE: Final = (108, 168, 232)

# Centre x, centre z, half axes, tilt in degrees; x to the right, z away from the probe, both in depths of the picture.
_Ellipse = tuple[float, float, float, float, float]
_HEART: Final[_Ellipse] = (-0.010, 0.560, 0.300, 0.400, 4.0)
_LEFT: Final[tuple[_Ellipse, ...]] = (
    (0.105, 0.430, 0.096, 0.205, 5.0),  # ventricle
    (0.108, 0.655, 0.068, 0.070, 0.0),  # mitral orifice
    (0.115, 0.785, 0.112, 0.105, 0.0),  # atrium
)
_RIGHT: Final[tuple[_Ellipse, ...]] = (
    (-0.142, 0.465, 0.070, 0.170, -9.0),  # ventricle
    (-0.130, 0.650, 0.058, 0.070, 0.0),  # tricuspid orifice
    (-0.130, 0.770, 0.098, 0.095, 0.0),  # atrium
)
_CYSTS: Final[tuple[_Ellipse, ...]] = ((0.395, 0.690, 0.034, 0.034, 0.0), (-0.375, 0.585, 0.021, 0.021, 0.0))
_VALVES: Final = ((0.032, 0.655, 0.184, 0.652), (-0.196, 0.648, -0.066, 0.650))
"""The two ends of each atrioventricular annulus."""


class Phantom:
    """The scanner's screen at one size. `draw` is the same for the same phase, always."""

    def __init__(self, width_px: int, height_px: int) -> None:
        """Lay out the screen and make the tissue: a second or less."""
        self.width_px, self.height_px = width_px, height_px
        self._scale = max(1, round(height_px / 288))
        self._unit_px = 0.80 * height_px
        self._apex = (0.5 * width_px, 0.115 * height_px)
        self._tissue = _tissue()
        self._surround = self._draw_surround()
        self._rows, self._columns, self._x, self._z = self._sector()
        self._near_valves = np.flatnonzero((np.abs(self._x) < 0.28) & (np.abs(self._z - 0.60) < 0.14))

    def draw(self, phase: float) -> Picture:
        """Return the screen, (height, width, 3) RGB, at `phase` of the heart's cycle, 0 to 1."""
        screen = self._surround.copy()
        screen[self._rows, self._columns] = self._grey(phase)[:, None]
        self._draw_ecg(screen, phase)
        return screen

    # ---- the sector ----

    def _sector(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats, Floats]:
        """Find the pixels inside the sector and their place in the body."""
        rows, columns = np.indices((self.height_px, self.width_px), dtype=np.float32)
        x, z = (columns - self._apex[0]) / self._unit_px, (rows - self._apex[1]) / self._unit_px
        radius, angle = np.hypot(x, z), np.arctan2(x, z)
        inside = np.nonzero((radius < 1) & (radius > 0.012) & (np.abs(angle) < _HALF_ANGLE))
        return inside[0], inside[1], x[inside], z[inside]

    def _grey(self, phase: float) -> Picture:
        squeeze = _squeeze(phase)
        x, z = _moved(self._x, self._z, squeeze)
        radius, angle = np.hypot(x, z), np.arctan2(x, z)
        echo = self._tissue[
            np.clip(radius * (_RANGES - 1), 0, _RANGES - 1).astype(np.intp),
            np.clip((angle / _MAP_ANGLE + 1) / 2 * (_BEAMS - 1), 0, _BEAMS - 1).astype(np.intp),
        ]
        near = self._near_valves
        echo[near] = np.maximum(echo[near], _leaflets(self._x[near], self._z[near], phase, squeeze))
        noise = np.random.default_rng(_SEED + round(phase * 1e6)).normal(0, 1.3, len(echo)).astype(np.float32)
        shade = (echo + noise * (0.4 + radius) - _FLOOR_DB) / -_FLOOR_DB
        levels: npt.NDArray[np.uint8] = (255 * np.clip(shade, 0, 1) ** 1.15).astype(np.uint8)
        return levels

    # ---- what stands around it ----

    def _draw_surround(self) -> Picture:
        screen = np.zeros((self.height_px, self.width_px, 3), np.uint8)
        step = (ROWS + 3) * self._scale
        left, top = round(0.022 * self.width_px), round(0.022 * self.height_px)
        self._write(screen, "PHANTOM", left, top, _PALE)
        self._write(screen, "ID 000-SIM-1", left, top + step, _PALE)
        self._write(screen, "GATEWAY SIMULATOR", None, top, _AMBER)
        self._write(screen, "CARDIAC", None, top + step, _PALE)
        settings = ("P4-2", "2.5 MHz", "FR 50 Hz", f"D {_DEPTH_CM}.0 cm", "G 62 dB", "DR 58 dB", "MI 0.9", "TIS 0.6")
        if self.height_px >= 400:
            for line, words in enumerate(settings):
                y = round(0.15 * self.height_px) + line * step
                self._write(screen, words, left, y, _BLUE if line == 0 else _PALE)
        self._draw_grey_bar(screen)
        self._draw_depth_scale(screen)
        return screen

    def _write(self, screen: Picture, words: str, x: int | None, y: int, colour: tuple[int, int, int]) -> None:
        """Write at (x, y), or to the right edge; what does not fit is cut off."""
        ink = text(words, self._scale)
        if x is None:
            x = max(0, self.width_px - round(0.022 * self.width_px) - len(words) * COLUMNS * self._scale)
        part = screen[y : y + ink.shape[0], x : x + ink.shape[1]]
        part[ink[: part.shape[0], : part.shape[1]]] = colour

    def _draw_grey_bar(self, screen: Picture) -> None:
        top, bottom = round(0.52 * self.height_px), round(0.82 * self.height_px)
        left, width = round(0.030 * self.width_px), 6 * self._scale
        ramp = np.linspace(255, 0, bottom - top).astype(np.uint8)
        screen[top - 1 : bottom + 1, left - 1 : left + width + 1] = 90
        screen[top:bottom, left : left + width] = ramp[:, None, None]

    def _draw_depth_scale(self, screen: Picture) -> None:
        x = round(0.93 * self.width_px)
        for cm in range(_DEPTH_CM + 1):
            y = round(self._apex[1] + cm / _DEPTH_CM * self._unit_px)
            length = (6 if cm % 5 == 0 else 3) * self._scale
            screen[y : y + self._scale, x : x + length] = _PALE
            if cm % 5 == 0 and cm:
                self._write(screen, str(cm), x + length + 2 * self._scale, y - 3 * self._scale, _PALE)
        mark = round(self._apex[1] - 4 * self._scale)
        screen[mark : mark + 3 * self._scale, round(self._apex[0]) + 8 * self._scale :][:, : 3 * self._scale] = _BLUE
        focus = round(self._apex[1] + 0.55 * self._unit_px)
        for step in range(4 * self._scale):
            screen[focus - step : focus + step + 1, x - 3 * self._scale + step - 4 * self._scale] = _AMBER

    def _draw_ecg(self, screen: Picture, phase: float) -> None:
        """Draw three beats that end in the present, and a dot on it."""
        left, right = round(0.24 * self.width_px), round(0.90 * self.width_px)
        base, height = 0.965 * self.height_px, 0.055 * self.height_px
        columns = np.arange(left, right)
        beats = phase + 3.0 * (columns - right) / (right - left)
        rows = np.clip(base - height * _ecg(beats), 0, self.height_px - 1).astype(int)
        for column, row, after in zip(columns, rows, [*rows[1:], rows[-1]], strict=True):
            first, last = min(row, after), max(row, after)
            screen[first : last + self._scale, column] = _GREEN
        dot = rows[-1]
        screen[max(0, dot - self._scale) : dot + 2 * self._scale, right - self._scale : right + self._scale] = _PALE
        self._write(screen, "75 BPM", left - 40 * self._scale, round(base) - 4 * self._scale, _GREEN)


def _tissue() -> Floats:
    """Make the echo of every (range, beam) in decibels, at rest: speckle over anatomy."""
    rng = np.random.default_rng(_SEED)
    scatter = rng.normal(size=(_RANGES, _BEAMS)) + 1j * rng.normal(size=(_RANGES, _BEAMS))
    speckle = np.abs(_blurred(_blurred(scatter, 2.3, 0), 2.1, 1))
    speckle_db = 20 * np.log10(speckle / np.sqrt(np.mean(speckle**2)) + 1e-4)
    radius = np.linspace(0, 1, _RANGES)[:, None]
    angle = np.linspace(-_MAP_ANGLE, _MAP_ANGLE, _BEAMS)[None, :]
    anatomy = _anatomy(radius * np.sin(angle), radius * np.cos(angle))
    streaks = _blurred(rng.normal(size=(1, _BEAMS)), 6.0, 1).real * 7
    edges = -16 * np.clip(np.abs(angle) / _HALF_ANGLE - 0.88, 0, 1) / 0.12
    depth = 2.5 - 11.0 * np.clip(radius - 0.72, 0, 1) / 0.28
    near = 20 * np.exp(-((radius / 0.035) ** 2))
    echo: Floats = (anatomy + 0.8 * speckle_db + streaks + edges + depth + near).astype(np.float32)
    return echo


def _anatomy(x: npt.NDArray[np.float64], z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Say how strongly each place echoes, in decibels below the brightest."""
    echo = np.full(x.shape, -33.0)
    heart = _outside(x, z, _HEART)
    echo = np.where(heart < 0, -25.0, echo)
    echo += 15 * np.exp(-((heart / 0.014) ** 2))  # pericardium
    for chambers in (_LEFT, _RIGHT):
        outside = np.minimum.reduce([_outside(x, z, chamber) for chamber in chambers])
        echo = _hollow(echo, outside, rim_db=9.0)
    for cyst in _CYSTS:
        distance = _outside(x, z, cyst)
        behind = (np.abs(x - cyst[0] * z / cyst[1]) < cyst[2] * 0.8) & (z > cyst[1] + cyst[3])
        echo = _hollow(echo + 6.0 * behind, distance, rim_db=5.0)
    return echo


def _hollow(echo: npt.NDArray[np.float64], outside: npt.NDArray[np.float64], rim_db: float) -> npt.NDArray[np.float64]:
    """Fill a chamber with blood, which hardly echoes, and line it brightly."""
    blood = 1 / (1 + np.exp(np.clip(outside / 0.004, -40, 40)))
    return np.asarray(echo * (1 - blood) - 60.0 * blood + rim_db * np.exp(-(((outside - 0.008) / 0.009) ** 2)))


def _outside(x: npt.NDArray[np.float64], z: npt.NDArray[np.float64], ellipse: _Ellipse) -> npt.NDArray[np.float64]:
    """Return about how far outside an ellipse each place lies; negative inside."""
    centre_x, centre_z, half_x, half_z, tilt = ellipse
    cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    across = (cos * (x - centre_x) + sin * (z - centre_z)) / half_x
    along = (-sin * (x - centre_x) + cos * (z - centre_z)) / half_z
    return np.asarray((np.hypot(across, along) - 1) * min(half_x, half_z))


def _blurred(
    field: npt.NDArray[np.complex128] | npt.NDArray[np.float64], sigma: float, axis: int
) -> npt.NDArray[np.complex128]:
    """Blur along one axis with a Gaussian of `sigma` samples, through the Fourier transform."""
    frequency = np.fft.fftfreq(field.shape[axis])
    gain = np.exp(-2 * (math.pi * sigma * frequency) ** 2)
    shape = (-1, 1) if axis == 0 else (1, -1)
    return np.asarray(np.fft.ifft(np.fft.fft(field, axis=axis) * gain.reshape(shape), axis=axis))


def _squeeze(phase: float) -> float:
    """Return how contracted the ventricles are, 0 to 1: quick in systole, slow to fill, with an atrial kick."""
    phase %= 1.0
    if phase < 0.36:
        return 0.5 - 0.5 * math.cos(math.pi * phase / 0.36)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (phase - 0.36) / 0.34))


def _moved(x: Floats, z: Floats, squeeze: float) -> tuple[Floats, Floats]:
    """Say where the tissue seen at (x, z) lies at rest: walls move inwards, the valve plane towards the apex."""
    for centre_x, centre_z, half_x, half_z, _ in (_LEFT[0], _RIGHT[0]):
        dx, dz = x - np.float32(centre_x), z - np.float32(centre_z)
        pull = np.exp(-((dx / (1.9 * half_x)) ** 2) - (dz / (1.5 * half_z)) ** 2) * np.float32(0.42 * squeeze)
        x, z = x + dx * pull, z + dz * pull * np.float32(0.25)
    plane = np.exp(-(((z - np.float32(0.66)) / 0.16) ** 2) - (x / 0.30) ** 2)
    down: Floats = (z + plane * np.float32(0.045 * squeeze)).astype(np.float32)
    return x, down


def _leaflets(x: Floats, z: Floats, phase: float, squeeze: float) -> Floats:
    """Return the echo of the valves' leaflets: closed in systole, thrown open when the ventricles fill."""
    opening = _opening(phase)
    lift = 0.045 * squeeze
    echo = np.full(x.shape, -200.0, np.float32)
    for left_x, left_z, right_x, right_z in _VALVES:
        for hinge_x, hinge_z, way in ((left_x, left_z, 1), (right_x, right_z, -1)):
            bend = math.radians(8 + 62 * opening)
            length = 0.54 * (right_x - left_x)
            tip_x = hinge_x + way * length * math.cos(bend)
            tip_z = hinge_z - lift - length * math.sin(bend)
            away = _distance(x, z, (hinge_x, hinge_z - lift), (tip_x, tip_z))
            echo = np.maximum(echo, np.float32(-13.0) - (away / np.float32(0.0042)) ** 2 * 5)
    return echo


def _opening(phase: float) -> float:
    """Return how far the valves stand open, 0 to 1: an early wave and an atrial one."""
    early = math.exp(-(((phase - 0.56) / 0.075) ** 2))
    atrial = math.exp(-(((phase - 0.88) / 0.055) ** 2))
    return min(1.0, early + 0.7 * atrial)


def _distance(x: Floats, z: Floats, start: tuple[float, float], end: tuple[float, float]) -> Floats:
    """Return each place's distance to a line from `start` to `end`."""
    along_x, along_z = end[0] - start[0], end[1] - start[1]
    share = ((x - start[0]) * along_x + (z - start[1]) * along_z) / (along_x**2 + along_z**2)
    share = np.clip(share, 0, 1)
    return np.asarray(np.hypot(x - start[0] - share * along_x, z - start[1] - share * along_z), np.float32)


def _ecg(beats: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the ECG's voltage, 1 at the R wave, which stands at the beginning of each beat."""
    phase = beats % 1.0
    waves: Iterable[tuple[float, float, float]] = (
        (0.82, 0.14, 0.030),
        (0.965, -0.10, 0.010),
        (0.000, 1.00, 0.012),
        (0.033, -0.22, 0.012),
        (0.300, 0.26, 0.050),
    )
    voltage = np.zeros(phase.shape)
    for at, height, width in waves:
        away = (phase - at + 0.5) % 1.0 - 0.5
        voltage += height * np.exp(-((away / width) ** 2))
    return voltage
