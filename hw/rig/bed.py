"""The host's Debian suite and `recipe.toml` to what a guest boots from: a kernel, its modules, a root filesystem.

Nothing here is installed on the host and no version is written down: the kernel is the one the host's own apt would install,
the root filesystem is of the host's own suite, so that its Python runs the checkout's `.venv`. Everything is kept in
`build/rig/`, under names that hash what it was made of. Kernel boot protocol: Documentation/arch/x86/boot.rst in Linux.
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import platform
import shutil
import struct
import subprocess
import tempfile
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
CACHE = CHECKOUT / "build" / "rig"
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mkfs.erofs": "erofs-utils",
    "zstd": "zstd",
    "depmod": "kmod",
    "cpio": "cpio",
    "busybox": "busybox-static",
}
"""What the host needs, and the Debian package it is in (`APT_RIG` in the Makefile)."""

_XZ, _ZSTD, _GZIP, _LZ4 = b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\x02\x21\x4c\x18"


class BenchError(Exception):
    """The bench cannot be built or started here; the sentence says why and what to do."""


@dataclass(frozen=True)
class Bed:
    """What every guest boots from; read-only, shared by all machines."""

    vmlinux: Path
    """The kernel as ELF, which QEMU starts without a boot loader (PVH): twice as quick as a bzImage."""
    initrd: Path
    """First process, the few programs it needs, and all modules of the recipe."""
    root: Path
    """Debian's userland as EROFS."""
    release: str
    """The kernel's release, as `uname -r` says."""


def make(cache: Path = CACHE, *, say: Any = print) -> Bed:
    """Build what is not there yet (about a minute) and return it. Raises BenchError, subprocess.CalledProcessError."""
    _refuse_elsewhere()
    recipe = tomllib.loads((HERE / "recipe.toml").read_text(encoding="utf-8"))
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / "lock"):
        suite, package = _suite(), _kernel_package()
        kernel = cache / f"kernel-{_digest(package, (HERE / 'bed.py').read_text(), recipe['kernel'])}"
        if not kernel.is_dir():
            say(f"rig: taking {package} apart")
            _make(kernel, lambda folder: _build_kernel(folder, package, recipe["kernel"]))
        release = (kernel / "release").read_text(encoding="utf-8")
        root = cache / f"root-{_digest(suite, sorted(recipe['root']['packages']))}"
        if not root.is_dir():
            say(f"rig: making a root filesystem of Debian {suite}")
            _make(root, lambda folder: _build_root(folder, suite, recipe["root"]["packages"]))
        initrd = (
            cache / f"initrd-{_digest(kernel.name, *(path.read_text() for path in sorted((HERE / 'guest').iterdir())))}"
        )
        if not initrd.is_dir():
            _make(initrd, lambda folder: _build_initrd(folder, kernel))
        _forget_others(cache, {kernel.name, root.name, initrd.name})
    return Bed(vmlinux=kernel / "vmlinux", initrd=initrd / "initrd.cpio", root=root / "root.erofs", release=release)


