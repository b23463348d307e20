"""What a modality sends becomes durable rows: once, whole, owed to whom it concerns, and nothing of what was refused."""

import hashlib
import os
import subprocess
import threading
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from pydicom.uid import ImplicitVRLittleEndian, UltrasoundImageStorage

from gateway.clock import SystemClock
from gateway.config import AllowedPeer, Destination, Listen, Paths, Site
from gateway.errors import CallerRefused, ConfigBadValue, LinkCut, ServiceError
from gateway.model import DeliveryState
from gateway.service import listen
from gateway.service.bell import Bell
from gateway.simulators.modality import Modality
from gateway.spool.spool import Spool
from gateway.wire.dimse import acceptor
from tests.flow.arrivals import answers, data_set, echo, files, until, write

PYDICOM_FILES = Path(pydicom.data.__file__).parent / "test_files"
ENCODINGS = {
    "CT_small",
    "ExplVR_BigEnd",
    "JPEG2000",
    "JPEG-lossy",
    "MR_small_RLE",
    "SC_rgb_small_odd_jpeg",
    "image_dfl",
    "test-SR",
    "waveform_ecg",
}
ALL = {
    "PACS": Destination(host="127.0.0.1", called_ae="PACS"),
    "CTONLY": Destination(host="127.0.0.1", called_ae="CTONLY", modalities=("CT",), is_commitment_required=True),
}


@pytest.fixture
def site(tmp_path):
    return _site(tmp_path / "data", tmp_path / "run")


@pytest.fixture
def spool(site):
    with Spool.open(site.data, SystemClock()) as spool:
        yield spool


@pytest.fixture
def reception(site, spool):
    return listen.Reception(site, spool, SystemClock())


@pytest.fixture
def address(site, reception):
    listener = listen.listen(site, reception)
    yield ("127.0.0.1", listener.port)
    listener.stop()


def test_an_object_is_stored_as_it_came_and_owed_to_whom_it_concerns(address, site, spool, tmp_path):
    ct = write(tmp_path / "ct.dcm", "1.2.3")
    us = write(tmp_path / "us.dcm", "1.2.4", modality="US", sop_class=UltrasoundImageStorage, frames=3)
    assert answers(address, ct, us) == ["0000", "0000"]
    for path, uid in ((ct, "1.2.3"), (us, "1.2.4")):
        instance = spool.instances.get(uid)
        stored = spool.blobs.path(instance.blob).read_bytes()
        spool.blobs.verify(instance.blob)
        assert len(stored) == instance.size_bytes
        assert data_set(stored) == data_set(path.read_bytes())
        assert instance.data_digest == hashlib.sha256(data_set(stored)).hexdigest()
        assert (instance.study_instance_uid, instance.series_instance_uid) == ("1.2.1", "1.2.2")
        assert (instance.kind, instance.received_from) == ("received", "MODALITY")
    assert [(one.modality, one.frame_count) for one in spool.instances.received(9)] == [("US", 3), ("CT", 1)]
    assert _owed(spool, "1.2.3") == {"PACS": DeliveryState.QUEUED, "CTONLY": DeliveryState.QUEUED}
    assert _owed(spool, "1.2.4") == {"PACS": DeliveryState.QUEUED}
    assert _leftovers(site) == []


def test_every_kind_of_encoding_is_stored_byte_for_byte(address, spool):
    paths = [path for path in sorted(PYDICOM_FILES.glob("*.dcm")) if path.stem in ENCODINGS]
    assert answers(address, *paths) == ["0000"] * len(paths)
    sent = {data_set(path.read_bytes()) for path in paths}
    received = spool.instances.received(99)
    assert {data_set(spool.blobs.path(one.blob).read_bytes()) for one in received} == sent
    assert len({one.transfer_syntax_uid for one in received}) >= 7


