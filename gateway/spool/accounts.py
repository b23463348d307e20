"""Named people: a password and a PIN to a Person, slowly (argon2id, RFC 9106), and slower after each mistake.

No default password: while there is no engineer, a one-time code that the box prints lets one be made. Secrets are kept
as hashes only, and are hashed outside the writer lock. Waiting after mistakes is monotonic; in another boot it counts
again from the start of the box, so that neither a wrong clock nor pulling the plug shortens it. It counts by account and
address: who guesses elsewhere keeps nobody from the screen of the box. Sessions carry an epoch: raising it signs a person
out everywhere.
"""

from __future__ import annotations

import secrets
import sqlite3
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from gateway.errors import AccountExists, LoginDelayed, LoginRefused, NoSuchRow, SecretTooShort, WrongState
from gateway.spool.history import History
from gateway.spool.rows import Row, value
from gateway.spool.store import Store
from gateway.structs import learn

SHORTEST_PASSWORD = 10
SHORTEST_PIN = 4
_FREE_FAILURES = 3
_LONGEST_WAIT_S = 300
_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
_REMEMBERED = 1000
"""Mistakes by account and address, the latest; the oldest are forgotten."""
_PAIRING = ""
"""The account of the pairing code: nobody's name."""


class Role(StrEnum):
    """What a person may do."""

    TECHNOLOGIST = "technologist"
    """Exams, worklist, what is on the way."""
    ENGINEER = "engineer"
    """That, and destinations, profiles, accounts, log."""


class Person(Struct, frozen=True, kw_only=True):
    """Somebody with an account."""

    name: str
    role: Role
    is_active: bool
    session_epoch: int
    """A session of an earlier epoch is over."""


