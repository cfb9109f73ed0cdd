"""Imports all modules of a package, so that their decorators run, and finds the apps among what they define."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from redurable.errors import RegistrationError


def modules_of(package: str) -> Iterator[ModuleType]:
    """The package, and all modules in it, imported; `__main__` modules, which are programs, are left alone. Raises
    `RegistrationError` that names the module that is missing or fails."""
    root = _imported(package, package)
    yield root
    paths = getattr(root, "__path__", None)
    if paths is None:
        return
    for found in pkgutil.iter_modules(paths, f"{package}."):
        if found.ispkg:
            yield from modules_of(found.name)
        elif not found.name.endswith(".__main__"):
            yield _imported(found.name, package)


def _imported(name: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise RegistrationError(
                f"scan({package!r}): there is no module {error.name!r}: give the name under which Python imports the "
                "package, such as 'shop.orders', and see that its parent directory is on sys.path"
            ) from error
        raise RegistrationError(f"scan({package!r}): {name} needs {error.name!r}, which is not installed") from error
    except RegistrationError as error:
        raise RegistrationError(f"scan({package!r}): in {name}: {error}") from error
    except Exception as error:
        raise RegistrationError(
            f"scan({package!r}): importing {name} raised {type(error).__name__}: {error}"
        ) from error
