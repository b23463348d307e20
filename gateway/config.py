"""TOML and conf.d to one frozen Site. Every key that exists is a field here, with its meaning and default beside it.

Read in this order, later over earlier, table by table: the file itself, `conf.d/*.toml` beside it (an installer's), and
`<data>/conf.d/*.toml` (what the panel saved). A mistake in the first two stops the box, in words: an engineer is there. A
mistake in the third never does: that file is left out, its last good copy is used instead, and Health and `gateway check`
say so. docs/configuration.md and the shipped gateway.toml are printed from these structs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import zoneinfo
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway import tables
from gateway.errors import ConfigBadValue, ConfigError, ConfigUnknownKey
from gateway.structs import learn
from gateway.tables import Keys, Mistake, Table

Port = Annotated[int, Meta(ge=1, le=65535)]
AETitle = Annotated[str, Meta(min_length=1, max_length=16)]
OtherAETitle = Annotated[str, Meta(max_length=16)]
ModemLine = Literal["cts", "dsr", "dcd", "ri"]


class Station(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[station]: who this box is in the hospital."""

    ae_title: AETitle = "GATEWAY"
    """Our AE title, when we call and when we are called."""
    institution_name: str = ""
    """InstitutionName in every object made here, where the profile does not state another."""
    institution_address: str = ""
    """InstitutionAddress, as above."""
    department_name: str = ""
    """InstitutionalDepartmentName, as above."""
    timezone: str = "UTC"
    """IANA name ("Africa/Nairobi"): dates and times in objects are local time, with TimezoneOffsetFromUTC."""
    language: Literal["en", "fr", "zh"] = "en"
    """Language of the panel until a browser asks for another."""


