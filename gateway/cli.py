"""What a person types: verbs for an engineer on the phone with a clinic. Rooms are imported only by the verb that needs them.

Every verb that prints facts has `--json`. What fails says its sentence, its code and what to do on stderr, and ends with
status 1; 2 is a mistake in the command itself. A verb that opens the spool does so as the spool's owner, so that root
leaves no file behind that the services cannot write.
"""

from __future__ import annotations

import getpass
import os
import signal
import sys
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from gateway import config
from gateway.errors import ConfigError, DeviceError, GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.profile import InstrumentProfile
    from gateway.service.bell import Bell
    from gateway.service.replay import Replayed
    from gateway.spool.spool import Spool

    Serve = Callable[[Site, Spool, Clock, threading.Event, Bell], None]

FAILED: Final = 1
MARKS: Final = {"good": "ok  ", "care": "look", "bad": "BAD "}
MB: Final = 1e6


class Verbs(click.Group):
    """The commands; an error with a name ends each of them with its sentence."""

    def invoke(self, ctx: click.Context) -> object:
        """Run one command."""
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            click.echo(f"{error} [{error.code}]\n{error.hint}", err=True)
            ctx.exit(FAILED)


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")


@click.group(cls=Verbs)
@click.option("--config", "file", type=click.Path(path_type=Path), help="The configuration file.")
@click.version_option(package_name="modality-gateway")
@click.pass_context
def main(context: click.Context, file: Path | None) -> None:
    """Make a legacy imaging modality part of a modern hospital."""
    context.obj = config.locate(file)


# ---- running ----


@main.command()
@click.pass_obj
def run(file: Path) -> None:
    """Run all services in this terminal."""
    from gateway.service.run import run as run_all

    run_all(config.load(file), file, _stop_on_signals(), click.echo)


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
@as_json_option
@click.option("--output", type=click.Path(path_type=Path), help="Keep what the PACS received in this folder.")
def demo(*, once: bool, as_json: bool, output: Path | None) -> None:
    """Run the whole box on simulators."""
    from gateway.service import demo as show

    sys.exit(show.once(as_json=as_json, output=output) if once else show.stay())


@main.command()
@click.pass_obj
def warm(file: Path) -> None:
    """Compile the pixel kernels now, so that no exam waits for them."""
    from gateway.pixels import warm as kernels

    kernels.prepare(_cache(file))
    click.echo(f"compiled in {kernels.compile_all():.1f} s")


# ---- looking ----


@main.command()
@as_json_option
@click.pass_obj
def check(file: Path, *, as_json: bool) -> None:
    """Find every mistake: configuration, profiles, clock, disk, devices, and whether each peer answers."""
    from gateway.service import check as checks

    found = []
    for finding in checks.everything(file):
        found.append(finding)
        if not as_json:
            code = f" [{finding.code}]" if finding.code else ""
            click.echo(f"{MARKS[finding.verdict]} {finding.subject:<20} {finding.text}{code}")
            if finding.hint:
                click.echo(f"{'':<25} {finding.hint}")
    if as_json:
        _print_json(found)
    sys.exit(0 if checks.is_good(found) else FAILED)


@main.command("config")
@click.option("--changes", is_flag=True, help="Only what this site changed.")
@as_json_option
@click.pass_obj
def show_config(file: Path, *, changes: bool, as_json: bool) -> None:
    """Print the configuration as it counts, from all its files."""
    site = config.load(file)
    table = config.changes(site) if changes else msgspec.to_builtins(site)
    if as_json:
        _print_json(table)
    else:
        click.echo(config.toml(table), nl=False)


