"""What becomes of an instance that is to be deleted."""

from __future__ import annotations

from typing import Literal

Purged = Literal["purged", "missing", "running", "awaited"]
"""Only PURGED has deleted something. AWAITED: it has finished, but a parent that was rewound or reset has asked it to
go on (`messages.Rewind`), and it has not read that yet; deleted now, it would leave its parent waiting for ever. Its
next turn reads it. One that is quarantined cannot, so whoever names it may delete it."""
