"""Blobs: durable in the right order, or gone."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import BlobCorrupt, BlobMissing, WrongState
from gateway.spool.spool import Spool
from tests.spool.world import admit, instance


def test_a_blob_lies_under_its_digest(spool):
    with spool.blobs.part() as part:
        part.write(b"abc")
        assert part.path.suffix == ".part"
        digest, size = part.commit()
        assert part.path == spool.blobs.path(digest)
    assert (digest, size) == (hashlib.sha256(b"abc").hexdigest(), 3)
    assert spool.blobs.path(digest).read_bytes() == b"abc"
    spool.blobs.verify(digest)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200_000), max_size=8))
def test_the_digest_is_that_of_the_bytes_however_they_come(spool, pieces):
    with spool.blobs.part() as part:
        for piece in pieces:
            part.write(memoryview(piece))
        digest, size = part.commit()
    whole = b"".join(pieces)
    assert (digest, size) == (hashlib.sha256(whole).hexdigest(), len(whole))
    assert spool.blobs.path(digest).read_bytes() == whole


def test_what_was_not_committed_is_gone(spool, data):
    with spool.blobs.part() as part:
        part.write(b"abc")
    with pytest.raises(ZeroDivisionError), spool.blobs.part() as part:
        part.write(b"abc")
        raise ZeroDivisionError
    assert list((data / "parts").iterdir()) == []
    assert list(spool.blobs.all()) == []


def test_what_was_committed_but_not_admitted_for_an_error_is_gone(spool):
    with pytest.raises(ZeroDivisionError), spool.blobs.part() as part:
        part.write(b"abc")
        part.commit()
        raise ZeroDivisionError
    assert list(spool.blobs.all()) == []


def test_an_error_of_one_writer_does_not_take_the_blob_of_another(spool):
    admit(spool, "1.2", data=b"shared")
    with pytest.raises(ZeroDivisionError), spool.blobs.part() as part:
        part.write(b"shared")
        digest, _ = part.commit()
        raise ZeroDivisionError
    spool.blobs.verify(digest)


def test_the_same_bytes_twice_are_one_blob(spool):
    digests = set()
    for _ in range(2):
        with spool.blobs.part() as part:
            part.write(b"abc")
            digests.add(part.commit()[0])
    assert list(spool.blobs.all()) == list(digests)


def test_a_part_is_committed_once(spool):
    with spool.blobs.part() as part:
        part.commit()
        with pytest.raises(WrongState):
            part.commit()


def test_a_changed_or_missing_blob_is_named(spool):
    made = admit(spool, "1.2", data=b"abc")
    spool.blobs.path(made.blob).write_bytes(b"abd")
    with pytest.raises(BlobCorrupt):
        spool.blobs.verify(made.blob)
    spool.blobs.remove(made.blob)
    with pytest.raises(BlobMissing):
        spool.blobs.verify(made.blob)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "g" * 64, "A" * 64, "a" * 63])
def test_what_is_no_digest_leads_nowhere(spool, digest):
    with pytest.raises(BlobMissing):
        spool.blobs.path(digest)


def test_the_order_is_write_sync_rename_sync_the_folder_and_only_then_the_row(spool, monkeypatch):
    """Law 1, as a power cut would see it."""
    seen = []

    def watch(owner, name, word):
        real = getattr(owner, name)

        def watched(*args, **kwargs):
            seen.append(word(*args))
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    watch(os, "write", lambda fd, data: f"write {_kind(fd)}")
    watch(os, "fsync", lambda fd: f"sync {_kind(fd)}")
    watch(Path, "rename", lambda path, target: "rename")
    session = spool._store._session().db
    watch(type(session), "execute", lambda db, sql, *_: sql.split()[0])
    with spool.blobs.part() as part:
        part.write(b"abc")
        digest, _ = part.commit()
        spool.instances.admit(instance("1.2", b"abc"), ["pacs"])
    order = [word for word in seen if word.split()[0] in {"write", "sync", "rename", "COMMIT", "BEGIN"}]
    assert order == ["write file", "sync file", "rename", "sync folder", "BEGIN", "COMMIT"]
    assert digest == hashlib.sha256(b"abc").hexdigest()


def test_the_folders_are_made_before_they_are_needed(spool, data):
    assert len(list((data / "blobs").iterdir())) == 256


def test_a_part_is_never_in_the_temporary_folder(spool, data, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    with spool.blobs.part() as part:
        part.write(b"abc")
        assert part.path.parent == data / "parts"
        assert part.path.stat().st_dev == (data / "blobs").stat().st_dev


def test_recovery_leaves_a_living_writer_alone(spool, data, clock):
    with spool.blobs.part() as part, Spool.open(data, clock) as other:
        part.write(b"abc")
        assert other.recover().parts == 0
        digest, _ = part.commit()
        recovered = other.recover()
        assert recovered.quarantined == 0, "it is about to be admitted"
        spool.instances.admit(instance("1.2", b"abc"), ["pacs"])
    spool.blobs.verify(digest)


def _kind(fd):
    import stat

    return "folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"
