"""One box to findings: everything that would keep it from its work, each with what to do, for `gateway check`.

It looks and asks, and changes nothing: no folder is made, no store is opened. A configuration that cannot be used is the
first finding, and then the only one: everything else would be a guess.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, structs

from gateway import config, profile
from gateway.device import evdev
from gateway.errors import (
    ClockUntrusted,
    ConfigBadValue,
    ConfigError,
    DeviceError,
    GatewayError,
    NoPresentationContext,
    ProfileError,
)
from gateway.forward import dicom
from gateway.service import unit
from gateway.source import worklist
from gateway.spool import library
from gateway.wire.dimse import scu

if TYPE_CHECKING:
    from gateway.clock import Clock
    from gateway.config import Site, Trigger
    from gateway.profile import InstrumentProfile, ModalityProfile
    from gateway.wire.dimse.peer import Peer

ANSWER_S = 10.0
"""A peer that has not answered by then is told as silent."""
_SIMULATOR = "simulator:"
_MB = 1 << 20


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    subject: str
    verdict: Literal["good", "care", "bad"]
    """`care` is worth a look and keeps nothing from working; `bad` must be mended."""
    text: str
    hint: str = ""
    code: str = ""


def everything(file: Path, clock: Clock | None = None) -> Iterator[Finding]:
    """Yield every finding about a box, by its configuration file; what needs the network comes last."""
    yield from configuration(file)
    try:
        site = config.load(file)
    except ConfigError:
        return
    yield from profiles(site)
    yield sqlite(library.version())
    yield time(site, clock)
    yield room(site)
    yield from devices(site)
    yield kernels(Path(site.paths.cache))
    yield from letters(site)
    yield from callers(site)
    yield from peers(site)


def is_good(findings: list[Finding]) -> bool:
    """Say whether nothing must be mended."""
    return all(each.verdict != "bad" for each in findings)


def configuration(file: Path) -> Iterator[Finding]:
    """Look for mistakes in every file of the configuration."""
    mistakes = config.problems(file)
    yield from (_bad("configuration", error) for error in mistakes)
    if not mistakes:
        yield Finding(subject="configuration", verdict="good", text=str(file))


def profiles(site: Site) -> Iterator[Finding]:
    """Load every profile that the configuration names."""
    own = site.own_profiles
    named: list[tuple[str, Callable[[], ModalityProfile | InstrumentProfile]]] = [
        *((f"grabber {name}", partial(profile.modality, each.profile, own)) for name, each in site.grabber.items()),
        *((f"serial {name}", partial(profile.instrument, each.instrument, own)) for name, each in site.serial.items()),
    ]
    for subject, load in named:
        try:
            found = load()
        except ProfileError as error:
            yield _bad(subject, error)
        else:
            yield Finding(subject=subject, verdict="good", text=f"profile {found.name}: {found.title}")
            yield from _films(subject, found)


def _films(subject: str, found: ModalityProfile | InstrumentProfile) -> Iterator[Finding]:
    """Say so when recordings shall be video and nothing here can make any."""
    if not isinstance(found, profile.ModalityProfile) or found.object.cine not in profile.VIDEO:
        return
    from gateway.service import movie  # loads the kernels

    if not movie.has_encoder():
        yield Finding(
            subject=subject,
            verdict="care",
            text=f"profile {found.name} wants {found.object.cine} video, and there is no encoder for it",
            hint="Recordings are kept without loss, picture by picture. Install ffmpeg with libx264 for video.",
        )


def sqlite(version: str) -> Finding:
    """Say which SQLite this is; the one that has the bug is guarded by the writer lock."""
    if not library.has_wal_reset_bug(version):
        return Finding(subject="SQLite", verdict="good", text=version)
    text = f"{version} has the WAL-reset bug (3.7.0 to 3.51.2)"
    return Finding(subject="SQLite", verdict="good", text=f"{text}; the writer lock keeps it from ever mattering")


def time(site: Site, clock: Clock | None = None) -> Finding:
    """Say whether the clock is believed, and by which rule."""
    clock = clock or unit.clock_of(site)
    doubt = clock.doubt()
    if doubt:
        error = ClockUntrusted(problem=doubt)
        return Finding(subject="clock", verdict="care", text=str(error), hint=error.hint, code=error.code)
    return Finding(
        subject="clock", verdict="good", text=f"{clock.now():%Y-%m-%d %H:%M} UTC, trusted ({site.clock.trust})"
    )


def room(site: Site) -> Finding:
    """Measure the data partition; the folder need not be there yet."""
    folder = next(each for each in (site.data, *site.data.absolute().parents) if each.is_dir())
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    text = f"{free / 1e9:.1f} GB free of {disk.f_blocks * disk.f_frsize / 1e9:.1f} GB at {folder}"
    needed = (site.spool.keep_free_mb + site.spool.ballast_mb) * _MB
    if free < needed:
        hint = f"New work is refused below {needed / 1e9:.1f} GB: let the queue empty, or shorten spool.retention_days."
        return Finding(subject="disk", verdict="bad", text=text, hint=hint, code="G401")
    return Finding(subject="disk", verdict="good", text=text)


def devices(site: Site) -> Iterator[Finding]:
    """Look for every device; a video device is asked who it is."""
    for name, grabber in site.grabber.items():
        yield _video(f"grabber {name}", grabber.device)
    for name, line in site.serial.items():
        if not line.is_enabled:
            yield Finding(subject=f"serial {name}", verdict="good", text=f"{line.device} is switched off")
            continue
        is_there = Path(line.device).exists()
        hint = "" if is_there else "Is the adapter plugged in? ls -l /dev/gateway /dev/serial/by-path names what is."
        text = line.device if is_there else f"{line.device} is not there"
        yield Finding(subject=f"serial {name}", verdict="good" if is_there else "bad", text=text, hint=hint)
    for name, trigger in site.trigger.items():
        yield _trigger(f"trigger {name}", trigger)


def _trigger(subject: str, trigger: Trigger) -> Finding:
    unknown = [key for key in trigger.keys if evdev.code_of(key) is None]
    if unknown:
        error = ConfigBadValue(
            file="gateway.toml", key=f"{subject}: keys", problem=f"has no key of the kernel: {unknown[0]}"
        )
        return _bad(subject, error)
    if not Path(trigger.device).exists():
        hint = "Is it plugged in? ls -l /dev/gateway /dev/input/by-path names what is."
        return Finding(subject=subject, verdict="bad", text=f"{trigger.device} is not there", hint=hint)
    return Finding(subject=subject, verdict="good", text=f"{trigger.device}: {trigger.action} on {trigger.grabber}")


def kernels(cache: Path) -> Finding:
    """Say whether the pixel kernels are compiled already."""
    if any(cache.rglob("*.nbi")):
        return Finding(subject="kernels", verdict="good", text=f"compiled, in {cache}")
    hint = "Run `gateway warm`; else the first start of acquire does it, before it says that it is ready."
    return Finding(subject="kernels", verdict="care", text=f"not compiled yet in {cache}", hint=hint)


def letters(site: Site) -> Iterator[Finding]:
    """Say which fonts are missing where an instrument's curves may be drawn: a letter that none has becomes a box."""
    from gateway.objects import fonts

    if site.serial and (missing := [name for name, path in fonts.PACKAGES.items() if not path.exists()]):
        yield Finding(
            subject="fonts",
            verdict="care",
            text=f"{', '.join(missing)} not installed",
            hint="On drawn pages, letters that no font has are boxes; everything else is as it should be.",
        )


