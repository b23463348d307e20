"""TOML and conf.d to one frozen Site. Every key that exists is a field here, with its meaning and default beside it.

Read in this order, later over earlier, table by table: the file itself, `conf.d/*.toml` beside it (an installer's), and
`<data>/conf.d/*.toml` (what the panel saved). An unknown key is an error that names file, key and the nearest good key.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from gateway.errors import ConfigBadValue, ConfigError, ConfigUnknownKey, ConfigUnreadable

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
    character_set: str = ""
    """What the RIS means when it names none ("GB18030", "ISO_IR 100"); empty: UTF-8, or else Latin-1."""


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
    idle_s: Annotated[float, Meta(ge=1)] = 60.0
    """An association in which next to nothing comes for so long is aborted."""


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


DEFAULT_FILE = Path("/etc/gateway/gateway.toml")
VARIABLE = "GATEWAY_CONFIG"

Table = dict[str, Any]


def locate(given: Path | None = None) -> Path:
    """Return the file that is meant: the one given, else $GATEWAY_CONFIG, else /etc/gateway/gateway.toml."""
    return given or Path(os.environ.get(VARIABLE, DEFAULT_FILE))


def own_cache() -> Path:
    """Return where a person who tries the gateway keeps compiled kernels: it works without a configuration, and not as root."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "modality-gateway"


def load(given: Path | None = None) -> Site:
    """Return the configuration of this box. Raises the first of its mistakes; `problems` finds them all."""
    site, mistakes = _read(locate(given))
    if mistakes:
        raise mistakes[0]
    return site


def problems(given: Path | None = None) -> list[ConfigError]:
    """Return every mistake in the configuration, each naming its file and key."""
    return _read(locate(given))[1]


def changes(site: Site) -> Table:
    """Return what this site set: every key whose value is not the default."""
    return _difference(msgspec.to_builtins(site), msgspec.to_builtins(Site()))


def write_override(site: Site, name: str, table: Mapping[str, Any]) -> Path:
    """Save what the panel set as `<data>/conf.d/NAME.toml`, atomically and durably; it must give a good Site.

    Raises ConfigError and changes nothing when it would not.
    """
    _site(_merged(msgspec.to_builtins(site), dict(table)), lambda _key: f"{name}.toml")
    folder = site.data / "conf.d"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    _replace(path, toml(table))
    return path


def toml(table: Mapping[str, Any]) -> str:
    """Write a table of tables, strings, numbers, booleans and lists of these as TOML."""
    return "\n".join(_lines(table, ())) + "\n"


def _read(path: Path) -> tuple[Site, list[ConfigError]]:
    """Read all files; a mistake in one leaves its file out, so that the others are still looked at."""
    mistakes: list[ConfigError] = []
    merged: Table = {}
    origin: dict[str, str] = {}
    waiting = [path, *sorted((path.parent / "conf.d").glob("*.toml"))]
    while waiting:
        _take(waiting.pop(0), merged, origin, mistakes)
        if not waiting and "\0data" not in origin:
            origin["\0data"] = ""
            data = (
                merged.get("paths", {}).get("data", Paths().data) if isinstance(merged.get("paths", {}), dict) else ""
            )
            waiting = sorted((Path(str(data)) / "conf.d").glob("*.toml"))
    try:
        site = _site(merged, lambda key: _origin(origin, key, str(path)))
    except ConfigError as error:
        return Site(), [*mistakes, error]
    return site, mistakes + _references(site, lambda key: _origin(origin, key, str(path)))


def _take(path: Path, merged: Table, origin: dict[str, str], mistakes: list[ConfigError]) -> None:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        mistakes.append(ConfigUnreadable(file=path, problem=getattr(error, "strerror", None) or "it is not UTF-8"))
        return
    except tomllib.TOMLDecodeError as error:
        mistakes.append(ConfigUnreadable(file=path, problem=error))
        return
    wrong = list(_unknown(table, Site, ()))
    for keys, nearest in wrong:
        mistakes.append(ConfigUnknownKey(file=path, key=".".join(keys), nearest=nearest))
        _drop(table, keys)
    merged.update(_merged(merged, table))
    origin.update(dict.fromkeys(_keys(table, ()), str(path)))


