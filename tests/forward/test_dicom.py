"""A claimed batch to verdicts, with the real spool, real codecs and real receivers."""

import numpy as np
import pytest
from pydicom import dcmread

from gateway import config
from gateway.errors import CodecError, DiskFull
from gateway.forward import dicom, forms
from gateway.objects import verify
from gateway.pixels import codecs
from gateway.service.forward import transcode
from gateway.simulators.pacs import SimulatedPACS
from tests.dicom_files import US, admit, data_set_bytes, image, report
from tests.pacs import storescp

NATIVE = (forms.EXPLICIT, forms.IMPLICIT)


def no_transcoding(source, part, syntax):
    raise AssertionError(f"nobody needs {syntax}")


def sent(peer, spool, convert=transcode):
    """Claim all and send it: {payload: outcome}."""
    batch = {delivery.delivery_id: delivery.payload for delivery in spool.deliveries.claim("pacs", 100)}
    claimed = [spool.deliveries.get(delivery_id) for delivery_id in batch]
    outcomes = list(dicom.send(peer, claimed, spool, convert))
    assert sorted(delivery_id for delivery_id, _ in outcomes) == sorted(batch)
    return {batch[delivery_id]: outcome for delivery_id, outcome in outcomes}


def same_pixels(a, b):
    return verify.same(a, b, codecs.decode)


def test_a_destination_calls_by_its_own_name_for_us():
    here = config.Destination(host="h", port=1, called_ae="PACS", timeout_s=7)
    assert dicom.peer_of("main", here, "BOX").calling_ae == "BOX"
    other = config.Destination(host="h", port=1, called_ae="PACS", calling_ae="LEGACY")
    assert dicom.peer_of("main", other, "BOX").calling_ae == "LEGACY"
    assert (dicom.peer_of("main", here, "BOX").name, dicom.peer_of("main", here, "BOX").timeout_s) == ("main", 7)


def test_a_peer_that_takes_only_what_is_stored_gets_the_stored_bytes(peer, spool, tmp_path):
    image(tmp_path / "ct.dcm")
    instance = admit(spool, tmp_path / "ct.dcm", ["pacs"])
    with SimulatedPACS(peer.port, keep=tmp_path / "in", transfer_syntaxes=(forms.EXPLICIT,)):
        outcomes = sent(peer, spool, no_transcoding)
    assert outcomes[instance.sop_instance_uid].verdict == "accepted"
    kept = tmp_path / "in" / f"{instance.sop_instance_uid}.dcm"
    assert data_set_bytes(kept) == data_set_bytes(tmp_path / "ct.dcm")


@pytest.mark.parametrize("is_color", [False, True])
@pytest.mark.parametrize("stored", [forms.EXPLICIT, forms.IMPLICIT, forms.RLE, forms.JPEG_LS, forms.JPEG_2000])
@pytest.mark.parametrize(
    "taken", [forms.EXPLICIT, forms.IMPLICIT, forms.RLE, forms.JPEG_LS, forms.JPEG_2000, forms.HTJ2K]
)
def test_every_lossless_form_becomes_every_other_with_the_same_pixels(peer, spool, tmp_path, stored, taken, is_color):
    image(tmp_path / "one.dcm", sop_class=US, is_color=is_color, syntax=stored, side=64)
    instance = admit(spool, tmp_path / "one.dcm", ["pacs"])
    with SimulatedPACS(peer.port, keep=tmp_path / "in", transfer_syntaxes=(taken,)) as pacs:
        outcome = sent(peer, spool)[instance.sop_instance_uid]
    assert outcome.verdict == "accepted", outcome.text
    assert [one.transfer_syntax_uid for one in pacs.received] == [taken]
    assert same_pixels(tmp_path / "in" / f"{instance.sop_instance_uid}.dcm", tmp_path / "one.dcm")


def test_the_smallest_accepted_form_goes(peer, spool, tmp_path):
    image(tmp_path / "us.dcm", sop_class=US, is_color=True, side=256)
    admit(spool, tmp_path / "us.dcm", ["pacs"])
    with SimulatedPACS(peer.port) as pacs:
        sent(peer, spool)
    [one] = pacs.received
    assert one.transfer_syntax_uid == forms.HTJ2K
    assert one.size_bytes < (tmp_path / "us.dcm").stat().st_size / 2
    assert not list((spool.data / "parts").iterdir())


