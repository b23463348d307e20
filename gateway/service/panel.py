"""The unit `panel`: the Flask app in one gunicorn thread worker of this very process, on loopback unless configured.

There is no master that forks: the worker's own loop runs in the main thread, and each of its turns is what systemd's
watchdog hears of. What the panel asks of other rooms goes through here: rings to services, C-ECHO to a destination.
While nobody is an engineer, each start prints a new one-time pairing code.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.sock import TCP6Socket, TCPSocket
from gunicorn.workers.gthread import ThreadWorker

from gateway import config
from gateway.errors import GatewayError, ServiceError
from gateway.panel import EchoAnswer, create_app
from gateway.service import notify
from gateway.service.bell import Bell, ring
from gateway.service.unit import run_unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.spool.spool import Spool

THREADS: Final = 8
_SECRET_BYTES: Final = 32
_LOG = logging.getLogger("panel")


def main(site_path: Path | None = None) -> int:
    """Run the unit; return the exit status."""
    return run_unit("panel", config.load(site_path), serve)


def serve(site: Site, spool: Spool, clock: Clock, stop: threading.Event, bell: Bell) -> None:
    """Serve pages until `stop` is set. Raises ServiceError when the port cannot be had."""
    answers = Answers()
    app = create_app(
        site,
        spool,
        clock,
        secret=secret_of(site.data),
        ring=lambda service: ring(site.run, service),
        wait=answers.wait,
        echo=lambda name: echo(site, name),
    )
    worker = _worker(site, app, notify.Watchdog())
    threading.Thread(target=_listen_for_rings, args=(worker, answers, stop, bell), name="rings", daemon=True).start()
    _say_where(site, spool)
    notify.ready()
    worker.init_process()


class Answers:
    """Wakes the views that wait for a service's answer: at each ring, or at the end of their patience."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._rung = threading.Condition()

    def wait(self, timeout_s: float) -> None:
        """Return at the next ring, or after `timeout_s`."""
        with self._rung:
            self._rung.wait(timeout_s)

    def ring(self) -> None:
        """Wake everyone who waits."""
        with self._rung:
            self._rung.notify_all()


def echo(site: Site, name: str) -> EchoAnswer:
    """Ask one destination for a sign of life, and say how long it took or why there was none."""
    from gateway.wire.dimse import scu
    from gateway.wire.dimse.peer import Peer

    known = site.destination[name]
    peer = Peer(
        name=name,
        host=known.host,
        port=known.port,
        called_ae=known.called_ae,
        calling_ae=known.calling_ae or site.station.ae_title,
        timeout_s=min(known.timeout_s, 10.0),
    )
    began_s = time.monotonic()
    try:
        scu.echo(peer)
    except GatewayError as error:
        return EchoAnswer(is_ok=False, error_code=error.code, facts=error.facts)
    return EchoAnswer(is_ok=True, took_ms=(time.monotonic() - began_s) * 1e3)


def secret_of(data: Path) -> bytes:
    """Return the key that signs sessions, made at the first start: a restart signs nobody out in the middle of an exam."""
    path = data / "panel.key"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        fresh = path.with_name(f".panel.key.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        return path.read_bytes()


class InProcess(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's thread worker without its master: our unit has the signals, and hears each turn of the loop."""

    turned: Callable[[], None] = staticmethod(lambda: None)

    def init_signals(self) -> None:
        """Leave the signals to the unit."""

    def notify(self) -> None:
        """Be called at each turn of the loop."""
        self.turned()

    def stop(self) -> None:
        """End the loop, once the requests that came are answered; from any thread."""
        self.handle_exit(None, None)


class Application(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """The app and its settings, as gunicorn wants them."""

    def __init__(self, app: Flask, settings: dict[str, Any]) -> None:
        """Keep both."""
        self._app = app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn our settings; it reads no file and no environment of its own."""
        for key, value in self._settings.items():
            self.cfg.set(key, value)

    def load(self) -> Flask:
        """Return the app."""
        return self._app


def _worker(site: Site, app: Flask, watchdog: notify.Watchdog) -> InProcess:
    settings: dict[str, Any] = {
        "threads": THREADS,
        "keepalive": 15,
        "worker_connections": 200,
        "graceful_timeout": 3,
        "control_socket_disable": True,
    }
    application = Application(app, settings)
    log = application.cfg.logger_class(application.cfg)
    listen = TCP6Socket if ":" in site.panel.host else TCPSocket
    try:
        sockets = [listen((site.panel.host, site.panel.port), application.cfg, log)]
    except OSError as error:
        problem = f"{site.panel.host} port {site.panel.port} cannot be opened ({error.strerror})"
        raise ServiceError(service="panel", problem=problem) from error
    worker = InProcess(0, os.getppid(), sockets, application, 30, application.cfg, log)
    worker.turned = watchdog.alive
    return worker


def _listen_for_rings(worker: InProcess, answers: Answers, stop: threading.Event, bell: Bell) -> None:
    while not stop.is_set():
        if bell.wait(5.0):
            answers.ring()
    worker.stop()


def _say_where(site: Site, spool: Spool) -> None:
    _LOG.info("the panel is at http://%s:%d/", site.panel.host, site.panel.port)
    notify.status(f"http://{site.panel.host}:{site.panel.port}/")
    code = spool.accounts.open_pairing()
    if code is not None:
        _LOG.warning("nobody can sign in yet; the pairing code for the first engineer is %s", code)
