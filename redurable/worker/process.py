"""What a process that is nothing but a worker sets for itself. Inside another program it is left alone."""

from __future__ import annotations

import gc

THRESHOLDS = (20_000, 50, 100)


def settle_in() -> None:
    """Collect garbage rarely: see docs/adr/0006. Call it once, after the user's code has been imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
