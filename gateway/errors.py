"""Every way the gateway can fail: a code, a sentence, what to do next, whether to try again, and who must act.

The docstring of a class IS the message: the sentence on the panel, the row in docs/errors.md and the text of the
exception. `{names}` in it are filled from the keyword facts given when it is raised; a fact never carries a patient's
name, birth date, ID or accession number. Codes are never reused. Ranges: G1 configuration and clock, G2 devices and
sources, G3 pixels and objects, G4 spool, G5 wire and delivery, G6 exam and panel, G7 services.
"""

from __future__ import annotations

import inspect
from typing import ClassVar, Literal

Retry = Literal["now", "later", "never"]
Act = Literal["technologist", "engineer", "peer", "us"]


class GatewayError(Exception):
    """Something failed that has no name yet."""

    code: ClassVar[str] = "G000"
    hint: ClassVar[str] = "Send the log to the makers of the gateway."
    retry: ClassVar[Retry] = "never"
    act: ClassVar[Act] = "us"

    def __init__(self, **facts: object) -> None:
        """Keep the facts, so that the panel can say the sentence in the reader's language."""
        self.facts = {key: str(value) for key, value in facts.items()}
        super().__init__(self.sentence().format_map(_Blanks(self.facts)))

    @classmethod
    def sentence(cls) -> str:
        """Return the message with its `{names}` unfilled: the key of its translations."""
        return " ".join(inspect.cleandoc(cls.__doc__ or "").split())


class _Blanks(dict[str, str]):
    """Facts in which a missing one reads as an ellipsis: an error about an error helps nobody."""

    def __missing__(self, key: str) -> str:
        """Stand in for a fact that was not given."""
        return "…"


def by_code() -> dict[str, type[GatewayError]]:
    """Return every error class by its code (the docs table and the panel read it)."""
    found: dict[str, type[GatewayError]] = {}
    waiting = [GatewayError]
    while waiting:
        cls = waiting.pop()
        found[cls.code] = cls
        waiting.extend(cls.__subclasses__())
    return dict(sorted(found.items()))


# G1 configuration and clock


class ConfigError(GatewayError):
    """The configuration cannot be used: {problem}."""

    code = "G100"
    hint = "Run `gateway check`: it names the file, the key and the fix."
    act: ClassVar[Act] = "engineer"


class ConfigUnreadable(ConfigError):
    """{file} is not valid TOML: {problem}."""

    code = "G101"
    hint = "Correct the line it names, then run `gateway check`."


class ConfigUnknownKey(ConfigError):
    """{file} has a key that nothing reads: {key}. Did you mean {nearest}?"""

    code = "G102"
    hint = "Correct or remove the key."


class ConfigBadValue(ConfigError):
    """{file}: {key} {problem}."""

    code = "G103"
    hint = "Give the key a value of the kind that the reference in docs/configuration.md states."


class ProfileError(GatewayError):
    """The profile {name} cannot be used: {problem}."""

    code = "G110"
    hint = "Correct the file in hw/, then run `gateway check`."
    act = "engineer"


class ClockUntrusted(GatewayError):
    """The date and time of this box are not certain: {problem}."""

    code = "G120"
    hint = (
        "Connect the network so that the clock can be set, or confirm the time in the panel. Exams are kept until then."
    )
    retry = "later"
    act = "technologist"


# G2 devices and sources


class DeviceError(GatewayError):
    """{device} does not work: {problem}."""

    code = "G200"
    hint = "Unplug it, plug it in again, and look at Health."
    retry: ClassVar[Retry] = "later"
    act: ClassVar[Act] = "engineer"


class DeviceGone(DeviceError):
    """{device} was unplugged."""

    code = "G201"
    hint = "Plug the video grabber in again. What was recorded so far is kept."
    act = "technologist"


class DeviceBusy(DeviceError):
    """{device} is in use by another program."""

    code = "G202"
    hint = "Stop the other program, or restart the gateway."


class LineLocked(DeviceBusy):
    """{device} is in use by {program} (process {pid}), which has locked it."""

    code = "G203"
    hint = "One line, one program: stop that one, or give this one another line."


class LineClaimed(DeviceBusy):
    """{device} is in use by a program that lets nobody else open it, and does not say which it is."""

    code = "G204"
    hint = "Close the terminal program that listens to this line, or restart the gateway."


class NotReady(DeviceError):
    """The instrument on {device} does not take what is sent to it: {problem}."""

    code = "G205"
    hint = "Is the instrument on, and does the cable have the wires that its profile names?"
    act = "technologist"