def unpacked(bzimage: bytes) -> bytes:
    """Return the ELF kernel inside a bzImage (boot protocol 2.08: payload_offset, payload_length). Raises BenchError."""
    sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = bzimage[start : start + length]
    if payload.startswith(_XZ):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(_GZIP):
        return zlib.decompressobj(31).decompress(payload)
    if payload.startswith(_ZSTD):
        # The boot protocol appends four bytes that are no part of the frame: zstd writes all and then complains.
        return subprocess.run(["zstd", "-dcq"], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout
    raise BenchError(f"the kernel's payload is packed in a way that is not known here ({payload[:4].hex()})")


# ---- the host ----


def _refuse_elsewhere() -> None:
    if platform.machine() != "x86_64":
        raise BenchError(f"the bench runs on amd64, this is {platform.machine()}")
    missing = {package for program, package in PROGRAMS.items() if not _has(program)}
    if missing:
        raise BenchError(f"Debian packages are missing: {' '.join(sorted(missing))} (make rig installs them)")


def _has(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _suite() -> str:
    """Return the host's own Debian suite, from os-release(5)."""
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian" or not release.get("VERSION_CODENAME"):
        raise BenchError(f"the bench is made of the host's own Debian suite; this is {release.get('PRETTY_NAME')}")
    return release["VERSION_CODENAME"]


def _kernel_package() -> str:
    """Return "name=version" of the kernel that the host's apt would install."""
    for try_again in (True, False):
        shown = _output("apt-cache", "depends", "--important", "linux-image-amd64", check=False)
        name = next((line.split()[-1] for line in shown.splitlines() if "Depends: linux-image-" in line), "")
        policy = _output("apt-cache", "policy", name, check=False) if name else ""
        version = next((line.split()[-1] for line in policy.splitlines() if "Candidate:" in line), "(none)")
        if version != "(none)":
            return f"{name}={version}"
        if try_again:
            _run(*_root(), "apt-get", "-qq", "update")
    raise BenchError("apt knows no linux-image-amd64: is this host's Debian archive reachable?")


def _archives(suite: str) -> list[str]:
    """Return the lines of sources.list(5) of the suite that the host itself uses."""
    wanted = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    shown = _output("apt-get", "indextargets", "--format", wanted, "Created-By: Packages", "Origin: Debian")
    own = {suite, f"{suite}-updates", f"{suite}-security"}
    found = [line for line in dict.fromkeys(shown.splitlines()) if line.split()[1] in own]
    if not found:
        raise BenchError(f"this host's apt has no archive of Debian {suite}: run apt-get update")
    return [f"deb {line}" for line in found]


def _root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo"]


# ---- the kernel ----


def _build_kernel(folder: Path, package: str, recipe: dict[str, list[str]]) -> None:
    unpack = folder / "unpack"
    unpack.mkdir()
    _download(package, unpack)
    _run("dpkg-deb", "-x", str(next(unpack.glob("*.deb"))), str(unpack))
    image = next((unpack / "boot").glob("vmlinuz-*"))
    release = image.name.removeprefix("vmlinuz-")
    (folder / "vmlinux").write_bytes(unpacked(image.read_bytes()))
    (folder / "release").write_text(release, encoding="utf-8")
    if not (unpack / "lib").exists() and (unpack / "usr" / "lib" / "modules").exists():
        (unpack / "lib").symlink_to("usr/lib")
    _run("/sbin/depmod", "-b", str(unpack), release)
    modules = folder / "lib" / "modules" / release
    modules.mkdir(parents=True)
    boot = _take(unpack, release, recipe["boot"], modules)
    _take(unpack, release, recipe["modules"], modules)
    (folder / "boot-order").write_text("".join(f"{name}\n" for name in boot), encoding="utf-8")
    for listed in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        if (source := unpack / "lib" / "modules" / release / listed).exists():
            shutil.copy(source, modules / listed)
    _run("/sbin/depmod", "-b", str(folder), release)
    shutil.rmtree(unpack)


def _download(package: str, folder: Path) -> None:
    """Fetch a package with the host's own apt; its lists may be older than the archive."""
    fetch = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package]
    if subprocess.run(fetch, cwd=folder, check=False).returncode:
        _run(*_root(), "apt-get", "-qq", "update")
        subprocess.run(fetch, cwd=folder, check=True)


def _take(unpack: Path, release: str, wanted: Sequence[str], folder: Path) -> list[str]:
    """Copy modules and what they depend on, decompressed, flat; return their file names in the order of loading."""
    taken: list[str] = []
    for name in wanted:
        shown = _output("/sbin/modprobe", "-d", str(unpack), "-S", release, "--show-depends", name)
        for path in (Path(line.split()[1]) for line in shown.splitlines() if line.startswith("insmod ")):
            plain = path.name.removesuffix(".xz").removesuffix(".zst")
            if plain not in taken:
                taken.append(plain)
                (folder / plain).write_bytes(_decompressed(path))
    return taken


def _decompressed(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", str(path)], stdout=subprocess.PIPE, check=True).stdout
    return path.read_bytes()


# ---- the file systems ----


def _build_initrd(folder: Path, kernel: Path) -> None:
    tree = folder / "tree"
    for name in ("bin", "proc", "sys", "dev", "layer", "root", "new"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox") or "/bin/busybox"
    shutil.copy(busybox, tree / "bin" / "busybox")
    shutil.copytree(kernel / "lib", tree / "lib")
    shutil.copy(kernel / "boot-order", tree / "boot-order")
    for name in ("init", "start"):
        shutil.copy(HERE / "guest" / name, tree / name)
        (tree / name).chmod(0o755)
    names = "".join(f"{path.relative_to(tree)}\n" for path in sorted(tree.rglob("*")))
    with (folder / "initrd.cpio").open("wb") as out:
        pack = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
        subprocess.run(pack, cwd=tree, input=names.encode(), stdout=out, check=True)
    shutil.rmtree(tree)


def _build_root(folder: Path, suite: str, packages: Sequence[str]) -> None:
    tree = folder / "tree"
    keys = next(
        path
        for ending in ("pgp", "gpg")
        for path in Path("/usr/share/keyrings").glob(f"debian-archive-keyring.{ending}")
    )
    options = [
        "--variant=minbase",
        "--mode=root",
        "--quiet",
        f"--keyring={keys}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude=/usr/share/{useless}/*" for useless in ("doc", "man", "locale", "info")),
        f"--include={','.join(packages)}",
    ]
    _run(*_root(), "mmdebstrap", *options, suite, str(tree), *_archives(suite))
    _run(*_root(), "mkfs.erofs", "--quiet", "-T0", str(folder / "root.erofs"), str(tree))
    _run(*_root(), "rm", "-rf", str(tree))
    _run(*_root(), "chmod", "0644", str(folder / "root.erofs"))


# ---- the cache ----


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _make(folder: Path, build: Any) -> None:
    """Build into a folder that gets its name only when it is whole."""
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix="part-"))
    part.chmod(0o755)
    build(part)
    part.rename(folder)


def _forget_others(cache: Path, kept: set[str]) -> None:
    """Delete what an older recipe made; a guest that still runs holds its files open."""
    for path in cache.iterdir():
        if path.name.partition("-")[0] in {"kernel", "root", "initrd", "part"} and path.name not in kept:
            _run(*_root(), "rm", "-rf", str(path))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _output(*command: str, check: bool = True) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=check, env=_english()).stdout


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env=_english())


def _english() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
