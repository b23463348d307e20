"""DCMTK's programs by their full path: pynetdicom has a `storescp`, a `storescu` and an `echoscu` too, in .venv/bin, which tests look in first."""

import shutil


def program(name: str) -> str:
    """Where DCMTK's program is; where the package dcmtk is missing, a path at which nothing is, so that the test fails."""
    return shutil.which(name, path="/usr/bin:/usr/local/bin") or f"/usr/bin/{name}"