def test_the_same_object_again_is_a_success_and_no_second_row(address, site, spool, tmp_path):
    path = write(tmp_path / "a.dcm", "1.2.3")
    assert answers(address, path, path) == ["0000", "0000"]
    assert Modality(address, calling_ae="OTHER").send([path])[0].answer == "0000"
    assert len(spool.instances.same_uid("1.2.3")) == 1
    assert len(spool.deliveries.of_payload("1.2.3")) == 2
    assert len(_blobs(site)) == 1
    assert _leftovers(site) == []


def test_the_same_object_in_another_transfer_syntax_is_the_same(address, site, spool, tmp_path):
    explicit = write(tmp_path / "a.dcm", "1.2.3")
    implicit = write(tmp_path / "b.dcm", "1.2.3", syntax=ImplicitVRLittleEndian)
    assert answers(address, explicit) == answers(address, implicit) == ["0000"]
    assert len(spool.instances.same_uid("1.2.3")) == len(_blobs(site)) == 1


def test_other_content_under_the_same_uid_is_kept_held_and_shown(address, site, spool, tmp_path):
    paths = [write(tmp_path / f"{seed}.dcm", "1.2.3", seed=seed) for seed in range(3)]
    assert answers(address, *paths, *paths) == ["0000"] * 6
    first, *others = spool.instances.same_uid("1.2.3")
    assert not first.is_held
    assert [(one.variant, one.is_held) for one in others] == [(1, True), (2, True)]
    assert spool.instances.held() == others
    assert set(_owed(spool, "1.2.3#1").values()) == {DeliveryState.HELD}
    assert "held until a person decides" in spool.history.of("1.2.3#1")[0].text
    stored = [spool.blobs.path(one.blob).read_bytes() for one in (first, *others)]
    assert [data_set(one) for one in stored] == [data_set(path.read_bytes()) for path in paths]
    assert len(_blobs(site)) == 3


def test_the_same_object_from_many_at_once_is_stored_once(address, site, spool, tmp_path):
    paths = [write(tmp_path / f"{number}.dcm", f"1.2.3.{number}") for number in range(4)]
    many = [Modality(address, calling_ae=f"CT{number}") for number in range(6)]
    threads = [threading.Thread(target=one.send, args=(paths,)) for one in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen.answer for one in many for seen in one.seen] == ["0000"] * 24
    assert [len(spool.instances.same_uid(f"1.2.3.{number}")) for number in range(4)] == [1] * 4
    assert len(_blobs(site)) == 4
    assert _leftovers(site) == []


def test_an_object_that_was_delivered_and_purged_is_owed_again_when_it_comes_again(address, spool, tmp_path):
    path = write(tmp_path / "a.dcm", "1.2.3")
    assert answers(address, path) == ["0000"]
    for delivery in spool.deliveries.of_payload("1.2.3"):
        spool.deliveries.apply(delivery.delivery_id, "cancel", by="Ada")
    spool.instances.discard("1.2.3", "Ada")
    spool.instances.purge("1.2.3")
    assert not spool.instances.is_here("1.2.3")
    assert answers(address, path) == ["0000"]
    assert spool.instances.is_here("1.2.3")
    spool.blobs.verify(spool.instances.get("1.2.3").blob)
    assert DeliveryState.QUEUED in _owed(spool, "1.2.3").values()


def test_what_is_not_what_was_announced_is_refused_and_leaves_nothing(address, site, spool, tmp_path):
    other = write(tmp_path / "a.dcm", "1.2.3")
    data = other.read_bytes()
    other.write_bytes(data.replace(b"1.2.3\0", b"1.2.9\0", 1))
    garbage = write(tmp_path / "b.dcm", "1.2.5")
    data = garbage.read_bytes()
    garbage.write_bytes(data[: len(data) - len(data_set(data))] + b"\xff" * 3000)
    cut = write(tmp_path / "c.dcm", "1.2.6")
    cut.write_bytes(cut.read_bytes()[:400])
    assert answers(address, other, garbage, cut) == ["A900", "C000", "C000"]
    assert (_blobs(site), _leftovers(site), spool.instances.received(9)) == ([], [], [])


