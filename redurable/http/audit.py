"""One line for each call that changes something, and each that was refused to: logger `redurable.audit`.

No secret is in it, and nothing that a caller can write makes two lines of one, or looks like a field of it.
"""

from __future__ import annotations

import json
import logging
import re

from msgspec import Struct

log = logging.getLogger("redurable.audit")

_PLAIN = re.compile(r"[A-Za-z0-9._:/@+-]{1,256}")
_MOST = 256


class Deed(Struct, frozen=True, kw_only=True):
    """What was asked, by whom, and what came of it."""

    action: str
    key: str
    hub: str
    instance: str
    status: int
    remote: str
    request: str
    note: str = ""


def tell(deed: Deed) -> None:
    """Write the line; the fields are attributes of the log record, too."""
    fields = {
        "action": deed.action,
        "key": deed.key,
        "hub": deed.hub,
        "instance": deed.instance,
        "outcome": _OUTCOMES.get(deed.status, "done" if deed.status < 300 else "failed"),
        "status": str(deed.status),
        "remote": deed.remote,
        "request": deed.request,
        "note": deed.note,
    }
    shown = {name: _shown(value) for name, value in fields.items() if value}
    line = " ".join(f"{name}={value}" for name, value in shown.items())
    log.info("%s", line, extra={"audit": shown})


_OUTCOMES = {401: "refused", 403: "refused", 404: "not-found", 409: "conflict", 410: "finished", 503: "unavailable"}


def _shown(value: str) -> str:
    """A value as it may stand in a line: plain, or as a JSON text in ASCII, cut to a length."""
    value = value if len(value) <= _MOST else value[: _MOST - 1] + "…"
    return value if _PLAIN.fullmatch(value) else json.dumps(value).replace("\x7f", "\\u007f")