def _site(merged: Table, file_of: Any) -> Site:
    try:
        return msgspec.convert(merged, Site)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").lstrip(".") or "(top)"
        raise ConfigBadValue(file=file_of(key), key=key, problem=_in_words(problem)) from error


def _in_words(problem: str) -> str:
    """Say msgspec's finding as the rest of a sentence that begins with the key."""
    problem = re.sub(r"^Expected `(.+?)`, got `(.+?)`$", r"must be \1, not \2", problem)
    problem = re.sub(r"^Expected `(\w+)` (.+)$", r"must be \1 \2", problem)
    problem = re.sub(r"^Object missing required field `(.+)`$", r"lacks the key \1", problem)
    return re.sub(r"^Invalid enum value (.+)$", r"does not know the value \1", problem)


def _references(site: Site, file_of: Any) -> list[ConfigError]:
    """Find names that point nowhere, and ports that two would use."""
    found: list[ConfigError] = []
    for name, line in site.serial.items():
        if line.station and line.station not in site.grabber:
            key = f"serial.{name}.station"
            found.append(ConfigBadValue(file=file_of(key), key=key, problem=f"names no grabber: {line.station}"))
    if site.listen.is_enabled and site.listen.port == site.panel.port:
        found.append(
            ConfigBadValue(file=file_of("panel.port"), key="panel.port", problem="is the port of [listen] too")
        )
    return found


def _unknown(table: Table, cls: Any, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each key that no field reads, with the nearest one that exists."""
    if isinstance(cls, type) and issubclass(cls, Struct):
        hints = get_type_hints(cls, include_extras=True)
        for key, inner in table.items():
            if key not in hints:
                yield (*at, key), next(iter(difflib.get_close_matches(key, hints, n=1, cutoff=0.5)), "none of them")
            elif isinstance(inner, dict):
                yield from _unknown(inner, _plain(hints[key]), (*at, key))
    elif get_origin(cls) is dict:
        for key, inner in table.items():
            if isinstance(inner, dict):
                yield from _unknown(inner, _plain(get_args(cls)[1]), (*at, key))


def _plain(hint: Any) -> Any:
    """Return the struct or dict inside an optional."""
    inner = [each for each in get_args(hint) if each is not type(None)]
    return inner[0] if type(None) in get_args(hint) else hint


def _merged(under: Table, over: Table) -> Table:
    both = dict(under)
    for key, value in over.items():
        both[key] = _merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


def _difference(is_so: Table, default: Table) -> Table:
    out: Table = {}
    for key, value in is_so.items():
        if isinstance(value, dict) and isinstance(default.get(key), dict):
            if inner := _difference(value, default[key]):
                out[key] = inner
        elif key not in default or value != default[key]:
            out[key] = value
    return out


def _keys(table: Table, at: tuple[str, ...]) -> Iterator[str]:
    for key, value in table.items():
        yield ".".join((*at, key))
        if isinstance(value, dict):
            yield from _keys(value, (*at, key))


def _origin(origin: dict[str, str], key: str, default: str) -> str:
    """Return the file that set a key, or the nearest table around it."""
    while key not in origin and "." in key:
        key = key.rpartition(".")[0]
    return origin.get(key, default)


def _drop(table: Table, keys: tuple[str, ...]) -> None:
    for key in keys[:-1]:
        table = table[key]
    del table[keys[-1]]


def _lines(table: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[str]:
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    if at and (len(tables) < len(table) or not table):
        yield f"[{'.'.join(_key(part) for part in at)}]"
    for key, value in table.items():
        if key not in tables and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, inner in tables.items():
        yield from _lines(inner, (*at, key))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    return repr(value)


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
