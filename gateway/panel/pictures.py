"""Live pictures and thumbnails to JPEG answers: each shows a patient, so none is ever stored by a browser."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, abort, render_template, request
from werkzeug.wrappers import Response

from gateway.panel import looks
from gateway.panel.box import box
from gateway.spool import live as live_files

views = Blueprint("pictures", __name__, url_prefix="/exam/<uuid:exam_id>")


@views.get("/live")
def live(exam_id: UUID) -> Response:
    """Show the live picture in a frame that reloads itself, for a browser without JavaScript."""
    step = box().spool.exams.get(exam_id)
    answer = Response(render_template("live.html", exam=step, view=looks.station(step.station)), mimetype="text/html")
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    return answer


@views.get("/live.jpg")
def live_jpeg(exam_id: UUID) -> Response:
    """Return the latest picture of the exam's station, 304 while it is the one the page has, 204 while there is none."""
    step = box().spool.exams.get(exam_id)
    live_files.want(box().site.run, step.station)
    found = live_files.read_preview(box().site.run, step.station)
    if found is None:
        return Response(status=204)
    jpeg, at_ns = found
    if f'"{at_ns}"' == request.headers.get("If-None-Match"):
        return Response(status=304)
    return Response(jpeg, mimetype="image/jpeg", headers={"ETag": f'"{at_ns}"'})


@views.get("/captures/<int:number>.jpg")
def thumbnail(exam_id: UUID, number: int) -> Response:
    """Return the small picture of one capture."""
    try:
        return Response(box().spool.thumbnail_path(exam_id, number).read_bytes(), mimetype="image/jpeg")
    except FileNotFoundError:
        abort(404)
