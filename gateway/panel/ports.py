"""The serial ports of the configuration to forms: which device, which instrument, whose exam; and how a line is set, found out.

What is saved is `<data>/conf.d/panel-serial-<port>.toml`, and counts from the next start of the gateway: a port is a service
of its own. What a detection finds is offered, and used only when a person presses; where an instrument is set otherwise than
its profile says, a profile of this site's own is written, never over one that was shipped.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from msgspec import Struct
from msgspec.structs import replace
from werkzeug.wrappers import Response

from gateway import config, profile, tables
from gateway.config import SerialPort
from gateway.errors import ConfigError, GatewayError
from gateway.model import Detection, LineGuess
from gateway.panel import guard, health, instruments, profiles, words
from gateway.panel.box import box
from gateway.panel.language import gettext
from gateway.panel.profiles import Known
from gateway.profile import InstrumentProfile, SerialSettings
from gateway.spool import live

views = Blueprint("ports", __name__, url_prefix="/setup/ports")
FOUND_HERE: Final = "Line settings: found by listening on this site's line"


class Form(Struct, frozen=True, kw_only=True):
    """What is typed of a port."""

    name: str = ""
    device: str = ""
    instrument: str = ""
    station: str = ""


class Row(Struct, frozen=True, kw_only=True):
    """One port, as the next start will find it."""

    form: Form
    title: str
    settings: str
    confirm: tuple[str, ...]
    sources: tuple[str, ...]
    is_used: bool
    is_new: bool
    is_waiting: bool
    """It counts from the next start of the gateway."""
    heard: instruments.Heard | None


class Offer(Struct, frozen=True, kw_only=True):
    """One way the line may be set, and the instruments that make sense of what came."""

    guess: LineGuess
    settings: str
    instruments: list[Known]


@views.get("")
def screen() -> str:
    """Show every port, and a form for one more."""
    return _page()


@views.post("")
def add() -> Response | tuple[str, int]:
    """Add a port."""
    form = _typed(request.form.get("name", "").strip())
    problem = _problem(form, is_new=True)
    return (_page(form, problem), 400) if problem else _saved(form)


@views.get("/<name>")
def one(name: str) -> str:
    """Show the form of one port."""
    line = _line(name)
    return _form_page(_form(name, line))


@views.post("/<name>")
def change(name: str) -> Response | tuple[str, int]:
    """Change a port."""
    _line(name)
    form = _typed(name)
    problem = _problem(form, is_new=False)
    return (_form_page(form, problem), 400) if problem else _saved(form)


@views.post("/<name>/off")
def off(name: str) -> Response:
    """Stop listening to a port from the next start; one that never started is taken out."""
    line = _line(name)
    if name in box().site.serial:
        _write(name, replace(line, is_enabled=False))
    else:
        config.remove_override(box().site, _file(name))
    box().spool.history.add(f"port {name}", "switched off", by=guard.operator())
    flash(gettext("%(name)s is switched off from the next start of the gateway.", name=name), "safe")
    return redirect(url_for("ports.screen"), 303)


@views.post("/<name>/on")
def on(name: str) -> Response:
    """Listen to a port again."""
    try:
        _write(name, replace(_line(name), is_enabled=True))
    except ConfigError as error:
        flash(words.trouble_of(error).sentence, "bad")
        return redirect(url_for("ports.screen"), 303)
    box().spool.history.add(f"port {name}", "switched on", by=guard.operator())
    flash(_from_next_start(), "safe")
    return redirect(url_for("ports.screen"), 303)


# ---- how the line is set ----


@views.get("/<name>/find")
def finding(name: str) -> str:
    """Show what listening to the line has found so far."""
    line = _line(name)
    found = live.read_detection(box().site.run, name)
    return render_template(
        "port_find.html",
        form=_form(name, line),
        title=instruments.title_of(line),
        settings=_settings_of(line),
        found=found,
        offers=_offers(found),
        is_asked=live.is_detection_asked(box().site.run, name),
        is_running=_can_be_asked(name),
        is_exam_running=box().spool.exams.running(line.station or name) is not None,
    )


@views.post("/<name>/find")
def find(name: str) -> Response:
    """Ask the service of a port to listen at one setting after another."""
    _line(name)
    if _can_be_asked(name):
        live.ask_detection(box().site.run, name)
        box().ring(f"serial@{name}")
        box().spool.history.add(f"port {name}", "line settings are looked for", by=guard.operator())
    return redirect(url_for("ports.finding", name=name), 303)


@views.post("/<name>/use")
def use(name: str) -> Response:
    """Use what was found, because a person says so."""
    line, chosen = _line(name), request.form.get("instrument", "")
    if chosen not in profile.names("instruments", box().site.own_profiles):
        abort(400)
    try:
        wanted = _chosen_settings(profile.instrument(chosen, box().site.own_profiles).line)
        _write(name, replace(line, instrument=_profile_with(name, chosen, wanted), is_enabled=True))
    except GatewayError as error:
        flash(words.trouble_of(error).sentence, "bad")
        return redirect(url_for("ports.finding", name=name), 303)
    box().spool.history.add(f"port {name}", "line settings used", text=chosen, by=guard.operator())
    flash(_from_next_start(), "safe")
    return redirect(url_for("ports.screen"), 303)


def settings_text(line: SerialSettings | LineGuess) -> str:
    """Write line settings as they stand in every manual: "9600 baud, 8N1"."""
    return gettext("%(baud)d baud, %(frame)s", baud=line.baud, frame=f"{line.data_bits}{line.parity}{line.stop_bits}")


def _offers(found: Detection | None) -> list[Offer]:
    known = {each.name: each for each in _known()}
    return [
        Offer(
            guess=guess,
            settings=settings_text(guess),
            instruments=[known[name] for name in guess.instruments if name in known],
        )
        for guess in (found.guesses if found else ())
    ]


def _can_be_asked(name: str) -> bool:
    """Say whether a service listens to this port now: one that is new or was changed listens from the next start."""
    running = box().site.serial.get(name)
    is_same = running is not None and running.device == _line(name).device
    return is_same and health.is_running(box().site.data, f"serial@{name}")


def _chosen_settings(line: SerialSettings) -> SerialSettings:
    """Return the settings that were found, with the profile's own handshake: listening does not tell it."""
    stated = {key: request.form.get(key, "") for key in ("baud", "data_bits", "parity", "stop_bits")}
    numbers = {key: int(value) if value.isdecimal() else value for key, value in stated.items() if value}
    try:
        return msgspec.convert(msgspec.to_builtins(line) | numbers, SerialSettings)
    except msgspec.ValidationError:
        abort(400)


