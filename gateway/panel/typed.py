"""What a person typed into the patient's form, to a Patient: PN components apart, no delimiter of the standard inside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal, cast

from msgspec import Struct

from gateway.model import Patient
from gateway.panel.language import gettext

_LONGEST = 64
"""Characters of a PN component group and of LO (PS3.5 6.2)."""
_DELIMITERS = str.maketrans({"^": " ", "=": " ", "\\": " "} | {chr(code): " " for code in range(32)})


class Typed(Struct, frozen=True, kw_only=True):
    """The fields, as they go back into the form when one must be corrected."""

    family: str = ""
    given: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""

    def __repr__(self) -> str:
        """Show nothing."""
        return "Typed(…)"

    def patient(self) -> Patient:
        """Return the patient they name."""
        return Patient(
            patient_id=self.patient_id,
            name=f"{self.family}^{self.given}" if self.given else self.family,
            birth_date=self.birth_date.replace("-", ""),
            sex=cast("Literal['', 'M', 'F', 'O']", self.sex),
        )


def typed_from(form: Mapping[str, str]) -> tuple[Typed, str]:
    """Return the fields, cleaned, and what is wrong with them; empty when nothing is."""
    typed = Typed(
        family=_clean(form.get("family", "")),
        given=_clean(form.get("given", "")),
        patient_id=_clean(form.get("patient_id", "")),
        birth_date=form.get("birth_date", "").strip(),
        sex=form.get("sex", "") if form.get("sex", "") in {"M", "F", "O"} else "",
    )
    return typed, _problem(typed)


def of(patient: Patient | None) -> Typed:
    """Return a patient as fields, to be corrected."""
    if patient is None:
        return Typed()
    family, _, rest = patient.name.partition("=")[0].partition("^")
    born = patient.birth_date
    return Typed(
        family=family,
        given=" ".join(part for part in rest.split("^")[:2] if part),
        patient_id=patient.patient_id,
        birth_date=f"{born[:4]}-{born[4:6]}-{born[6:]}" if len(born) == len("YYYYMMDD") else "",
        sex=patient.sex,
    )


def _problem(typed: Typed) -> str:
    if not typed.family:
        return gettext("Type the family name.")
    if not typed.patient_id:
        return gettext("Type the patient ID.")
    if len(typed.family) + len(typed.given) >= _LONGEST or len(typed.patient_id) > _LONGEST:
        return gettext("A name or an ID has at most 64 characters.")
    if typed.birth_date and not _is_date(typed.birth_date):
        return gettext("The birth date is not a date.")
    return ""


def _is_date(text: str) -> bool:
    try:
        return len(date.fromisoformat(text).strftime("%Y%m%d")) == len("YYYYMMDD")
    except ValueError:
        return False


def _clean(text: str) -> str:
    return " ".join(text.translate(_DELIMITERS).split())
