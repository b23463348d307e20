"""What the code says of itself to the pages of docs/ that are printed, never written: a test fails when one is stale.

The reference of the configuration and of profiles comes from the structs (reference.py), the errors from their classes,
the states from their table, the commands from click, the conformance statement from what composes, negotiates and judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway import errors, profile
from gateway.service import reference

if TYPE_CHECKING:
    import click

PRINTED: Final = "Printed by `gateway docs`; a test fails when this page is stale."
WIDTH: Final = 100
ROOMS: Final = {
    "0": "Not named yet",
    "1": "Configuration and clock",
    "2": "Devices and sources",
    "3": "Pixels and objects",
    "4": "Spool",
    "5": "Wire and delivery",
    "6": "Exam and panel",
    "7": "Services",
}
RETRIES: Final = {"now": "at once", "later": "by itself, later", "never": "no"}


def pages(commands: click.Group) -> dict[str, str]:
    """Return every printed page, by its path in the project; `commands` is the command `gateway`."""
    from gateway.device import edid
    from gateway.spool import states

    return {
        "docs/configuration.md": configuration(),
        "docs/profiles.md": profiles(),
        "docs/errors.md": errors_page(),
        "docs/hardware.md": hardware(),
        "docs/cli.md": command_line(commands),
        "docs/states.md": states.as_markdown(),
        "docs/conformance.md": conformance(),
        "firmware-config/etc/gateway/gateway.toml": reference.example(),
        **{f"firmware-config{edid.FOLDER}/{name}.hex": edid.as_hex(name) for name in edid.SINKS},
    }


def write(root: Path, commands: click.Group) -> list[str]:
    """Write the pages that are not as they must be; return their paths."""
    printed = pages(commands)
    stale = [name for name, text in printed.items() if not _is_fresh(root / name, text)]
    for name in stale:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(printed[name], encoding="utf-8")
    return stale


def configuration() -> str:
    """Return the reference of every key of gateway.toml."""
    return _page(
        "Configuration",
        """Read in this order, later over earlier, table by table: `/etc/gateway/gateway.toml` (or `--config`, or
`$GATEWAY_CONFIG`), `conf.d/*.toml` beside it, and `<data>/conf.d/*.toml`, which the panel writes. `gateway check` finds
every mistake; `gateway config --changes` prints what this site changed. A mistake in the first two stops the box with a
sentence; a file of the panel that is damaged is left out, its last good copy is used, and Health says so.""",
        reference.configuration(),
    )


def profiles() -> str:
    """Return the reference of every key of the files in hw/."""
    return _page(
        "Profiles",
        """One TOML file each, in a site's own folder (`paths.profiles`) or in the shipped `hw/`, whose README says how to
add one in an evening.""",
        reference.profiles(),
    )


def errors_page() -> str:
    """Return every error by its code: what is said, what to do, who must act, and whether it is tried again."""
    lines: list[str] = []
    room = ""
    for code, error in errors.by_code().items():
        if error.__module__ != errors.__name__:
            continue
        if code[1] != room:
            room = code[1]
            lines += ["", f"## G{room} {ROOMS[room]}", ""]
            lines += ["| code | what is said | what to do | who acts | tried again |", "|---|---|---|---|---|"]
        name, again = f"{code} `{error.__name__}`", RETRIES[error.retry]
        lines.append(f"| {name} | {error.sentence()} | {error.hint} | {error.act} | {again} |")
    return _page(
        "Errors",
        """Every sentence that the gateway says when something fails, by its code: a code is never used twice. `{names}`
stand for facts; a fact is never a patient's name, birth date, ID or accession number.""",
        "\n".join(lines).lstrip(),
    )


