"""API keys and what their holders may do."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from redurable.errors import CallerError
from redurable.settings import HttpSettings

MIN_SECRET = 16
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET = re.compile(r"[!-~]+")


class Role(IntEnum):
    """What a key allows; each role has the rights of those before it.

    READ: look. OPERATE: start, raise events, terminate, suspend, resume, rewind, restart. ADMIN: purge.
    """

    READ = 1
    OPERATE = 2
    ADMIN = 3


@dataclass(frozen=True)
class ApiKey:
    """A key: the name by which the audit lines know it, and the digest of its secret. The secret itself is not kept."""

    name: str
    role: Role
    digest: bytes

    def __repr__(self) -> str:
        return f"ApiKey({self.name!r}, {self.role.name})"


def read_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys of a text: `name:role:secret`, one in a line, or several with commas between them. Lines that begin with
    `#` are comments. Raises `CallerError`; its message never has a piece of a secret in it."""
    lines = [line.strip() for line in text.splitlines()]
    words = [word.strip() for line in lines if not line.startswith("#") for word in line.split(",")]
    keys = [_read(word, number) for number, word in enumerate(filter(None, words), start=1)]
    for field in ("name", "digest"):
        if len({getattr(key, field) for key in keys}) < len(keys):
            what = "name" if field == "name" else "secret"
            raise CallerError(f"two API keys have the same {what}: give each its own")
    return tuple(keys)


def keys_of(settings: HttpSettings) -> tuple[ApiKey, ...]:
    """The keys of the settings, and of the file that they name. Raises `CallerError`."""
    texts = [settings.http_keys.get_secret_value()]
    if settings.http_keys_file:
        path = Path(settings.http_keys_file)
        try:
            texts.append(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise CallerError(f"the file of API keys {str(path)!r} cannot be read: {reason}") from None
    keys = read_keys("\n".join(texts))
    if settings.http_keys_file and not keys:
        raise CallerError(
            f"the file of API keys {settings.http_keys_file!r} has no key: write name:role:secret into it"
        )
    return keys


def find_key(keys: Sequence[ApiKey], secret: str) -> ApiKey | None:
    """The key with this secret. The time that it takes depends on how many keys there are, and on nothing else."""
    digest, found = digest_of(secret), None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def digest_of(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _read(word: str, number: int) -> ApiKey:
    name, _, rest = word.partition(":")
    role, _, secret = rest.partition(":")
    if not _NAME.fullmatch(name) or role.upper() not in Role.__members__ or not secret:
        raise CallerError(
            f"API key {number} cannot be read: write name:role:secret, with the role read, operate or admin and a name "
            "of letters, digits, '.', '_' and '-'"
        )
    if len(secret) < MIN_SECRET or not _SECRET.fullmatch(secret):
        raise CallerError(
            f"the secret of API key {name!r} cannot be used: it has to have {MIN_SECRET} or more printable ASCII "
            "characters and no blank or comma, for example the output of `openssl rand -hex 32`"
        )
    return ApiKey(name, Role[role.upper()], digest_of(secret))
