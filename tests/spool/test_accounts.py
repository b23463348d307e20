"""People: no default password, slower after each mistake, signed out when it matters."""

import pytest

from gateway.errors import AccountExists, LoginDelayed, LoginRefused, NoSuchRow, SecretTooShort, WrongState
from gateway.spool.accounts import Role
from gateway.spool.spool import Spool

PASSWORD = "correct horse"


@pytest.fixture
def paired(spool):
    spool.accounts.pair(spool.accounts.open_pairing(), "eve", PASSWORD)
    return spool


def test_a_new_box_has_no_account_and_no_password(spool):
    assert spool.accounts.is_empty()
    assert spool.accounts.people() == []
    for name, password in (("", ""), ("admin", "admin"), ("root", ""), ("", "x")):
        with pytest.raises(LoginRefused):
            spool.accounts.sign_in(name, password)


def test_the_printed_code_makes_the_first_engineer_once(spool):
    code = spool.accounts.open_pairing()
    assert len(code.replace("-", "")) == 8
    eve = spool.accounts.pair(f" {code.lower()} ", " eve ", PASSWORD)
    assert (eve.name, eve.role) == ("eve", "engineer")
    assert not spool.accounts.is_empty()
    with pytest.raises(LoginRefused):
        spool.accounts.pair(code, "mallory", PASSWORD)
    assert spool.accounts.open_pairing() is None


def test_a_new_code_ends_the_former_one(spool):
    former, code = spool.accounts.open_pairing(), spool.accounts.open_pairing()
    with pytest.raises(LoginRefused):
        spool.accounts.pair(former, "eve", PASSWORD)
    spool.accounts.pair(code, "eve", PASSWORD)


def test_the_code_is_not_a_way_to_sign_in(spool):
    code = spool.accounts.open_pairing()
    with pytest.raises(LoginRefused):
        spool.accounts.sign_in("", code.replace("-", ""))


def test_guessing_the_code_is_slowed_too(spool, clock):
    code = spool.accounts.open_pairing()
    for _ in range(3):
        with pytest.raises(LoginRefused):
            spool.accounts.pair("AAAA-AAAA", "mallory", PASSWORD)
    with pytest.raises(LoginDelayed):
        spool.accounts.pair(code, "eve", PASSWORD)
    clock.sleep(1.1)
    spool.accounts.pair(code, "eve", PASSWORD)


def test_no_secret_is_on_the_disk(paired, data):
    paired.accounts.set_pin("eve", "271828", by="eve")
    paired.checkpoint()
    for path in (data / "gateway.db", data / "gateway.db-wal"):
        assert PASSWORD.encode() not in path.read_bytes()
        assert b"271828" not in path.read_bytes()
    assert b"$argon2id$v=19$m=19456,t=2,p=1$" in (data / "gateway.db").read_bytes()


def test_a_password_and_a_pin_are_apart(paired):
    assert paired.accounts.sign_in("eve", PASSWORD).name == "eve"
    with pytest.raises(LoginRefused):
        paired.accounts.sign_in_with_pin("eve", PASSWORD)
    paired.accounts.set_pin("eve", "271828", by="eve")
    assert paired.accounts.sign_in_with_pin("eve", "271828").name == "eve"
    with pytest.raises(LoginRefused):
        paired.accounts.sign_in("eve", "271828")
    paired.accounts.set_pin("eve", "", by="eve")
    assert not paired.accounts.is_pin("eve", "271828")
    assert not paired.accounts.is_pin("eve", "")


def test_after_three_mistakes_each_one_waits_twice_as_long_up_to_five_minutes(paired, clock):
    waits = [_mistake(paired, clock) for _ in range(14)]
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    clock.sleep(300)
    assert paired.accounts.sign_in("eve", PASSWORD)
    assert [_mistake(paired, clock) for _ in range(4)] == [0, 0, 0, 1], "it counts from nothing again"


def test_the_right_password_must_wait_too(paired):
    for _ in range(3):
        assert not paired.accounts.is_password("eve", "wrong password")
    with pytest.raises(LoginDelayed):
        paired.accounts.sign_in("eve", PASSWORD)


def test_mistakes_elsewhere_keep_nobody_from_the_screen_of_the_box(paired):
    for _ in range(3):
        assert not paired.accounts.is_password("eve", "wrong password", address="10.0.0.66")
    with pytest.raises(LoginDelayed):
        paired.accounts.sign_in("eve", PASSWORD, address="10.0.0.66")
    assert paired.accounts.sign_in("eve", PASSWORD, address="kiosk")
    with pytest.raises(LoginDelayed):
        paired.accounts.sign_in("eve", PASSWORD, address="10.0.0.66")


