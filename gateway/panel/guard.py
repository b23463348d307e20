"""A request to who is asking and whether they may: one table of rights, CSRF, expiry, and the pass of a running exam.

A session expires after idle minutes (CLOCK_MONOTONIC and boot id, never the wall clock), but an exam in progress is never
interrupted: the signed cookie of the browser that opened it goes on naming that exam, and for as long as the exam is IN
PROGRESS it opens that exam's own screen and its presses, and nothing else. CSRF: OWASP's synchroniser token, bound to the
signed session, compared in constant time.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from flask import abort, g, redirect, request, session, url_for
from werkzeug.wrappers import Response

from gateway.errors import NoSuchRow
from gateway.model import StepStatus
from gateway.panel.box import box
from gateway.spool.accounts import Person, Role

Access = Literal["anyone", "exam", "technologist", "engineer", "metrics"]

ACCESS: Final[Mapping[str, Access]] = MappingProxyType(
    {
        "static": "anyone",
        "door.pair": "anyone",
        "door.paired": "anyone",
        "door.enter": "anyone",
        "door.entered": "anyone",
        "door.enter_by_pin": "anyone",
        "door.leave": "anyone",
        "door.choose_language": "anyone",
        "exams.screen": "exam",
        "exams.pulse": "exam",
        "exams.film": "exam",
        "exams.discard": "exam",
        "exams.undo": "exam",
        "exams.end": "exam",
        "exams.complete": "exam",
        "exams.discontinue": "exam",
        "presses.press": "exam",
        "pictures.live": "exam",
        "pictures.live_jpeg": "exam",
        "pictures.thumbnail": "exam",
        "exams.reading": "exam",
        "destinations.screen": "engineer",
        "destinations.echo": "engineer",
        "profiles.screen": "engineer",
        "profiles.choose": "engineer",
        "profiles_picture.screen": "engineer",
        "profiles_picture.drawn": "engineer",
        "profiles_picture.whole": "engineer",
        "ports.screen": "engineer",
        "ports.add": "engineer",
        "ports.one": "engineer",
        "ports.change": "engineer",
        "ports.off": "engineer",
        "ports.on": "engineer",
        "ports.finding": "engineer",
        "ports.find": "engineer",
        "ports.use": "engineer",
        "log.screen": "engineer",
        "people.screen": "engineer",
        "people.add": "engineer",
        "people.one": "engineer",
        "people.role": "engineer",
        "people.reset": "engineer",
        "people.close": "engineer",
        "people.reopen": "engineer",
        "health.cleared": "engineer",
        "metrics.figures": "metrics",
    }
)
"""Who may what; a view that is not here is for any person who is signed in."""
_ASKED_BY_THE_PAGE: Final = frozenset(
    {
        "exams.pulse",
        "exams.film",
        "pictures.live",
        "pictures.live_jpeg",
        "pictures.thumbnail",
        "profiles_picture.whole",
    }
)
"""What a page asks for by itself: it keeps nobody's session alive."""
_IPV6: Final = 6
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def admit() -> Response | None:
    """Let a request in, or answer it: before every view."""
    g.received_ns = box().clock.monotonic_ns()
    if request.method in _CHANGING and not _has_token():
        abort(400, "csrf")
    needed = ACCESS.get(request.endpoint or "", "technologist")
    if needed == "anyone" or request.endpoint is None:
        return None
    if needed == "metrics" and is_local():
        return None
    if not box().spool.accounts.has_engineer():
        return redirect(url_for("door.pair"), 303)
    return _refusal(needed)


def person() -> Person | None:
    """Return who is signed in and not idle for too long."""
    if "person" not in g:
        g.person = _person()
    found: Person | None = g.person
    return found


def pass_exam() -> UUID | None:
    """Return the exam in progress that this browser may go on with, whoever's session has expired."""
    if "pass_exam" not in g:
        g.pass_exam = _pass_exam()
    found: UUID | None = g.pass_exam
    return found


