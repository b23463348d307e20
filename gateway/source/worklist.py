"""The RIS's worklist to ScheduledSteps: what is ordered around today, for this station and modality.

One question and one answer: keeping the list while the RIS is down, and asking again, are others' work. PS3.4 K.6.1.
"""

from __future__ import annotations

from datetime import date, timedelta

from gateway import config
from gateway.model import ScheduledStep
from gateway.wire.dimse import scu
from gateway.wire.dimse.peer import Peer
from gateway.wire.dimse.worklist import Found, Keys

TIMEOUT_S = 30.0
"""A RIS silent for so long is down."""


def fetch(settings: config.Worklist, calling_ae: str, today: date) -> list[ScheduledStep]:
    """Return what is ordered, in the order of its scheduled start. Raises PeerError."""
    return list(ask(settings, calling_ae, today).steps)


def ask(settings: config.Worklist, calling_ae: str, today: date) -> Found:
    """Return what is ordered, how many items could not be read, and whether there was more. Raises PeerError.

    `calling_ae` is the station's AE title; `today` the date where the box stands.
    """
    found = scu.find_worklist(peer_of(settings, calling_ae), keys(settings, today))
    in_order = sorted(found.steps, key=lambda step: (step.scheduled_start_date, step.scheduled_start_time))
    return Found(steps=tuple(in_order), skipped=found.skipped, is_cut=found.is_cut)


def peer_of(settings: config.Worklist, calling_ae: str) -> Peer:
    """Return whom to call; we call by the worklist's own name for us, else by the station's."""
    return Peer(
        name="The RIS",
        host=settings.host,
        port=settings.port,
        called_ae=settings.called_ae,
        calling_ae=settings.calling_ae or calling_ae,
        timeout_s=TIMEOUT_S,
    )


def keys(settings: config.Worklist, today: date) -> Keys:
    """Return what to ask for around a day."""
    return Keys(
        first_date=f"{today - timedelta(days=settings.days_before):%Y%m%d}",
        last_date=f"{today + timedelta(days=settings.days_after):%Y%m%d}",
        station_ae_title=settings.station_ae_title,
        modality=settings.modality,
        character_set=settings.character_set,
    )
