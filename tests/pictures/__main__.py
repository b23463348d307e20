"""`python -m tests.pictures [steps|screens|pages]`: make the pictures of docs/ again. Look at each before you commit it.

`steps` are what the pixel chain does (`docs/pixels.md`), `screens` the panel in Chromium (`docs/panel.md`), `pages` what is
drawn of curves (`docs/pages.md`). Nothing but the simulator's drawn phantom, made-up curves and invented patients is ever in them.
"""

import sys
from pathlib import Path

import imagecodecs

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"


def main(what: str) -> None:
    """Make one kind of them, or all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if what in {"steps", "all"}:
        from tests.pictures import steps

        for name, picture in steps.all_of_them():
            _write(FOLDER / f"{name}.jpg", imagecodecs.jpeg8_encode(picture, level=88, subsampling="444"))
    if what in {"screens", "all"}:
        from tests.pictures import screens

        for name, data in screens.all_of_them():
            _write(FOLDER / f"{name}.jpg", data)
    if what in {"pages", "all"}:
        from tests.pictures import pages

        for name, data in pages.all_of_them():
            _write(FOLDER / f"{name}.png", data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    print(f"{path.name:36} {len(data) // 1024:5} KiB")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "all")