def _profile_with(name: str, chosen: str, wanted: SerialSettings) -> str:
    """Return the name of the profile with these settings: the chosen one where it has them, else one of this site's own."""
    own = box().site.own_profiles
    found = profile.instrument(chosen, own)
    if found.line == wanted:
        return chosen
    table = tables.read(profile.path_of("instruments", chosen, own))
    table.pop("name", None)
    table["line"] = tables.difference(msgspec.to_builtins(wanted), {})
    if FOUND_HERE not in found.sources:
        table["sources"] = [*found.sources, FOUND_HERE]
    made = _free_name(chosen, name)
    profile.instrument_from(made, table)
    tables.save(Path(own) / "instruments" / f"{made}.toml", table)
    return made


def _free_name(chosen: str, port: str) -> str:
    """Return a name for a profile of this port: nothing is written over but what was found for it before."""
    end = re.sub(r"[^A-Za-z0-9]+", "-", port).strip("-").lower()
    first = chosen if chosen.endswith(f"-{end}") else f"{chosen}-{end}"
    names = (first, *(f"{first}-{number}" for number in range(2, 100)))
    return next(name for name in names if _is_free(name))


def _is_free(name: str) -> bool:
    own = box().site.own_profiles
    if name not in profile.names("instruments", own):
        return True
    return FOUND_HERE in profile.instrument(name, own).sources and (Path(own) / "instruments" / f"{name}.toml").exists()


# ---- the pages and the file ----


def _page(form: Form | None = None, problem: str = "") -> str:
    site = box().site
    rows = [_row(name, line) for name, line in config.saved(site).serial.items()]
    return render_template(
        "ports.html", rows=rows, form=form or Form(), problem=problem, is_new=True, **_choices(form or Form())
    )


