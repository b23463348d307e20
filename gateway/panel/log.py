"""The latest events of the spool to a table: ids and verbs, no patient's name."""

from __future__ import annotations

from flask import Blueprint, render_template

from gateway.panel.box import box

views = Blueprint("log", __name__)
_ROWS = 200


@views.get("/setup/log")
def screen() -> str:
    """Show what happened, latest first."""
    return render_template("log.html", rows=box().spool.history.recent(_ROWS))