class LineSwitchedOff(DeviceError):
    """{device} is switched off in the configuration."""

    code = "G206"
    hint = "Nobody listens to it. Set-up, Ports switches it on again, from the next start of the gateway."


class NoSignal(DeviceError):
    """No picture arrives on {device}."""

    code = "G210"
    hint = "Is the scanner on, and is the cable plugged in at both ends?"
    act = "technologist"


class UnknownPixelFormat(DeviceError):
    """{device} delivers the pixel format {fourcc}, which the gateway does not read."""

    code = "G211"
    hint = "Choose another format in the grabber's profile; docs/hardware.md lists what is read."
    retry = "never"


class FormatChanged(DeviceError):
    """The picture's format changed on {device}: {was} became {now}."""

    code = "G212"
    hint = "The recording was closed at the last whole picture and kept. Start another."
    retry = "now"
    act = "technologist"


class WrongStandard(DeviceError):
    """{device} receives {found}, and the profile expects {expected}."""

    code = "G213"
    hint = (
        "Is this the right scanner, with its video output set as the profile says? Crop and mask fit no other picture."
    )


class NoPictureThen(DeviceError):
    """No picture arrived on {device} at that moment: {problem}."""

    code = "G214"
    hint = "Press Capture again."
    retry = "now"
    act = "technologist"


class UnreadableRecord(GatewayError):
    """What the instrument sent cannot be read: {problem}."""

    code = "G220"
    hint = "Print it once more. If that does not help, compare speed and parity with the instrument's menu: the port's journal has every byte."
    act = "engineer"


# G3 pixels and objects


class PixelError(GatewayError):
    """The picture cannot be processed: {problem}."""

    code = "G300"
    act: ClassVar[Act] = "engineer"
    hint = "Compare the profile's crop and mask with the picture's size."


class CodecError(PixelError):
    """{codec} cannot be decoded or encoded: {problem}."""

    code = "G301"
    hint = "The object is kept as it is. Send it to another destination, or ask us."
    act = "us"


class ObjectError(GatewayError):
    """A DICOM object cannot be made or read: {problem}."""

    code = "G310"
    hint = "What was captured is kept. Send the log to the makers of the gateway."


class ObjectInvalid(ObjectError):
    """A DICOM object breaks a rule of the standard: {problem}."""

    code = "G311"


class NotDicom(ObjectError):
    """This is not a DICOM object: {problem}."""

    code = "G312"
    act = "peer"
    hint = "The sender must be corrected; what came is quarantined."


# G4 spool


class SpoolError(GatewayError):
    """The gateway's store cannot be used: {problem}."""

    code = "G400"
    hint = "Look at Health: it says how much room is left and what the disk reports."
    retry: ClassVar[Retry] = "later"
    act: ClassVar[Act] = "engineer"


class DiskFull(SpoolError):
    """The disk is full: new work is refused, and what is stored stays safe."""

    code = "G401"
    hint = "Let the queue empty, or shorten the retention of what has been delivered."


class BlobCorrupt(SpoolError):
    """A stored object does not match its digest: {blob}."""

    code = "G402"
    hint = "It is quarantined and shown under On the way. The disk may be failing: replace it."
    retry = "never"


class SpoolTooNew(SpoolError):
    """The store was written by a newer gateway ({found}); this one knows {known}."""

    code = "G403"
    hint = "Install the newer release again."
    retry = "never"


class NoSuchRow(SpoolError):
    """There is no {what} {key}."""

    code = "G404"
    hint = "Reload the page: it may have been removed meanwhile."
    retry = "never"
    act = "technologist"


class WrongState(SpoolError):
    """{what} is {state}; {event} is not possible now."""

    code = "G405"
    hint = "Reload the page to see its state."
    retry = "never"
    act = "technologist"


class LeaseLost(SpoolError):
    """Another process has taken over this delivery."""

    code = "G406"
    hint = "Nothing to do: the other process reports it."
    act = "us"


class BlobMissing(SpoolError):
    """A stored object has no file: {blob}."""

    code = "G407"
    hint = "It is shown under On the way. Send it to the gateway again if its source still has it."
    retry = "never"


class SpoolCorrupt(SpoolError):
    """{file} is damaged: {problem}. It is left as it is."""

    code = "G408"
    hint = "Keep the file, replace the disk, and ask us: the objects themselves are stored beside it."
    retry = "never"


