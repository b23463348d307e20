"""A program that is fed: whoever feeds it hears of his own failure, whatever became of the program meanwhile."""

import time

import pytest

from gateway.device import process


def test_what_feeding_raises_is_heard_although_the_program_reads_no_more(tmp_path):
    def pieces():
        yield b"x"  # waits in our buffer, and can never be delivered
        while not (tmp_path / "closed").exists():
            time.sleep(0.01)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        process.feed(["sh", "-c", f"exec <&-; touch {tmp_path}/closed"], pieces())
