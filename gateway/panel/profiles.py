"""The profile of each grabber's modality to a page: what is done to its pixels, and what an installer must confirm.

Choosing another one writes `<data>/conf.d/panel-<grabber>.toml`: what it does to the pixels counts from the next exam, what
it says of the cable from the next start of the services.
"""

from __future__ import annotations

import tomllib
from typing import Literal

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from msgspec import Struct
from msgspec.structs import replace
from werkzeug.wrappers import Response

from gateway import config, profile
from gateway.errors import GatewayError
from gateway.panel import guard, words
from gateway.panel.box import box
from gateway.panel.language import gettext
from gateway.profile import Calibration, ModalityProfile, Rectangle

views = Blueprint("profiles", __name__, url_prefix="/setup/modality")


class Known(Struct, frozen=True):
    """One profile that may be chosen."""

    name: str
    title: str


class Row(Struct, frozen=True, kw_only=True):
    """One grabber and its profile, or why that cannot be read."""

    grabber: str
    chosen: str
    profile: ModalityProfile | None = None
    facts: list[tuple[str, str]] = []
    problem: words.Trouble | None = None
    is_waiting: bool = False
    """Its cable is another one than when the programs were started: that counts from the next start."""


@views.get("")
def screen() -> str:
    """Show every grabber's profile."""
    site = box().site
    rows = [_row(name, chosen(name), is_waiting=_is_waiting(name)) for name in site.grabber]
    return render_template("profiles.html", rows=rows, known=known("modalities"))


@views.post("/<grabber>")
def choose(grabber: str) -> Response:
    """Give a grabber another profile."""
    site, name = box().site, request.form.get("profile", "")
    if grabber not in site.grabber or name not in profile.names("modalities", site.own_profiles):
        abort(404)
    profile.modality(
        name, site.own_profiles
    )  # a profile that cannot be read is refused here, in words, not at the next start
    give(grabber, name)
    box().spool.history.add(f"grabber {grabber}", "profile chosen", text=name, by=guard.operator())
    flash(gettext("Saved. It counts from the next exam."), "safe")
    return redirect(url_for("profiles.screen"), 303)


def give(grabber: str, name: str) -> None:
    """Give a grabber a profile that can be read. Raises ConfigError."""
    if name != chosen(grabber):
        config.write_override(box().site, _override(grabber), {"grabber": {grabber: {"profile": name}}})


def chosen(grabber: str) -> str:
    """Return the profile that a grabber's next exam begins with."""
    return saved(grabber) or box().site.grabber[grabber].profile


def saved(grabber: str) -> str:
    """Return the profile that was chosen here since the programs were started; empty when none was."""
    path = box().site.data / "conf.d" / f"{_override(grabber)}.toml"
    chosen = tomllib.loads(path.read_text(encoding="utf-8"))["grabber"][grabber]["profile"] if path.exists() else ""
    return "" if chosen == box().site.grabber[grabber].profile else str(chosen)


def _is_waiting(grabber: str) -> bool:
    """Say whether the device was opened for another cable than the chosen profile names."""
    site = box().site
    try:
        before, now = (
            profile.modality(name, site.own_profiles) for name in (site.grabber[grabber].profile, chosen(grabber))
        )
    except GatewayError:
        return False
    return replace(before.input, standards=now.input.standards) != now.input


def _override(grabber: str) -> str:
    return f"panel-{grabber}"


def known(kind: Literal["modalities", "instruments"]) -> list[Known]:
    """Return every profile of a kind, by its name and its title."""
    own = box().site.own_profiles
    found = []
    for name in profile.names(kind, own):
        try:
            made = profile.modality(name, own) if kind == "modalities" else profile.instrument(name, own)
            found.append(Known(name, made.title))
        except GatewayError:
            found.append(Known(name, gettext("%(name)s (cannot be read)", name=name)))
    return found


def _row(grabber: str, name: str, *, is_waiting: bool) -> Row:
    try:
        found = profile.modality(name, box().site.own_profiles)
    except GatewayError as error:
        return Row(grabber=grabber, chosen=name, is_waiting=is_waiting, problem=words.trouble_of(error))
    return Row(grabber=grabber, chosen=name, is_waiting=is_waiting, profile=found, facts=_facts(found))


def _facts(found: ModalityProfile) -> list[tuple[str, str]]:
    chain, made = found.chain, found.object
    equipment = " ".join(part for part in (found.equipment.manufacturer, found.equipment.model_name) if part)
    slanted = [gettext("%(num)d corners", num=len(polygon)) for polygon in chain.mask_polygons]
    masks = "; ".join([*(_rectangle(area) for area in chain.mask), *slanted]) or gettext("none")
    scales = "; ".join(f"{_rectangle(each.area)}: {_length(each)}" for each in found.region)
    covers = gettext("yes, as the installer states") if chain.mask_covers_all_text else gettext("not stated")
    facts = [
        (gettext("Equipment"), equipment),
        (gettext("Connector"), f"{found.input.connector}: {', '.join(found.input.standards)}"),
        (gettext("Crop"), _rectangle(chain.crop) if chain.crop else gettext("none")),
        (gettext("De-interlacing"), chain.deinterlace),
        (gettext("Grey"), chain.grey),
        (gettext("Mask"), masks),
        (gettext("All text that names a patient is masked"), covers),
        (gettext("Levels"), f"{chain.levels[0]}–{chain.levels[1]}" if chain.levels != (0, 255) else ""),
        (gettext("Square pixels"), chain.square_pixels if chain.square_pixels != "keep" else ""),
        (gettext("Noise filter"), chain.denoise if chain.denoise != "off" else ""),
        (gettext("Measuring"), scales),
        (gettext("Stored with loss, by this rule"), made.lossy_rule),
        (gettext("Objects"), f"{made.modality}; {made.still.upper()}, {made.cine.upper()}; {made.compression}"),
    ]
    return [(name, value) for name, value in facts if value]


def _rectangle(area: Rectangle) -> str:
    x, y, width, height = area
    return f"{width} × {height} + {x} + {y}"


def _length(made: Calibration) -> str:
    return f"{made.length_s:g} s" if made.spatial_format == "m-mode" else f"{made.length_cm:g} cm"
