"""From a store's address to a store: the only place that knows every kind of store.

address (or None) -> read_address -> a value that says which store -> open_hub -> a store that is not opened yet.
A kind of store is imported when it is asked for: who uses `memory://` needs no server and pays for no client library.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from redurable.core.ids import check_hub_name
from redurable.errors import CallerError, NotBuilt
from redurable.settings import DEFAULT_PARTITIONS, MAX_PAYLOAD_BYTES, RedisSettings
from redurable.store.login import with_login
from redurable.store.port import Hub

if TYPE_CHECKING:
    from redurable.store.memory import MemoryHub

ENVIRONMENT_VARIABLE = "REDURABLE_REDIS_URL"
DEFAULT_DIRECTORY = ".redurable"
DEFAULT_ADDRESS = f"embedded:{DEFAULT_DIRECTORY}"
VALID_FORMS = (
    "redis://[user:password@]host[:port][/db]",
    "rediss://[user:password@]host[:port][/db] (TLS)",
    "unix:///path/to/socket[?db=0]",
    "embedded:[directory] (a managed local server)",
    "memory://[name] (inside this process)",
)
_NOT_BUILT = ("redis+cluster", "redis+sentinel")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_PASSWORD = re.compile(r"([^:]*://[^:@/?#]*:).*@", re.DOTALL)
_PERHAPS_PASSWORD = re.compile(r":.*@", re.DOTALL)
_SECRET_OPTION = re.compile(r"([?&][^=&#]*(?:pass|secret|token)[^=&#]*=)[^&#]*", re.IGNORECASE)


class RedisAddress(Struct, frozen=True):
    """A server that somebody else runs."""

    url: str

    def __repr__(self) -> str:
        return f"RedisAddress({redacted(self.url)!r})"


class EmbeddedAddress(Struct, frozen=True):
    """A server that we run, with its data in `directory`."""

    directory: Path


class MemoryAddress(Struct, frozen=True):
    """Inside this process. Memories of different names have nothing in common, not even hubs of one name."""

    name: str


Address = RedisAddress | EmbeddedAddress | MemoryAddress


def open_hub(
    address: str | None,
    hub: str,
    *,
    consumer: str = "",
    partitions: int = DEFAULT_PARTITIONS,
    max_payload: int = MAX_PAYLOAD_BYTES,
) -> Hub:
    """Return the store at `address` (None: of the environment, else embedded); `await store.open()` connects it.

    `hub` is the name of the hub, `consumer` that of the caller among the hub's workers. `partitions` counts when the
    hub is created; an existing one keeps its own. What foreign clients write has payloads of at most `max_payload`
    bytes. Errors: `CallerError` for an address or a name that cannot be right.
    """
    check_hub_name(hub)
    if partitions < 1:
        raise CallerError(f"a hub cannot have {partitions} partitions: give it 1 or more")
    where = read_address(address)
    match where:
        case RedisAddress(url):
            from redurable.store.redis.store import redis_store

            full = with_login(url, RedisSettings())
            return redis_store(full, hub, consumer=consumer, partitions=partitions, max_payload=max_payload)
        case EmbeddedAddress(directory):
            from redurable.store.embedded.store import EmbeddedStore

            return EmbeddedStore(directory, hub, consumer, partitions, max_payload)
        case MemoryAddress(name):
            from redurable.store.memory import MemoryStore

            return MemoryStore(_memory(name, hub, partitions), consumer, max_payload)


def read_address(address: str | None) -> Address:
    """What `address` means; None or "": what the environment variable REDURABLE_REDIS_URL says, else embedded."""
    text = (address or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_ADDRESS).strip()
    parts = _SCHEME.fullmatch(text)
    scheme, rest = (parts[1].lower(), parts[2]) if parts else ("", "")
    match scheme:
        case "redis" | "rediss" | "unix":
            return RedisAddress(_checked_url(scheme, text))
        case "embedded":
            return EmbeddedAddress(_directory(text, rest))
        case "memory" if rest.startswith("//"):
            return MemoryAddress(_memory_name(text, rest[2:]))
        case _ if scheme in _NOT_BUILT:
            raise NotBuilt(
                f"{redacted(text)!r}: this version does not speak to a Redis Cluster or to Sentinel. "
                f"Name one server. Valid forms: {'; '.join(VALID_FORMS)}"
            )
        case _:
            raise _invalid(text, "it is of no known form")


def where(address: str | None) -> str:
    """Which address that is, as it may be shown."""
    return redacted((address or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_ADDRESS).strip())


def redacted(address: str) -> str:
    """`address` as it may be shown and logged: with *** for its password and for secret options.

    Where it is unclear what belongs to the password, too much is hidden rather than too little.
    """
    if address.startswith("embedded:"):
        return address
    if re.match(r"[^:]*://", address):
        hidden = _PASSWORD.sub(r"\1***@", address)
    else:  # No URL, but perhaps somebody left out the scheme: user:password@host
        hidden = _PERHAPS_PASSWORD.sub(":***@", address)
    return _SECRET_OPTION.sub(r"\1***", hidden)


_memories: dict[tuple[str, str], MemoryHub] = {}


def _memory(name: str, hub: str, partitions: int) -> MemoryHub:
    """The hub `hub` of the memory `name`; who names none shares the process's own. They live as long as the process."""
    from redurable.store.memory import MemoryHub, memory_hub

    if not name:
        return memory_hub(hub, partitions)
    if (name, hub) not in _memories:
        _memories[name, hub] = MemoryHub(hub, partitions)
    return _memories[name, hub]


def _checked_url(scheme: str, text: str) -> str:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:  # Its text may quote a piece of the password, so it is not passed on.
        raise _invalid(
            text, "its host or port cannot be read; percent-encode special characters in a password"
        ) from None
    if not text.lower().startswith(f"{scheme}://"):
        raise _invalid(text, f"{scheme}: is followed by //")
    if scheme == "unix" and (not url.path or url.hostname):
        raise _invalid(text, "the path of the socket must be absolute, so three slashes")
    if scheme != "unix" and not re.fullmatch(r"(/\d*)?", url.path):
        raise _invalid(text, "the host is followed by / and the number of a database, or by nothing")
    if url.fragment:
        raise _invalid(text, "it has a part after #; percent-encode special characters in a password")
    return text


def _directory(text: str, rest: str) -> Path:
    if rest.startswith("//"):
        raise _invalid(text, "a directory is written without the two slashes, for example embedded:data")
    try:
        return Path(rest or DEFAULT_DIRECTORY).expanduser()
    except RuntimeError as error:
        raise _invalid(text, str(error)) from None


def _memory_name(text: str, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]*", name):
        raise _invalid(text, "the name may have letters, digits, '.', '_' and '-'")
    return name


def _invalid(text: str, why: str) -> CallerError:
    return CallerError(
        f"the store's address {redacted(text)!r} is not valid: {why}. Valid forms: {'; '.join(VALID_FORMS)}"
    )
