"""Every kind of object that the gateway makes is one that it offers, and that arrives at a PACS as it was written."""

from contextlib import nullcontext

from gateway.forward import forms
from gateway.objects import iods, peek, verify
from gateway.simulators.pacs import SimulatedPACS
from gateway.wire.dimse import names, negotiation, scu
from gateway.wire.dimse.peer import Peer
from tests.objects import samples


def test_every_class_is_storage_and_those_with_pixels_are_images():
    assert all(negotiation.is_storage(iod.sop_class_uid) for iod in iods.ALL)
    with_pixels = [iod.sop_class_uid for iod in iods.ALL if iod.of_picture]
    assert [iod.sop_class_uid for iod in iods.ALL if names.is_image(iod.sop_class_uid)] == with_pixels


def test_every_kind_of_object_arrives_as_it_was_written(tmp_path, saved, free_port):
    sent = [(name, saved(data)) for name, data in samples.every_object()]
    peeked = [peek.read(path) for _, path in sent]
    offers = [
        scu.Offer(one.sop_class_uid, forms.offered(one.transfer_syntax_uid, is_image=names.is_image(one.sop_class_uid)))
        for one in peeked
    ]
    peer = Peer(name="pacs", host="127.0.0.1", port=free_port, called_ae="PACS", calling_ae="GATEWAY", timeout_s=10)
    arrived = []
    with SimulatedPACS(free_port, keep=tmp_path):
        for index, outcome in scu.store(peer, offers, lambda index, _accepted: nullcontext(sent[index][1])):
            name, path = sent[index]
            assert outcome.verdict == "accepted", name
            assert verify.same(path, tmp_path / f"{peeked[index].sop_instance_uid}.dcm", samples.decode), name
            arrived.append(name)
    assert sorted(arrived) == sorted(name for name, _ in sent)
