"""A session to a signed cookie that no clock can end.

Law 6: wall clocks lie. Flask's own cookie carries a wall-clock time and dies when the clock jumps, which on a box that
boots in 1970 happens as soon as it finds a time server, in the middle of an exam. Here the cookie carries no time;
`guard` counts idle minutes by CLOCK_MONOTONIC. HttpOnly, SameSite=Strict, and Secure whenever the request came by TLS.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from flask import request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature, URLSafeSerializer

if TYPE_CHECKING:
    from flask import Flask, Request, Response
    from flask.sessions import SessionMixin


class TimelessSession(SecureCookieSessionInterface):
    """Flask's session, signed with HMAC-SHA256 and without a time stamp."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        """Read the cookie; a forged or damaged one is an empty session."""
        try:
            return SecureCookieSession(_serializer(app).loads(request.cookies.get(self.get_cookie_name(app), "")))
        except BadSignature:
            return SecureCookieSession()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Write the cookie when something in it changed; it lives as long as the browser."""
        name = self.get_cookie_name(app)
        if session.accessed:
            response.vary.add("Cookie")
        if not session.modified:
            return
        if not session:
            response.delete_cookie(name, secure=request.is_secure, httponly=True, samesite="Strict")
            return
        response.set_cookie(
            name, _serializer(app).dumps(dict(session)), secure=request.is_secure, httponly=True, samesite="Strict"
        )


def _serializer(app: Flask) -> URLSafeSerializer:
    secret: bytes = app.config["SECRET_KEY"]
    return URLSafeSerializer(secret, salt="gateway-session", signer_kwargs={"digest_method": hashlib.sha256})
