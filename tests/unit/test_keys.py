"""The names of keys are public: redis-cli users write them, ACL rules and backups select by them. They never change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redurable.store.redis.keys import HubKeys, PartitionKeys, type_of
from redurable.store.redis.store import redis_store


def test_the_keys_of_a_hub() -> None:
    hub = HubKeys("orders")
    assert (hub.intake, hub.dead) == ("rd:{orders}:intake", "rd:{orders}:dead")
    assert (hub.meta, hub.marks, hub.workers) == ("rd:{orders}:meta", "rd:{orders}:marks", "rd:{orders}:workers")


def test_a_mailbox_is_found_by_hub_partition_and_instance() -> None:
    """`order-42` is in partition crc32 mod 16 = 14, whatever language computes it."""
    store = redis_store("redis://localhost:1", "orders", consumer="w1", partitions=16)
    assert store.mailbox_key("order-42") == "rd:{orders:p14}:m:order-42"
    assert store.mailbox_key("a:b}{c é") == "rd:{orders:p13}:m:a:b}{c é"


@pytest.mark.parametrize(
    ("key", "name", "kind"),
    [
        (PartitionKeys.instance, "i:one", "hash"),
        (PartitionKeys.start, "s:one", "string"),
        (PartitionKeys.mailbox, "m:one", "stream"),
        (PartitionKeys.history, "h:one", "list"),
        (PartitionKeys.custom_status, "c:one", "string"),
        (PartitionKeys.quarantine, "q:one", "string"),
        (PartitionKeys.executions, "e:one", "list"),
        (PartitionKeys.queue, "tasks:one", "stream"),
    ],
)
def test_the_keys_of_an_instance(key: Callable[[PartitionKeys, str], str], name: str, kind: str) -> None:
    made = key(PartitionKeys("orders", 7), "one")
    assert made == f"rd:{{orders:p7}}:{name}"
    assert type_of(made) == kind


def test_the_keys_of_a_partition() -> None:
    keys = PartitionKeys("orders", 7)
    own = ("ready", "timers", "retries", "beats", "outbox", "marks", "open", "feed", "cancels", "canceled")
    assert [getattr(keys, name) for name in own] == [f"rd:{{orders:p7}}:{name}" for name in own]
    assert keys.past("one", "x1") == "rd:{orders:p7}:x:2:x1:one"
