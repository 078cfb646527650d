"""The one door to everything a contributor does: `python3 dev.py VERB [arguments]`.

Standard library only, because it is what runs first on a machine that has python3 and pip and nothing else. Every verb
first sets up `.venv` (hashed requirements, then watchbell itself, editable) and leaves a stamp, so that the next call
is instant. The environment is made without its own pip, and the pip that is there installs into it: that works on
Debian without python3-venv, and where the system's Python is *externally managed*.

This file has to be *read* by older Pythons, to tell them that they are too old: no syntax newer than 3.8.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "watchbell-stamp"
REQUIREMENTS = ROOT / "requirements"
OLDEST = (3, 11)
OLDEST_PIP = (22, 3)  # the first with `pip --python`
INTERRUPTED = 130

HELP = """\
python3 dev.py VERB [arguments]

  demo      start the real service on SQLite with schedules that do real work; state in .demo/
  test      run every test; arguments go to pytest:  python3 dev.py test -k overlap
            with --release the long ones of a release as well; with --require-services none is skipped
            for want of PostgreSQL: it uses the one that is here, or starts one for as long as the tests run
            with --through-pgbouncer what is about PostgreSQL, by way of a PgBouncer in transaction mode
  lint      ruff check, ruff format --check, the one-way doors
  types     mypy --strict
  bench     measure; arguments go to bench/
  simulate  years of virtual time, judged after every step:  python3 dev.py simulate --seeds 10
  torture   kill, stop and starve it, then judge the ledger:  python3 dev.py torture kill9 --cycles 300,
            torture gunicorn --workers 4 --minutes 2
  lock      write requirements/*.txt anew from pyproject.toml (--upgrade for newer versions)
  setup     only make .venv; every other verb does this first
"""


class Stop(Exception):
    """The end of the way: a sentence for the person in front of it, and an exit code."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


# --- running things -------------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The caller's environment, without what would lead pip or Python elsewhere."""
    env = dict(os.environ)
    for name in (
        "PYTHONHOME",
        "PYTHONPATH",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_REQUIREMENT",
        "__PYVENV_LAUNCHER__",
    ):
        env.pop(name, None)
    env.update(
        PIP_USER="0",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
        PIP_ROOT_USER_ACTION="ignore",
        PYTHONDONTWRITEBYTECODE=env.get("PYTHONDONTWRITEBYTECODE", ""),
        VIRTUAL_ENV=str(VENV),
        PATH=str(BIN) + os.pathsep + env.get("PATH", os.defpath),
    )
    return env


def call(*command: str | Path) -> int:
    """Run a command to its end and return its exit code. Ctrl-C reaches it as well; we wait for its own end."""
    # An exception out of the wait could lose the exit code that it had just been given: it would then be 0.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen([str(part) for part in command], cwd=ROOT, env=environment()) as child:
            code = child.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return 128 - code if code < 0 else code


def become(*command: str | Path) -> int:
    """Turn into the command, so that its signals and its exit code are ours; nothing is left to die in between."""
    if os.name == "nt":
        return call(*command)
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(ROOT)
    os.execve(str(command[0]), [str(part) for part in command], environment())


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


# --- setup ----------------------------------------------------------------------------------------------------------


def setup(level: str = "dev") -> None:
    """Make `.venv` what requirements/<level>.txt says, unless its stamp says that it is already."""
    if sys.version_info < OLDEST:
        raise Stop(
            "watchbell needs Python {}.{} or newer; this is {}.{} ({}). Start dev.py with a newer one, for "
            "instance `python3.11 dev.py`.".format(*OLDEST, *sys.version_info[:2], sys.executable)
        )
    wanted = stamp(level)
    if is_stamped(wanted):
        return
    try:
        VENV.mkdir(exist_ok=True)
        with only_one_at_a_time():
            if not is_stamped(wanted):
                make(level, wanted)
    except OSError as error:
        raise Stop(
            f"The folder {ROOT} cannot be written ({error}). Copy it to a place of your own and try there."
        ) from None


def stamp(level: str) -> list[str]:
    """Where, which Python, what exactly: a line for the place and one for what is installed there."""
    digest = hashlib.sha256()
    for path in (REQUIREMENTS / f"{level}.txt", ROOT / "pyproject.toml"):
        try:
            digest.update(path.read_bytes())
        except FileNotFoundError:
            raise Stop(f"{path} is missing. This does not look like a whole checkout of watchbell.") from None
    base = getattr(sys, "_base_executable", sys.executable)
    return [f"{VENV} {sys.version} {os.path.realpath(base)}", f"{level} {digest.hexdigest()}"]


def is_stamped(wanted: list[str]) -> bool:
    """A dev environment holds everything a run environment has."""
    try:
        found = STAMP.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return PYTHON.exists() and found[:1] == wanted[:1] and wanted[1] in found[1:]


@contextlib.contextmanager
def only_one_at_a_time():  # type: ignore[no-untyped-def]  # typing's Iterator is not worth an import here
    """Two calls at once must not set up the same folder together; the second finds the stamp of the first."""
    try:
        import fcntl
    except ImportError:  # Windows: two at once are left to the person
        yield
        return
    with (VENV / ".setup-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(level: str, wanted: list[str]) -> None:
    began = time.monotonic()
    pip = find_pip()
    say("Setting up .venv; this happens once and takes about half a minute …")
    place = STAMP.read_text(encoding="utf-8").splitlines()[:1] if STAMP.exists() else []
    if place != wanted[:1] or not PYTHON.exists():
        empty(VENV)
        make_environment()
    STAMP.unlink(missing_ok=True)
    install = [*pip, "--python", str(VENV), "install", "-qq"]
    requirements = REQUIREMENTS / f"{level}.txt"
    if call(*install, "--require-hashes", "-r", requirements) != 0:
        raise Stop(
            f"pip could not install {requirements.relative_to(ROOT)}; its own words are above. Without a network, or behind a "
            "proxy, tell pip where packages are (PIP_INDEX_URL, PIP_FIND_LINKS, HTTPS_PROXY) and start again."
        )
    if call(*install, "--no-deps", "--no-build-isolation", "-e", ROOT) != 0:
        raise Stop("pip could not install watchbell itself from this folder; its own words are above.")
    lines = wanted if level == "run" else [*wanted, stamp("run")[1]]
    STAMP.write_text("\n".join(lines) + "\n", encoding="utf-8")
    say(f".venv is ready ({time.monotonic() - began:.0f} s).")


def make_environment() -> None:
    try:
        import venv
    except ImportError:
        raise Stop(
            "This Python has no `venv` module. On Debian and Ubuntu it comes with `apt-get install "
            "libpython3-stdlib`; any Python from its own installer has it."
        ) from None
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(VENV)


def empty(folder: Path) -> None:
    """Remove what is in the folder, but not the lock that we hold in it."""
    for entry in folder.iterdir():
        if entry.name == ".setup-lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def find_pip() -> list[str]:
    """A pip that can install into another environment: this Python's, or any other on the path."""
    candidates = [sys.executable, getattr(sys, "_base_executable", sys.executable)]
    candidates += [found for name in ("python3", "python") if (found := outside_venv(name))]
    too_old = ""
    for python in dict.fromkeys(candidates):
        version = pip_version(python)
        if version is None:
            continue
        if version >= OLDEST_PIP:
            return [python, "-m", "pip"]
        too_old = "{}.{}".format(*version)
    if too_old:
        raise Stop(
            "The pip here is {}; {}.{} or newer is needed. Try `python3 -m pip install --user --upgrade pip`.".format(
                too_old, *OLDEST_PIP
            )
        )
    raise Stop(
        "There is no pip here. On Debian and Ubuntu: `apt-get install python3-pip`; on Fedora: `dnf install "
        "python3-pip`; elsewhere: `python3 -m ensurepip --user`. Then start again."
    )


def outside_venv(name: str) -> str | None:
    """The program of that name on the path, looking past our own environment, which has no pip."""
    path = os.pathsep.join(
        part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(part) != BIN
    )
    return shutil.which(name, path=path)


def pip_version(python: str) -> tuple[int, ...] | None:
    try:
        reply = subprocess.run(
            [python, "-m", "pip", "--version"], env=environment(), capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    words = reply.stdout.split()
    if reply.returncode != 0 or len(words) < 2 or words[0] != "pip":
        return None
    return tuple(int(part) for part in words[1].split(".")[:2] if part.isdigit())


# --- verbs ----------------------------------------------------------------------------------------------------------


def postgres_at_hand(*command: str | Path) -> tuple[str | Path, ...]:
    """The command, to be run with a PostgreSQL named in WATCHBELL_TEST_POSTGRES: one that is here, or one of our own that
    ends with it. Where it comes from is decided in tests/postgres/at_hand.py."""
    return (PYTHON, "-m", "tests.postgres.at_hand", *command)


def do_setup(arguments: list[str]) -> int:
    if arguments:
        raise Stop("`setup` takes no arguments.", 2)
    setup()
    return 0


def do_demo(arguments: list[str]) -> int:
    setup("run")
    return become(BIN / "watchbell", "demo", "--state", ROOT / ".demo", *arguments)


def do_test(arguments: list[str]) -> int:
    setup()
    return become(*postgres_at_hand(PYTHON, "-m", "pytest", "-n", "auto", "--dist", "worksteal", *arguments))


def do_lint(arguments: list[str]) -> int:
    """All three always run, so that one call shows everything there is to mend. Arguments (`--fix`) go to ruff check."""
    setup()
    codes = [
        call(PYTHON, "-m", "ruff", "check", *arguments),
        call(PYTHON, "-m", "ruff", "format", "--check"),
        call(BIN / "lint-imports"),
    ]
    return next((code for code in codes if code), 0)


def do_types(arguments: list[str]) -> int:
    """The package and the tools beside it; the tests are read by people and by pytest."""
    setup()
    everything = ["src", "dev.py", "docs/design", "bench", "simulation", "torture"]
    named = [part for part in arguments if not part.startswith("-")]
    paths = [] if named else [part for part in everything if (ROOT / part).exists()]
    return become(PYTHON, "-m", "mypy", *arguments, *paths)


def do_bench(arguments: list[str]) -> int:
    setup()
    return become(PYTHON, "-m", "bench", *arguments)


def do_simulate(arguments: list[str]) -> int:
    setup()
    return become(PYTHON, "-m", "simulation", *arguments)


def do_torture(arguments: list[str]) -> int:
    setup()
    return become(PYTHON, "-m", "torture", *arguments)


def do_lock(arguments: list[str]) -> int:
    """Resolve once for every system and Python we support; only names, versions and hashes are written."""
    pip = find_pip()
    with tempfile.TemporaryDirectory() as scratch:
        import venv

        venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(scratch)
        if call(*pip, "--python", scratch, "install", "-qq", "uv") != 0:
            raise Stop("pip could not install uv, which writes the requirements; its own words are above.")
        uv = Path(scratch) / BIN.name / "uv"
        for level, groups in (("run", ["build"]), ("dev", ["build", "dev"])):
            code = lock(uv, level, groups, arguments)
            if code:
                return code
    return 0


def lock(uv: Path, level: str, groups: list[str], arguments: list[str]) -> int:
    target = REQUIREMENTS / f"{level}.txt"
    options = ["--universal", "--python-version", "{}.{}".format(*OLDEST), "--generate-hashes", "--no-header"]
    options += ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--quiet"]
    options += [part for group in groups for part in ("--group", group)]
    if level != "run":
        options += ["--constraint", str(REQUIREMENTS / "run.txt")]
    os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
    code = call(uv, "pip", "compile", "pyproject.toml", "-o", target, *options, *arguments)
    if code:
        return code
    text = target.read_text(encoding="utf-8")
    if "://" in text or "file:" in text:
        raise Stop(
            f"{target} names a place that packages come from; only names, versions and hashes belong there."
        )
    say(f"{target.relative_to(ROOT)}: {text.count('==')} packages")
    return 0


VERBS = {
    "setup": do_setup,
    "demo": do_demo,
    "test": do_test,
    "lint": do_lint,
    "types": do_types,
    "bench": do_bench,
    "simulate": do_simulate,
    "torture": do_torture,
    "lock": do_lock,
}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if arguments else 2
    verb = VERBS.get(arguments[0])
    try:
        if verb is None:
            raise Stop(f"There is no verb {arguments[0]!r}. Use one of: {', '.join(VERBS)}.", 2)
        return verb(arguments[1:])
    except Stop as stop:
        say(f"dev.py: {stop}")
        return stop.code
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
