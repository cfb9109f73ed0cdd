"""A store for redurable in one SQLite file. Read `schema.sql`, then `mailboxes`, then one module per kind of verb."""

from .store import SqliteStore, open_store

__all__ = ["SqliteStore", "open_store"]
