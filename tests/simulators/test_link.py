"""The bad link carries every byte, late and slowly, until it is cut."""

import socket
import threading
import time

import pytest

from gateway.simulators.link import BadLink


@pytest.fixture
def echo_port(free_port):
    """A server that sends back whatever comes."""
    server = socket.create_server(("127.0.0.1", free_port))

    def serve():
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=_echo, args=(sock,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield free_port
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def _echo(sock):
    with sock:
        try:
            while data := sock.recv(65536):
                sock.sendall(data)
        except OSError:
            return


def round_trip(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        threading.Thread(target=sock.sendall, args=(data,), daemon=True).start()
        got = bytearray()
        while len(got) < len(data):
            piece = sock.recv(65536)
            if not piece:
                break
            got += piece
        return bytes(got)


def test_it_carries_every_byte_both_ways(echo_port, free_ports):
    data = bytes(range(256)) * 2000
    [port] = free_ports(1)
    with BadLink(port, echo_port) as link:
        assert round_trip(port, data) == data
    assert (link.sent_bytes, link.returned_bytes, link.connections) == (len(data), len(data), 1)


def test_it_delays_without_narrowing(echo_port, free_ports):
    data = bytes(200_000)  # many pieces: were each delayed by itself, it would take ten times as long
    [port] = free_ports(1)
    with BadLink(port, echo_port, delay_s=0.2):
        begun = time.monotonic()
        assert round_trip(port, data) == data
        took_s = time.monotonic() - begun
    assert 0.4 <= took_s < 0.2 * len(data) / 4096


def test_it_is_as_narrow_as_it_is_told(echo_port, free_ports):
    data = bytes(100_000)
    [port] = free_ports(1)
    with BadLink(port, echo_port, rate_bytes_s=200_000):
        begun = time.monotonic()
        assert round_trip(port, data) == data
        assert time.monotonic() - begun >= 0.4


def test_it_is_cut_after_so_many_bytes(echo_port, free_ports):
    [port] = free_ports(1)
    with BadLink(port, echo_port, cut_after_bytes=50_000) as link:
        with pytest.raises(ConnectionResetError):
            round_trip(port, bytes(100_000))
        assert link.sent_bytes <= 50_000


def test_a_cut_resets_what_is_open_and_lets_the_next_through(echo_port, free_ports):
    [port] = free_ports(1)
    with BadLink(port, echo_port) as link:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(b"hello")
            assert sock.recv(5) == b"hello"
            link.cut()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert round_trip(port, b"again") == b"again"


def test_what_is_swallowed_is_gone_and_nobody_is_told(echo_port, free_ports):
    [port] = free_ports(1)
    with BadLink(port, echo_port) as link:
        link.swallow_after_bytes = 0
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as sock:
            sock.sendall(b"hello")
            with pytest.raises(TimeoutError):
                sock.recv(1)


def test_a_link_to_nowhere_resets(free_ports):
    port, nowhere = free_ports(2)
    with BadLink(port, nowhere), pytest.raises(ConnectionResetError):
        socket.create_connection(("127.0.0.1", port), timeout=5).recv(1)
