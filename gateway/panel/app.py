"""A site, a spool and a clock to the Flask app of one box: its views, its guard, its headers, and its errors in words."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from flask import Flask, redirect, render_template, request, url_for
from msgspec import Struct
from msgspec.structs import replace
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from gateway.clock import Clock
from gateway.config import Site
from gateway.errors import GatewayError, LoginDelayed, LoginRefused, NoSuchRow, PeerError, SecretTooShort
from gateway.panel import (
    destinations,
    door,
    editor,
    exams,
    guard,
    health,
    inbox,
    instruments,
    language,
    log,
    metrics,
    people,
    pictures,
    ports,
    presses,
    profiles,
    way,
    words,
    worklist,
)
from gateway.panel.box import Box, EchoAnswer, box
from gateway.panel.cookies import TimelessSession
from gateway.panel.language import gettext
from gateway.spool.accounts import Role
from gateway.spool.spool import Spool

_LARGEST_FORM_BYTES = 256 * 1024
_VIEWS: tuple[ModuleType, ...] = (
    door,
    worklist,
    exams,
    presses,
    pictures,
    way,
    inbox,
    instruments,
    health,
    destinations,
    profiles,
    editor,
    ports,
    log,
    people,
    metrics,
)
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Item(Struct, frozen=True, kw_only=True):
    """One entry of a menu."""

    word: str
    url: str
    icon: str = ""
    is_here: bool = False
    is_exam: bool = False
    count: int = 0
    """How many things wait behind it."""


def create_app(
    site: Site,
    spool: Spool,
    clock: Clock,
    *,
    secret: bytes = b"",
    ring: Callable[[str], None] = lambda _service: None,
    wait: Callable[[float], None] = lambda _seconds: None,
    echo: Callable[[str], EchoAnswer] = lambda _name: EchoAnswer(is_ok=False),
) -> Flask:
    """Return the panel of one box.

    `secret` signs sessions; without it they end with the process. `ring` wakes a service, `wait` returns after so many
    seconds or when a service rings back, `echo` asks a destination by name.
    """
    app = Flask(__name__)
    app.config.update(SECRET_KEY=secret or secrets.token_bytes(32), MAX_CONTENT_LENGTH=_LARGEST_FORM_BYTES)
    app.extensions["gateway"] = Box(site, spool, clock, ring, wait, echo)
    app.session_interface = TimelessSession()
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    language.install(app, site)
    for module in _VIEWS:
        app.register_blueprint(module.views)
    app.before_request(guard.admit)
    app.after_request(_harden)
    app.context_processor(_words_of_templates)
    app.register_error_handler(GatewayError, _gateway_error)
    app.register_error_handler(HTTPException, _http_error)
    app.add_template_global(_static_address(app), "static_url")
    return app


def _static_address(app: Flask) -> Callable[[str], str]:
    """Return a function that gives a static file's address with its digest, so that browsers may keep it for ever."""
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in Path(app.static_folder or "").iterdir()
    }
    return lambda name: url_for("static", filename=name, v=digests[name])


def _harden(response: Response) -> Response:
    """Say to the browser what it may do with the page, and that it may keep none of it."""
    is_framed = response.headers.get("X-Frame-Options") == "SAMEORIGIN"
    for name, value in _HEADERS.items():
        response.headers[name] = value.replace("{ancestors}", "'self'" if is_framed else "'none'")
    response.headers.setdefault("X-Frame-Options", "DENY")
    is_static = request.endpoint == "static" and "v" in request.args
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_static else "no-store"
    return response


def _words_of_templates() -> dict[str, Any]:
    return {
        "csrf_token": guard.csrf_token,
        "person": guard.person(),
        "pass_exam": guard.pass_exam(),
        "rail": _rail,
        "setup_tabs": _setup_tabs,
        "reading_tabs": _reading_tabs,
        "here": lambda: request.path if request.method == "GET" else url_for("worklist.screen"),
        "language": language.current(),
        "language_names": language.NAMES,
        "language_tags": language.TAGS,
        "patient_name": words.patient_name,
        "birth_date": words.birth_date,
        "sex_word": words.sex_word,
        "role_word": words.role_word,
        "exam_word": words.exam_word,
        "step_time": words.step_time,
        "step_day": words.step_day,
        "step_words": words.step_words,
        "size_word": words.size_word,
        "time_of": words.time_of,
        "moment": _moment,
    }


def _moment(at: datetime) -> str:
    return words.moment(at, box().clock.now())


