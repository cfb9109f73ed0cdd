"""HTTP requests of orchestrators: an activity that is on every worker sends them, and durable timers wait for answers
that are not there yet.

`call_http` -> one task for the request; while the answer is 202 with a Location: a timer for Retry-After, and a task
that asks there. So a wait of days holds nothing but its history, and survives whatever its workers do not.
"""

# No `from __future__ import annotations`: public dataclasses name `redurable` as their module, where a library that
# resolves annotations later would not find the types.

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from msgspec import Raw
from msgspec.structs import replace as replaced

from redurable.authoring.payloads import Codec, decode_any, encode
from redurable.authoring.policies import RetryPolicy, activity_options
from redurable.core.definition import Scope
from redurable.core.values import ActivityOptions, Arguments
from redurable.errors import InvalidPayload

HTTP_ACTIVITY = "redurable.http"
"""The name of the activity, as histories and metrics show it."""

OWNER = "call_http()"
POLL_INTERVAL = timedelta(seconds=30)
TIMEOUT = timedelta(seconds=100)
LEAST_WAIT = timedelta(seconds=1)
"""Between two polls, whatever the server says: each is a handful of events in the history."""

_HOPELESS = ("MissingExtra", "InvalidPayload", "InvalidURL")
_ABOUT_CONTENT = frozenset({"content-type", "content-length", "content-encoding", "idempotency-key"})
_SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """The answer to a `ctx.call_http`: whatever the server said, errors included. The names of `headers` are in lower
    case; `content` is text."""

    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content: str = ""

    def json(self) -> Any:
        """The content's JSON; raises `ValueError`."""
        return decode_any(Raw(self.content.encode()))


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """What the activity sends. While it may be tried again, up to `attempts` times, answers that say "later" are no
    outcome."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    content: str | None = None
    attempts: int = 1

    def poll(self, url: str) -> "HttpRequest":
        """The question whether it is done now, asked there; secrets go to no other server."""
        dropped = _ABOUT_CONTENT if _origin(url) == _origin(self.url) else _ABOUT_CONTENT | _SECRETS
        kept = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        return replace(self, method="GET", url=url, headers=kept, content=None)


_response = Codec(OWNER, "result", lambda: HttpResponse)


def http_request(method: str, url: str, headers: Mapping[Any, Any] | None, content: object) -> HttpRequest:
    """The request, checked; content that is not text travels as JSON. Raises `InvalidPayload`."""
    parts = _split(url)
    if parts is None or parts[0] not in ("http", "https") or not parts[1]:
        raise InvalidPayload(f"{OWNER}: {url!r} is no address: use http://host/… or https://host/…")
    if not method.isalpha() or not method.isascii():
        raise InvalidPayload(f"{OWNER}: {method!r} is no method: use GET, POST, PUT, PATCH, DELETE, …")
    given = dict(headers or {})
    if not all(isinstance(text, str) for item in given.items() for text in item):
        raise InvalidPayload(f"{OWNER}: headers={given!r}: use strings as names and values")
    body = content
    if body is not None and not isinstance(body, str):
        body = bytes(encode(body, OWNER, "content")).decode()
        if all(name.lower() != "content-type" for name in given):
            given["Content-Type"] = "application/json"
    return HttpRequest(method=method.upper(), url=url, headers=given, content=body)


def http_options(
    default: ActivityOptions, retry: RetryPolicy | None, timeout: timedelta | None, task_queue: str
) -> ActivityOptions:
    """The options of the request's activity. What cannot become better is not tried again."""
    given: dict[str, Any] = {"start_to_close_timeout": timeout, "task_queue": task_queue}
    options = activity_options(given | ({"retry": retry} if retry is not None else {}), default, OWNER)
    policy = options.retry
    return replaced(options, retry=replaced(policy, non_retryable=(*policy.non_retryable, *_HOPELESS)))


def send_http(scope: Scope, request: HttpRequest, options: ActivityOptions) -> asyncio.Future[HttpResponse]:
    """Schedule the activity that sends the request."""
    whole = replace(request, attempts=options.retry.max_attempts)
    call = Arguments(input=encode(whole, OWNER, "request"))
    return scope.call_activity(HTTP_ACTIVITY, call, options, _response.decode)


async def follow(
    first: asyncio.Future[HttpResponse],
    request: HttpRequest,
    send: Callable[[HttpRequest], asyncio.Future[HttpResponse]],
    wait: Callable[[HttpResponse], asyncio.Future[None]],
) -> HttpResponse:
    """The answer behind the answers that say "not yet"."""
    response = await first
    while response.status == 202 and "location" in response.headers:
        request = request.poll(urljoin(request.url, response.headers["location"]))
        await wait(response)
        response = await send(request)
    return response


def wait_of(response: HttpResponse, now: datetime, otherwise: timedelta) -> timedelta:
    """How long to wait according to `Retry-After`, seconds or a date."""
    said = response.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit() and len(said) < 9:
        return max(timedelta(seconds=int(said)), LEAST_WAIT)
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return max(otherwise, LEAST_WAIT)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(aware - now, LEAST_WAIT)


def _split(url: object) -> tuple[str, str | None] | None:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        _ = parts.port
    except ValueError:
        return None
    return parts.scheme, parts.hostname


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
