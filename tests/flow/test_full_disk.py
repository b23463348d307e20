"""The data partition fills to the last byte while an exam runs and a modality sends: new work is refused, nothing is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import small_disk
from tests.flow import full_disk

SCENARIOS = (
    full_disk.the_exam_goes_on_and_the_box_comes_back,
    full_disk.without_a_ballast_a_cine_is_kept_as_soon_as_there_is_room,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("kind", small_disk.MOUNTS)
def test_on_a_disk_filled_to_the_last_byte(
    kind: str, scenario: Callable[..., None], tmp_path: Path, free_ports: Callable[[int], list[int]]
) -> None:
    small_disk.run(kind, tmp_path, "tests.flow.full_disk", scenario.__name__, *map(str, free_ports(2)))
