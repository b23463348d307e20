"""Counts of the spool and the state of the box to Prometheus' text format: no patient, no exam, no UID.

For an engineer, or for a scraper on this box itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from werkzeug.wrappers import Response

from gateway.model import Signal, StationStatus
from gateway.panel import health, instruments, looks
from gateway.panel.box import Box, box
from gateway.spool import live

views = Blueprint("metrics", __name__)


class Figures(Collector):
    """What one scrape says, read from the box at that moment."""

    def __init__(self, of: Box) -> None:
        """Keep the box."""
        self._box = of

    def collect(self) -> Iterator[Metric]:
        """Read everything."""
        yield from _queue(self._box)
        yield from _room(self._box)
        yield from _sources(self._box)
        yield from _ports(self._box)
        yield from _state(self._box)


@views.get("/metrics")
def figures() -> Response:
    """Answer one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(box()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _queue(of: Box) -> Iterator[Metric]:
    counts = GaugeMetricFamily("gateway_deliveries", "Deliveries.", labels=["destination", "state"])
    success = GaugeMetricFamily(
        "gateway_destination_last_success_timestamp_seconds", "When it last took an object.", labels=["destination"]
    )
    for destination, states in of.spool.deliveries.counts().items():
        for state, count in states.items():
            counts.add_metric([destination, state.lower()], count)
        if last := of.spool.deliveries.last_success(destination):
            success.add_metric([destination], last.timestamp())
    yield counts
    yield success


def _room(of: Box) -> Iterator[Metric]:
    room = of.spool.quota.room()
    yield GaugeMetricFamily("gateway_disk_free_bytes", "Room left for new work.", room.free_bytes)
    yield GaugeMetricFamily("gateway_disk_bytes", "Size of the data partition.", room.total_bytes)
    yield GaugeMetricFamily("gateway_disk_is_low", "1: new work is refused.", int(room.is_low))


def _sources(of: Box) -> Iterator[Metric]:
    signals = GaugeMetricFamily("gateway_signal", "1 for the state it is in.", labels=["station", "signal"])
    for name in of.site.grabber:
        seen = looks.station(name).signal
        for signal in Signal:
            signals.add_metric([name, signal.lower()], int(signal is seen))
    yield signals
    yield from _pictures([status for name in of.site.grabber if (status := live.read_status(of.site.run, name))])


def _pictures(said: list[StationStatus]) -> Iterator[Metric]:
    """What each acquire counted since it started, and the memory of its last seconds."""
    frames = CounterMetricFamily("gateway_frames", "Pictures that came whole.", labels=["station"])
    lost = CounterMetricFamily("gateway_frames_lost", "Pictures lost, by kind.", labels=["station", "why"])
    twice = CounterMetricFamily("gateway_frames_repeated", "Buffers that came twice.", labels=["station"])
    edges = CounterMetricFamily("gateway_signal_edges", "Times a state was entered.", labels=["station", "signal"])
    memory = GaugeMetricFamily("gateway_ring_bytes", "Memory of the last seconds, at most.", labels=["station"])
    reach = GaugeMetricFamily("gateway_ring_seconds", "How far back they reach when full.", labels=["station"])
    for status in said:
        frames.add_metric([status.station], status.frames)
        for why, count in {"dropped": status.dropped, **status.faults}.items():
            lost.add_metric([status.station, why], count)
        twice.add_metric([status.station], status.duplicated)
        for signal, count in status.edges.items():
            edges.add_metric([status.station, signal.lower()], count)
        memory.add_metric([status.station], status.ring_bytes)
        reach.add_metric([status.station], status.ring_s)
    yield from (frames, lost, twice, edges, memory, reach)


def _ports(of: Box) -> Iterator[Metric]:
    """What each serial service counted since it started."""
    is_open = GaugeMetricFamily("gateway_port_open", "1: the line is open.", labels=["port"])
    sets = CounterMetricFamily("gateway_port_readings", "Sets of readings.", labels=["port"])
    wrong = CounterMetricFamily("gateway_port_errors", "What was wrong, by kind.", labels=["port", "kind"])
    for name in instruments.heard_ports():
        status = instruments.port(name).status
        is_open.add_metric([name], int(status is not None and status.is_open))
        if status is None:
            continue
        sets.add_metric([name], status.sets)
        for kind in ("unreadable", "framing_errors", "parity_errors", "overruns"):
            wrong.add_metric([name, kind], getattr(status, kind))
    yield from (is_open, sets, wrong)
    yield GaugeMetricFamily("gateway_readings_waiting", "Readings without an exam.", of.spool.inbox.count())


def _state(of: Box) -> Iterator[Metric]:
    up = GaugeMetricFamily("gateway_service_up", "1: the program runs.", labels=["service"])
    for service in health.services(of.site):
        up.add_metric([service], int(health.is_running(of.site.data, service)))
    yield up
    yield GaugeMetricFamily("gateway_clock_is_trusted", "1: the wall clock is believed.", int(not of.clock.doubt()))
    yield GaugeMetricFamily("gateway_exams_in_progress", "Exams in progress.", len(of.spool.exams.all_running()))
    yield GaugeMetricFamily("gateway_troubles", "What is wrong with what is stored.", len(of.spool.troubles.all()))
    if fetched := of.spool.worklist.fetched():
        yield GaugeMetricFamily(
            "gateway_worklist_fetched_timestamp_seconds", "When the RIS last answered.", fetched.timestamp()
        )
