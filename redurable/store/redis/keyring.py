"""Packing for scripts: every key once in KEYS, ARGV refers to keys by their index (from 1, as Lua counts)."""

from __future__ import annotations

from redurable.store.redis.keys import PartitionKeys


class Keyring:
    """The KEYS of one script call, as they come together."""

    __slots__ = ("_blocks", "_shared", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._shared: dict[str, int] = {}
        self._blocks: dict[tuple[str, ...], int] = {}

    def shared(self, key: str) -> int:
        """The index of a key that several items may use."""
        index = self._shared.get(key)
        if index is None:
            self.keys.append(key)
            index = self._shared[key] = len(self.keys)
        return index

    def own(self, *keys: str) -> int:
        """The index of the first of these adjacent keys, which one item alone uses."""
        first = len(self.keys) + 1
        self.keys += keys
        return first

    def block(self, partition: PartitionKeys, *keys: str) -> int:
        """The index of the first of these adjacent keys of a partition, which come once in this choice."""
        index = self._blocks.get(keys)
        if index is None:
            index = self._blocks[keys] = self.own(*keys)
            for offset, key in enumerate(keys):
                self._shared[key] = index + offset
        return index
