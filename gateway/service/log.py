"""Log lines with fields: to the journal under systemd, one plain line on stderr elsewhere.

Fields (`extra={"EXAM": ...}`): SERVICE, EXAM, DELIVERY, CODE, DESTINATION. They are identities of ours; a name, a birth
date, a patient ID or an accession number is never logged. Our own errors carry no such fact; what other libraries say may
quote the value they stumbled over, so of their exceptions only the type and the place are told.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from types import TracebackType

from systemd import journal

from gateway.errors import GatewayError

FIELDS = ("EXAM", "DELIVERY", "DESTINATION", "CODE")
QUIET = ("pynetdicom", "pydicom", "py.warnings", "flask", "werkzeug", "gunicorn")
"""Libraries that may quote values: heard only when nothing works at all."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class OneLine(logging.Formatter):
    """`service: sentence [FIELD=value ...]`, and below it where it happened, without anybody's values."""

    def format(self, record: logging.LogRecord) -> str:
        """Put the fields behind the sentence."""
        fields = [f"{name}={getattr(record, name)}" for name in FIELDS if hasattr(record, name)]
        behind = f" [{' '.join(fields)}]" if fields else ""
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{record.name}: {record.getMessage()}{behind}{trace}"

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  logging's name
        """Say type and place of every exception in the chain."""
        return "\n".join(where(ei[1])) if ei[1] is not None else ""


class JournalFields(journal.JournalHandler):  # type: ignore[misc]  # systemd-python ships no types
    """The journal's own handler, which would send the exception itself and the arguments of the line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send the sentence, the fields, and the place as text."""
        plain = logging.makeLogRecord({**record.__dict__, "msg": record.getMessage(), "args": None, "exc_info": None})
        if record.exc_info and record.exc_info[1] is not None:
            plain.exc_text = "\n".join(where(record.exc_info[1]))
            plain.msg = f"{plain.msg}\n{plain.exc_text}"
        super().emit(plain)


def setup(service: str) -> logging.Logger:
    """Return the logger of a service; libraries are heard from WARNING on, and those that may quote values hardly at all."""
    handler = _journal(service) if _is_under_systemd() else _terminal()
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for quiet in QUIET:
        logging.getLogger(quiet).setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
    logger = logging.getLogger(service)
    logger.setLevel(logging.INFO)
    return logger


def of(service: str) -> logging.Logger:
    """Return the logger of a service that `setup` has made."""
    return logging.getLogger(service)


def where(error: BaseException) -> list[str]:
    """Return type and place of an exception and of what caused it; the words only of our own errors."""
    lines = []
    for each in _chain(error):
        says = f": {each}" if isinstance(each, GatewayError) else ""
        lines.append(f"{type(each).__module__}.{type(each).__qualname__}{says}")
        frames = traceback.extract_tb(each.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return lines


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return found


def _is_under_systemd() -> bool:
    return "JOURNAL_STREAM" in os.environ and "INVOCATION_ID" in os.environ


def _journal(service: str) -> logging.Handler:
    handler: logging.Handler = JournalFields(SYSLOG_IDENTIFIER=f"gateway-{service}", SERVICE=service)
    return handler


def _terminal() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    return handler
