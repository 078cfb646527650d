"""The configuration of a process: where it is written, and what of it must be known before anything else.

Later wins: the built-in values; `watchbell.toml` in the user's configuration folder; `watchbell.toml` in the present folder
(or, in place of both, the file that $WATCHBELL_CONFIG names); the environment; the command line. `reading` puts all of it
together and checks it (`model` says what there is); that needs pydantic and is imported by who runs an engine or is asked
for the configuration. Every other command only wants to know which database is meant, and gets it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BadConfiguration

__all__ = [
    "FILE",
    "FILE_VARIABLE",
    "PREFIX",
    "database_of",
    "files",
    "state_folder",
    "switched_off",
    "tables",
    "user_folder",
    "zone_of",
]

FILE = "watchbell.toml"
PREFIX = "WATCHBELL_"
FILE_VARIABLE = "WATCHBELL_CONFIG"
DATABASE_VARIABLES = ("WATCHBELL_DATABASE_URL", "WATCHBELL_DATABASE")
OFF_SWITCHES = ("WATCHBELL_DISABLE_JOBS", "DISABLE_JOB_SCHEDULER")
"""Variables that keep every engine of a process from starting; the second is what others called it."""
PLACES = ("database", "state_folder")
"""Keys that name a place: a relative one is counted from the folder of the file in which it is written."""
NO_HOME = Path("/var/lib/watchbell")
"""The folder for state of a user without a home, as in some containers."""
_NO = ("", "0", "false", "no", "off")
LARGEST = 1_000_000


def user_folder() -> Path:
    """The user's folder for configuration."""
    from platformdirs import user_config_path

    return user_config_path("watchbell", appauthor=False)


def files(environment: Mapping[str, str], folder: Path) -> list[Path]:
    """The files that are read, later wins. BadConfiguration where $WATCHBELL_CONFIG names one that is not there."""
    if named := environment.get(FILE_VARIABLE, "").strip():
        path = Path(named).expanduser()
        if not path.is_file():
            raise BadConfiguration(f"${FILE_VARIABLE} names {named}, which is no file.")
        return [path]
    places = (user_folder() / FILE, folder / FILE)
    return [path for path in dict.fromkeys(places) if path.is_file()]


def tables(path: Path) -> dict[str, Any]:
    """What a file says, as it is written. BadConfiguration with the line where it is no TOML."""
    import tomllib

    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) > LARGEST:
        raise BadConfiguration(f"{path} has {len(data):,} bytes; a configuration has at most {LARGEST:,}.")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadConfiguration(f"{path} is no UTF-8 text.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        text = str(error).rstrip(".")
        raise BadConfiguration(f"{path} cannot be read: {text[:1].lower()}{text[1:]}.") from None


def database_of(environment: Mapping[str, str], folder: Path) -> str | None:
    """The database that the environment, or else a file, names; None where neither does."""
    for variable in DATABASE_VARIABLES:
        if url := environment.get(variable, "").strip():
            return url
    return _text_of("database", environment, folder)


def state_folder(environment: Mapping[str, str], folder: Path | None, written: str | None = None) -> Path:
    """The folder of this user for what watchbell keeps on this machine: as the configuration says where that was read
    (`written`), else as the environment or, with a `folder`, a file does, else the system's place for state."""
    named = written or environment.get(f"{PREFIX}STATE_FOLDER", "").strip()
    if not named and folder is not None:
        named = _text_of("state_folder", environment, folder) or ""
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_state_path

    try:
        found = user_state_path("watchbell", appauthor=False)
    except RuntimeError:
        return NO_HOME
    return found if found.is_absolute() else NO_HOME  # older versions of it say "~"


def zone_of(environment: Mapping[str, str], folder: Path) -> str:
    """The zone of rules that name none: as the environment or a file says, else UTC."""
    return environment.get(f"{PREFIX}ZONE", "").strip() or _text_of("zone", environment, folder) or "UTC"


def _text_of(key: str, environment: Mapping[str, str], folder: Path) -> str | None:
    for path in reversed(files(environment, folder)):
        found = tables(path).get(key)
        if found is not None:
            if not isinstance(found, str) or not found.strip():
                raise BadConfiguration(f"{path}: {key} is a text, not {found!r}.")
            return _from_its_folder(found.strip(), path) if key in PLACES else found.strip()
    return None


def _from_its_folder(url: str, path: Path) -> str:
    """A place named by a relative path lies beside the file that names it, wherever somebody stands."""
    bare = url.removeprefix("sqlite:///")
    if (
        url == "sqlite://"
        or (url.startswith("sqlite:") and bare == url)
        or "://" in bare
        or Path(bare).is_absolute()
    ):
        return url
    return str(path.absolute().parent / Path(bare).expanduser())


def switched_off(environment: Mapping[str, str]) -> str | None:
    """The variable that keeps this process from running an engine; None where none does."""
    for variable in OFF_SWITCHES:
        if environment.get(variable, "").strip().lower() not in _NO:
            return variable
    return None
