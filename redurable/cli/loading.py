"""`MODULE:APP` of the command line, imported as Python would from the current directory."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from redurable import App
from redurable.errors import RegistrationError


def load_app(target: str) -> App:
    """Import the `App` that `target` names; raise `RegistrationError` that says what is wrong with it."""
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise RegistrationError(f"{target!r} does not name an app: write MODULE:APP, for example orders:app")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise RegistrationError(_not_found(target, module_name, error)) from error
    except Exception as error:
        raise RegistrationError(f"{target!r}: importing {module_name!r} raised {_brief(error)}") from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise RegistrationError(f"{target!r}: module {module_name!r} has no {path!r}") from None
    if not isinstance(found, App):
        raise RegistrationError(f"{target!r} is a {type(found).__name__}, not a redurable App")
    return found


def _not_found(target: str, module_name: str, error: ModuleNotFoundError) -> str:
    missing = error.name or ""
    if module_name == missing or module_name.startswith(missing + "."):
        return f"{target!r}: there is no module {missing!r} in {Path.cwd()} or among the installed packages"
    return f"{target!r}: importing {module_name!r} needs module {missing!r}, which is not installed"


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