def test_a_transcoding_that_saves_nothing_is_not_sent(peer, spool, tmp_path):
    ds = image(tmp_path / "noise.dcm", sop_class=US, is_color=True, side=128)
    ds.PixelData = np.random.default_rng(1).integers(0, 256, 128 * 128 * 3, dtype=np.uint8).tobytes()
    ds.save_as(tmp_path / "noise.dcm", enforce_file_format=True)
    admit(spool, tmp_path / "noise.dcm", ["pacs"])
    with SimulatedPACS(peer.port, transfer_syntaxes=(forms.EXPLICIT, forms.JPEG_LS)) as pacs:
        sent(peer, spool)
    assert pacs.received[0].transfer_syntax_uid == forms.EXPLICIT


def test_what_saves_nothing_is_not_tried_with_every_object_of_a_series(peer, spool, tmp_path):
    tried, savings = [], dicom.Savings()
    for number in range(dicom.Savings.REST + 3):
        ds = image(tmp_path / "noise.dcm", sop_class=US, is_color=True, side=16)
        ds.PixelData = np.random.default_rng(number).integers(0, 256, 16 * 16 * 3, dtype=np.uint8).tobytes()
        ds.save_as(tmp_path / "noise.dcm", enforce_file_format=True)
        admit(spool, tmp_path / "noise.dcm", ["pacs"])

    def counting(source, part, syntax):
        tried.append(syntax)
        transcode(source, part, syntax)

    with SimulatedPACS(peer.port, transfer_syntaxes=(forms.EXPLICIT, forms.JPEG_LS)) as pacs:
        while batch := spool.deliveries.claim("pacs", 20):
            assert len(list(dicom.send(peer, batch, spool, counting, savings=savings))) == len(batch)
    assert tried == [forms.JPEG_LS] * 2, "the first, and one after the rest"
    assert {one.transfer_syntax_uid for one in pacs.received} == {forms.EXPLICIT}


def test_a_form_that_cannot_be_made_gives_way_to_the_next(peer, spool, tmp_path):
    image(tmp_path / "ct.dcm")
    admit(spool, tmp_path / "ct.dcm", ["pacs"])

    def only_rle(source, part, syntax):
        if syntax != forms.RLE:
            raise CodecError(codec=syntax, problem="not today")
        transcode(source, part, syntax)

    with SimulatedPACS(peer.port) as pacs:
        sent(peer, spool, only_rle)
    assert pacs.received[0].transfer_syntax_uid == forms.RLE


def test_without_room_for_a_copy_the_stored_form_goes(peer, spool, tmp_path, monkeypatch):
    image(tmp_path / "ct.dcm")
    admit(spool, tmp_path / "ct.dcm", ["pacs"])
    batch = spool.deliveries.claim("pacs", 9)

    def full(*_, **__):
        raise DiskFull

    monkeypatch.setattr(spool.blobs, "part", full)
    with SimulatedPACS(peer.port) as pacs:
        [(_, outcome)] = dicom.send(peer, batch, spool, transcode)
    assert (outcome.verdict, pacs.received[0].transfer_syntax_uid) == ("accepted", forms.EXPLICIT)


def test_a_lossy_object_goes_as_it_is_or_decompressed_and_still_says_that_it_is_lossy(peer, spool, tmp_path):
    from pydicom.data import get_testdata_file

    path = tmp_path / "lossy.dcm"
    ds = dcmread(get_testdata_file("SC_rgb_small_odd_jpeg.dcm"))
    assert ds.file_meta.TransferSyntaxUID == forms.JPEG_BASELINE
    ds.save_as(path, enforce_file_format=True)
    instance = admit(spool, path, ["pacs"])
    for accepted, came_as in (
        ((forms.JPEG_BASELINE, forms.JPEG_LS, *NATIVE), forms.JPEG_BASELINE),
        ((forms.JPEG_LS, forms.JPEG_2000, *NATIVE), forms.EXPLICIT),
    ):
        with SimulatedPACS(peer.port, keep=tmp_path / "in", transfer_syntaxes=accepted) as pacs:
            [outcome] = [
                o for _, o in dicom.send(peer, spool.deliveries.of_payload(instance.sop_instance_uid), spool, transcode)
            ]
        assert (outcome.verdict, outcome.text) == ("accepted", "")
        assert pacs.received[0].transfer_syntax_uid == came_as
    assert dcmread(tmp_path / "in" / f"{instance.sop_instance_uid}.dcm").LossyImageCompression == "01"


