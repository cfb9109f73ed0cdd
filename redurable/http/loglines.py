"""Log lines of the API, and a filter that keeps keys out of those of others."""

from __future__ import annotations

import logging
import re
from uuid import uuid4

from starlette.requests import Request

REQUEST_ID = "x-request-id"
access = logging.getLogger("redurable.http")

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_CODE = re.compile(r"(?i)(\bcode=)[^&\s\"']+")


def request_id(request: Request) -> str:
    """The id under which a request is logged: what the caller, or the proxy before it, says, or a new one."""
    said = request.headers.get(REQUEST_ID, "")
    return said if _ID.fullmatch(said) else uuid4().hex


def log_request(identifier: str, key: str, method: str, route: str, status: int, seconds: float) -> None:
    """One line for a request: the route, never the path or the query."""
    access.info(
        "%s %s %d %.1f ms key=%s request=%s", method, route, status, seconds * 1000, key, identifier,
        extra={"request_id": identifier, "http_route": route, "http_status": status},
    )  # fmt: skip


class HideCodes(logging.Filter):
    """Replaces the value of `code=` in log lines. For servers that log URLs, when the API is mounted in them:
    `logging.getLogger("uvicorn.access").addFilter(HideCodes())`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it through."""
        record.msg = _hidden(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_hidden(value) for value in record.args)
        return True


def _hidden(value: object) -> object:
    return _CODE.sub(r"\1***", value) if isinstance(value, str) else value
