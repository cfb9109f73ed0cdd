"""Log lines of a worker: a subscriber of its facts that tells what a person should know, and a plain log format.

Only what is out of the ordinary becomes a line; the ordinary is counted by the metrics.
"""

from __future__ import annotations

import logging
import sys

from redurable.facts import DeadLettered, Fact, InstancesSwept, LeasesReclaimed

log = logging.getLogger("redurable.worker")

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send all log lines of this process to stderr, unless something else has set up logging before."""
    logging.basicConfig(stream=sys.stderr, level=level, format=FORMAT)


def log_fact(fact: Fact) -> None:
    """Log one fact, when it is worth a line. (Parked turns and a silent store are logged
    where they happen.)"""
    match fact:
        case DeadLettered():
            log.warning("%d message(s) went to the dead letters: %s", fact.count, _line(fact.reason))
        case LeasesReclaimed():
            log.info("took over %d %s lease(s) that had run out", fact.count, fact.kind)
        case InstancesSwept():
            log.info("announced %d instance(s) with unannounced mail", fact.count)
        case _:
            pass


def _line(text: str) -> str:
    return " ".join(text.split())
