"""`--app module:bell`: find an application's Watchbell, or say what is missing."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from ..errors import BadConfiguration

if TYPE_CHECKING:
    from ..app import Watchbell

HOW = "write --app module:name, such as --app shop.jobs:bell"


def load(text: str) -> Watchbell:
    """The Watchbell that `module:name` stands for; the present folder is looked at first. BadConfiguration."""
    from ..app import Watchbell

    module_name, sign, attribute = text.partition(":")
    if not sign or not module_name or not attribute:
        raise BadConfiguration(f"{text!r} names no application; {HOW}.")
    if module_name.endswith(".py") or os.sep in module_name:
        raise BadConfiguration(f"{module_name!r} is a file; {HOW}, without .py and with dots for folders.")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _module(module_name, folder)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            bells = [name for name, value in vars(module).items() if isinstance(value, Watchbell)]
            hint = f"it has {', '.join(bells)}" if bells else "it has no Watchbell at all"
            raise BadConfiguration(f"The module {module_name} has no {attribute!r}; {hint}.")
        found = getattr(found, part)
    if not isinstance(found, Watchbell):
        raise BadConfiguration(
            f"{text} is a {type(found).__name__}, not a Watchbell; name the one that you made with Watchbell(url)."
        )
    return found


def _module(name: str, folder: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise BadConfiguration(
                f"There is no module {name!r} in {folder} or among the installed ones; {HOW}."
            ) from error
        raise BadConfiguration(
            f"The module {name} needs {missing!r}, which is not installed here."
        ) from error
    except Exception as error:
        raise BadConfiguration(
            f"The module {name} could not be imported: {type(error).__name__}: {error} (WATCHBELL_DEBUG=1 shows where)."
        ) from error