def test_identity_is_found_behind_a_long_private_element(address, spool, tmp_path):
    path = write(tmp_path / "a.dcm", "1.2.3", private_bytes=300_000, frames=2)
    assert answers(address, path) == ["0000"]
    instance = spool.instances.get("1.2.3")
    assert (instance.study_instance_uid, instance.modality, instance.frame_count) == ("1.2.1", "CT", 2)


@pytest.mark.parametrize("fault", "crbqgulhmz")
def test_a_broken_link_leaves_no_part_and_no_row(address, site, spool, tmp_path, fault):
    paths = [write(tmp_path / f"{number}.dcm", f"1.2.3.{number}", rows=300) for number in range(3)]
    Modality(address, script=f".{fault}.").send(paths)
    until(lambda: _leftovers(site) == [])
    assert sorted(one.sop_instance_uid for one in spool.instances.received(9)) == ["1.2.3.0", "1.2.3.2"]
    assert len(_blobs(site)) == 2


def test_trouble_on_the_wire_is_shown_but_not_a_hundred_times(reception, spool):
    for _ in range(100):
        reception.notice(CallerRefused(peer="STRANGER", address="10.0.0.9", problem="not on the list"))
    reception.notice(LinkCut(peer="CT1 (10.0.0.1)", problem="reset"))
    assert [entry.event for entry in spool.history.of("listen")] == ["G512", "G513"]
    assert "STRANGER (10.0.0.9)" in spool.history.of("listen")[0].text


def test_what_was_not_shown_is_counted_and_many_names_are_one():
    now = [0.0]
    notices = listen.Notices(lambda: now[0])
    error = CallerRefused(peer="A", address="10.0.0.9", problem="x")
    assert notices.say(error)
    assert [notices.say(error) for _ in range(5)] == [""] * 5
    now[0] = 61.0
    assert "5 more" in notices.say(error)
    scanner = [notices.say(CallerRefused(peer=f"P{n}", address="10.0.0.9", problem="x")) for n in range(1000)]
    assert sum(map(bool, scanner)) < 70


def test_only_the_listed_title_at_the_listed_address_may_send():
    allow = {
        "ct": AllowedPeer(ae_title="CT1", address="10.1.2.3"),
        "ward": AllowedPeer(ae_title="US1", address="10.2.0.0/16"),
        "six": AllowedPeer(ae_title="MR1", address="fd00::/8"),
    }
    is_allowed = listen.allow_list(Listen(allow=allow))
    assert is_allowed("CT1", "10.1.2.3")
    assert is_allowed("CT1", "::ffff:10.1.2.3")
    assert is_allowed("US1", "10.2.200.1")
    assert is_allowed("MR1", "fd00::1")
    assert not is_allowed("CT1", "10.1.2.4")
    assert not is_allowed("US1", "10.1.2.3")
    assert not is_allowed("us1", "10.2.0.1")
    assert not listen.allow_list(Listen())("CT1", "127.0.0.1")
    assert listen.allow_list(Listen(is_open_to_all=True))("ANY", "192.0.2.1")


def test_a_bad_address_in_the_list_is_named():
    with pytest.raises(ConfigBadValue) as caught:
        listen.allow_list(Listen(allow={"ct": AllowedPeer(ae_title="CT1", address="10.1.2.x")}))
    assert "listen.allow.ct.address" in str(caught.value)


def test_the_unit_serves_until_it_is_told_to_stop(site, spool, tmp_path, free_port):
    site = _site(site.data, site.run, port=free_port)
    stop = threading.Event()
    with Bell(site.run, "listen") as bell:
        unit = threading.Thread(target=listen.serve, args=(site, spool, SystemClock(), stop, bell))
        unit.start()
        until(lambda: echo(free_port) == "0000")
        assert answers(("127.0.0.1", free_port), write(tmp_path / "a.dcm", "1.2.3")) == ["0000"]
        with pytest.raises(ServiceError):
            listen.listen(site, listen.Reception(site, spool, SystemClock()))
        stop.set()
        bell.ring_self()
        unit.join(10)
    assert not unit.is_alive()
    assert echo(free_port) == "refused"


