"""`memory://`: the executable specification of the store. Read `state` first, then one module per kind of verb."""

from redurable.store.memory.state import Clock, MemoryHub, memory_hub, real_time
from redurable.store.memory.store import MemoryStore

__all__ = ["Clock", "MemoryHub", "MemoryStore", "memory_hub", "real_time"]