def _rail() -> list[Item]:
    """Return the screens this person may open."""
    person, endpoint = guard.person(), request.endpoint or ""
    items = []
    for step in box().spool.exams.all_running():
        if person or step.exam_id == guard.pass_exam():
            url = url_for("exams.screen", exam_id=step.exam_id)
            is_here = (request.view_args or {}).get("exam_id") == step.exam_id and endpoint.startswith("exams.")
            items.append(Item(word=gettext("Exam"), url=url, icon="exam", is_here=is_here, is_exam=True))
    if person is None:
        return items
    before = [_item(gettext("Worklist"), "worklist.screen", "worklist", "worklist.")]
    after = [
        *_readings(),
        _item(gettext("On the way"), "way.screen", "way", "way."),
        _item(gettext("Health"), "health.screen", "health", "health."),
    ]
    if person.role is Role.ENGINEER:
        is_here = request.path.startswith("/setup/")
        after.append(Item(word=gettext("Set-up"), url=url_for("destinations.screen"), icon="setup", is_here=is_here))
    return [*before, *items, *after]


def _readings() -> list[Item]:
    """Return the way to what instruments say, on a box that has one, or has readings that wait."""
    waiting = box().spool.inbox.count()
    if not (waiting or instruments.heard_ports()):
        return []
    is_here = (request.endpoint or "").startswith(("inbox.", "instruments."))
    url = url_for("inbox.screen" if waiting else "instruments.screen")
    return [Item(word=gettext("Readings"), url=url, icon="reading", is_here=is_here, count=waiting)]


def _reading_tabs() -> list[Item]:
    waiting = _item(gettext("Without an exam"), "inbox.screen", "", "inbox.")
    return [
        replace(waiting, count=box().spool.inbox.count()),
        _item(gettext("Live"), "instruments.screen", "", "instruments."),
    ]


def _setup_tabs() -> list[Item]:
    return [
        _item(gettext("Destinations"), "destinations.screen", "", "destinations."),
        _item(gettext("Modality"), "profiles.screen", "", "profiles"),
        _item(gettext("Ports"), "ports.screen", "", "ports."),
        _item(gettext("People"), "people.screen", "", "people."),
        _item(gettext("Log"), "log.screen", "", "log."),
    ]


def _item(word: str, endpoint: str, icon: str, prefix: str) -> Item:
    return Item(word=word, url=url_for(endpoint), icon=icon, is_here=(request.endpoint or "").startswith(prefix))


def _gateway_error(error: GatewayError) -> Response:
    """Say an error with a name: its sentence, what to do, and who."""
    match error:
        case NoSuchRow():
            status = 404
        case LoginRefused() | LoginDelayed():
            status = 403
        case SecretTooShort():
            status = 400
        case PeerError():
            status = 502
        case _:
            status = 409
    return _say(words.trouble_of(error), status)


def _http_error(error: HTTPException) -> Response:
    """Say what HTTP has no kind words for."""
    if isinstance(error, RequestRedirect):
        return redirect(error.new_url, error.code)
    if error.code == 401 and not guard.wants_json():
        return redirect(url_for("door.enter"), 303)
    again = gettext("Go back and try again.")
    match error.code:
        case 400 if error.description == "csrf":
            sentence, hint = gettext("This page was too old."), gettext("Nothing was done. Go back, and press again.")
        case 400:
            sentence, hint = gettext("The form was not complete."), again
        case 401:
            sentence, hint = gettext("You are signed out."), gettext("Sign in again.")
        case 403:
            sentence, hint = gettext("This is for the engineer of this box."), ""
        case 404:
            sentence, hint = gettext("There is nothing here."), gettext("It may have been removed meanwhile.")
        case 405:
            sentence, hint = gettext("That cannot be done here."), again
        case 413:
            sentence, hint = gettext("That was too much at once."), again
        case _:
            sentence = gettext("The panel made a mistake.")
            hint = gettext("What was captured is safe. Tell the makers of the gateway what you did just now.")
    return _say(words.Trouble(sentence=sentence, hint=hint, shape="care"), error.code or InternalServerError.code)


def _say(trouble: words.Trouble, status: int) -> Response:
    if guard.wants_json():
        answer = words.Answer(tone="bad", sentence=trouble.sentence, hint=trouble.hint, who=trouble.who)
        body = {"code": trouble.code, "answer": render_template("_answer.html", answer=answer)}
        return Response(msgspec.json.encode(body), status=status, mimetype="application/json")
    exam_id = (request.view_args or {}).get("exam_id")
    back = url_for("exams.screen", exam_id=exam_id) if exam_id and status != 404 else url_for("worklist.screen")
    return Response(render_template("trouble.html", trouble=trouble, back=back), status=status, mimetype="text/html")