def test_a_disk_that_is_full_refuses_for_the_moment_and_leaves_nothing(tiny_disk, tmp_path):
    site = _site(tiny_disk, tmp_path / "run")
    small = [write(tmp_path / f"{number}.dcm", f"1.2.3.{number}", rows=512) for number in range(2)]
    big = write(tmp_path / "big.dcm", "1.2.4", rows=4096)
    with Spool.open(site.data, SystemClock(), keep_free_bytes=1 << 20) as spool:
        listener = listen.listen(site, listen.Reception(site, spool, SystemClock()))
        try:
            seen = answers(("127.0.0.1", listener.port), small[0], big, small[1])
            assert seen == ["0000", "A700", "0000"]
            assert (len(_blobs(site)), _leftovers(site)) == (2, [])
            fill = _fill(tiny_disk)
            assert answers(("127.0.0.1", listener.port), big, small[0]) == ["A700", "A700"]
            fill.unlink()
            assert answers(("127.0.0.1", listener.port), small[0]) == ["0000"]
            assert (len(_blobs(site)), _leftovers(site)) == (2, [])
            assert spool.integrity() == []
        finally:
            listener.stop()


def test_a_disk_that_fills_under_an_object_gives_a700_without_the_quota_too(tiny_disk, tmp_path, monkeypatch):
    """The quota may be wrong (another program writes): the kernel's ENOSPC must end the same way."""
    from gateway.spool import quota

    monkeypatch.setattr(quota.Quota, "change", lambda *_args, **_kwargs: None)
    site = _site(tiny_disk, tmp_path / "run")
    big = write(tmp_path / "big.dcm", "1.2.4", rows=4096)
    small = write(tmp_path / "small.dcm", "1.2.3")
    with Spool.open(site.data, SystemClock()) as spool:
        listener = listen.listen(site, listen.Reception(site, spool, SystemClock()))
        try:
            assert answers(("127.0.0.1", listener.port), big, small) == ["A700", "0000"]
            assert (len(_blobs(site)), _leftovers(site)) == (1, [])
        finally:
            listener.stop()


def test_the_answer_is_written_after_file_name_and_row_are_durable(address, site, spool, tmp_path, monkeypatch):
    steps = []
    fsync, rename, response = os.fsync, Path.rename, acceptor._Message.response

    def watched_fsync(fd):
        fsync(fd)
        steps.append(("fsync", Path(f"/proc/self/fd/{fd}").readlink()))

    def watched_rename(path, target):
        steps.append(("rename", Path(target)))
        return rename(path, target)

    def watched_response(message):
        with Spool.open(site.data, SystemClock()) as other:
            steps.append(("answer", len(other.deliveries.of_payload("1.2.3"))))
        return response(message)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "rename", watched_rename)
    monkeypatch.setattr(acceptor._Message, "response", watched_response)
    assert answers(address, write(tmp_path / "a.dcm", "1.2.3")) == ["0000"]
    blob = spool.blobs.path(spool.instances.get("1.2.3").blob)
    part = steps[0][1]
    assert part.suffix == ".part"
    assert steps == [("fsync", part), ("rename", blob), ("fsync", blob.parent), ("answer", 2)]


# ---- the world around ----


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 24 MiB."""
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def _site(data, run, *, port=0):
    settings = Listen(host="127.0.0.1", port=port, is_open_to_all=True)
    return Site(paths=Paths(data=str(data), run=str(run)), destination=ALL, listen=settings)


def _owed(spool, payload):
    return {delivery.destination: delivery.state for delivery in spool.deliveries.of_payload(payload)}


def _blobs(site):
    return files(site.data / "blobs")


def _leftovers(site):
    return files(site.data / "parts")


def _fill(folder):
    """Take the last byte of a file system."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path
