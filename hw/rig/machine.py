"""A bed to one running guest: QEMU as a child process, its console line by line, a command inside, and how all that ended.

    with Machine(bed.make(), "echo hello; exit 3") as guest:
        for line in guest.lines(): ...
        guest.wait()  # 3

Emulated (TCG): KVM hangs with Debian's stock kernels where the host is itself a guest. No network at all. The checkout stands
at its own path, read-only, so that `.venv/bin/python` is the host's; `guest.folder` is /run/rig in the guest, read and
written by both. A guest that panics, falls silent or switches off without a result is an error, never a success.
"""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from hw.rig.bed import CACHE, CHECKOUT, Bed

SILENCE_S: Final = 300.0
"""A guest that says nothing on its console for so long hangs; under emulation everything takes ten times as long."""
SHARE: Final = "/run/rig"
"""Where the guest sees `Machine.folder`."""

_APPEND: Final = "console=ttyS0,115200 panic=-1 quiet mitigations=off nokaslr random.trust_cpu=on net.ifnames=0"
_DISK: Final = "discard=off,write-zeroes=off"
_COLOUR: Final = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|c)")
_END: Final = None


class GuestDied(Exception):
    """The guest panicked, hung, or switched off without saying how its command ended; the last lines of its console follow."""


@dataclass(frozen=True)
class Share:
    """A folder of the host that the guest sees."""

    tag: str
    host: Path
    guest: str
    is_writable: bool = False


class Machine:
    """One guest, from switching on to switching off. A context manager: leaving it ends the guest."""

    def __init__(
        self,
        bed: Bed,
        command: str,
        *,
        disks: Sequence[str] = (),
        qemu: Sequence[str] = (),
        memory_mib: int = 1024,
        cores: int = 2,
        shares: Sequence[Share] = (),
        folder: Path | None = None,
    ) -> None:
        """Switch on a guest that runs `command` (bash, as root, in /) and then switches off.

        `disks`: names of block nodes that `qemu` defines with -blockdev; the first is /dev/vdb, with a volatile write cache.
        `qemu`: further arguments; the working directory of QEMU is `folder`, so short relative paths work for sockets.
        `folder`: what the guest sees as /run/rig; a new one below build/rig/ unless given, removed at the end.
        """
        self._is_folder_ours = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(dir=CACHE, prefix="run-"))
        self.console: list[str] = []
        """Every line the guest has said so far."""
        self._queue: queue.Queue[str | None] = queue.Queue()
        shares = (
            Share("run", self.folder, SHARE, is_writable=True),
            Share("checkout", CHECKOUT, str(CHECKOUT)),
            *shares,
        )
        self._write_down(command, len(disks), shares)
        arguments = [
            *(
                *("setpriv", "--pdeathsig", "KILL"),  # whoever ends us ends the guest
                "qemu-system-x86_64",
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "max",
                "-smp",
                f"{cores}",
                "-m",
                f"{memory_mib}",
            ),
            *("-M", "q35", "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio", "-device", "virtio-rng-pci"),
            *("-kernel", str(bed.vmlinux), "-initrd", str(bed.initrd), "-append", _APPEND),
            *(
                "-drive",
                f"file={bed.root},if=none,id=root,format=raw,readonly=on",
                "-device",
                "virtio-blk-pci,drive=root",
            ),
            *(part for share in shares for part in _nine_p(share)),
            *qemu,
            *(part for name in disks for part in ("-device", f"virtio-blk-pci,drive={name},{_DISK}")),
        ]
        self._process = subprocess.Popen(
            arguments,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us, and we end the guest
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Self:
        """Have it for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Pull the plug, if it is not off yet."""
        self.kill()
        if self._is_folder_ours:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """QEMU's process."""
        return self._process.pid

    @property
    def is_off(self) -> bool:
        """Whether QEMU has ended."""
        return self._process.poll() is not None

    def lines(self, silence_s: float = SILENCE_S) -> Iterator[str]:
        """Yield what the guest says, until it is off. Raises GuestDied when it panics or says nothing for `silence_s`."""
        while True:
            line = self.line(silence_s)
            if line is None:
                return
            yield line

    def line(self, silence_s: float = SILENCE_S) -> str | None:
        """Return the next line, None when the guest is off. Raises GuestDied."""
        try:
            line = self._queue.get(timeout=silence_s)
        except queue.Empty:
            self.kill()
            raise GuestDied(self._told(f"nothing was heard from the guest for {silence_s:.0f} s")) from None
        if line is _END:
            self._queue.put(_END)
        elif "Kernel panic" in line:
            time.sleep(0.5)  # what led to it is still being printed
            self.kill()
            raise GuestDied(self._told("the guest's kernel panicked"))
        return line

    def wait(self, silence_s: float = SILENCE_S) -> int:
        """Listen until the guest is off and return the exit status of its command. Raises GuestDied."""
        for _ in self.lines(silence_s):
            pass
        self._process.wait()
        try:
            return int((self.folder / "status").read_text(encoding="ascii"))
        except (OSError, ValueError):
            raise GuestDied(self._told("the guest switched off without a result")) from None

    def kill(self) -> None:
        """End QEMU at once: SIGKILL, as if the plug was pulled. What the guest has written to its disks stays in their files."""
        self._process.kill()
        self._process.wait()

    def _write_down(self, command: str, disks: int, shares: Sequence[Share]) -> None:
        """Leave for `guest/start` what it needs to know."""
        (self.folder / "status").unlink(missing_ok=True)
        how = {True: "cache=none", False: "ro,cache=loose"}
        mounts = [f"{each.tag} {how[each.is_writable]} {each.guest}\n" for each in shares[1:]]
        (self.folder / "mounts").write_text("".join(mounts), encoding="utf-8")
        (self.folder / "disks").write_text(f"{disks}\n", encoding="ascii")
        (self.folder / "command").write_text(command, encoding="utf-8")

    def _listen(self) -> None:
        for raw in self._process.stdout or ():
            line = _COLOUR.sub("", raw.decode("utf-8", "replace")).rstrip("\r\n")
            self.console.append(line)
            self._queue.put(line)
        self._queue.put(_END)

    def _told(self, problem: str) -> str:
        return "\n".join([problem, *(f"  | {line}" for line in self.console[-60:])])


def _nine_p(share: Share) -> list[str]:
    """QEMU escapes a comma by doubling it."""
    path = str(share.host).replace(",", ",,")
    readonly = "" if share.is_writable else ",readonly=on"
    return [
        *("-fsdev", f"local,id={share.tag},path={path},security_model=none,multidevs=remap{readonly}"),
        *("-device", f"virtio-9p-pci,fsdev={share.tag},mount_tag={share.tag}"),
    ]
