"""Another machine on this one: namespaces in which a process has other process ids, another host name and another boot.

Who looks at it from outside cannot prove by its process id that it is dead, as on one machine; there is only its silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

_BOOT = "/proc/sys/kernel/random/boot_id"
_SCRIPT = f'mount --bind "$0" {_BOOT} && hostname elsewhere && exec "$@"'
_UNSHARE = ("unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")
_PATIENCE_S = 10.0


def veil(folder: Path) -> list[str]:
    """What to write before a command so that it runs there. It is killed by killing what is started."""
    boot = folder / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    as_root = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return [*_UNSHARE, *as_root, "sh", "-c", _SCRIPT, str(boot)]


def can_veil(folder: Path) -> bool:
    """Whether this machine lets us."""
    if shutil.which("unshare") is None:
        return False
    try:
        tried = subprocess.run([*veil(folder), "true"], capture_output=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
