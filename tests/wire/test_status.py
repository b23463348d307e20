"""Every C-STORE status is exactly one verdict, in words; pynetdicom's table of classes is the oracle."""

import pytest
from pynetdicom.status import code_to_category

from gateway.errors import PeerSilent, by_code
from gateway.wire.dimse import status

EVERY = range(0x10000)


def test_every_status_is_exactly_one_verdict_with_its_error():
    for code in EVERY:
        outcome = status.outcome("Main PACS", code)
        assert outcome.verdict in {"accepted", "later", "never"}
        assert (outcome.error_code == "") == (outcome.verdict == "accepted"), f"{code:04X}"
        assert outcome.status == code
        if outcome.error_code:
            retry = "never" if by_code()[outcome.error_code].retry == "never" else "later"
            assert outcome.verdict == retry, f"{code:04X}: the error's own word on retrying differs"


def test_success_and_warnings_are_accepted_and_nothing_else_but_a_duplicate():
    accepted = {code for code in EVERY if status.outcome("P", code).verdict == "accepted"}
    assert accepted == {code for code in EVERY if code_to_category(code) in {"Success", "Warning"}} | {0x0111} | set(
        range(0xB000, 0xC000)
    )


@pytest.mark.parametrize("code", [0xFE00, 0xFF00, 0xFF01])
def test_what_is_no_final_answer_is_tried_again(code):
    assert status.outcome("P", code).verdict == "later"


def test_only_plain_success_has_nothing_to_say():
    assert [code for code in EVERY if not status.outcome("P", code).text] == [0x0000]


def test_every_sentence_names_its_status_and_who_said_it():
    for code in range(1, 0x10000):
        outcome = status.outcome("Main PACS", code)
        assert f"{code:04X}" in outcome.text
        assert outcome.verdict == "accepted" or "Main PACS" in outcome.text


@pytest.mark.parametrize(
    ("code", "verdict", "error_code"),
    [
        (0x0000, "accepted", ""),
        (0xB000, "accepted", ""),
        (0xB006, "accepted", ""),
        (0xB007, "accepted", ""),
        (0x0111, "accepted", ""),
        (0xA700, "later", "G506"),
        (0xA7FF, "later", "G506"),
        (0x0110, "later", "G500"),
        (0x0124, "later", "G502"),
        (0x0122, "never", "G504"),
        (0xA900, "never", "G505"),
        (0xC000, "never", "G505"),
        (0xC123, "never", "G505"),
        (0x1234, "never", "G505"),
    ],
)
def test_the_standard_codes(code, verdict, error_code):
    outcome = status.outcome("P", code)
    assert (outcome.verdict, outcome.error_code) == (verdict, error_code)


@pytest.mark.parametrize("code", [0xC000, 0xA900, 0xB000, 0xA700, 0x0111, 0x0122, 0x0110, 0x1234])
def test_the_peers_own_words_are_quoted(code):
    assert "Study is locked" in status.outcome("P", code, "Study is locked").text


def test_a_comment_on_success_is_a_note():
    assert status.outcome("P", 0, "thank you").text == "thank you"


def test_no_row_of_the_table_is_shadowed():
    reached = [next(row for row in status.TABLE if row.first <= code <= row.last) for code in EVERY]
    assert set(map(id, reached)) == set(map(id, status.TABLE))


def test_a_failure_without_a_status_says_itself_whether_to_try_again():
    outcome = status.failure(PeerSilent(peer="P"))
    assert (outcome.verdict, outcome.error_code, outcome.text, outcome.status) == (
        "later",
        "G503",
        "P stopped answering.",
        0,
    )
