"""A server's address, completed by what the environment says of logging in: a secret need not stand in an address."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from redurable.settings import RedisSettings


def with_login(url: str, settings: RedisSettings) -> str:
    """`url` with the user, the password and the certificate authority of `settings`, as far as it names none itself."""
    parts = urlsplit(url)
    password = settings.redis_password.get_secret_value()
    if "@" not in parts.netloc and (settings.redis_username or password):
        user = quote(settings.redis_username, safe="")
        parts = parts._replace(netloc=f"{user}:{quote(password, safe='')}@{parts.netloc}")
    if (
        settings.redis_ca_file
        and parts.scheme.lower() == "rediss"
        and "ssl_ca_certs" not in dict(parse_qsl(parts.query))
    ):
        authority = urlencode({"ssl_ca_certs": settings.redis_ca_file})
        parts = parts._replace(query=f"{parts.query}&{authority}" if parts.query else authority)
    return parts.geturl()
