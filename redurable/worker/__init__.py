"""Everything that waits: one role a file; `worker` composes them. Read `turns` first, then `mailbox`, `activities`."""

from redurable.worker.worker import Worker

__all__ = ["Worker"]
