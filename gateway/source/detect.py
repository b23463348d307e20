"""What arrives on a line, under one setting after another, to how the line is set and which instrument speaks.

Pure: `settings` says how the line is to be set now, `receive` takes what came of it, `due` says what to send. The settings of the
known instruments come first, then the usual ones; a setting is left as soon as what arrives speaks against it, and never because
nothing arrives: an instrument may be silent until somebody presses its button. Nothing is sent unless that was allowed: then the
instruments that wait to be asked are asked, each at its own settings, before the rest is only listened to.
"""

from __future__ import annotations

from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

from gateway.device.marks import DAMAGED, LineErrors
from gateway.errors import UnreadableRecord
from gateway.model import Detection, LineGuess
from gateway.profile import SerialSettings
from gateway.source.serial import dialect_of
from gateway.wire.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.profile import InstrumentProfile

Parity = Literal["N", "E", "O"]
Bits = Literal[7, 8]

BAUDS: Final = (9600, 19200, 115200, 38400, 57600, 4800, 2400, 1200, 600, 300)
"""The slow ones last: at a baud that is too low, a short print makes too few characters to judge it by."""
FORMATS: Final[tuple[tuple[Bits, Parity], ...]] = ((8, "N"), (8, "E"), (7, "E"), (7, "O"), (8, "O"))
"""A receiver looks at one stop bit only: a second one cannot be told from a pause. The first two frame whatever has their baud, the one
with ten bits and the other with eleven."""
LIMIT_S: Final = 60
ANSWER_NS: Final = 3_000_000_000
"""Who is asked answers within this time, or does not speak this language."""
PAUSE_NS: Final = 150_000_000
"""A print has ended: what it showed is judged, however little it was."""
OUT_OF_STEP_NS: Final = 100_000_000
"""So long a receiver that began in the middle may be out of step: only a pause brings some lines into step."""
WHOLE_NS: Final = 1_000_000_000
"""A print has ended for every known instrument: who has not been understood by then is not one of them."""

_SETTLING: Final = 6
"""Characters after a change on a busy line that are not judged: nobody saw the beginning of the first, and the next may come out of step."""
_IN_STEP: Final = 8
"""So many characters of text at the end of a print that was not heard from its beginning: its next one will tell."""
_FEWEST_KINDS: Final = 4
_COMMONEST_SHARE: Final = 0.6
_FEW: Final = 12
_ENOUGH: Final = 64
"""So many characters of text without an error are how the line is set."""
_PLENTY: Final = 2048
"""The same, of one that never pauses."""
_LONGEST: Final = 1500
"""Characters of the longest message of an instrument that does not speak in text: at its own line, one of these may be under way."""
_MANY: Final = 256
"""After so many without certainty another setting may do better."""
_ERRORS: Final = 4
_WRONG_SHARE: Final = 0.2
_FRAMED_SHARE: Final = 0.05
_TEXT_SHARE: Final = 0.95
_SEEN_BYTES: Final = 48
_GUESSES: Final = 8
_TEXT: Final = bytes([*range(0x01, 0x07), 0x09, 0x0A, 0x0C, 0x0D, 0x11, 0x13, 0x15, 0x17, 0x1B, *range(0x20, 0x7F)])
"""Printable characters, and what stands between them: SOH to ACK, TAB, LF, FF, CR, XON, XOFF, NAK, ETB, ESC."""


