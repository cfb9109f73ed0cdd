"""What all roles of one worker share: plain objects, made by the worker, handed to every role."""

from __future__ import annotations

import logging
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Common:
    """The store, what this worker owns and holds, whether it takes on more, who works beside it, and whether its loops
    go on."""

    store: PatientStore
    settings: WorkerSettings
    facts: Facts
    clock: StoreClock
    ownership: Ownership
    holdings: Holdings
    reception: Reception
    crew: Crew
    polls: Polls
