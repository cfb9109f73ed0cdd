"""Where a request came to, in the caller's words."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.types import Scope

from redurable.http.answers import refused

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}]|[A-Za-z0-9._~-]{1,255})(:\d{1,5})?")


def origin_of(request: Request) -> str:
    """Scheme, host and port. Raises `Refused` for a `Host` that is none: it would stand in URLs of the answer."""
    host = request.headers.get("host", "")
    if not host:
        server = request.scope.get("server") or ("localhost", None)
        host = server[0] if server[1] is None else f"{server[0]}:{server[1]}"
    if not _HOST.fullmatch(host):
        raise refused(400, "The Host header is not valid.")
    return f"{request.scope.get('scheme', 'http')}://{host}"


def raw_path(scope: Scope) -> str:
    """The path as it was sent, with its escapes, and with the place where the API is mounted."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:  # A server may leave it out; then an escaped slash cannot be told from a real one.
        return quote(scope["path"])
    return raw.split(b"?")[0].decode("latin-1")


def root_of(scope: Scope) -> str:
    """Where the API is mounted, with escapes, without a slash at its end."""
    return escaped(scope.get("root_path", ""))


def escaped(root: str) -> str:
    """The place of a mount as it stands in URLs."""
    return quote(root, safe="/%:@!$&'()*+,;=~").rstrip("/")


def below_root(scope: Scope) -> str:
    """The path below the place where the API is mounted."""
    raw, root = raw_path(scope), root_of(scope)
    return raw[len(root) :] if root and (raw == root or raw.startswith(f"{root}/")) else raw