class Listener:
    """Listens to one line. `settings` may be another after each `receive`."""

    def __init__(
        self, port: str, profiles: Sequence[InstrumentProfile], *, may_ask: bool = False, limit_s: int = LIMIT_S
    ) -> None:
        """`profiles`: the instruments that may speak. `may_ask`: something may be sent to them. Raises ProfileError."""
        self._port = port
        self._profiles = profiles
        self._may_ask = may_ask
        self._limit_ns = limit_s * 1_000_000_000
        self._waiting = deque(_order(profiles, may_ask=may_ask))
        self._best: dict[SerialSettings, _Trial] = {}
        self._framed: set[int] = set()
        self._received = 0
        self._began_ns = -1
        self.is_over = False
        """A setting is certain, or the time is over."""
        self._trial = self._next(0)

    @property
    def settings(self) -> SerialSettings:
        """How the line is to be set now."""
        return self._trial.settings

    def receive(self, data: bytes, errors: LineErrors, now_ns: int) -> None:
        """Take what arrived under `settings`, and what was damaged of it; also nothing, each 100 ms."""
        if self._began_ns < 0:
            self._began_ns = self._trial.began_ns = now_ns
        self._received += len(data)
        self._trial.receive(data, errors, now_ns)
        if self._trial.heard:
            self._keep(self._trial)
        self.is_over = self._trial.is_certain(now_ns) or now_ns - self._began_ns >= self._limit_ns
        if not self.is_over and self._trial.is_done(now_ns):
            self._prefer(self._trial)
            self._trial = self._next(now_ns)

    def due(self, now_ns: int) -> bytes:
        """Return what is to be sent now: nothing ever, unless it may be asked."""
        return self._trial.due(now_ns) if self._may_ask else b""

    def refuse(self, now_ns: int) -> None:
        """Say that the line cannot be set so: its adapter does not know this baud or parity."""
        self._trial = self._next(now_ns)

    def found(self) -> Detection:
        """Return what was found so far, the best first."""
        best = sorted(self._best.values(), key=lambda each: each.score, reverse=True)
        return Detection(
            port=self._port,
            is_over=self.is_over,
            received_bytes=self._received,
            trying="" if self.is_over else self._trial.words,
            guesses=tuple(each.guess() for each in best[:_GUESSES]),
        )

    def _keep(self, trial: _Trial) -> None:
        known = self._best.get(trial.line)
        if known is None or trial.score > known.score:
            self._best[trial.line] = trial

    def _prefer(self, trial: _Trial) -> None:
        """Where every character had its stop bit, the baud is right: what else it may be set to comes next, once."""
        if trial.line.baud in self._framed or not trial.is_framed:
            return
        self._framed.add(trial.line.baud)
        others = [(line, None) for line in _formats(trial.line.baud) if line != trial.line]
        self._waiting.extendleft(reversed(others))

    def _next(self, now_ns: int) -> _Trial:
        """Begin with the next setting; each comes again and again, but nobody is asked twice."""
        line, asked = self._waiting.popleft()
        if asked is None and line not in (each for each, _ in self._waiting):
            self._waiting.append((line, None))
        is_busy = self._began_ns >= 0 and self._trial.is_busy(now_ns)
        return _Trial(line, asked, self._profiles, now_ns, settling=_SETTLING if is_busy else 0)


class _Ear:
    """One instrument's dialect at one setting: how much of what arrives it reads."""

    def __init__(self, profile: InstrumentProfile) -> None:
        self.profile = profile
        self.line = receiver_line(profile.line)
        self.dialect = dialect_of(profile)
        self.records = 0
        """Whole records that mean something."""
        self.checked = 0
        """Those whose checksum was right."""
        self.has_values = False

    @property
    def worth(self) -> tuple[bool, int, int]:
        """Greater is better."""
        return self.has_values, self.checked, self.records

    @property
    def is_sure(self) -> bool:
        """A checksum of one byte fits by chance once in 256 times, two of them do not; nor does one before values that can be read."""
        return self.checked >= (1 if self.has_values else 2)

    def hear(self, data: bytes, now_ns: int) -> None:
        """Count what a piece of the line completes."""
        self.dialect.framing.receive_data(data)
        while isinstance(record := self.dialect.framing.next_record(), Record):
            self._count(record, now_ns)

    def end(self, pause_ns: int, now_ns: int) -> None:
        """The line has been silent for so long."""
        if pause_ns < self.profile.idle_ends_record_ms * 1_000_000:
            return
        while isinstance(record := self.dialect.framing.flush(), Record):
            self._count(record, now_ns)

    def _count(self, record: Record, now_ns: int) -> None:
        if DAMAGED in record.data and not record.is_checked:
            return
        with suppress(UnreadableRecord):
            said = self.dialect.hear(record, now_ns)
            has_values = bool(said.observations or said.traces)
            self.records += has_values or record.is_checked
            self.checked += record.is_checked
            self.has_values |= has_values


