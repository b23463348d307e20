"""What a person types: verbs for an engineer on the phone with a clinic. Rooms are imported only by the verb that needs them."""

from __future__ import annotations

import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway import config

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.service.bell import Bell
    from gateway.spool.spool import Spool

    Serve = Callable[[Site, Spool, Clock, threading.Event, Bell], None]


@click.group()
@click.option("--config", "file", type=click.Path(path_type=Path), help="The configuration file.")
@click.version_option(package_name="modality-gateway")
@click.pass_context
def main(context: click.Context, file: Path | None) -> None:
    """Make a legacy imaging modality part of a modern hospital."""
    context.obj = config.locate(file)


@main.command()
@click.pass_obj
def run(file: Path) -> None:
    """Run all services in this terminal."""
    from gateway.service.run import run as run_all

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run_all(config.load(file), file, stop, click.echo)


@main.command()
@click.argument("name")
@click.pass_obj
def service(file: Path, name: str) -> None:
    """Run one service (systemd does so): keeper, forward, listen, panel, acquire@GRABBER, serial@PORT."""
    from gateway.service.unit import run_unit

    site = config.load(file)
    sys.exit(run_unit(name, site, _serve(name, site)))


@main.command()
@click.option("--once", is_flag=True, help="One scripted exam without a browser; the exit status tells.")
@click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
@click.option("--output", type=click.Path(path_type=Path), help="Keep what the PACS received in this folder.")
def demo(once: bool, as_json: bool, output: Path | None) -> None:  # noqa: FBT001  click's options
    """Run the whole box on simulators."""
    from gateway.service import demo as show

    sys.exit(show.once(as_json=as_json, output=output) if once else show.stay())


@main.command()
@click.pass_obj
def warm(file: Path) -> None:
    """Compile the pixel kernels now, so that no exam waits for them."""
    from gateway.pixels import warm as kernels

    kernels.prepare(Path(config.load(file).paths.cache) if file.exists() else config.own_cache())
    click.echo(f"compiled in {kernels.compile_all():.1f} s")


def _serve(name: str, site: Site) -> Serve:
    """Return what a service does; only its own rooms are imported, and the kernels' cache is named before they are."""
    unit, _, instance = name.partition("@")
    match unit:
        case "keeper":
            from gateway.service.keeper import serve
        case "forward":
            from gateway.service.forward import serve
        case "listen":
            from gateway.service.listen import serve
        case "panel":
            from gateway.service.panel import serve
        case "acquire":
            from gateway.pixels import warm as kernels

            kernels.prepare(Path(site.paths.cache))
            from gateway.service import acquire

            return partial(acquire.serve, instance)
        case "serial":
            from gateway.service import serial

            return partial(serial.serve, instance)
        case _:
            raise click.BadParameter(f"there is no service {name}")
    return serve
