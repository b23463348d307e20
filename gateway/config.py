"""TOML and conf.d to one frozen Site. Every key that exists is a field here, with its meaning and default beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

Port = Annotated[int, Meta(ge=1, le=65535)]
AETitle = Annotated[str, Meta(min_length=1, max_length=16)]


class Station(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[station]: who this box is in the hospital."""

    ae_title: AETitle = "GATEWAY"
    """Our AE title, when we call and when we are called."""
    institution_name: str = ""
    institution_address: str = ""
    department_name: str = ""
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
    """A folder with modalities/, instruments/, grabbers/ of this site, read after the shipped hw/."""


class ClockPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[clock]: when the wall clock is believed."""

    trust: Literal["plausible", "ntp"] = "plausible"
    """`plausible`: not before this release, nor before the latest time ever recorded. `ntp`: also synchronised since boot."""


class Store(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[spool]: room and retention."""

    ballast_mb: Annotated[int, Meta(ge=1)] = 256
    """Preallocated; released only for the running exam, settling and purging when the disk is full."""
    keep_free_mb: Annotated[int, Meta(ge=1)] = 512
    """New work is refused below this much free room."""
    retention_days: Annotated[int, Meta(ge=0)] = 30
    """How long an object stays here after everyone who must have it has it."""


class Grabber(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[grabber.NAME]: one video source, and the modality behind it."""

    device: str
    """`/dev/v4l/by-path/...`, or `simulator:SCRIPT` (see `gateway.simulators.grabber`)."""
    profile: str
    """Name of a file in hw/modalities/ (without .toml)."""
    ring_s: Annotated[float, Meta(ge=1, le=60)] = 12.0
    """How much of the past is kept in RAM for retrospective capture."""
    retrospective_s: Annotated[float, Meta(ge=1, le=60)] = 10.0
    """How much of it one press of "Last seconds" keeps."""


class SerialPort(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[serial.NAME]: one serial line, and the instrument on it."""

    device: str
    """`/dev/serial/by-path/...`, or a pty of a simulator."""
    instrument: str
    """Name of a file in hw/instruments/ (without .toml)."""
    station: str = ""
    """The grabber whose exam the readings belong to."""


class Destination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[destination.NAME]: who must receive."""

    kind: Literal["dicom"] = "dicom"
    host: str
    port: Port = 104
    called_ae: AETitle
    calling_ae: str = ""
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
    port: Port = 104
    called_ae: AETitle
    calling_ae: str = ""
    station_ae_title: str = ""
    """Ask only for steps scheduled at this AE title; empty: any."""
    modality: str = ""
    """Ask only for this modality; empty: any."""
    days_before: Annotated[int, Meta(ge=0)] = 1
    days_after: Annotated[int, Meta(ge=0)] = 1
    interval_s: Annotated[float, Meta(ge=5)] = 60.0


class AllowedPeer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[listen.allow.NAME]: one modality that may send to us."""

    ae_title: AETitle
    address: str
    """IP address or network ("10.1.2.3", "10.1.2.0/24")."""


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[listen]: the Storage SCP for modalities that speak DICOM."""

    is_enabled: bool = True
    host: str = "0.0.0.0"  # noqa: S104  a modality calls from the network; the allow-list is on by default
    port: Port = 11112
    allow: dict[str, AllowedPeer] = {}
    is_open_to_all: bool = False
    """Accept any caller: for commissioning only."""
    max_associations: Annotated[int, Meta(ge=1, le=100)] = 10


class Panel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[panel]: the technologist's web panel."""

    host: str = "127.0.0.1"
    port: Port = 8080
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
