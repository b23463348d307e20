"""Objects that a modality sends, and the unit `listen` as a process of its own: for the flow and the crash tests."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from gateway.simulators.modality import Modality


def write(
    path,
    uid,
    *,
    modality="CT",
    sop_class=CTImageStorage,
    syntax=ExplicitVRLittleEndian,
    seed=0,
    rows=64,
    frames=0,
    private_bytes=0,
):
    """Write one valid-enough object; `rows` squared 16-bit noise for each frame."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = sop_class, uid, modality
    ds.PatientName, ds.PatientID = "Test^Only", "T1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.1", "1.2.2"
    ds.Rows = ds.Columns = rows
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    if frames:
        ds.NumberOfFrames = frames
    if private_bytes:
        ds.private_block(0x0009, "TEST", create=True).add_new(1, "OB", bytes(private_bytes))
    ds.PixelData = np.random.default_rng(seed).bytes(rows * rows * 2 * max(frames, 1))
    ds["PixelData"].VR = "OW"
    ds.save_as(path, enforce_file_format=True)
    return path


def write_large(path, uid, size):
    """Write an object of about `size` bytes without holding it: a sparse file ends its pixel data."""
    write(path, uid, rows=16)
    with path.open("r+b") as file:
        file.seek(-4 - 16 * 16 * 2, os.SEEK_END)
        assert file.read(4) == (16 * 16 * 2).to_bytes(4, "little")
        file.seek(-4 - 16 * 16 * 2, os.SEEK_END)
        file.write(size.to_bytes(4, "little"))
        file.truncate(file.tell() + size)
    return path


def data_set(file_bytes):
    """What follows group 0002."""
    return file_bytes[144 + int.from_bytes(file_bytes[140:144], "little") :]


def answers(address, *paths, **fields):
    """Send the files in one association; return what came back for each."""
    return [seen.answer for seen in Modality(address, **fields).send(paths)]


def echo(port):
    try:
        return Modality(("127.0.0.1", port)).echo()
    except ConnectionError:
        return "refused"


def files(folder):
    """Every file below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def until(condition, seconds=10.0):
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        time.sleep(0.02)
    assert condition()


@contextmanager
def unit(folder, port):
    """Run the unit `listen` on `folder`/data; killed at the end if it still lives."""
    toml = folder / "gateway.toml"
    toml.write_text(
        f'[paths]\ndata = "{folder}/data"\nrun = "{folder}/run"\n'
        "[spool]\nballast_mb = 1\nkeep_free_mb = 16\n"
        f'[listen]\nhost = "127.0.0.1"\nport = {port}\nis_open_to_all = true\n'
        '[destination.PACS]\nhost = "127.0.0.1"\ncalled_ae = "PACS"\n'
    )
    code = "import sys, pathlib; from gateway.service import listen; sys.exit(listen.main(pathlib.Path(sys.argv[1])))"
    process = subprocess.Popen([sys.executable, "-c", code, toml], cwd=Path(__file__).parents[2])
    try:
        until(lambda: process.poll() is not None or echo(port) == "0000", 30)
        assert process.poll() is None
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def peak_rss_mb(pid):
    """VmHWM of a process, in MB (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))
