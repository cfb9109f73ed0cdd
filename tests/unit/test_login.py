"""An address is completed by what the environment says of logging in, and never loses what it says itself."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import SSLConnection, parse_url

from redurable.settings import RedisSettings
from redurable.store.login import with_login


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDURABLE_REDIS_USERNAME", "shop:worker")
    monkeypatch.setenv("REDURABLE_REDIS_PASSWORD", "p@ss/word#?%")
    monkeypatch.setenv("REDURABLE_REDIS_CA_FILE", "/etc/ca dir/ca.crt")


@pytest.mark.parametrize("url", ["redis://host:6380/2", "rediss://host", "unix:///run/redis.sock?db=1"])
def test_special_characters_reach_the_client_as_they_are(url: str) -> None:
    options = parse_url(with_login(url, RedisSettings()))
    assert (options.get("username"), options.get("password")) == ("shop:worker", "p@ss/word#?%")
    assert parse_url(url).items() <= options.items()


def test_the_authority_is_for_encrypted_connections() -> None:
    options = parse_url(with_login("rediss://host?ssl_check_hostname=false", RedisSettings()))
    assert options.get("connection_class") is SSLConnection
    assert options["ssl_ca_certs"] == "/etc/ca dir/ca.crt"  # pyright: ignore[reportGeneralTypeIssues] - redis-py types few options
    assert "ssl_ca_certs" not in parse_url(with_login("redis://host", RedisSettings()))


def test_what_the_address_says_counts_more() -> None:
    url = "rediss://me:mine@host/?ssl_ca_certs=/own.crt"
    assert with_login(url, RedisSettings()) == url


def test_nothing_said_nothing_added(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "CA_FILE"):
        monkeypatch.delenv(f"REDURABLE_REDIS_{name}")
    assert with_login("rediss://host/1", RedisSettings()) == "rediss://host/1"


def test_a_password_is_not_shown() -> None:
    assert "p@ss" not in repr(RedisSettings())