class _Trial:
    """One setting, and what was heard under it."""

    def __init__(
        self,
        line: SerialSettings,
        asked: InstrumentProfile | None,
        profiles: Sequence[InstrumentProfile],
        now_ns: int,
        *,
        settling: int,
    ) -> None:
        self.line = line
        self.settings = asked.line if asked else line
        self.began_ns = now_ns
        self.heard = 0
        self._asked = asked
        self._ears = [_Ear(each) for each in profiles]
        self._settling = settling
        self._is_partial = settling > 0
        """The beginning of what arrives was not heard."""
        self._counted = self._text = 0
        self._framing = self._errors = 0
        self._heard_ns = now_ns
        self._prints = 0
        self._run = 0
        """So many characters of text, at the end."""
        self._seen = b""
        self._patience = _LONGEST if any(ear.line == line for ear in self._ears) else 2 * _FEW

    @property
    def words(self) -> str:
        """What is tried, for a person."""
        return in_words(self.line) + (f", asking: {self._asked.title}" if self._asked else "")

    def is_certain(self, now_ns: int) -> bool:
        """Say whether no doubt is left: records with their checksums, values, or much text, and nothing damaged."""
        if self._best.is_sure:
            return True
        is_silent = now_ns - self._heard_ns >= WHOLE_NS
        is_whole = (is_silent and not self._is_partial) or self._counted >= _PLENTY
        return self._is_clean and is_whole and (self._best.has_values or self._counted >= _ENOUGH)

    @property
    def score(self) -> tuple[object, ...]:
        """Greater is better: what a dialect reads, then how much of it is text (what is damaged is not), and how much was heard."""
        counted = max(1, self._counted)
        is_enough = self._counted >= _FEW
        return (
            self._best.worth,
            is_enough,
            -round(self._errors / counted, 2),
            round(self._text / counted, 2),
            self.heard,
        )

    def is_busy(self, now_ns: int) -> bool:
        """Say whether something was arriving just now."""
        return self.heard > 0 and now_ns - self._heard_ns < PAUSE_NS

    def receive(self, data: bytes, errors: LineErrors, now_ns: int) -> None:
        """Take what arrived."""
        if data:
            is_print = now_ns - self._heard_ns >= PAUSE_NS
            if self._is_partial and (is_print or (self._errors and self._run >= _ENOUGH)):  # in step by now
                self._settling = self._counted = self._text = self._framing = self._errors = 0
                self._is_partial = not is_print
            self._prints += is_print or not self.heard
            self._heard_ns = now_ns
            judged = data[max(0, self._settling - self.heard) :]
            self._counted += len(judged)
            self._text += len(judged) - len(judged.translate(None, _TEXT))
            self._run = _run(data) + (self._run if _run(data) == len(data) else 0)
            self._seen += data[: _SEEN_BYTES - len(self._seen)]
            self.heard += len(data)
        if self.heard > self._settling:
            self._framing += errors.framing + errors.breaks
            self._errors += errors.damaged
        for ear in self._ears:
            ear.hear(data, now_ns)
            ear.end(now_ns - self._heard_ns, now_ns)

    def is_done(self, now_ns: int) -> bool:
        """Say whether it is time for another setting."""
        silent_ns = now_ns - self._heard_ns
        if self._asked is not None:
            return silent_ns >= ANSWER_NS or self._counted >= _MANY
        if self.heard and silent_ns >= PAUSE_NS:
            return not self._is_read and not self._is_in_step and not (self._is_clean or self._is_fresh)
        if self._is_partial and (now_ns - self.began_ns < OUT_OF_STEP_NS or (self._errors and self._is_in_step)):
            return False
        is_wrong = self._errors >= max(_ERRORS, _WRONG_SHARE * self._counted)
        is_strange = self._counted >= self._patience and not self._is_text and not self._is_read
        return is_wrong or is_strange or (self._counted >= max(_MANY, self._patience) and not self._is_clean)

    def due(self, now_ns: int) -> bytes:
        """Return the answer of whoever understood something, those first whose line this is; and what the one who is asked is asked."""
        own = sorted(self._ears, key=lambda ear: (ear.profile is not self._asked, ear.line != self.line))
        answers = [ear.dialect.answer() for ear in own]
        asked = [ear.dialect.due(now_ns) for ear in own if ear.profile is self._asked]
        return next(filter(None, answers), b"") + b"".join(asked)

    def guess(self) -> LineGuess:
        """Return what a person is told."""
        readers = sorted((ear for ear in self._ears if ear.records), key=lambda ear: ear.worth, reverse=True)
        stop_bits = next((ear.profile.line.stop_bits for ear in readers if ear.line == self.line), 1)
        return LineGuess(
            baud=self.line.baud,
            data_bits=self.line.data_bits,
            parity=self.line.parity,
            stop_bits=stop_bits,
            instruments=tuple(ear.profile.name for ear in readers),
            records=max((ear.records for ear in readers), default=0),
            errors=self._errors,
            seen=shown(self._seen),
        )

    @property
    def _is_clean(self) -> bool:
        return self._counted >= _FEW and not self._errors and self._is_text

    @property
    def is_framed(self) -> bool:
        """Say whether its characters had their stop bits."""
        return self._counted >= _FEW and self._framing <= _FRAMED_SHARE * self._counted

    @property
    def _is_read(self) -> bool:
        return self._best.records > 0

    @property
    def _is_in_step(self) -> bool:
        """Say whether a print that was heard from its middle ended as text: the next one will tell."""
        return self._is_partial and self._run >= min(_IN_STEP, self._counted)

    @property
    def _is_fresh(self) -> bool:
        """Say whether there was one short print, and nothing wrong with it; a baud that is far too low makes this of any line."""
        return self._prints == 1 and not self._errors and self._is_text and self._counted < _FEW

    @property
    def _is_varied(self) -> bool:
        """Say whether it has more than one or two different characters; what a baud that is far too low makes of a line has not."""
        counts = Counter(self._seen)
        return len(counts) >= _FEWEST_KINDS and counts.most_common(1)[0][1] <= _COMMONEST_SHARE * len(self._seen)

    @property
    def _is_text(self) -> bool:
        is_varied = self._is_varied or self._counted < _FEW
        return is_varied and self._text >= _TEXT_SHARE * self._counted

    @property
    def _best(self) -> _Ear:
        return max(self._ears, key=lambda ear: ear.worth)


