"""What the figures were measured on: one line."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import apsw


def machine(folder: Path, server: str | None = None) -> dict[str, str]:
    """Processor, memory, system, versions, the file system of `folder`, and how busy the machine is. `server` is the URL of
    the server that is measured on."""
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "": f"{os.cpu_count()} × {_found('/proc/cpuinfo', 'model name') or platform.machine()}",
        "memory": f"{int((_found('/proc/meminfo', 'MemTotal') or '0').split()[0]) / 1048576:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": f"{apsw.sqlite_lib_version()} (apsw {apsw.apsw_version()})",
        **({} if server is None else {"PostgreSQL": _server(server)}),
        "file system": _file_system(folder),
        "load": load,
    }


def _server(url: str) -> str:
    """Its version, and the settings that weigh most."""
    import psycopg

    names = ("shared_buffers", "fsync", "synchronous_commit")
    with psycopg.connect(url) as conn:
        said = [(conn.execute(f"SHOW {name}").fetchone() or ("?",))[0] for name in ("server_version", *names)]
    settings = ", ".join(f"{name} {value}" for name, value in zip(names, said[1:], strict=True))
    return f"{said[0].split()[0]} ({settings})"


def _found(path: str, name: str) -> str | None:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(name)), None)


def _file_system(folder: Path) -> str:
    best, kind = "", "unknown"
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return kind
    for _, point, found, *_ in (line.split() for line in mounts):
        inside = str(folder) == point or str(folder).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
