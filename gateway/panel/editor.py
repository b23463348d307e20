"""The live picture of a grabber to a page on which an engineer draws crop, mask and calibration, and saves the profile.

Everything is a form: each shape is four numbers, and the page with its two pictures is drawn here, on the server. A browser
with JavaScript adds handles and a picture that lives; what is saved is the same form. The profile goes into the site's own
folder (`Site.own_profiles`), never over the shipped `hw/`, and counts from the next exam.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, TypeVar

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from msgspec import Struct
from msgspec.structs import replace
from werkzeug.wrappers import Response

from gateway import profile, tables
from gateway.errors import ConfigError, ProfileError
from gateway.model import WholePicture
from gateway.panel import draft, guard, looks, profiles, words
from gateway.panel.box import box
from gateway.panel.draft import NOTHING, Drawn, Scale, Sheet
from gateway.panel.language import gettext
from gateway.profile import ModalityProfile
from gateway.spool import live

views = Blueprint("profiles_picture", __name__, url_prefix="/setup/modality/<grabber>/picture")

Each = TypeVar("Each")

FRESH_NS: Final = 3_000_000_000
LOOKS: Final = 8
LOOK_S: Final = 0.15
"""How often, and how long, the first picture is waited for."""
DRAWN_HERE: Final = "Crop, mask and calibration: drawn in the panel on the picture of this site's equipment"


class View(Struct, frozen=True, kw_only=True):
    """What is to be drawn on."""

    version: int = 0
    is_live: bool = False
    facts: WholePicture | None = None
    sentence: str = ""
    hint: str = ""

    @property
    def size(self) -> tuple[int, int] | None:
        """(columns, rows) of the source, once a picture has been seen."""
        return (self.facts.width_px, self.facts.height_px) if self.facts else None

    @property
    def stretch(self) -> float:
        """How much wider than high a pixel of the source is shown."""
        tall, wide = self.facts.pixel_aspect if self.facts else (1, 1)
        return wide / tall


@views.get("")
def screen(grabber: str) -> str:
    """Show the picture with what the profile says of it."""
    found = _profile(grabber)
    return _page(grabber, found, draft.sheet_of(found, _name_for(grabber, found)))


@views.post("")
def drawn(grabber: str) -> str | Response | tuple[str, int]:
    """Show what was drawn, change the form by one of its buttons, or save it."""
    found, sheet, does = _profile(grabber), draft.sheet_from(request.form), request.form.get("do", "look")
    if does == "save":
        return _saved(grabber, found, sheet)
    view = _view(grabber)
    sheet, problem = _changed(sheet, does, view)
    return _page(grabber, found, sheet, view=view, problem=problem)


@views.get("/whole.jpg")
def whole(grabber: str) -> Response:
    """Return the whole picture, 304 while it is the one the page has, 204 while there is none."""
    _profile(grabber)
    live.want(box().site.run, grabber, live.WHOLE)
    seen = live.read_whole(box().site.run, grabber)
    if seen is None:
        return Response(status=204)
    jpeg, version, _ = seen
    if f'"{version}"' == request.headers.get("If-None-Match"):
        return Response(status=304)
    return Response(jpeg, mimetype="image/jpeg", headers={"ETag": f'"{version}"'})


# ---- the form and its buttons ----


def _changed(sheet: Sheet, does: str, view: View) -> tuple[Sheet, str]:
    """Return the form after a button, and why it is as it was."""
    columns, rows = view.size or (640, 480)
    verb, _, at = does.partition(" ")
    number = int(at) if at.isdecimal() else -1
    match verb:
        case "propose":
            if view.facts is None or view.facts.proposal is None:
                return sheet, gettext("The picture suggests no crop: it has no dark border, or there is no picture.")
            return replace(sheet, crop=_strings(*view.facts.proposal)), ""
        case "crop":
            return replace(sheet, crop=_strings(columns // 8, rows // 8, columns * 3 // 4, rows * 3 // 4)), ""
        case "no-crop":
            return replace(sheet, crop=NOTHING), ""
        case "mask":
            step = 24 * len(sheet.masks)
            fresh = _strings(columns // 16, rows // 16 + step, columns // 4, rows // 12)
            return replace(sheet, masks=(*sheet.masks, fresh)), ""
        case "no-mask":
            return replace(sheet, masks=_without(sheet.masks, number)), ""
        case "scale":
            area = sheet.crop if sheet.crop != NOTHING else _strings(0, 0, columns, rows)
            points = _strings(columns * 7 // 8, rows // 4, columns * 7 // 8, rows * 3 // 4)
            return replace(sheet, scales=(*sheet.scales, Scale(area, points, ""))), ""
        case "no-scale":
            return replace(sheet, scales=_without(sheet.scales, number)), ""
    return sheet, ""


def _saved(grabber: str, found: ModalityProfile, sheet: Sheet) -> Response | tuple[str, int]:
    """Save the profile, give it to the grabber, and say from when it counts."""
    view = _view(grabber)
    made = draft.drawn(sheet, view.size)
    problem = _is_taken(grabber, found, sheet.name)
    if made.problems or problem:
        return _page(grabber, found, sheet, view=view, problem=problem), 400
    try:
        _write(grabber, sheet.name, _table(found, sheet, made, view))
    except (ProfileError, ConfigError) as error:
        return _page(grabber, found, sheet, view=view, problem=words.trouble_of(error).sentence), 400
    except OSError as error:
        refused = gettext("The profile cannot be written: %(problem)s.", problem=error.strerror)
        return _page(grabber, found, sheet, view=view, problem=refused), 409
    box().spool.history.add(f"grabber {grabber}", "profile drawn", text=sheet.name, by=guard.operator())
    box().ring(f"acquire@{grabber}")
    flash(gettext("Saved as %(name)s. It counts from the next exam.", name=sheet.name), "safe")
    return redirect(url_for("profiles_picture.screen", grabber=grabber), 303)


def _write(grabber: str, name: str, table: tables.Table) -> None:
    """Write a profile that is right, and give it to the grabber; one that cannot be given is not left behind."""
    path = Path(box().site.own_profiles) / "modalities" / f"{name}.toml"
    was_there = path.exists()
    profile.modality_from(name, table)
    tables.save(path, table)
    try:
        profiles.give(grabber, name)
    except ConfigError:
        if not was_there:
            path.unlink()
        raise


def _table(found: ModalityProfile, sheet: Sheet, made: Drawn, view: View) -> tables.Table:
    base = tables.read(profile.path_of("modalities", found.name, box().site.own_profiles))
    base.pop("name", None)
    if DRAWN_HERE not in found.sources:
        base["sources"] = [*found.sources, DRAWN_HERE]
    standard = view.facts.standard if sheet.is_only and view.facts else ""
    return draft.table_of(base, made, is_covering=sheet.is_covering, standard=standard)


def _is_taken(grabber: str, found: ModalityProfile, name: str) -> str:
    """Say why a name cannot be had: no profile is written over another one, and none over the shipped ones."""
    if not tables.NAME.fullmatch(name):
        return gettext("Give the profile a name: letters, digits, and . _ - after the first.")
    if name == found.name and _is_own(found):
        return ""
    if name in profile.names("modalities", box().site.own_profiles):
        return gettext(
            "There is already a profile %(name)s: choose another name, as %(other)s.",
            name=name,
            other=_name_for(grabber, found, is_fresh=True),
        )
    return ""


def _name_for(grabber: str, found: ModalityProfile, *, is_fresh: bool = False) -> str:
    """Propose a name: the same for the site's own profile, else a new one for this grabber."""
    if _is_own(found) and not is_fresh:
        return found.name
    known = set(profile.names("modalities", box().site.own_profiles))
    first = f"{found.name}-{re.sub(r'[^A-Za-z0-9]+', '-', grabber).strip('-').lower()}".rstrip("-")
    names = (first, *(f"{first}-{number}" for number in range(2, len(known) + 3)))
    return next(name for name in names if name not in known)


