"""First start, sign-in, sign-out, language: the only views for people nobody knows yet.

There is no default password. The first start prints a pairing code; whoever can read it becomes the first engineer. How
long to wait after mistakes is the spool's to say (`gateway.spool.accounts`): it survives a restart.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from gateway.errors import GatewayError
from gateway.panel import guard, language, words
from gateway.panel.box import box
from gateway.panel.language import gettext
from gateway.spool.accounts import SHORTEST_PASSWORD, Person

views = Blueprint("door", __name__)

Page = str | Response | tuple[str, int]


@views.get("/pair")
def pair() -> Page:
    """Show the form of the first start."""
    if box().spool.accounts.has_engineer():
        return redirect(url_for("door.enter"), 303)
    return _pair_form()


@views.post("/pair")
def paired() -> Page:
    """Make the first engineer of whoever has the pairing code."""
    name, password = request.form.get("name", "").strip(), request.form.get("password", "")
    if password != request.form.get("again", ""):
        return _pair_form(gettext("The two passwords are not the same."), name)
    try:
        box().spool.accounts.pair(request.form.get("code", ""), name, password)
    except GatewayError as error:
        return _pair_form(words.trouble_of(error).sentence, name)
    guard.sign_in(name)
    return redirect(url_for("destinations.screen"), 303)


@views.get("/sign-in")
def enter() -> Page:
    """Ask who it is."""
    if not box().spool.accounts.has_engineer():
        return redirect(url_for("door.pair"), 303)
    return _enter_form()


@views.post("/sign-in")
def entered() -> Page:
    """Sign in with a password."""
    return _try_to_enter(box().spool.accounts.sign_in, request.form.get("password", ""))


@views.post("/sign-in/pin")
def enter_by_pin() -> Page:
    """Sign in with a PIN: on the screen of the box itself only."""
    if not guard.is_kiosk():
        return _enter_form(gettext("A PIN works only on the screen of the box itself.")), 403
    return _try_to_enter(box().spool.accounts.sign_in_with_pin, request.form.get("pin", ""))


@views.post("/sign-out")
def leave() -> Page:
    """Forget who it was."""
    guard.sign_out()
    return redirect(url_for("door.enter"), 303)


@views.post("/language")
def choose_language() -> Page:
    """Remember the language of this browser."""
    answer = redirect(guard.safe_way_back(request.form.get("back", "/")), 303)
    asked = request.form.get("language", "")
    if asked in language.NAMES:
        answer.set_cookie(
            language.COOKIE, asked, max_age=31_536_000, httponly=True, samesite="Strict", secure=request.is_secure
        )
    return answer


def _try_to_enter(check: Callable[..., Person], secret: str) -> Page:
    name = request.form.get("name", "").strip()
    try:
        found = check(name, secret, address=guard.address())
    except GatewayError as error:
        trouble = words.trouble_of(error)
        return _enter_form(trouble.sentence, trouble.hint), 401
    guard.sign_in(found.name)
    return redirect(guard.safe_way_back(request.form.get("back", "")), 303)


def _pair_form(problem: str = "", name: str = "") -> Page:
    page = render_template("pair.html", problem=problem, name=name, shortest_password=SHORTEST_PASSWORD)
    return (page, 400) if problem else page


def _enter_form(problem: str = "", hint: str = "") -> str:
    people = [person.name for person in box().spool.accounts.people() if person.is_active] if guard.is_kiosk() else []
    return render_template(
        "enter.html",
        problem=problem,
        hint=hint,
        name=request.form.get("name", ""),
        back=request.values.get("back", ""),
        kiosk_names=people,
        running=box().spool.exams.all_running(),
    )
