"""The token of an attempt that somebody else completes: which attempt it is, in a form that goes into any URL.

`rd1.` and the base64url of a JSON array: `rd1` is the version of that form. A token names what it is good for and is no
secret: whoever may write to the hub may complete what lies there.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from msgspec import Struct

from redurable.core.ids import check_hub_name, check_id, check_instance_id, check_name
from redurable.errors import InvalidName, InvalidToken

VERSION = "rd1"
MAX_TOKEN = 4_096

_SHOWN = 60


class Token(Struct, frozen=True, array_like=True):
    """`entry` is the id under which the task lies, or lay, in `queue`: no other attempt of any call has that one.
    `worker` began the attempt at `started` (milliseconds of the Unix epoch)."""

    hub: str
    instance: str
    execution: str
    seq: int
    attempt: int
    queue: str
    entry: str
    worker: str = ""
    started: int = 0


_decoder = msgspec.json.Decoder(Token)


def write_token(token: Token) -> str:
    """The printable form."""
    return f"{VERSION}.{urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip('=')}"


def read_token(text: str) -> Token:
    """Read the printable form; raises `InvalidToken`."""
    version, _, body = text.partition(".")
    if version != VERSION or not body or len(text) > MAX_TOKEN or not text.isascii():
        raise _invalid(text, f"it does not begin with {VERSION!r} and a dot, or has more than {MAX_TOKEN:,} characters")
    try:
        token = _decoder.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        check_hub_name(token.hub)
        check_instance_id(token.instance)
        check_name(token.queue, "task queue")
        check_id(token.execution, "execution")
    except (ValueError, InvalidName) as error:  # those of base64 and msgspec are ValueErrors
        raise _invalid(text, str(error)) from None
    return token


def _invalid(text: str, why: str) -> InvalidToken:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return InvalidToken(f"{shown!r} is no token of ActivityContext.complete_later(): {why}")