def test_a_lossy_object_is_parked_where_only_other_compressions_are_taken(peer, spool, tmp_path):
    from pydicom.data import get_testdata_file

    path = tmp_path / "lossy.dcm"
    dcmread(get_testdata_file("SC_rgb_small_odd_jpeg.dcm")).save_as(path, enforce_file_format=True)
    instance = admit(spool, path, ["pacs"])
    with SimulatedPACS(peer.port, transfer_syntaxes=(forms.JPEG_LS, forms.JPEG_2000)):
        outcome = sent(peer, spool)[instance.sop_instance_uid]
    assert (outcome.verdict, outcome.error_code) == ("never", "G504")
    assert "JPEG Baseline" in outcome.text


def test_a_report_goes_between_the_plain_syntaxes(peer, spool, tmp_path):
    report(tmp_path / "sr.dcm")
    instance = admit(spool, tmp_path / "sr.dcm", ["pacs"])
    with SimulatedPACS(peer.port, keep=tmp_path / "in", transfer_syntaxes=(forms.IMPLICIT,)):
        assert sent(peer, spool)[instance.sop_instance_uid].verdict == "accepted"
    came = dcmread(tmp_path / "in" / f"{instance.sop_instance_uid}.dcm")
    assert came.to_json_dict() == dcmread(tmp_path / "sr.dcm").to_json_dict()


# ---- bad objects ----


def test_a_corrupt_and_a_missing_blob_are_parked_and_shown_and_the_others_go_on(peer, spool, tmp_path):
    instances = {}
    for name in ("corrupt", "good", "missing"):
        image(tmp_path / f"{name}.dcm", seed=len(name))
        instances[name] = admit(spool, tmp_path / f"{name}.dcm", ["pacs"])
    blob = spool.blobs.path(instances["corrupt"].blob)
    blob.chmod(0o600)
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    spool.blobs.path(instances["missing"].blob).unlink()
    with SimulatedPACS(peer.port, transfer_syntaxes=NATIVE) as pacs:
        outcomes = sent(peer, spool)
    verdicts = {name: outcomes[one.sop_instance_uid] for name, one in instances.items()}
    assert {name: (one.verdict, one.error_code) for name, one in verdicts.items()} == {
        "corrupt": ("never", "G402"),
        "good": ("accepted", ""),
        "missing": ("never", "G407"),
    }
    assert [one.sop_instance_uid for one in pacs.received] == [instances["good"].sop_instance_uid]
    assert {trouble.error_code for trouble in spool.troubles.all()} == {"G402", "G407"}


def test_small_objects_go_before_large_ones(peer, spool, tmp_path):
    sizes = (400, 16, 200, 32)
    for side in sizes:
        image(tmp_path / f"{side}.dcm", side=side)
        admit(spool, tmp_path / f"{side}.dcm", ["pacs"])
    with SimulatedPACS(peer.port, transfer_syntaxes=NATIVE) as pacs:
        sent(peer, spool)
    assert [one.size_bytes for one in pacs.received] == sorted(one.size_bytes for one in pacs.received)


# ---- other people's receivers ----


@pytest.mark.peers
@pytest.mark.parametrize(
    ("option", "came_as"),
    [
        ("+xi", {forms.IMPLICIT}),
        ("+xe", {forms.EXPLICIT}),
        ("+xt", {forms.JPEG_LS}),
        ("+xv", {forms.JPEG_2000}),
        ("+xr", {forms.RLE}),
        ("+xa", {forms.JPEG_2000, forms.HTJ2K}),  # all that it knows: HTJ2K from DCMTK 3.6.9 (Debian 13) on
    ],
)
def test_dcmtk_gets_the_smallest_form_it_takes(peer, spool, tmp_path, option, came_as):
    image(tmp_path / "us.dcm", sop_class=US, is_color=True, side=200)
    admit(spool, tmp_path / "us.dcm", ["pacs"])
    with storescp(tmp_path / "pacs", option, port=peer.port) as folder:
        [outcome] = sent(peer, spool).values()
    assert outcome.verdict == "accepted"
    [came] = folder.iterdir()
    assert dcmread(came).file_meta.TransferSyntaxUID in came_as
    assert same_pixels(came, tmp_path / "us.dcm")
