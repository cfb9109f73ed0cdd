"""What a store's address means, which are refused, and that no password is ever shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from redurable.errors import CallerError, InvalidName, NotBuilt
from redurable.store.address import (
    EmbeddedAddress,
    MemoryAddress,
    RedisAddress,
    open_hub,
    read_address,
    redacted,
)
from redurable.store.memory import MemoryStore

HOME = Path.home()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDURABLE_REDIS_URL", raising=False)


@pytest.mark.parametrize(
    ("address", "meaning"),
    [
        ("redis://localhost:6379", RedisAddress("redis://localhost:6379")),
        ("REDIS://user:p%40ss@host/2?client_name=a", RedisAddress("REDIS://user:p%40ss@host/2?client_name=a")),
        ("rediss://host", RedisAddress("rediss://host")),
        ("redis://[::1]:6379", RedisAddress("redis://[::1]:6379")),
        ("unix:///run/redis.sock?db=1", RedisAddress("unix:///run/redis.sock?db=1")),
        ("unix://user:secret@/run/redis.sock", RedisAddress("unix://user:secret@/run/redis.sock")),
        ("embedded:./.redurable", EmbeddedAddress(Path(".redurable"))),
        ("embedded:/var/lib/a b", EmbeddedAddress(Path("/var/lib/a b"))),
        ("embedded:~/data", EmbeddedAddress(HOME / "data")),
        ("embedded:", EmbeddedAddress(Path(".redurable"))),
        ("memory://", MemoryAddress("")),
        ("memory://name", MemoryAddress("name")),
        ("  memory://name\n", MemoryAddress("name")),
        (None, EmbeddedAddress(Path(".redurable"))),
        ("", EmbeddedAddress(Path(".redurable"))),
    ],
)
def test_what_an_address_means(address: str | None, meaning: object) -> None:
    assert read_address(address) == meaning


def test_the_environment_counts_when_no_address_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDURABLE_REDIS_URL", "redis://there:1")
    assert read_address(None) == RedisAddress("redis://there:1")
    assert read_address("memory://") == MemoryAddress("")
    monkeypatch.setenv("REDURABLE_REDIS_URL", "")
    assert read_address(None) == EmbeddedAddress(Path(".redurable"))


@pytest.mark.parametrize(
    "address",
    [
        "localhost",
        "localhost:6379",
        "user:secret@localhost:6379",
        "valkey://user:secret@localhost",
        "redis:/user:secret@localhost",
        "redis:user:secret@localhost",
        "redis://:sec/ret@localhost",
        "redis://:12/secret@localhost",
        "redis://:sec#ret@localhost",
        "redis://:secret@localhost:port",
        "redis://[secret",
        "redis://localhost/name",
        "unix://run/redis.sock",
        "unix://user:secret@run/redis.sock",
        "embedded://data",
        "memory:",
        "memory:name",
        "memory://a/b",
    ],
)
def test_what_is_refused_shows_the_valid_forms_and_no_password(address: str) -> None:
    with pytest.raises(CallerError) as refused:
        open_hub(address, "orders")
    text = "".join(traceback.format_exception(refused.value))
    assert "Valid forms: redis://[user:password@]host[:port][/db]; rediss://" in str(refused.value)
    assert "embedded:[directory]" in text
    assert "memory://[name]" in text
    if "@" in address:
        assert "***@" in text
        assert "sec" not in text


@pytest.mark.parametrize("address", ["redis+cluster://:secret@h1,h2", "redis+sentinel://u:secret@h1:26379,h2/master"])
def test_cluster_and_sentinel_are_not_built(address: str) -> None:
    with pytest.raises(NotBuilt, match=r"does not speak to a Redis Cluster or to Sentinel\..*redis://") as refused:
        open_hub(address, "orders")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["memory://", "redis://localhost", "embedded:x", "nonsense"])
def test_the_name_of_the_hub_is_checked_first(address: str) -> None:
    with pytest.raises(InvalidName, match="hub name 'Orders!' is not valid"):
        open_hub(address, "Orders!")


def test_a_hub_has_partitions() -> None:
    with pytest.raises(CallerError, match="cannot have 0 partitions"):
        open_hub("memory://", "orders", partitions=0)


def test_stores_in_memory_share_the_hub_of_the_same_memory_and_name() -> None:
    first = open_hub("memory://one", "orders", consumer="a", partitions=4)
    second = open_hub("memory://one", "orders", consumer="b")
    assert isinstance(first, MemoryStore)
    assert isinstance(second, MemoryStore)
    assert first.state is second.state
    assert (second.hub, second.partitions, second.consumer) == ("orders", 4, "b")
    others = [
        open_hub(*where) for where in (("memory://one", "other"), ("memory://two", "orders"), ("memory://", "orders"))
    ]
    states = {id(other.state) for other in others if isinstance(other, MemoryStore)}
    assert len(states - {id(first.state)}) == 3


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://user:secret@host:1/0", "redis://user:***@host:1/0"),
        ("redis://:secret@host", "redis://:***@host"),
        ("redis://user:a@b@host", "redis://user:***@host"),
        ("redis://:a/b#c?d@host", "redis://:***@host"),
        (
            "rediss://host?db=1&password=secret&ssl_password=b&x=y",
            "rediss://host?db=1&password=***&ssl_password=***&x=y",
        ),
        ("unix://:secret@/run/redis.sock", "unix://:***@/run/redis.sock"),
        ("user:p://secret@host", "user:***@host"),
        ("unix:///run/x:y@z.sock", "unix:///run/x:y@z.sock"),
        ("redis://user@host:6379/0", "redis://user@host:6379/0"),
        ("embedded:/home:a@b", "embedded:/home:a@b"),
        ("memory://name", "memory://name"),
    ],
)
def test_redacted(address: str, shown: str) -> None:
    assert redacted(address) == shown


def test_the_value_of_an_address_shows_no_password() -> None:
    assert repr(read_address("redis://user:secret@host")) == "RedisAddress('redis://user:***@host')"