def operator() -> str:
    """Return whose name an act is recorded under."""
    signed_in = person()
    return signed_in.name if signed_in else str(session.get("name", ""))


def sign_in(name: str) -> None:
    """Start a session of its own: nothing of a former one is kept but the exam that this browser drives."""
    exam = session.get("exam")
    account = box().spool.accounts.get(name)
    session.clear()
    session.update(name=account.name, epoch=account.session_epoch, csrf=secrets.token_urlsafe(24), seen=_now())
    if exam:
        session["exam"] = exam
    g.pop("person", None)


def sign_out() -> None:
    """Forget everything this browser was allowed."""
    session.clear()
    g.person = None
    g.pass_exam = None


def drive(exam_id: UUID) -> None:
    """Let this browser go on with an exam until it ends."""
    session["exam"] = str(exam_id)


def csrf_token() -> str:
    """Return the token that every form of this browser carries."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    token: str = session["csrf"]
    return token


def is_local() -> bool:
    """Say whether the request was made on this box itself, and not handed on by a proxy on it."""
    forwarded = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via"))
    host = urlsplit(f"//{request.host}").hostname or ""
    return not forwarded and _is_loopback(request.remote_addr or "") and (host == "localhost" or _is_loopback(host))


def is_kiosk() -> bool:
    """Say whether a PIN is enough here."""
    return box().site.panel.is_kiosk_enabled and is_local()


def address() -> str:
    """Return where the request came from, for counting mistakes: the box itself, or a network address (of IPv6, its /64)."""
    if is_local():
        return "this box"
    given = request.remote_addr or ""
    try:
        parsed = ip_address(given)
    except ValueError:
        return given
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == _IPV6 else given


def wants_json() -> bool:
    """Say whether our own script is asking."""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def safe_way_back(path: str) -> str:
    """Return a path on this panel, and nothing that leads elsewhere."""
    parts = urlsplit(path)
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return path if is_ours and "\\" not in path else url_for("worklist.screen")


def _refusal(needed: Access) -> Response | None:
    signed_in = person()
    if signed_in is None:
        if needed == "exam" and _is_for_the_pass():
            return None
        if wants_json():
            abort(401)
        back = request.path if request.method == "GET" else url_for("worklist.screen")
        return redirect(url_for("door.enter", back=back), 303)
    if needed in {"engineer", "metrics"} and signed_in.role is not Role.ENGINEER:
        abort(403)
    if request.endpoint not in _ASKED_BY_THE_PAGE and request.headers.get("X-Asked-By") != "page":
        session["seen"] = _now()
    return None


def _is_for_the_pass() -> bool:
    exam_id = (request.view_args or {}).get("exam_id")
    return exam_id is not None and exam_id == pass_exam()


def _person() -> Person | None:
    name = session.get("name")
    if not name or _is_idle_too_long():
        return None
    accounts = box().spool.accounts
    return accounts.get(name) if accounts.is_current(name, session.get("epoch", -1)) else None


def _pass_exam() -> UUID | None:
    try:
        exam_id = UUID(session.get("exam", ""))
        return exam_id if box().spool.exams.get(exam_id).status is StepStatus.IN_PROGRESS else None
    except (ValueError, NoSuchRow):
        return None


def _is_idle_too_long() -> bool:
    boot_id, seen_ns = session.get("seen", ["", 0])
    now_boot_id, now_ns = _now()
    return bool(boot_id != now_boot_id or now_ns - seen_ns > box().site.panel.session_minutes * 60_000_000_000)


def _now() -> list[str | int]:
    clock = box().clock
    return [clock.boot_id(), clock.monotonic_ns()]


def _has_token() -> bool:
    expected, given = str(session.get("csrf", "")), request.form.get("csrf", "")
    return bool(expected) and hmac.compare_digest(expected.encode(), given.encode())


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
