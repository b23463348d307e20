"""Log lines with fields: to the journal under systemd, one plain line on stderr elsewhere.

Fields (`extra={"EXAM": ...}`): SERVICE, EXAM, DELIVERY, CODE, DESTINATION. They are identities of ours; a name, a birth
date, a patient ID or an accession number is never logged.
"""

from __future__ import annotations

import logging
import os
import sys

from systemd import journal

FIELDS = ("EXAM", "DELIVERY", "DESTINATION", "CODE")


class OneLine(logging.Formatter):
    """`service: sentence [FIELD=value ...]`."""

    def format(self, record: logging.LogRecord) -> str:
        """Put the fields behind the sentence."""
        fields = [f"{name}={getattr(record, name)}" for name in FIELDS if hasattr(record, name)]
        behind = f" [{' '.join(fields)}]" if fields else ""
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{record.name}: {record.getMessage()}{behind}{trace}"


def setup(service: str) -> logging.Logger:
    """Return the logger of a service; libraries are heard from WARNING on, and peers' libraries not at all below it."""
    handler = _journal(service) if _is_under_systemd() else logging.StreamHandler(sys.stderr)
    if isinstance(handler, logging.StreamHandler):
        handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for quiet in ("pynetdicom", "pydicom"):
        logging.getLogger(quiet).setLevel(logging.CRITICAL)
    logger = logging.getLogger(service)
    logger.setLevel(logging.INFO)
    return logger


def of(service: str) -> logging.Logger:
    """Return the logger of a service that `setup` has made."""
    return logging.getLogger(service)


def _is_under_systemd() -> bool:
    return "JOURNAL_STREAM" in os.environ and "INVOCATION_ID" in os.environ


def _journal(service: str) -> logging.Handler:
    handler: logging.Handler = journal.JournalHandler(SYSLOG_IDENTIFIER=f"gateway-{service}", SERVICE=service)
    return handler