class Accounts:
    """The people of this box."""

    def __init__(self, store: Store, history: History) -> None:
        """Keep the store. One hash costs 19 MiB for some tens of milliseconds (OWASP's smallest for argon2id)."""
        self._store = store
        self._history = history
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

    def open_pairing(self) -> str | None:
        """Make a new one-time code and return it, to be printed; None when there is an engineer already."""
        if self.has_engineer():
            return None
        code = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(2))
        hashed = self._hasher.hash(_plain(code))
        with self._store.transaction():
            self._store.run(
                "INSERT OR REPLACE INTO account (name, role, password_hash, is_active) VALUES (?, ?, ?, 0)",
                (_PAIRING, Role.ENGINEER, hashed),
            )
        return code

    def pair(self, code: str, name: str, password: str) -> Person:
        """Make the first engineer, with the printed code, once; raises LoginRefused or LoginDelayed."""
        _check_length("password", password, SHORTEST_PASSWORD)
        hashed = self._hasher.hash(password)
        self._check(_PAIRING, "password_hash", _plain(code), "")
        with self._store.transaction():
            if self._store.run("DELETE FROM account WHERE name = ?", (_PAIRING,)).rowcount == 0 or self.has_engineer():
                raise LoginRefused
            return self._add(name, Role.ENGINEER, hashed, by=name)

    def is_empty(self) -> bool:
        """Say whether the box still waits for its first engineer."""
        return not self.has_engineer()

    def has_engineer(self) -> bool:
        """Say whether somebody can make accounts."""
        row = self._store.row("SELECT 1 FROM account WHERE role = 'engineer' AND is_active = 1 AND name <> ''")
        return row is not None

    def add(self, name: str, role: Role, password: str, *, by: str) -> Person:
        """Make an account; raises AccountExists or SecretTooShort."""
        _check_length("password", password, SHORTEST_PASSWORD)
        hashed = self._hasher.hash(password)
        with self._store.transaction():
            return self._add(name, role, hashed, by=by)

    def people(self) -> list[Person]:
        """Return everybody, by name."""
        return [value(row, Person) for row in self._store.rows("SELECT * FROM account WHERE name <> '' ORDER BY name")]

    def get(self, name: str) -> Person:
        """Return one person; raises NoSuchRow."""
        return value(self._row(name), Person)

    def sign_in(self, name: str, password: str, *, address: str = "") -> Person:
        """Check a password that came from an address; raises LoginRefused, or LoginDelayed after too many mistakes there."""
        return self._check_person(name, "password_hash", password, address)

    def sign_in_with_pin(self, name: str, pin: str, *, address: str = "") -> Person:
        """Check a PIN, at the kiosk; raises as above."""
        return self._check_person(name, "pin_hash", pin, address)

    def is_password(self, name: str, password: str, *, address: str = "") -> bool:
        """Say whether a password is right; raises LoginDelayed after too many mistakes."""
        try:
            return bool(self.sign_in(name, password, address=address))
        except LoginRefused:
            return False

    def is_pin(self, name: str, pin: str, *, address: str = "") -> bool:
        """Say whether a PIN is right; raises LoginDelayed after too many mistakes."""
        try:
            return bool(self.sign_in_with_pin(name, pin, address=address))
        except LoginRefused:
            return False

    def set_password(self, name: str, password: str, *, by: str) -> None:
        """Give a new password, and sign the person out everywhere."""
        _check_length("password", password, SHORTEST_PASSWORD)
        hashed = self._hasher.hash(password)
        with self._store.transaction():
            self._change(name, "UPDATE account SET password_hash = ? WHERE name = ?", hashed, "new password", by)
            self._store.run("DELETE FROM mistake WHERE account = ?", (name,))

    def set_pin(self, name: str, pin: str, *, by: str) -> None:
        """Give a new PIN, or take it away with an empty one."""
        if pin:
            _check_length("PIN", pin, SHORTEST_PIN)
        hashed = self._hasher.hash(pin) if pin else ""
        self._change(name, "UPDATE account SET pin_hash = ? WHERE name = ?", hashed, "new PIN", by)

    def set_role(self, name: str, role: Role, *, by: str) -> None:
        """Change what a person may do; raises WrongState for the last engineer."""
        with self._store.transaction():
            self._change(name, "UPDATE account SET role = ? WHERE name = ?", role, f"is now {role}", by)
            self._keep_an_engineer()

    def set_active(self, name: str, *, is_active: bool, by: str) -> None:
        """Close or reopen an account; raises WrongState for the last engineer."""
        with self._store.transaction():
            word = "reopened" if is_active else "closed"
            self._change(name, "UPDATE account SET is_active = ? WHERE name = ?", is_active, word, by)
            self._keep_an_engineer()

    def revoke(self, name: str, *, by: str) -> None:
        """Sign a person out everywhere."""
        with self._store.transaction():
            self._row(name)
            self._end_sessions(name, "signed out everywhere", by)

    def is_current(self, name: str, session_epoch: int) -> bool:
        """Say whether a session still counts."""
        row = self._store.row("SELECT is_active, session_epoch FROM account WHERE name = ? AND name <> ''", (name,))
        return row is not None and bool(row["is_active"]) and row["session_epoch"] == session_epoch

    # ---- private ----

    def _add(self, name: str, role: Role, hashed: str, *, by: str) -> Person:
        name = name.strip()
        _check_length("name", name, 1)
        try:
            self._store.run("INSERT INTO account (name, role, password_hash) VALUES (?, ?, ?)", (name, role, hashed))
        except sqlite3.IntegrityError:
            raise AccountExists(name=name) from None
        self._history.add("accounts", "made", text=f"{name}, {role}", by=by)
        return self.get(name)

    def _change(self, name: str, sql: str, changed: object, what: str, by: str) -> None:
        """Change an account, raise its epoch, and write down by whom."""
        with self._store.transaction():
            self._row(name)
            self._store.run(sql, (changed, name))
            self._end_sessions(name, what, by)

    def _end_sessions(self, name: str, why: str, by: str) -> None:
        self._store.run("UPDATE account SET session_epoch = session_epoch + 1 WHERE name = ?", (name,))
        self._history.add("accounts", "changed", text=f"{name}: {why}", by=by)

    def _keep_an_engineer(self) -> None:
        if not self.has_engineer():
            raise WrongState(what="This account", state="the last engineer's", event="close")

    def _check_person(self, name: str, column: str, secret: str, address: str) -> Person:
        if not name.strip():
            raise LoginRefused
        self._check(name, column, secret, address)
        person = self.get(name)
        if not person.is_active:
            raise LoginRefused
        return person

    def _check(self, name: str, column: str, secret: str, address: str) -> None:
        """Compare a secret; a mistake counts, and an unknown name costs as much time as a known one."""
        row = self._store.row("SELECT * FROM account WHERE name = ?", (name,))
        if row is None:
            self._hasher.hash(secret)
            raise LoginRefused
        self._count(name, address)  # first: whoever tries in parallel, or pulls the plug, gains nothing
        if not self._is_right(row[column], secret):
            raise LoginRefused
        with self._store.transaction():
            self._store.run("DELETE FROM mistake WHERE account = ? AND address = ?", (name, address))

    def _is_right(self, hashed: str, secret: str) -> bool:
        try:
            return self._hasher.verify(hashed, secret)
        except (VerificationError, InvalidHashError):
            return False

    def _count(self, name: str, address: str) -> None:
        """Count a try as a mistake until it proves right; raises LoginDelayed when its time has not come."""
        clock = self._store.clock
        with self._store.transaction():
            row = self._store.row("SELECT * FROM mistake WHERE account = ? AND address = ?", (name, address))
            if wait_s := self._wait_s(row):
                raise LoginDelayed(wait_s=wait_s)
            failures = (row["failures"] if row else 0) + 1
            self._store.run(
                """INSERT OR REPLACE INTO mistake (account, address, failures, failed_boot, failed_ns)
                   VALUES (?, ?, ?, ?, ?)""",
                (name, address, failures, clock.boot_id(), clock.monotonic_ns()),
            )
            self._store.run("DELETE FROM mistake WHERE number <= (SELECT max(number) FROM mistake) - ?", (_REMEMBERED,))

    def _wait_s(self, row: Row | None) -> int:
        """Return how many whole seconds are left to wait, rounded up; 0: none."""
        if row is None or row["failures"] < _FREE_FAILURES:
            return 0
        clock = self._store.clock
        since_ns = row["failed_ns"] if row["failed_boot"] == clock.boot_id() else 0
        wait_s = min(_LONGEST_WAIT_S, 2 ** (row["failures"] - _FREE_FAILURES))
        return max(0, -((clock.monotonic_ns() - since_ns - int(wait_s * 1e9)) // 1_000_000_000))

    def _row(self, name: str) -> Row:
        row = self._store.row("SELECT * FROM account WHERE name = ? AND name <> ''", (name,))
        if row is None:
            raise NoSuchRow(what="account", key=name)
        return row


def _plain(code: str) -> str:
    """A code as it was meant: without the dash, in capitals."""
    return "".join(letter for letter in code.upper() if letter.isalnum())


def _check_length(what: str, secret: str, shortest: int) -> None:
    if len(secret) < shortest:
        raise SecretTooShort(what=what, length=shortest)


learn(Person)
