"""A RIS with nothing behind: a Modality Worklist SCP that serves the steps it was given, in the character set it was told.

It matches dates, station, modality and patient ID as the standard says (PS3.4 K.6.1.2.2, C.2.2.2), records the queries it
saw, breaks items and delays answers on demand, and is down while it is stopped. It is pynetdicom's SCP.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE, evt

from gateway.model import Code, ScheduledStep
from gateway.simulators import scp

MODALITY_WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
VERIFICATION = "1.2.840.10008.1.1"
_PENDING, _SUCCESS, _CANCEL = 0xFF00, 0x0000, 0xFE00


class SimulatedRIS:
    """A worklist on loopback. What it saw: `queries` (decoded identifiers), `cancels`."""

    def __init__(
        self,
        port: int,
        steps: Sequence[ScheduledStep] = (),
        *,
        ae_title: str = "RIS",
        character_set: str = "ISO_IR 192",
        faults: str = "a",
        final_status: int = _SUCCESS,
    ) -> None:
        """`character_set`: values of (0008,0005), several joined by a backslash.

        `faults`: a letter for each item in order, the last one stays: `a` whole, `u` without a Study Instance UID, `s`
        without a scheduled step, `h` hangs before it, `w` waits before it for a C-CANCEL.
        """
        self.port, self.steps, self.ae_title = port, list(steps), ae_title
        self.character_set, self.faults, self.final_status = character_set, faults, final_status
        self.queries: list[Dataset] = []
        self.cancels = 0
        self._is_stopping = threading.Event()
        self._ae = AE(ae_title)
        self._ae.add_supported_context(MODALITY_WORKLIST_FIND)
        self._ae.add_supported_context(VERIFICATION)

    def start(self) -> Self:
        """Listen."""
        self._is_stopping.clear()
        handlers: list[Any] = [(evt.EVT_C_FIND, self._on_find)]
        scp.listen(self._ae, self.port, handlers)
        return self

    def stop(self) -> None:
        """Be down."""
        self._is_stopping.set()
        self._ae.shutdown()

    def __enter__(self) -> Self:
        """Listen for a block."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Be down."""
        self.stop()

    def _on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.queries.append(query)
        matching = [step for step in self.steps if matches(step, query)]
        for number, step in enumerate(matching):
            letter = self.faults[min(number, len(self.faults) - 1)]
            while not (is_cancelled := event.is_cancelled) and letter == "w" and not self._is_stopping.is_set():
                time.sleep(0.005)
            if is_cancelled:  # pynetdicom says so only once
                self.cancels += 1
                yield _CANCEL, None
                return
            if letter == "h":
                self._is_stopping.wait()
            yield _PENDING, _broken(item(step, self.character_set), letter)
        if self.final_status != _SUCCESS:
            yield self.final_status, None


def matches(step: ScheduledStep, query: Dataset) -> bool:
    """Say whether a step matches a query's keys: single values, ranges of dates, and the universal empty one."""
    wanted = query.ScheduledProcedureStepSequence[0]
    return (
        _is_in(step.scheduled_start_date, str(wanted.get("ScheduledProcedureStepStartDate") or ""))
        and (wanted.get("ScheduledStationAETitle") or step.scheduled_station_ae_title)
        == step.scheduled_station_ae_title
        and (wanted.get("Modality") or step.modality) == step.modality
        and (query.get("PatientID") or step.patient.patient_id) == step.patient.patient_id
    )


def item(step: ScheduledStep, character_set: str = "ISO_IR 192") -> Dataset:
    """Return a worklist item (PS3.4 table K.6-1); also what a file for DCMTK's wlmscpfs holds."""
    ds = Dataset()
    ds.SpecificCharacterSet = character_set.split("\\") if "\\" in character_set else character_set
    ds.AccessionNumber = step.accession_number
    ds.ReferringPhysicianName = step.referring_physician_name
    ds.PatientName = step.patient.name
    ds.PatientID = step.patient.patient_id
    ds.IssuerOfPatientID = step.patient.issuer_of_patient_id
    ds.PatientBirthDate = step.patient.birth_date
    ds.PatientSex = step.patient.sex
    ds.PatientWeight = step.patient_weight_kg
    ds.MedicalAlerts = step.medical_alerts
    ds.Allergies = step.allergies
    ds.PregnancyStatus = int(step.pregnancy_status) if step.pregnancy_status else None
    ds.StudyInstanceUID = step.study_instance_uid
    ds.RequestingPhysician = step.requesting_physician_name
    ds.RequestedProcedureDescription = step.requested_procedure_description
    ds.RequestedProcedureCodeSequence = Items([_code(code) for code in (step.requested_procedure_code,) if code])
    ds.AdmissionID = step.admission_id
    ds.RequestedProcedureID = step.requested_procedure_id
    ds.ScheduledProcedureStepSequence = Items([_step(step)])
    return ds


def _step(step: ScheduledStep) -> Dataset:
    ds = Dataset()
    ds.Modality = step.modality
    ds.ScheduledStationAETitle = step.scheduled_station_ae_title
    ds.ScheduledProcedureStepStartDate = step.scheduled_start_date
    ds.ScheduledProcedureStepStartTime = step.scheduled_start_time
    ds.ScheduledPerformingPhysicianName = step.performing_physician_name
    ds.ScheduledProcedureStepDescription = step.scheduled_procedure_step_description
    ds.ScheduledProtocolCodeSequence = Items([_code(code) for code in step.scheduled_protocol_codes])
    ds.ScheduledProcedureStepID = step.scheduled_procedure_step_id
    ds.ScheduledStationName = step.scheduled_station_name
    return ds


def _code(code: Code) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = code.value, code.scheme, code.meaning
    return ds


def _broken(ds: Dataset, letter: str) -> Dataset:
    if letter == "u":
        ds.StudyInstanceUID = ""
    elif letter == "s":
        ds.ScheduledProcedureStepSequence = Items([])
    return ds


def _is_in(day: str, wanted: str) -> bool:
    first, dash, last = wanted.partition("-")
    if not dash:
        return not wanted or day == wanted
    return (first or day) <= day <= (last or day)