class SpoolOrphan(SpoolError):
    """A stored object belongs to nothing: {blob}. It was moved to the quarantine folder."""

    code = "G409"
    hint = "It was never acknowledged, so its sender still has it. An engineer can look at it before removing it."
    retry = "never"


class LoginRefused(SpoolError):
    """The name, password or PIN is not right."""

    code = "G420"
    hint = "Try again, or ask an engineer to set a new one."
    retry = "now"
    act = "technologist"


class LoginDelayed(SpoolError):
    """Too many wrong attempts: wait {wait_s} seconds."""

    code = "G421"
    hint = "Capture buttons and pedals work meanwhile."
    act = "technologist"


class SecretTooShort(SpoolError):
    """A {what} needs at least {length} characters."""

    code = "G422"
    hint = "Choose a longer one."
    retry = "now"
    act = "technologist"


class AccountExists(SpoolError):
    """There is already an account for {name}."""

    code = "G423"
    hint = "Choose another name."
    retry = "now"


# G5 wire and delivery


class PeerError(GatewayError):
    """{peer} did not take it: {problem}."""

    code = "G500"
    hint = "The gateway tries again by itself."
    retry: ClassVar[Retry] = "later"
    act: ClassVar[Act] = "peer"


class PeerUnreachable(PeerError):
    """{peer} cannot be reached: {problem}."""

    code = "G501"
    hint = "Check the network and that the PACS is running. The gateway tries again by itself."
    act = "engineer"


class PeerRefused(PeerError):
    """{peer} refuses to talk to us: {problem}."""

    code = "G502"
    hint = "Ask the PACS administrator to admit our AE title. The gateway tries again by itself."


class PeerSilent(PeerError):
    """{peer} stopped answering."""

    code = "G503"


class NoPresentationContext(PeerError):
    """{peer} accepts no form in which this object can be sent: {problem}."""

    code = "G504"
    hint = "Ask the PACS administrator to accept the SOP class and transfer syntax that Details name, then press Send again."
    retry = "never"


class PeerRejected(PeerError):
    """{peer} refused the object with status {status}: {problem}."""

    code = "G505"
    hint = "Ask the PACS administrator why, then press Send again."
    retry = "never"


class PeerOutOfResources(PeerError):
    """{peer} has no room at the moment (status {status})."""

    code = "G506"


class BadMessage(GatewayError):
    """What {peer} sent cannot be read: {problem}."""

    code = "G510"
    hint = "The sender must be corrected; what came is kept where it could be."
    act: ClassVar[Act] = "peer"


class ProtocolBroken(BadMessage):
    """{peer} broke the DICOM protocol: {problem}."""

    code = "G511"
    hint = "The link was closed; nothing of the object was kept or acknowledged. The sender must be corrected if it happens again."


class CallerRefused(GatewayError):
    """{peer} ({address}) called and was turned away: {problem}."""

    code = "G512"
    hint = "If it may send to us, add it under [listen.allow]; its called AE title must be ours."
    act = "engineer"


class LinkCut(GatewayError):
    """The link to {peer} ended in the middle of an object: {problem}."""

    code = "G513"
    hint = "Nothing of the object was acknowledged: the modality must send it again."
    retry = "later"
    act = "peer"


class DataSetMismatch(BadMessage):
    """{peer} sent another object than it announced: {problem}."""

    code = "G514"
    hint = "The object was refused. The sender must be corrected."


# G6 exam and panel


class ExamError(GatewayError):
    """The exam cannot go on: {problem}."""

    code = "G600"
    hint = "Reload the page."
    act: ClassVar[Act] = "technologist"


class ExamAlreadyRunning(ExamError):
    """An exam is already in progress on {station}."""

    code = "G601"
    hint = "Complete or discontinue it first."


class NoExam(ExamError):
    """No exam is in progress on {station}."""

    code = "G602"
    hint = "Choose a patient in the worklist, or start an emergency exam."


class StalePress(ExamError):
    """The press came too late: {problem}. Nothing was captured."""

    code = "G603"
    hint = "Press Capture again."
    retry = "now"


class PatientUnknown(ExamError):
    """The exam has no patient yet."""

    code = "G604"
    hint = "Identify the patient; the images wait here until then."


# G7 services


class ServiceError(GatewayError):
    """The service {service} cannot run: {problem}."""

    code = "G700"
    hint = "Look at the log of the service."
    act: ClassVar[Act] = "engineer"


class AlreadyRunning(ServiceError):
    """The service {service} already runs (process {pid})."""

    code = "G701"
    hint = "Stop the other one first, or leave it running."