@main.command()
@as_json_option
@click.pass_obj
def status(file: Path, *, as_json: bool) -> None:
    """Say how this box stands: services, signals, exams, queue, room, clock."""
    from gateway.service import status as standing

    site = config.load(file)
    with _spool(site) as (spool, clock):
        now = standing.now(site, spool, clock)
    if as_json:
        _print_json(now)
        return
    for name, is_running in now.services.items():
        click.echo(
            f"{MARKS['good' if is_running else 'bad']} service {name}: {'runs' if is_running else 'does not run'}"
        )
    for station in now.stations:
        exam = f", exam {station.exam_id} in progress" if station.exam_id else ""
        click.echo(f"     {station.name}: {station.signal}{exam}")
    for one in now.destinations:
        counts = ", ".join(f"{count} {state}" for state, count in one.counts.items()) or "nothing yet"
        last = f"{one.last_success_at:%Y-%m-%d %H:%M} UTC" if one.last_success_at else "never"
        click.echo(f"     destination {one.name}: {counts}; last received {last}")
    for trouble in now.troubles:
        click.echo(f"{MARKS['bad']} {trouble}")
    click.echo(f"     {now.held_objects} objects wait for a decision; {now.worklist_steps} steps on the worklist")
    click.echo(f"{MARKS['bad' if now.is_room_low else 'good']} {now.free_bytes / MB:.0f} MB free")
    click.echo(f"{MARKS['care']} clock: {now.clock_doubt}" if now.clock_doubt else f"{MARKS['good']} clock")


@main.command()
@click.argument("name")
@as_json_option
@click.pass_obj
def echo(file: Path, name: str, *, as_json: bool) -> None:
    """Ask a destination, or `worklist`, for a sign of life (C-ECHO)."""
    from gateway.service import check as checks

    known = dict(checks.known_peers(config.load(file)))
    key = name if name == "worklist" else f"destination {name}"
    if key not in known:
        names = ", ".join(each.removeprefix("destination ") for each in known) or "there is none"
        raise click.BadParameter(f"no such destination; known: {names}")
    finding = checks.peer(key, known[key])
    if as_json:
        _print_json(finding)
    else:
        click.echo("\n".join(filter(None, (finding.text, finding.hint))))
    sys.exit(0 if checks.is_good([finding]) else FAILED)


