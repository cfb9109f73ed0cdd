"""A managed local Valkey that keeps its data in a directory and is shared by the processes of one machine."""

from redurable.store.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