def test_a_new_password_ends_the_wait_everywhere(paired):
    for address in ("10.0.0.66", "10.0.0.67"):
        for _ in range(3):
            assert not paired.accounts.is_password("eve", "wrong password", address=address)
    paired.accounts.set_password("eve", "another horse", by="eve")
    for address in ("10.0.0.66", "10.0.0.67"):
        assert paired.accounts.sign_in("eve", "another horse", address=address)


def test_only_the_latest_mistakes_are_remembered(paired, monkeypatch):
    monkeypatch.setattr("gateway.spool.accounts._REMEMBERED", 5)
    for number in range(12):
        assert not paired.accounts.is_password("eve", "wrong password", address=f"10.0.0.{number}")
    rows = paired._store.rows("SELECT address FROM mistake ORDER BY number")
    assert [row["address"] for row in rows] == [f"10.0.0.{number}" for number in range(7, 12)]


def test_neither_a_clock_set_ahead_nor_the_plug_shortens_the_wait(data, clock):
    with Spool.open(data, clock) as spool:
        spool.accounts.pair(spool.accounts.open_pairing(), "eve", PASSWORD)
        assert [_mistake(spool, clock) for _ in range(8)][-1] == 16
        clock.wall = clock.wall.replace(year=2039)
        with pytest.raises(LoginDelayed):
            spool.accounts.sign_in("eve", PASSWORD)
    clock.reboot()
    with Spool.open(data, clock) as spool:
        with pytest.raises(LoginDelayed):
            spool.accounts.sign_in("eve", PASSWORD)
        clock.sleep(28)
        assert spool.accounts.sign_in("eve", PASSWORD)


def test_a_new_password_a_new_role_and_a_revocation_end_every_session(paired):
    epoch = paired.accounts.add("tom", Role.TECHNOLOGIST, PASSWORD, by="eve").session_epoch
    for change in (
        lambda: paired.accounts.set_password("tom", "another horse", by="eve"),
        lambda: paired.accounts.set_role("tom", Role.ENGINEER, by="eve"),
        lambda: paired.accounts.revoke("tom", by="eve"),
        lambda: paired.accounts.set_active("tom", is_active=False, by="eve"),
    ):
        epoch = paired.accounts.get("tom").session_epoch
        assert paired.accounts.is_current("tom", epoch)
        change()
        assert not paired.accounts.is_current("tom", epoch)
    with pytest.raises(LoginRefused):
        paired.accounts.sign_in("tom", "another horse")
    assert not paired.accounts.is_current("nobody", 0)
    assert [entry.by for entry in paired.history.of("accounts")] == ["eve"] * 6


def test_a_box_keeps_an_engineer(paired):
    paired.accounts.add("tom", Role.TECHNOLOGIST, PASSWORD, by="eve")
    with pytest.raises(WrongState):
        paired.accounts.set_role("eve", Role.TECHNOLOGIST, by="eve")
    with pytest.raises(WrongState):
        paired.accounts.set_active("eve", is_active=False, by="eve")
    assert paired.accounts.get("eve").role == "engineer"
    assert paired.accounts.get("eve").is_active


def test_short_secrets_and_taken_names_are_refused(paired):
    with pytest.raises(SecretTooShort):
        paired.accounts.add("tom", Role.TECHNOLOGIST, "short", by="eve")
    with pytest.raises(SecretTooShort):
        paired.accounts.add(" ", Role.TECHNOLOGIST, PASSWORD, by="eve")
    with pytest.raises(SecretTooShort):
        paired.accounts.set_pin("eve", "123", by="eve")
    with pytest.raises(AccountExists):
        paired.accounts.add("eve", Role.TECHNOLOGIST, PASSWORD, by="eve")
    with pytest.raises(NoSuchRow):
        paired.accounts.set_password("nobody", PASSWORD, by="eve")


def _mistake(spool, clock):
    """Make one mistake, after the wait that is asked for; return that wait."""
    waited = 0
    try:
        spool.accounts.sign_in("eve", "wrong password")
    except LoginDelayed as error:
        waited = int(error.facts["wait_s"])
        clock.sleep(waited)
        assert not spool.accounts.is_password("eve", "wrong password")
    except LoginRefused:
        pass
    return waited