# ---- doing ----


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@as_json_option
@click.pass_obj
def send(file: Path, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Put DICOM files into the spool, for every destination that takes their modality."""
    from gateway.service import send as sending

    site = config.load(file)
    paths = [path.absolute() for path in files]
    with _spool(site) as (spool, clock):
        uids = [sending.queue(site, spool, clock, path) for path in paths]
    if as_json:
        _print_json([{"file": str(path), "sop_instance_uid": uid} for path, uid in zip(files, uids, strict=True)])
    else:
        click.echo("\n".join(f"{uid}  {path}" for path, uid in zip(files, uids, strict=True)))


@main.group()
def queue() -> None:
    """Look at deliveries, send them again, or give them up."""


@queue.command("list")
@click.option("--failed", is_flag=True, help="Only those that wait for a person.")
@click.option("--limit", default=50, show_default=True, help="At most so many, latest first.")
@as_json_option
@click.pass_obj
def list_queue(file: Path, *, failed: bool, limit: int, as_json: bool) -> None:
    """Print deliveries: number, state, destination, object, attempts, and why they wait."""
    with _spool(config.load(file)) as (spool, _):
        found = spool.deliveries.failed(limit) if failed else spool.deliveries.recent(limit)
    if as_json:
        _print_json(found)
        return
    for one in found:
        why = f"  {one.error_text or one.note}" if one.error_text or one.note else ""
        click.echo(f"{one.delivery_id:>6}  {one.state:<9}  {one.destination:<12}  {one.payload}  {one.attempts}{why}")


@queue.command()
@click.argument("numbers", nargs=-1, required=True, type=int)
@click.pass_obj
def retry(file: Path, numbers: tuple[int, ...]) -> None:
    """Send deliveries again that failed or were received."""
    _apply(file, numbers, "retry")


@queue.command()
@click.argument("numbers", nargs=-1, required=True, type=int)
@click.option("--because", required=True, help="Why nobody needs them; it stays in the history.")
@click.pass_obj
def cancel(file: Path, numbers: tuple[int, ...], because: str) -> None:
    """Give deliveries up: they are owed to that destination no longer."""
    _apply(file, numbers, "cancel", because)


@main.command()
@click.option("--device", help="A video device: /dev/videoN, or simulator:SCRIPT.")
@click.option("--serial", "line", help="A serial device: print what arrives, byte by byte.")
@click.option("--profile", default="", help="Take the picture as this profile has it (or set the line as it says).")
@click.option("--list", "is_list", is_flag=True, help="Only say what the video device is and offers.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("capture.png"), show_default=True)
@click.option("--seconds", type=float, help="Listen to the serial line for so long; without it, until Ctrl-C.")
@as_json_option
@click.pass_obj
def capture(file: Path, *, device: str | None, line: str | None, profile: str, is_list: bool, output: Path, seconds: float | None, as_json: bool) -> None:  # fmt: skip
    """Take one picture from a video device, or listen to a serial line: no exam, no patient, nothing stored."""
    if (device is None) == (line is None):
        raise click.UsageError("give --device or --serial")
    own = config.load(file).own_profiles if file.exists() else ""
    if line is not None:
        _listen(line, profile, own, seconds)
    elif is_list:
        _describe(str(device), as_json=as_json)
    else:
        from gateway.pixels import warm as kernels

        kernels.prepare(_cache(file))
        from gateway.service import capture as capturing

        taken = capturing.still(str(device), output, profile, own)
        if as_json:
            _print_json(taken)
        else:
            size = f"{taken.columns}x{taken.rows}"
            click.echo(f"{taken.file}: {size} of {taken.standard}, {taken.pixel_format}; {'; '.join(taken.steps)}")


@main.group()
def serial() -> None:
    """Find out how a serial line is set, and look at what instruments have sent."""


@serial.command()
@click.argument("port")
@click.option("--day", default="", help="Only this day (2026-11-24); without it, every day that is kept.")
@click.option("--profile", default="", help="Read it as this instrument's; without it, as the configuration says.")
@click.option("--keep", "number", type=int, help="Keep the set of this number in the exam that --exam names.")
@click.option(
    "--exam", type=click.UUID, help="The exam that a set belongs to: its number on the panel and in `status`."
)
@as_json_option
@click.pass_obj
def replay(
    file: Path, *, port: str, day: str, profile: str, number: int | None, exam: UUID | None, as_json: bool
) -> None:
    """Read the journal of a port once more, with today's parser; print what is in it."""
    if (number is None) != (exam is None):
        raise click.UsageError("--keep and --exam go together")
    from gateway.service import replay as replaying
    from gateway.service.compose import Box

    site, instrument = _instrument(file, port, profile)
    paths = replaying.journals(site.data / "serial" / port, day)
    if number is not None and exam is not None:
        with _spool(site) as (spool, clock):
            replaying.keep(Box(site=site, spool=spool, clock=clock), port, paths, instrument, exam, number)
    _print_sets(list(replaying.play(paths, instrument)), as_json=as_json)


@serial.command()
@click.option("--assign", "assigned", type=int, metavar="NUMBER", help="Give it to the exam that --exam names.")
@click.option("--exam", type=click.UUID, help="Whose it is: the exam's number on the panel and in `status`.")
@click.option("--discard", "discarded", type=int, metavar="NUMBER", help="It is nobody's: no object is made of it.")
@as_json_option
@click.pass_obj
def inbox(file: Path, *, assigned: int | None, exam: UUID | None, discarded: int | None, as_json: bool) -> None:
    """Print what came without an exam and waits, or say whose it is: the service of its port then makes the objects."""
    if (assigned is None) != (exam is None):
        raise click.UsageError("--assign and --exam go together")
    from gateway.service.bell import ring

    site, by = config.load(file), f"{getpass.getuser()} (terminal)"
    with _spool(site) as (spool, _):
        if discarded is not None:
            spool.inbox.discard(discarded, by)
        if assigned is not None and exam is not None:
            ring(site.run, f"serial@{spool.inbox.assign(assigned, exam, by).port}")
        waiting = spool.inbox.waiting()
    if as_json:
        _print_json(waiting)
        return
    for one in waiting:
        whose = f"for exam {one.exam_id}" if one.exam_id else one.problem
        click.echo(f"{one.entry_id:>6}  {one.received_at:%Y-%m-%d %H:%M:%S} UTC  {one.port}, {one.instrument}: {whose}")
        for value in one.readings.observations:
            doubts = f"  ({'; '.join(value.doubts)})" if value.doubts else ""
            unit = value.unit.meaning if value.unit else ""
            click.echo(f"{'':<8}{value.laterality or '-':<2} {value.concept.meaning}: {value.value} {unit}{doubts}")
        for trace in one.readings.traces:
            seconds = len(trace.samples) / 2 / trace.hz
            click.echo(f"{'':<8}curve: {trace.channel.meaning}, {seconds:.1f} s")


@serial.command("read")
@click.argument("port")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--profile", default="", help="Read it as this instrument's; without it, as the configuration says.")
@click.option("--exam", type=click.UUID, help="Keep what is in it in this exam; without it, it is only printed.")
@as_json_option
@click.pass_obj
def read_file(file: Path, *, port: str, path: Path, profile: str, exam: UUID | None, as_json: bool) -> None:
    """Read a file that an instrument wrote onto a stick, as if it had come over its port; print what is in it."""
    from gateway.clock import SystemClock
    from gateway.service import files
    from gateway.service.compose import Box

    site, instrument = _instrument(file, port, profile)
    found = files.read(path, instrument, SystemClock())
    if exam is not None:
        with _spool(site) as (spool, clock):
            files.keep(Box(site=site, spool=spool, clock=clock), port, instrument, exam, found)
    _print_sets(files.said(found, SystemClock()), as_json=as_json)


def _instrument(file: Path, port: str, profile: str) -> tuple[Site, InstrumentProfile]:
    """The configuration, and the profile of what is on a port, or the one that is named. Raises BadParameter."""
    from gateway import profile as profiles

    site = config.load(file)
    if port not in site.serial:
        raise click.BadParameter(f"there is no [serial.{port}]; known: {', '.join(site.serial) or 'none'}")
    return site, profiles.instrument(profile or site.serial[port].instrument, site.own_profiles)


def _print_sets(found: Sequence[Replayed], *, as_json: bool) -> None:
    if as_json:
        _print_json(found)
        return
    for one in found:
        name = f"set {one.number}" if one.number else "damaged"
        click.echo(f"{name:<8} {one.received_at:%Y-%m-%d %H:%M:%S} UTC  {one.model_name}{one.error}")
        for curve in one.curves:
            click.echo(f"{'':<8} curve: {curve}")
        for value in one.values:
            doubts = f"  ({'; '.join(value.doubts)})" if value.doubts else ""
            where = f"{value.measurement:<22} {value.laterality or '-':<2}"
            click.echo(f"{'':<8} {where} {value.concept}: {value.value} {value.unit}{doubts}")


@serial.command()
@click.argument("device")
@click.option(
    "--ask", is_flag=True, help="Ask instruments that say nothing unasked, and answer those that wait for it."
)
@click.option("--seconds", type=click.IntRange(1), default=60, show_default=True, help="Listen for so long at most.")
@as_json_option
@click.pass_obj
def detect(file: Path, *, device: str, ask: bool, seconds: int, as_json: bool) -> None:
    """Listen to a serial device at one setting after another: which baud and parity, and which instrument speaks.

    Let the instrument print now and then. Nothing is sent to it without --ask, and nothing is changed: what was found is only said.
    """
    from gateway.clock import SystemClock
    from gateway.device.tty import Tty
    from gateway.service import detecting
    from gateway.source.detect import Listener, in_words

    profiles, wrong = detecting.known(config.load(file).own_profiles if file.exists() else "")
    for error in wrong:
        click.echo(f"{error} [{error.code}]", err=True)
    listener, stop, tried = Listener(device, profiles, may_ask=ask, limit_s=seconds), _stop_on_signals(), ""
    with Tty(device, listener.settings) as tty:
        for found in detecting.detect(tty, listener, SystemClock()):
            if found.trying != tried and not as_json:
                click.echo(f"listening: {found.trying}" if found.trying else "enough was heard", err=True)
            tried = found.trying
            if stop.is_set():
                break
    found = listener.found()
    if as_json:
        _print_json(found)
    for guess in () if as_json else found.guesses:
        who = ", ".join(guess.instruments) or "no known instrument"
        click.echo(
            f"{in_words(guess):<12} {who}: {guess.records} records, {guess.errors} damaged characters: {guess.seen}"
        )
    if not found.received_bytes:
        raise DeviceError(device=device, problem="nothing arrived")


@main.command()
@as_json_option
@click.pass_obj
def pair(file: Path, *, as_json: bool) -> None:
    """Print a new one-time code with which the first engineer signs in."""
    site = config.load(file)
    with _spool(site) as (spool, _):
        code = spool.accounts.open_pairing()
    if as_json:
        _print_json({"code": code, "panel": f"http://{site.panel.host}:{site.panel.port}/"})
    elif code is not None:
        click.echo(f"{code}  at http://{site.panel.host}:{site.panel.port}/")
    else:
        click.echo("There is an engineer already, who can add people and set passwords in the panel.", err=True)
    sys.exit(FAILED if code is None else 0)


@main.command()
@click.option("--root", type=click.Path(path_type=Path), default=Path(), help="The checkout.")
def docs(root: Path) -> None:
    """Print the computed pages of docs/ anew, in a checkout."""
    from gateway.service import docs as printed

    for name in printed.write(root, main):
        click.echo(name)


# ---- shared ----


def _serve(name: str, site: Site) -> Serve:
    """Return what a service does; only its own rooms are imported, and the kernels' cache is named before they are."""
    unit, _, instance = name.partition("@")
    known = site.grabber if unit == "acquire" else site.serial if unit == "serial" else {"": None}
    if instance not in known:
        raise ConfigError(problem=f"[{'grabber' if unit == 'acquire' else unit}.{instance}] is not in it")
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


@contextmanager
def _spool(site: Site) -> Iterator[tuple[Spool, Clock]]:
    """Open the spool as its owner: root becomes the user that the data belong to."""
    from gateway.service.unit import opened

    if os.geteuid() == 0 and site.data.exists() and (owner := site.data.stat()).st_uid:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
    try:
        with opened(site) as found:
            yield found
    except PermissionError as error:
        problem = f"{error.filename} cannot be opened by {getpass.getuser()}: run this as root, or as its owner"
        raise ConfigError(problem=problem) from error


def _apply(file: Path, numbers: Sequence[int], event: str, text: str = "") -> None:
    from gateway.service.bell import ring

    site, by = config.load(file), f"{getpass.getuser()} (terminal)"
    with _spool(site) as (spool, _):
        for number in numbers:
            state = spool.deliveries.apply(number, event, by=by, text=text)
            click.echo(f"{number} {state}")
    ring(site.run, "forward")


def _describe(device: str, *, as_json: bool) -> None:
    from gateway.device import grabber

    found = grabber.describe(device)
    if as_json:
        _print_json(found)
        return
    click.echo(f"{found.device}: {found.card} ({found.driver}, {found.bus}); {', '.join(found.pixel_formats)}")
    for each in found.inputs:
        kind = "digital timings" if each.has_timings else "analogue standards" if each.has_standards else "fixed"
        click.echo(f"  input {each.index}: {each.name} ({kind})")


def _listen(line: str, profile: str, own: str, seconds: float | None) -> None:
    from gateway import profile as profiles
    from gateway.service import capture as capturing

    settings = profiles.instrument(profile, own).line if profile else profiles.SerialSettings()
    count = capturing.listen(line, settings, click.echo, _stop_on_signals(), seconds)
    click.echo(f"{count} bytes", err=True)
    if not count:
        raise DeviceError(device=line, problem="nothing arrived")


def _cache(file: Path) -> Path:
    return Path(config.load(file).paths.cache) if file.exists() else config.own_cache()


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _print_json(facts: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode())
