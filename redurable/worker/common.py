"""What all roles of one worker share: plain objects, made by the worker, handed to every role."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from redurable.core.traces import Tracing
from redurable.facts import Facts
from redurable.settings import WorkerSettings
from redurable.worker.clock import StoreClock
from redurable.worker.crew import Crew
from redurable.worker.holdings import Holdings
from redurable.worker.ownership import Ownership
from redurable.worker.patience import PatientStore
from redurable.worker.polls import Polls
from redurable.worker.reception import Reception

log = logging.getLogger("redurable.worker")


def about(instance: str) -> dict[str, str]:
    """What a log line about an instance says beside its text."""
    return {"instance_id": instance}


@dataclass(frozen=True, slots=True)
class Common:
    """The store, what this worker owns and holds, whether it takes on more, who works beside it, whether its loops go
    on, and who carries traces (None: nobody)."""

    store: PatientStore
    settings: WorkerSettings
    facts: Facts
    clock: StoreClock
    ownership: Ownership
    holdings: Holdings
    reception: Reception
    crew: Crew
    polls: Polls
    tracing: Tracing | None = None
