"""How much a request may bring, and how long it may take to bring it."""

from __future__ import annotations

import anyio
from starlette.requests import ClientDisconnect, Request

from redurable.http.answers import refused


def check_length(request: Request, most: int) -> None:
    """Refuse a body that says itself that it is too large, before any of it is read."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and (len(said) > 18 or int(said) > most):
        raise _too_large(most)


async def read_body(request: Request, most: int, timeout_ms: int) -> bytes:
    """The body; raises `Refused` as soon as more than `most` bytes have come, or when it is not there in time."""
    chunks, size = bytearray(), 0
    with anyio.move_on_after(timeout_ms / 1000) as scope:
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise _too_large(most)
                chunks += chunk
        except ClientDisconnect:
            raise refused(400, "The body ended before its end.", connection="close") from None
    if scope.cancelled_caught:
        raise refused(408, "The body did not come in time.", connection="close")
    return bytes(chunks)


def _too_large(most: int) -> Exception:
    # What is still to come is not read: the connection ends with the answer.
    return refused(413, f"The body is larger than {most} bytes.", connection="close")