def callers(site: Site) -> Iterator[Finding]:
    """Say who may send to us."""
    if not site.listen.is_enabled:
        return
    known = ", ".join(f"{peer.ae_title} from {peer.address}" for peer in site.listen.allow.values())
    if site.listen.is_open_to_all:
        hint = "Set listen.is_open_to_all = false once every modality is named under [listen.allow]."
        yield Finding(subject="listen", verdict="care", text="anybody may send to this box", hint=hint)
    elif known:
        yield Finding(subject="listen", verdict="good", text=f"port {site.listen.port}: {known}")
    else:
        hint = "Name each modality under [listen.allow], or set listen.is_enabled = false."
        yield Finding(subject="listen", verdict="care", text="nobody may send: [listen.allow] is empty", hint=hint)


def peers(site: Site) -> Iterator[Finding]:
    """Ask every destination and the RIS for a sign of life (C-ECHO), all at once."""
    if not site.destination:
        hint = "Without a [destination.NAME], what is captured stays here and nobody owes it to anyone."
        yield Finding(subject="destination", verdict="care", text="there is none", hint=hint)
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield from pool.map(lambda pair: peer(*pair), known_peers(site))


def known_peers(site: Site) -> list[tuple[str, Peer]]:
    """Return everyone whom this box calls, by what a finding calls them: `destination NAME`, `worklist`."""
    named = [
        (f"destination {name}", dicom.peer_of(name, destination, site.station.ae_title))
        for name, destination in site.destination.items()
    ]
    if site.worklist:
        named.append(("worklist", worklist.peer_of(site.worklist, site.station.ae_title)))
    return named


def peer(subject: str, called: Peer) -> Finding:
    """Ask one peer for a sign of life."""
    text = f"{called.called_ae} at {called.host}:{called.port}"
    try:
        scu.echo(structs.replace(called, timeout_s=min(called.timeout_s, ANSWER_S)))
    except NoPresentationContext:
        return Finding(subject=subject, verdict="good", text=f"{text} is there; it does not offer C-ECHO")
    except GatewayError as error:
        return _bad(subject, error)
    return Finding(subject=subject, verdict="good", text=f"{text} answers")


def _video(subject: str, device: str) -> Finding:
    if device.startswith(_SIMULATOR):
        return Finding(subject=subject, verdict="good", text=f"{device}: a simulator")
    from gateway.device import grabber

    try:
        found = grabber.describe(device)
    except DeviceError as error:
        return _bad(subject, error)
    return Finding(subject=subject, verdict="good", text=f"{device}: {found.card} ({found.driver})")


def _bad(subject: str, error: GatewayError) -> Finding:
    return Finding(subject=subject, verdict="bad", text=str(error), hint=error.hint, code=error.code)