class Paths(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[paths]: where the gateway keeps things."""

    data: str = "/var/lib/gateway"
    """The spool: database, blobs, recordings, journals. On the data partition."""
    run: str = "/run/gateway"
    """Live preview and status files; tmpfs."""
    cache: str = "/var/cache/gateway"
    """Compiled kernels."""
    profiles: str = ""
    """A folder with modalities/, instruments/, cables/ of this site; looked at before the shipped hw/. Empty: DATA/profiles. The panel writes
    there what an engineer draws on the picture."""


class ClockPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[clock]: when the wall clock is believed."""

    trust: Literal["plausible", "ntp"] = "plausible"
    """`plausible`: not before this release, nor before the latest time ever recorded. `ntp`: also synchronised since boot."""


class Store(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[spool]: room and retention."""

    ballast_mb: Annotated[int, Meta(ge=1)] = 256
    """Preallocated; released only for the running exam, settling and purging when the disk is full."""
    keep_free_mb: Annotated[int, Meta(ge=16)] = 512
    """New work is refused below this much free room. With less than 16, new work alone could use up the ballast."""
    retention_days: Annotated[int, Meta(ge=0)] = 30
    """How long an object stays here after everyone who must have it has it; so long, too, is known what became of a reading in the inbox."""
    journal_days: Annotated[int, Meta(ge=1)] = 30
    """How long the journal of a serial port is kept: every byte that it heard, from which readings can be made again."""
    journal_mb: Annotated[int, Meta(ge=16)] = 2048
    """The oldest days of a port's journal go sooner when it has more than this. What is not turned into readings yet stays."""


class Grabber(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[grabber.NAME]: one video source, and the modality behind it."""

    device: str
    """`/dev/gateway/video-...` or `/dev/v4l/by-path/...`; or `simulator:SCRIPT` (see `gateway.simulators.pictures`)."""
    profile: str
    """Name of a file in hw/modalities/ (without .toml)."""
    ring_s: Annotated[float, Meta(ge=1, le=60)] = 6.0
    """How much of the past is kept in RAM, as it came: 15 MB a second at 640x480 and 25 Hz, 21 MB for PAL."""
    ring_mb: Annotated[int, Meta(ge=16, le=65536)] = 512
    """But no more memory than this: at 1080p60 in YUYV (249 MB a second) it reaches back two seconds. Health shows both."""
    retrospective_s: Annotated[float, Meta(ge=1, le=60)] = 5.0
    """How much of it one press of "Last seconds" keeps."""
    time_lapse_s: Annotated[float, Meta(ge=0.2, le=3600)] = 5.0
    """A time-lapse keeps one picture in so many seconds."""
    edid: str = ""
    """What an HDMI or DVI receiver tells the scanner that it is: a name in /usr/share/gateway/edid, without .hex, or a path."""


class Trigger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[trigger.NAME]: a pedal or a foot switch, and what a press of it does while an exam is in progress."""

    kind: Literal["pedal", "switch"]
    """pedal: keys of a HID pedal or keyboard. switch: a contact between RTS (or DTR) and a modem line of a serial port."""
    device: str
    """`/dev/gateway/pedal-...` or `/dev/gateway/serial-...`; several triggers may share a pedal, each with its own keys."""
    grabber: str
    """Whose exam it captures."""
    action: Literal["still", "cine", "retrospective", "time-lapse"] = "still"
    """cine and time-lapse begin with one press and end with the next."""
    keys: tuple[str, ...] = ()
    """Names of keys in linux/input-event-codes.h ("KEY_B", "BTN_0"); none: every key of it."""
    line: ModemLine = "cts"
    """Which modem line the contact pulls."""
    debounce_ms: Annotated[int, Meta(ge=1, le=1000)] = 30
    """What moves for less than this is chatter."""
    is_exclusive: bool = True
    """Nobody else sees the keys: a pedal that plays a keyboard must not type into the panel."""
    is_closed_at_rest: bool = False
    """The contact opens when it is pressed."""


class SerialPort(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[serial.NAME]: one serial line, and the instrument on it."""

    device: str
    """`/dev/gateway/serial-...` or `/dev/serial/by-path/...`; or a pty of a simulator."""
    instrument: str
    """Name of a file in hw/instruments/ (without .toml)."""
    station: str = ""
    """The grabber whose exam the readings belong to."""
    is_enabled: bool = True
    """Whether anybody listens to it: the panel switches a port off, and back on, at the next start of the gateway."""


class Destination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[destination.NAME]: who must receive."""

    kind: Literal["dicom"] = "dicom"
    """How it is reached: DICOM, by C-STORE."""
    host: str
    """Its name or IP address."""
    port: Port = 104
    """Where it listens."""
    called_ae: AETitle
    """Its AE title."""
    calling_ae: OtherAETitle = ""
    """Ours, when this peer knows us by another name than station.ae_title."""
    modalities: tuple[str, ...] = ()
    """Only objects of these modalities; empty: all."""
    is_commitment_required: bool = False
    """An object is owed until the peer has committed to it."""
    timeout_s: Annotated[float, Meta(ge=1)] = 30.0
    """A peer silent for this long is hung: the attempt ends, and is made again later."""


class Worklist(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[worklist]: the RIS that says what is ordered (Modality Worklist, C-FIND)."""

    host: str
    """Its name or IP address."""
    port: Port = 104
    """Where it listens."""
    called_ae: AETitle
    """Its AE title."""
    calling_ae: OtherAETitle = ""
    """Ours, when the RIS knows us by another name than station.ae_title."""
    station_ae_title: OtherAETitle = ""
    """Ask only for steps scheduled at this AE title; empty: any."""
    modality: str = ""
    """Ask only for this modality; empty: any."""
    days_before: Annotated[int, Meta(ge=0)] = 1
    """Ask for steps scheduled since so many days ago."""
    days_after: Annotated[int, Meta(ge=0)] = 1
    """And until so many days ahead."""
    interval_s: Annotated[float, Meta(ge=5)] = 60.0
    """How often the RIS is asked; between, and while it is down, the last list stays."""
    character_set: str = ""
    """What the RIS means when it names none ("GB18030", "ISO_IR 100"); empty: UTF-8, or else Latin-1."""


class AllowedPeer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[listen.allow.NAME]: one modality that may send to us."""

    ae_title: AETitle
    """The AE title that it calls with."""
    address: str
    """IP address or network ("10.1.2.3", "10.1.2.0/24")."""


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[listen]: the Storage SCP for modalities that speak DICOM."""

    is_enabled: bool = True
    """Whether anybody is listened to."""
    host: str = "0.0.0.0"  # noqa: S104  a modality calls from the network; the allow-list is on by default
    """The address to listen at; 0.0.0.0: every one of this box."""
    port: Port = 11112
    """The port to listen at; one below 1024 needs a drop-in for the unit (see firmware-config/)."""
    allow: dict[str, AllowedPeer] = {}
    is_open_to_all: bool = False
    """Accept any caller: for commissioning only."""
    max_associations: Annotated[int, Meta(ge=1, le=100)] = 10
    """More callers at once are told to come later."""
    idle_s: Annotated[float, Meta(ge=1)] = 60.0
    """An association in which next to nothing comes for so long is aborted."""


class Panel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[panel]: the technologist's web panel."""

    host: str = "127.0.0.1"
    """The address to serve at; loopback: only the screen on this box."""
    port: Port = 8080
    """The port to serve at."""
    session_minutes: Annotated[int, Meta(ge=1)] = 30
    """A person who does nothing for so long must sign in again; never during an exam in progress."""
    is_kiosk_enabled: bool = True
    """The screen on the box itself (loopback) may sign in with a PIN."""


class Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[release]: when captures leave."""

    after_s: Annotated[float, Meta(ge=0)] = 30.0
    """A capture waits so long, so that a slip can be discarded before anyone sees it."""
    is_at_completion: bool = False
    """Nothing leaves before the exam is completed."""


class Site(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration of one box."""

    station: Station = Station()
    paths: Paths = Paths()
    clock: ClockPolicy = ClockPolicy()
    spool: Store = Store()
    grabber: dict[str, Grabber] = {}
    serial: dict[str, SerialPort] = {}
    trigger: dict[str, Trigger] = {}
    destination: dict[str, Destination] = {}
    worklist: Worklist | None = None
    listen: Listen = Listen()
    panel: Panel = Panel()
    release: Release = Release()

    @property
    def data(self) -> Path:
        """The spool's folder."""
        return Path(self.paths.data)

    @property
    def run(self) -> Path:
        """The tmpfs folder."""
        return Path(self.paths.run)

    @property
    def own_profiles(self) -> str:
        """The folder of this site's own profiles."""
        return self.paths.profiles or str(self.data / "profiles")


DEFAULT_FILE = Path("/etc/gateway/gateway.toml")
VARIABLE = "GATEWAY_CONFIG"


def locate(given: Path | None = None) -> Path:
    """Return the file that is meant: the one given, else $GATEWAY_CONFIG, else /etc/gateway/gateway.toml."""
    return given or Path(os.environ.get(VARIABLE, DEFAULT_FILE))


def own_cache() -> Path:
    """Return where a person who tries the gateway keeps compiled kernels: it works without a configuration, and not as root.

    $NUMBA_CACHE_DIR where it is set (make does), else below the person's own cache.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "modality-gateway"
    return Path(os.environ.get("NUMBA_CACHE_DIR", usual))


def load(given: Path | None = None) -> Site:
    """Return the configuration of this box. Raises the first of its mistakes; `problems` finds them all."""
    site, mistakes = _installed(locate(given))
    if mistakes:
        raise mistakes[0]
    return _with_saved(site)[0]


def problems(given: Path | None = None) -> list[ConfigError]:
    """Return every mistake in the configuration, each naming its file and key."""
    site, mistakes = _installed(locate(given))
    return mistakes or left_out(site)


def left_out(site: Site) -> list[ConfigError]:
    """Return why files that the panel saved are not used as they are (their last good copies are)."""
    return _with_saved(site)[1]


def changes(site: Site) -> Table:
    """Return what this site set: every key whose value is not the default."""
    return tables.difference(msgspec.to_builtins(site), msgspec.to_builtins(Site()))


def saved(site: Site) -> Site:
    """Return the configuration that the next start will find: a running Site with what the panel has saved since."""
    return _with_saved(site)[0]


def write_override(site: Site, name: str, table: Mapping[str, object]) -> Path:
    """Save what the panel set as `<data>/conf.d/NAME.toml`, atomically and durably; it must give a good Site.

    Raises ConfigError and changes nothing when it would not.
    """
    path = site.data / "conf.d" / f"{name}.toml"
    if not tables.NAME.fullmatch(name):
        raise ConfigError(problem=f"{name!r} is no good name for a file")
    _laid_over(site, table, path)
    tables.save(path.with_suffix(_LAST), table)
    tables.save(path, table)
    return path


def remove_override(site: Site, name: str) -> None:
    """Take back what `write_override` saved under this name, with its last good copy."""
    path = site.data / "conf.d" / f"{name}.toml"
    path.with_suffix(_LAST).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def toml(table: Mapping[str, object]) -> str:
    """Write a table of tables, strings, numbers, booleans and lists of these as TOML."""
    return tables.written(table)


_LAST = ".last"
"""Beside each file that the panel saved: its copy, in case the first is damaged."""
_AE_TITLE = re.compile(r"(?=.*[!-~])[ -\[\]-~]*")


class _Files:
    """What the installer's files say together, and which of them set each key."""

    def __init__(self, path: Path) -> None:
        self.table: Table = {}
        self._first = path
        self._origin: dict[Keys, Path] = {}

    def take(self, path: Path, table: Table) -> None:
        self.table = tables.merged(self.table, table)
        self._origin.update(dict.fromkeys(tables.keys_of(table), path))

    def error(self, mistake: Mistake) -> ConfigError:
        """Name the file that set the key, or the nearest table around it."""
        keys = mistake.keys
        while keys and keys not in self._origin:
            keys = keys[:-1]
        return _error(mistake, self._origin.get(keys, self._first))


def _installed(path: Path) -> tuple[Site, list[ConfigError]]:
    """Read the file and the conf.d beside it. A file that cannot be read is left out, so that the others are looked at too."""
    files, mistakes = _Files(path), list[ConfigError]()
    for file in (path, *sorted((path.parent / "conf.d").glob("*.toml"))):
        try:
            files.take(file, tables.read(file))
        except ConfigError as error:
            mistakes.append(error)
    mistakes += [files.error(mistake) for mistake in _mistakes(files.table)]
    return (Site(), mistakes) if mistakes else (msgspec.convert(files.table, Site), [])


def _with_saved(site: Site) -> tuple[Site, list[ConfigError]]:
    """Lay what the panel saved over a good Site; what would make it bad is left out."""
    found: list[ConfigError] = []
    for path in sorted((site.data / "conf.d").glob("*.toml")):
        try:
            site = _laid_over(site, tables.read(path), path)
        except ConfigError as error:
            found.append(error)
            with contextlib.suppress(ConfigError):
                last = path.with_suffix(_LAST)
                site = _laid_over(site, tables.read(last), last)
    return site, found


def _laid_over(site: Site, table: Mapping[str, object], path: Path) -> Site:
    """Return the Site with the values of a table. Raises ConfigError: since the Site is good, the fault is the table's."""
    both = tables.merged(msgspec.to_builtins(site), table)
    for mistake in _mistakes(both):
        raise _error(mistake, path)
    return msgspec.convert(both, Site)


def _error(mistake: Mistake, file: Path) -> ConfigError:
    if mistake.nearest:
        return ConfigUnknownKey(file=file, key=mistake.key, nearest=mistake.nearest)
    return ConfigBadValue(file=file, key=mistake.key, problem=mistake.problem)


def _mistakes(table: Table) -> Iterator[Mistake]:
    """Yield what is wrong with each key, or when nothing is, what is wrong with them together."""
    found = list(tables.mistakes(table, Site))
    yield from found or _together(msgspec.convert(table, Site))


def _together(site: Site) -> Iterator[Mistake]:
    """Yield what the types cannot say: names that point nowhere, ports and devices that two would use."""
    yield from _names(site)
    yield from _sources(site)
    yield from _callers(site.listen)
    if site.listen.is_enabled and site.listen.port == site.panel.port:
        yield _bad("panel", "port", problem=f"{site.panel.port} is the port of [listen] too: choose another")
    yield from _timezone(site.station.timezone)


def _timezone(name: str) -> Iterator[Mistake]:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = tables.close(name, zoneinfo.available_timezones())
        meant = f'; did you mean "{near}"?' if near else ""
        yield _bad("station", "timezone", problem=f'"{name}" is no time zone of the IANA{meant}')


def _sources(site: Site) -> Iterator[Mistake]:
    for name, grabber in site.grabber.items():
        if grabber.retrospective_s > grabber.ring_s:
            ring = f"{grabber.retrospective_s:g} is more than ring_s, {grabber.ring_s:g}: the ring would have lost it"
            yield _bad("grabber", name, "retrospective_s", problem=ring)
    for name, line in site.serial.items():
        if line.station and line.station not in site.grabber:
            meant = (
                f"; did you mean {tables.nearest(line.station, site.grabber)}?" if site.grabber else ": there is none"
            )
            problem = f'names no grabber: "{line.station}"{meant}'
            yield _bad("serial", name, "station", problem=problem)
    yield from _triggers(site)
    for kind, devices in (("grabber", site.grabber), ("serial", site.serial)):
        taken: dict[str, str] = {}
        for name, each in devices.items():
            if isinstance(each, SerialPort) and not each.is_enabled:
                continue
            if not each.device:
                yield _bad(kind, name, "device", problem="is empty: name the device")
            elif each.device in taken and not each.device.startswith("simulator:"):
                yield _bad(kind, name, "device", problem=f"is the device of {kind}.{taken[each.device]} too")
            taken[each.device] = name


def _triggers(site: Site) -> Iterator[Mistake]:
    """What a pedal captures, which key means what, who may hold it, and ports that an instrument has for itself."""
    owners: dict[tuple[str, str], str] = {}
    holders: dict[str, str] = {}
    for name, each in site.trigger.items():
        if each.grabber not in site.grabber:
            meant = (
                f"; did you mean {tables.nearest(each.grabber, site.grabber)}?" if site.grabber else ": there is none"
            )
            yield _bad("trigger", name, "grabber", problem=f'names no grabber: "{each.grabber}"{meant}')
        if not each.device:
            yield _bad("trigger", name, "device", problem="is empty: name the device")
        port = next((port for port, line in site.serial.items() if line.is_enabled and line.device == each.device), "")
        if port:
            yield _bad("trigger", name, "device", problem=f"is the device of serial.{port} too")
        for key in (each.keys or ("",)) if each.kind == "pedal" else (each.line,):
            other = owners.setdefault((each.device, key.upper().removeprefix("KEY_")), name)
            if other != name:
                what = "keys" if each.kind == "pedal" else "line"
                whose = f'"{key}"' if key else "every key without a trigger"
                yield _bad("trigger", name, what, problem=f"{whose} of that device belongs to trigger.{other} already")
        other = holders.setdefault(each.device, name) if each.kind == "pedal" else name
        is_held = each.is_exclusive or site.trigger[other].is_exclusive
        if is_held and each.grabber != site.trigger[other].grabber:
            problem = f"lets only one grabber hear that device, and trigger.{other} is of another: set both to false"
            yield _bad("trigger", name, "is_exclusive", problem=problem)


def _names(site: Site) -> Iterator[Mistake]:
    """AE titles: PS3.5 6.2, value representation AE."""
    stated: list[tuple[Keys, str]] = [(("station", "ae_title"), site.station.ae_title)]
    for name, peer in site.destination.items():
        stated += [(("destination", name, key), getattr(peer, key)) for key in ("called_ae", "calling_ae")]
    if site.worklist:
        keys = ("called_ae", "calling_ae", "station_ae_title")
        stated += [(("worklist", key), getattr(site.worklist, key)) for key in keys]
    stated += [(("listen", "allow", name, "ae_title"), peer.ae_title) for name, peer in site.listen.allow.items()]
    for at, title in stated:
        if title and not _AE_TITLE.fullmatch(title):
            yield Mistake(keys=at, problem="is no AE title: plain characters other than a backslash, not only spaces")


def _callers(listen: Listen) -> Iterator[Mistake]:
    for name, peer in listen.allow.items():
        try:
            ipaddress.ip_network(peer.address)
        except ValueError as error:
            problem = f'"{peer.address}" is no IP address or network ("10.1.2.3", "10.1.2.0/24"): {error}'
            yield _bad("listen", "allow", name, "address", problem=problem)


def _bad(*keys: str, problem: str) -> Mistake:
    return Mistake(keys=keys, problem=problem)


learn(Site)
