"""What NIDEK instruments send, byte by byte, written from the examples in their manuals and not from our parser.

Each function builds one message as its instrument would: the RT-5100's print (Interface Manual MRT10*RTZ001J/E, chapter 4),
the LM-1000P's example on page 22 of its manual, and the blocks of an ARK and an NT as the TONOREF II combines them. The
figures are made up.
"""

from __future__ import annotations

from typing import Final

NUL_DIOPTRE: Final = "  0.00"


def refractor(*, date: str = "2016/ 9/ 7") -> bytes:
    """An exam on an RT-5100: lensmeter, autorefractor, subjective and final data, cornea and pressure. No ID, as in practice."""
    lines = [
        "@LM",
        " R" + _sca(-1.5, -1.0, 120),
        " L" + _sca(-1.5, -0.25, 0),
        "VR 0.32",
        "UR 0.32  ",
        "@RM",
        "OR" + _sca(1.25, -1.25, 150),
        "OL" + _sca(1.25, 0.0, 0),
        "PD64.0        ",
        "@RT",
        "fR" + _sca(1.0, -1.25, 150),
        "fL" + _sca(1.25, 0.0, 0),
        "pD64.0        ",
        "@RT",
        "FR" + _sca(1.25, -1.25, 150),
        "FL" + _sca(1.5, 0.0, 0),
        "AR+ 1.50",
        "AL+ 1.50",
        "PRI 2.00U 0.50",
        "PD64.0        ",
        "Pd59.5        ",
        "VR 1.0 ",
        "VL 0.80",
        "WD35",
        "@KM",
        "CR 7.86 7.53175",
        "CL 7.95 7.71176",
        "@NT",
        "TR15.0",
        "TL16.5",
        "TT 006",
    ]
    head = f"\x01NIDEK RT-5100 ID{' ' * 12} DA{date}\r"
    return (head + "".join(f"\x02{line}\r" for line in lines) + "\x04\r").encode("ascii")


def lensmeter() -> bytes:
    """The example of page 22 of the LM-1000P's manual, with its checksum 16C1."""
    return (
        b"\x01DLM\x02IDNIDEK/LM-1000P\x17\r R-01.25-00.75120\x17\rAR02.00\x17\rPR02.50I\x17\rPR02.00D\x17\r"
        b" L-02.00-00.50180\x17\rAL02.25\x17\rPL01.25O\x17\rPL02.00U\x17\r\x0416C1\r"
    )


def autorefractor(*, has_checksum: bool = True) -> bytes:
    """An ARK: two refractions of each eye, the cornea in millimetres and dioptres."""
    return _message(
        _block(
            "DRM",
            "IDNIDEK/ARK-530A",
            "NO0007",
            "DA2016.09.07.10:15",
            "VD12.00",
            "OR-05.25-00.751099",
            "OR-05.00-00.751079",
        )
        + _block("", "OL-04.75+00.00  09", "PD64323260")
        + _block(
            "DKM",
            " R07.8607.5317507.70",
            "DR42.9444.8217543.88-01.88",
            " L07.9507.7117607.83",
            "DL42.4543.7717643.11-01.32",
        ),
        has_checksum=has_checksum,
    )


def tonometer(*, has_checksum: bool = True) -> bytes:
    """An NT: three puffs in each eye, and their mean."""
    return _message(
        _block(
            "DNT",
            "IDNIDEK/NT-530",
            "DA2008.11.12.17:05",
            " R03    18/2.4     19/2.5*1   19/2.5   AV18.7/2.49",
            " L03    13/1.7     12/1.6     14/1.9   AV13.0/1.73",
        ),
        has_checksum=has_checksum,
    )


def request_to_send() -> bytes:
    """What an instrument sends that asks first (I/F mode NIDEK)."""
    return b"\x01C**\x02RS\x17\x04\r"


def damaged(message: bytes) -> bytes:
    """The same message with one figure changed on the way, and its checksum left as it was."""
    at = message.index(b"0", message.index(b"\x17"))
    return message[:at] + b"9" + message[at + 1 :]


def _sca(sphere: float, cylinder: float, axis: int) -> str:
    return f"{_dioptre(sphere)}{_dioptre(cylinder)}{axis:>3}"


def _dioptre(value: float) -> str:
    return NUL_DIOPTRE if not value else f"{'+' if value > 0 else '-'}{abs(value):>5.2f}"


def _block(header: str, *segments: str) -> str:
    start = f"\x01{header}\x02" if header else ""
    return start + "".join(f"{segment}\x17\r" for segment in segments)


def _message(blocks: str, *, has_checksum: bool) -> bytes:
    whole = f"{blocks}\x04"
    total = sum(ord(each) for each in whole if each not in "\r\n") % 65536
    return f"{whole}{total:04X}\r".encode("ascii") if has_checksum else f"{whole}\r".encode("ascii")
