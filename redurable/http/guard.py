"""Who may come in: API keys with roles; without keys, this machine alone."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from redurable.http.answers import refused
from redurable.http.keys import ApiKey, Role, find_key
from redurable.http.query import Query

HEADER = "x-functions-key"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Caller:
    """Whoever asks: the name of the key. `code` is the key itself, when it came in the URL: the URLs of the answer have
    it again. It is in no log."""

    name: str = "-"
    role: Role = Role.ADMIN
    code: str = field(default="", repr=False)

    def check(self, role: Role) -> None:
        """Raises `Refused` when the key does not reach so far."""
        if self.role < role:
            has, needs = self.role.name.lower(), role.name.lower()
            raise refused(403, f"API key {self.name!r} has the role {has}, and this needs {needs}.")


class Guard:
    """Admits requests. Without `keys` it takes what comes from this machine and names it, and, when it is told to be
    `insecure`, everything."""

    def __init__(self, keys: Sequence[ApiKey], insecure: bool, origins: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self._insecure = insecure
        self._origins = frozenset(origins)

    def identify(self, request: Request) -> Caller:
        """Raises `Refused`: 401 without a key that is known, 403 for who may not come from there."""
        if not self._keys:
            self._check_place(request)
            return Caller()
        secret, code = _presented(request)
        key = find_key(self._keys, secret) if secret else None
        if key is None:
            raise refused(401, WWW_Authenticate="Bearer")
        return Caller(key.name, key.role, code)

    def _check_place(self, request: Request) -> None:
        # The name, too: a page on the web can make its own name lead to this machine, and be let in by a browser.
        local = _is_local_peer(request) and is_local_host(request.headers.get("host", ""))
        if not self._insecure and not local:
            text = "Without API keys only this machine is served, under its own names: localhost or 127.0.0.1."
            raise refused(403, text)
        # Browsers send simple POSTs of any page without asking, and say where these come from.
        if request.method not in _SAFE and self._is_foreign(request):
            raise refused(403, "This request comes from a web page of another origin.")

    def _is_foreign(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        if origin is None:
            return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if origin in self._origins or "*" in self._origins:
            return False
        return urlsplit(origin).netloc != request.headers.get("host", "")


def is_local_host(host: str) -> bool:
    """Whether a `host` or `host:port` names this machine alone."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_loopback(name)


def _is_local_peer(request: Request) -> bool:
    # A unix socket has no peer: who may open it, its permissions say.
    return request.client is None or not request.client.host or _is_loopback(request.client.host)


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False


def _presented(request: Request) -> tuple[str, str]:
    """The key that a request brings, and whether it stood in the URL."""
    header = request.headers.get(HEADER, "")
    if header:
        return header, ""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip(), ""
    if scheme.lower() == "basic":  # SDKs have a base URL and nothing else: http://any:KEY@host/durabletask/
        return _password(rest), ""
    code = Query(request.query_params.multi_items()).text("code")
    return code, code


def _password(text: str) -> str:
    try:
        return base64.b64decode(text.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
