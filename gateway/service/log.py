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
from collections.abc import Callable
from types import TracebackType

from systemd import journal

from gateway.errors import GatewayError

FIELDS = ("EXAM", "DELIVERY", "DESTINATION", "CODE")
"""What stands beside SERVICE."""
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


class JournalFields(logging.Handler):
    """Sends the sentence and our fields to the journal (systemd.journal-fields(7)).

    systemd-python's own handler would send the exception itself, and the arguments of the line.
    """

    def __init__(self, service: str, send: Callable[..., object] = journal.send) -> None:
        """`send` is sd_journal_send(3)."""
        super().__init__()
        self._service = service
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line; the place of an exception stands below it."""
        try:
            trace = where(record.exc_info[1]) if record.exc_info and record.exc_info[1] is not None else []
            self._send(
                "\n".join((record.getMessage(), *trace)),
                PRIORITY=str(journal.JournalHandler.map_priority(record.levelno)),
                SYSLOG_IDENTIFIER=f"gateway-{self._service}",
                SERVICE=self._service,
                LOGGER=record.name,
                CODE_FILE=record.pathname,
                CODE_LINE=str(record.lineno),
                CODE_FUNC=record.funcName or "",
                **{name: str(getattr(record, name)) for name in FIELDS if hasattr(record, name)},
            )
        except OSError:
            self.handleError(record)


def setup(service: str) -> logging.Logger:
    """Return the logger of a service; libraries are heard from WARNING on, and those that may quote values hardly at all."""
    handler = JournalFields(service) if _is_under_systemd() else _terminal()
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


def _terminal() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    return handler
