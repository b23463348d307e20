"""DICOM files to the spool, by the same door as what a modality sends: durable, once, with a Delivery for each destination.

What is queued here goes when the service `forward` runs; it is kept like any received object (laws 1 to 3).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import NotDicom
from gateway.service.listen import Reception
from gateway.wire.dimse.part10 import read_head
from gateway.wire.dimse.sink import Arrival

if TYPE_CHECKING:
    from gateway.clock import Clock
    from gateway.config import Site
    from gateway.spool.spool import Spool

PIECE_BYTES = 1 << 20
OURSELVES = "gateway send"


def queue(site: Site, spool: Spool, clock: Clock, path: Path) -> str:
    """Keep one file and return its SOP Instance UID. Raises NotDicom, DataSetMismatch, DiskFull; then nothing is left of it."""
    reception = Reception(site, spool, clock)
    try:
        file = path.open("rb")
    except OSError as error:
        raise NotDicom(problem=f"{path} cannot be read ({error.strerror})") from error
    with file:
        head = read_head(file)
        file.seek(head.data_set_at)
        sink = reception.begin(
            Arrival(
                sop_class_uid=head.sop_class_uid,
                sop_instance_uid=head.sop_instance_uid,
                transfer_syntax_uid=head.transfer_syntax_uid,
                calling_ae=OURSELVES,
            )
        )
        try:
            while piece := file.read(PIECE_BYTES):
                sink.write(memoryview(piece))
        except BaseException:
            sink.abort()
            raise
        sink.commit()
    reception.ring()
    return head.sop_instance_uid