def _run(data: bytes) -> int:
    """How many characters of text it ends with."""
    return len(data) - len(data.rstrip(_TEXT))


def receiver_line(line: SerialSettings) -> SerialSettings:
    """Return what matters of a line to somebody who only listens: baud, data bits and parity."""
    return SerialSettings(baud=line.baud, data_bits=line.data_bits, parity=line.parity)


def in_words(line: SerialSettings | LineGuess) -> str:
    """Return how a line is set, as it stands in manuals: "9600 7E1"."""
    return f"{line.baud} {line.data_bits}{line.parity}{line.stop_bits}"


def shown(data: bytes) -> str:
    r"""Return bytes as a person can read them: what is not printable stands as \x.."""
    return repr(data)[2:-1]


def _order(
    profiles: Sequence[InstrumentProfile], *, may_ask: bool
) -> Iterator[tuple[SerialSettings, InstrumentProfile | None]]:
    """Who must be asked, if they may; then the lines of the known instruments, and then all the usual ones."""
    if may_ask:
        yield from ((receiver_line(each.line), each) for each in profiles if dialect_of(each).due(0))
    known = [receiver_line(each.line) for each in profiles]
    first, rest = slice(2), slice(2, None)
    usual = [line for formats in (first, rest) for baud in BAUDS for line in _formats(baud)[formats]]
    yield from ((line, None) for line in dict.fromkeys(known + usual))


def _formats(baud: int) -> list[SerialSettings]:
    return [SerialSettings(baud=baud, data_bits=bits, parity=parity) for bits, parity in FORMATS]