def _form_page(form: Form, problem: str = "") -> str:
    return render_template("port.html", form=form, problem=problem, is_new=False, **_choices(form))


def _choices(form: Form) -> dict[str, object]:
    """Return what may be chosen: devices that the box has found, profiles, and the places with a grabber."""
    taken = {line.device: name for name, line in config.saved(box().site).serial.items() if line.is_enabled}
    found = live.read_lines(box().site.run)
    devices = [(device, taken.get(device, "") if device != form.device else "") for device in found]
    return {"devices": devices, "known": _known(), "stations": list(box().site.grabber)}


def _row(name: str, line: SerialPort) -> Row:
    running = box().site.serial.get(name)
    found = _profile(line)
    is_waiting = running != line
    return Row(
        form=_form(name, line),
        title=instruments.title_of(line),
        settings=_settings_of(line),
        confirm=found.confirm if found else (),
        sources=found.sources if found else (),
        is_used=line.is_enabled,
        is_new=running is None,
        is_waiting=is_waiting,
        heard=instruments.port(name) if running and running.is_enabled and line.is_enabled else None,
    )


def _profile(line: SerialPort) -> InstrumentProfile | None:
    try:
        return profile.instrument(line.instrument, box().site.own_profiles)
    except GatewayError:
        return None


def _settings_of(line: SerialPort) -> str:
    found = _profile(line)
    if found is None:
        return ""
    handshake = "" if found.line.handshake == "none" else f", {found.line.handshake}"
    return f"{settings_text(found.line)}{handshake}"


def _form(name: str, line: SerialPort) -> Form:
    return Form(name=name, device=line.device, instrument=line.instrument, station=line.station)


def _typed(name: str) -> Form:
    given = request.form
    return Form(
        name=name,
        device=given.get("other", "").strip() or given.get("device", "").strip(),
        instrument=given.get("instrument", ""),
        station=given.get("station", ""),
    )


def _problem(form: Form, *, is_new: bool) -> str:
    """Say what is wrong with what was typed; empty when nothing is."""
    saved = config.saved(box().site)
    if not tables.NAME.fullmatch(form.name):
        return gettext("Give the port a name: letters, digits, and . _ - after the first.")
    if is_new and (form.name in saved.serial or form.name in saved.grabber):
        return gettext("The name %(name)s is taken: choose another.", name=form.name)
    if not form.device:
        return gettext("Choose the device, or type its name.")
    if form.instrument not in profile.names("instruments", box().site.own_profiles):
        return gettext("Choose the instrument.")
    if form.station and form.station not in saved.grabber:
        return gettext("Choose the place.")
    user = next((name for name, line in saved.serial.items() if line.is_enabled and line.device == form.device), "")
    if user and user != form.name:
        return gettext("The port %(name)s uses that device already.", name=user)
    return ""


def _saved(form: Form) -> Response | tuple[str, int]:
    former = config.saved(box().site).serial.get(form.name)
    line = SerialPort(device=form.device, instrument=form.instrument, station=form.station)
    try:
        profile.instrument(form.instrument, box().site.own_profiles)
        _write(form.name, line)
    except GatewayError as error:
        said = words.trouble_of(error).sentence
        return (_form_page(form, said) if former else _page(form, said)), 400
    box().spool.history.add(f"port {form.name}", "set up", text=form.instrument, by=guard.operator())
    flash(_from_next_start(), "safe")
    return redirect(url_for("ports.screen"), 303)


def _write(name: str, line: SerialPort) -> None:
    table = {
        "device": line.device,
        "instrument": line.instrument,
        "station": line.station,
        "is_enabled": line.is_enabled,
    }
    config.write_override(config.saved(box().site), _file(name), {"serial": {name: table}})


def _line(name: str) -> SerialPort:
    found = config.saved(box().site).serial.get(name)
    if found is None:
        abort(404)
    return found


def _file(name: str) -> str:
    return f"panel-serial-{name}"


def _from_next_start() -> str:
    return gettext("Saved. It counts from the next start of the gateway.")


def _known() -> list[Known]:
    return profiles.known("instruments")