def _is_own(found: ModalityProfile) -> bool:
    own = box().site.own_profiles
    return profile.path_of("modalities", found.name, own).is_relative_to(own)


# ---- the page ----


def _page(grabber: str, found: ModalityProfile, sheet: Sheet, *, view: View | None = None, problem: str = "") -> str:
    seen = view or _view(grabber)
    made = draft.drawn(sheet, seen.size)
    standards = found.input.standards
    return render_template(
        "editor.html",
        grabber=grabber,
        profile=found,
        sheet=sheet,
        made=made,
        view=seen,
        problems=[each for each in (problem, *made.problems) if each],
        has_scales="us" in {found.object.still, found.object.cine},
        kept=sum(not draft.is_simple(each) for each in found.region),
        standard=seen.facts.standard if seen.facts and standards != (seen.facts.standard,) else "",
        is_exam_running=box().spool.exams.running(grabber) is not None,
    )


def _view(grabber: str) -> View:
    """Ask for the whole picture, and wait a moment for it while there is one to come."""
    run, look = box().site.run, looks.station(grabber)
    live.want(run, grabber, live.WHOLE)
    seen = live.read_whole(run, grabber)
    for _ in range(LOOKS if look.is_live else 0):
        if seen is not None and _is_fresh(seen[2]):
            break
        box().wait(LOOK_S)
        seen = live.read_whole(run, grabber)
    if seen is None:
        return View(sentence=look.sentence, hint=look.hint)
    _, version, facts = seen
    is_live = look.is_live and _is_fresh(facts)
    return View(version=version, facts=facts, is_live=is_live, sentence=look.sentence, hint=look.hint)


def _is_fresh(facts: WholePicture) -> bool:
    return box().clock.monotonic_ns() - facts.captured_ns < FRESH_NS


def _profile(grabber: str) -> ModalityProfile:
    """Return the profile a grabber's next exam begins with. Raises ProfileError when it cannot be read."""
    if grabber not in box().site.grabber:
        abort(404)
    return profile.modality(profiles.chosen(grabber), box().site.own_profiles)


def _strings(first: int, second: int, third: int, fourth: int) -> draft.Typed:
    return str(first), str(second), str(third), str(fourth)


def _without(rows: tuple[Each, ...], number: int) -> tuple[Each, ...]:
    return tuple(row for at, row in enumerate(rows) if at != number)
