"""The accounts of this box to a page, and an engineer's acts on them; one's own password and PIN are for everybody."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from gateway.errors import ConfigBadValue
from gateway.panel import guard
from gateway.panel.box import box
from gateway.panel.language import gettext
from gateway.spool.accounts import SHORTEST_PASSWORD, SHORTEST_PIN, Role

views = Blueprint("people", __name__)


@views.get("/setup/people")
def screen() -> str:
    """Show everybody."""
    return render_template(
        "people.html", rows=box().spool.accounts.people(), roles=list(Role), shortest_password=SHORTEST_PASSWORD
    )


@views.post("/setup/people")
def add() -> Response:
    """Make an account."""
    name = request.form.get("name", "").strip()
    if "/" in name:
        raise ConfigBadValue(file=gettext("The form"), key=gettext("Name"), problem=gettext("has a slash"))
    box().spool.accounts.add(name, _role(), request.form.get("password", ""), by=guard.operator())
    return _done(gettext("%(name)s may sign in now.", name=name))


@views.get("/setup/people/<name>")
def one(name: str) -> str:
    """Show one account."""
    found = box().spool.accounts.get(name)
    return render_template("person.html", one=found, roles=list(Role), shortest_password=SHORTEST_PASSWORD)


@views.post("/setup/people/<name>/role")
def role(name: str) -> Response:
    """Change what a person may do."""
    box().spool.accounts.set_role(name, _role(), by=guard.operator())
    return _changed(name, gettext("The role of %(name)s is set.", name=name))


@views.post("/setup/people/<name>/reset")
def reset(name: str) -> Response:
    """Give a person a new password."""
    box().spool.accounts.set_password(name, request.form.get("password", ""), by=guard.operator())
    return _changed(name, gettext("%(name)s has a new password.", name=name))


@views.post("/setup/people/<name>/close")
def close(name: str) -> Response:
    """Close an account."""
    box().spool.accounts.set_active(name, is_active=False, by=guard.operator())
    return _done(gettext("The account of %(name)s is closed.", name=name))


@views.post("/setup/people/<name>/reopen")
def reopen(name: str) -> Response:
    """Open a closed account again."""
    box().spool.accounts.set_active(name, is_active=True, by=guard.operator())
    return _done(gettext("%(name)s may sign in again.", name=name))


@views.get("/you")
def you() -> str:
    """Show the forms for one's own password and PIN."""
    return render_template("you.html", shortest_password=SHORTEST_PASSWORD, shortest_pin=SHORTEST_PIN)


@views.post("/you/password")
def own_password() -> Response:
    """Change one's own password, by the present one."""
    name = _proven()
    box().spool.accounts.set_password(name, request.form.get("new", ""), by=name)
    return _still_here(name, gettext("Your password is changed."))


@views.post("/you/pin")
def own_pin() -> Response:
    """Set one's own PIN, by the present password."""
    name = _proven()
    box().spool.accounts.set_pin(name, request.form.get("pin", ""), by=name)
    return _still_here(name, gettext("Your PIN is set."))


def _proven() -> str:
    """Return who is signed in, once the password proves it."""
    password = request.form.get("password", "")
    return box().spool.accounts.sign_in(guard.operator(), password, address=guard.address()).name


def _still_here(name: str, sentence: str) -> Response:
    """A change of a secret ends every session of the person but this one."""
    guard.sign_in(name)
    flash(sentence, "safe")
    return redirect(url_for("people.you"), 303)


def _changed(name: str, sentence: str) -> Response:
    if name == guard.operator():
        guard.sign_in(name)
    return _done(sentence)


def _done(sentence: str) -> Response:
    flash(sentence, "safe")
    return redirect(url_for("people.screen"), 303)


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError:
        abort(400)
