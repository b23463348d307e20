"""Small DICOM files for tests: what a modality would send, with pixels that can be told apart."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, HTJ2KLossless, JPEG2000Lossless, generate_uid

from gateway.model import Instance
from gateway.pixels import codecs

CT = "1.2.840.10008.5.1.4.1.1.2"
US = "1.2.840.10008.5.1.4.1.1.6.1"
SR = "1.2.840.10008.5.1.4.1.1.88.33"


def image(path: Path, *, sop_class=CT, side=128, is_color=False, seed=0, syntax=ExplicitVRLittleEndian) -> Dataset:
    """Write a picture: a soft gradient with a little noise beside black, 12 bits grey or 8 bits colour."""
    syntax = UID(syntax)
    ds = _identified(sop_class, syntax)
    ramp = np.add.outer(np.arange(side), np.arange(side))
    noise = np.random.default_rng(seed).integers(0, 8, (side, side))
    ramp[:, : side // 2] = noise[:, : side // 2] = 0
    ds.Rows = ds.Columns = side
    if is_color:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        pixels = np.repeat(((ramp + noise) % 256).astype(np.uint8)[:, :, None], 3, axis=2)
    else:
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
        pixels = ((ramp * 4 + noise) % 4096).astype("<u2")
    ds.PixelRepresentation = 0
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB" if is_color else "OW"
    if syntax.is_compressed:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if syntax in {JPEG2000Lossless, HTJ2KLossless}:  # pydicom needs more packages for these
            ds.PixelData = encapsulate([codecs.encode_as(pixels.astype(pixels.dtype.newbyteorder("=")), syntax)])
            ds.file_meta.TransferSyntaxUID, ds["PixelData"].VR = syntax, "OB"
            ds.PhotometricInterpretation = "YBR_RCT" if is_color else "MONOCHROME2"
        else:
            ds.compress(syntax, generate_instance_uid=False)
    return _saved(ds, path)


def report(path: Path) -> Dataset:
    """Write a structured report with nothing in it: an object without pixels."""
    ds = _identified(SR, ExplicitVRLittleEndian)
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    return _saved(ds, path)


def admit(spool, path: Path, destinations, *, modality="CT", **facts) -> Instance:
    """Put a file into a spool, owed to destinations, as `listen` does."""
    ds = dcmread(path, stop_before_pixels=True)
    with spool.blobs.part() as part:
        part.write(path.read_bytes())
        blob, size_bytes = part.commit()
        instance = Instance(
            sop_instance_uid=str(ds.SOPInstanceUID),
            sop_class_uid=str(ds.SOPClassUID),
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            study_instance_uid=str(ds.StudyInstanceUID),
            series_instance_uid=str(ds.SeriesInstanceUID),
            blob=blob,
            size_bytes=size_bytes,
            data_digest=hashlib.sha256(blob.encode()).hexdigest(),
            modality=modality,
            stored_at=datetime.now(UTC),
            **facts,
        )
        spool.instances.admit(instance, destinations)
    return instance


def data_set_bytes(path: Path) -> bytes:
    """Return a file's bytes behind group 0002."""
    data = path.read_bytes()
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


def _identified(sop_class, syntax) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid(prefix="2.25.")
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class, ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(prefix="2.25."), generate_uid(prefix="2.25.")
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Test^Forward", "T1", "", "O"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.ReferringPhysicianName, ds.StudyID = "20261124", "", "", "", ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "OT", 1, 1
    return ds


def _saved(ds: Dataset, path: Path) -> Dataset:
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, ds, enforce_file_format=True)
    return ds


def encoded(ds: Dataset, *, is_implicit=False) -> bytes:
    """Encode a data set without group 0002, little endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, is_implicit
    write_dataset(buffer, ds)
    return buffer.getvalue()
