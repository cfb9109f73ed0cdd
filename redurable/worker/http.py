"""The activity that sends the HTTP requests of `ctx.call_http`. It is on every worker; its library is optional."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from redurable.authoring.activity_context import ActivityContext
from redurable.authoring.definitions import ActivityDefinition
from redurable.authoring.http_calls import HTTP_ACTIVITY, HttpRequest, HttpResponse
from redurable.core.values import ActivityOptions
from redurable.errors import InvalidPayload, MissingExtra

if TYPE_CHECKING:
    from ssl import SSLContext

    from httpx2 import Response

LATER = frozenset({429, 502, 503, 504})
"""Answers of a server that did not do what was asked, and may do it soon."""

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class TemporaryAnswer(Exception):
    """The server said "later", and there are attempts left."""


async def send(request: HttpRequest) -> HttpResponse:
    """Send it and read the whole answer, redirections followed. Raises `MissingExtra`, `InvalidPayload` for an answer
    that is no text or too large, `TemporaryAnswer`, and what the HTTP library raises where there is no answer."""
    try:
        import httpx2
    except ModuleNotFoundError:
        raise MissingExtra(
            "ctx.call_http sends with httpx2, an optional package: pip install 'redurable[http]' where activities run"
        ) from None
    context = ActivityContext.current()
    headers = dict(request.headers)
    if request.method not in _REPEATABLE and all(name.lower() != "idempotency-key" for name in headers):
        headers["Idempotency-Key"] = quote(context.idempotency_key, safe="/:")
    # The attempt is limited by its start-to-close timeout, so the library need not watch the time, too.
    async with (
        httpx2.AsyncClient(verify=_ssl_context(), timeout=None, follow_redirects=True) as client,
        client.stream(request.method, request.url, headers=headers, content=request.content) as response,
    ):
        if response.status_code in LATER and context.attempt < request.attempts:
            raise TemporaryAnswer(f"{request.method} {request.url}: {response.status_code} {response.reason_phrase}")
        content = await _text(response, request.url, context.pulse.max_payload)
        return HttpResponse(status=response.status_code, headers=dict(response.headers), content=content)


async def _text(response: Response, url: str, most: int) -> str:
    whole = bytearray()
    async for chunk in response.aiter_bytes():
        whole += chunk
        if len(whole) > most:
            raise InvalidPayload(
                f"the answer of {url} has more than {most:,} bytes: fetch it in an activity of your own"
            )
    encoding = response.charset_encoding or "utf-8"
    try:
        return whole.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise InvalidPayload(
            f"the answer of {url} is no text in {encoding}: fetch it in an activity of your own, and return where it is"
        ) from None


@cache
def _ssl_context() -> SSLContext:
    """Made once: it reads all certificates of the machine."""
    import httpx2

    return httpx2.create_ssl_context()


HTTP = ActivityDefinition(send, HTTP_ACTIVITY, ActivityOptions())
"""As workers register it."""