def hardware() -> str:
    """Return what a video device may deliver, and what a foot may press."""
    from gateway.device import edid, negotiate
    from gateway.device import formats as video_formats

    formats = "\n".join(f"- `{fourcc}`" for fourcc in video_formats.READABLE)
    standards = "\n".join(f'- `"{name}"`' for name, _ in negotiate.ANALOGUE)
    return _page(
        "Hardware",
        """Any video device of Linux (V4L2) that captures into mapped buffers. What it offers: `gateway capture --device
/dev/videoN --list`. How to describe what stands behind it: [hw/README.md](../hw/README.md).""",
        f"""## Pixel formats that are read

Fourccs, as `input.pixel_formats` of a profile names them; any other is refused by name.

{formats}

## Standards

As `input.standards` of a profile names them. Analogue:

{standards}

Digital: `"1920x1080p60"`, `"1280x720p50"`, `"1920x1080i50"` and so on, the rate rounded (59.94 is p60); or `"any"`.

## Pedals and foot switches

`[trigger.NAME]` of the configuration. Any pedal or keyboard on USB serves: `/dev/gateway/pedal-...`, a board of several with the
keys of each (`evtest` shows their names). A plain foot switch goes between RTS (or DTR) and CTS, DSR, DCD or RI of a serial
port that no instrument uses; the port feeds it. Both may be pulled out and plugged in again at any time.

## EDID

`edid` of `[grabber.NAME]`, for receivers whose driver takes one: {", ".join(f"`{name}`" for name in edid.SINKS)}; or a path.

## Modality profiles

In `hw/modalities/`: each says what is known from public sources, and what the installer must confirm.

| profile | what it is for | connector | objects (still, film) |
|---|---|---|---|
{_modalities()}

## Serial ports

Any serial port of Linux; `/dev/gateway/serial-...` names one by the socket it is plugged into, so an adapter that is replaced keeps its
name. Nobody else can open it while the gateway has it, and who has it is named. `gateway serial detect DEVICE` listens at one setting
after another and says which baud, parity and instrument it heard (`--ask` for those that only answer): let the instrument print
every second or so, and it takes about a minute at most. It is sure of the instrument where whole records are read; 1 or 2 stop bits
cannot be told apart by listening. Where `stty` shows no parity (an adapter that has none), `7E1` cannot be used.

What is damaged on the way (parity, framing, a break) is counted, keeps its place in the journal as the byte 1Ah, and is never part of a
value unless a checksum says that all is well. The kernel has to be told by the driver which character it was: 16550s, FT232, PL2303
and newer CP210x say so; CDC ACM only counts, and CH340 says nothing: take one of the first for an instrument without checksums.

`handshake`: RTS/CTS and XON/XOFF are the kernel's; with `dtr/dsr` the gateway raises DTR while it listens, and waits for DSR before
it sends. `duplex = "half"`: it sends only after a pause of the instrument. What the instrument does not take within a second is not sent, and said.

### What becomes of what a port hears

Every byte is in the journal of its port (`<data>/serial/<port>/<day>.journal`, with arrival times) before anyone reads it, and on the disk
before it is answered or kept. It stays `spool.journal_days` days, and at most `spool.journal_mb` for each port: the oldest days go first,
never one that was not turned into readings yet. `gateway serial replay` reads it once more, with today's parser.

A reading belongs to the exam in progress at its station (`serial.NAME.station`), if that was in progress from its first byte to its last.
Any other printed reading waits in the inbox, on the panel and in `gateway serial inbox`, until a person gives it to an exam, which may
have ended, or discards it. It keeps its time. Nothing is guessed from a name or number that the instrument may have. What was decided
stays visible for `spool.retention_days`. The same print once more within `reprint_minutes` is a reprint and makes no second object.

An instrument that streams (`collect_s`) makes one set of objects in so many seconds. An exam that begins or ends at its station ends the
interval, so that no object is of two patients, and so does a new day; without an exam a stream is shown and journalled only, and never waits in the inbox.

After a power cut the service reads on in the journal where it was: what was complete and not kept is kept then, once, in the exam that
still runs if it came during that one, otherwise in the inbox. On a full disk nothing is answered, what arrives waits in memory and then on
the line, and the history of the port says so.

## Serial instruments

In `hw/instruments/`: where each protocol was read, what was held against a published example, and what was not. A patient's name
or number that an instrument sends is never used: the exam in progress at its port says who it is.

{_instruments()}
""",
    )


def _modalities() -> str:
    found = [profile.modality(name) for name in profile.names("modalities")]
    return "\n".join(
        f"| `{each.name}` | {each.title} | {each.input.connector} | {each.object.modality}: {each.object.still}, {each.object.cine} |"
        for each in found
    )


def _instruments() -> str:
    return "\n\n".join(
        "\n".join(
            [
                f"### {each.title}",
                "",
                f"`{each.name}`, dialect `{each.kind}`, as shipped {_line(each.line)}.",
                "",
                "Read from:",
                *(f"- {source}" for source in each.sources),
                "",
                "To confirm:",
                *(f"- {what}" for what in each.confirm),
            ]
        )
        for each in map(profile.instrument, profile.names("instruments"))
    )


def _line(line: profile.SerialSettings) -> str:
    handshake = "" if line.handshake == "none" else f", {line.handshake}"
    duplex = "" if line.duplex == "full" else f", {line.duplex} duplex"
    return f"{line.baud} baud {line.data_bits}{line.parity}{line.stop_bits}{handshake}{duplex}"


def command_line(commands: click.Group) -> str:
    """Return the help of every command."""
    text = "\n".join(_help(commands, "gateway", None))
    return _page("Commands", "What a person types. `--json` is on everything that prints facts.", text)


def _help(command: click.Command, name: str, above: click.Context | None) -> Iterator[str]:
    import click

    context = click.Context(command, info_name=name, parent=above, terminal_width=WIDTH, max_content_width=WIDTH)
    yield from (f"## {context.command_path}", "", "```", command.get_help(context), "```", "")
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            yield from _help(command.commands[inner], inner, context)


def conformance() -> str:
    """Return the DICOM conformance statement (PS3.2 annex A)."""
    from gateway.objects import statement as of_objects
    from gateway.wire.dimse import statement as of_network

    return _page(
        "DICOM conformance statement",
        """The gateway makes objects from the video and the serial lines of a modality, receives objects from modalities
that speak DICOM, keeps both, and delivers them. It asks a RIS for the worklist.""",
        "\n".join((of_network.as_markdown(), *_forms(), of_objects.as_markdown())),
    )


def _page(title: str, words: str, body: str) -> str:
    return f"# {title}\n\n{PRINTED}\n\n{words}\n\n{body.rstrip()}\n"


def _is_fresh(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _forms() -> Iterator[str]:
    from gateway.forward import forms
    from gateway.wire.dimse import names

    yield from ("### Forms of an object", "", "An image that is stored in the first column is offered in:", "")
    yield from ("| stored | offered, fewest bytes first |", "|---|---|")
    for stored in (*forms.SHARE, forms.JPEG_BASELINE, forms.JPEG_2000_LOSSY):
        offered = forms.in_order(stored, forms.offered(stored, is_image=True))
        yield f"| {names.name(stored)} | {', '.join(names.name(uid) for uid in offered)} |"
    yield ""
