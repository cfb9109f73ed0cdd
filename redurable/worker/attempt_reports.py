"""What became of attempts of activities, as facts. Called only while somebody listens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from redurable.core.messages import ActivityFailure
from redurable.core.values import Failure
from redurable.facts import ActivityAttempted, Facts, MessagesEnded, PayloadsRejected
from redurable.store.port import TaskEnd
from redurable.worker.ends import Ended
from redurable.worker.reports import REJECTED


def report_attempts(facts: Facts, batch: Sequence[Ended], accepted: Sequence[bool]) -> None:
    """Announce how these attempts ended; `accepted[i]` is False for one that somebody else had ended before."""
    ours, late = Counter[str](), Counter[str]()
    for ended, was_accepted in zip(batch, accepted, strict=True):
        (ours if was_accepted else late)[ended.end.lease.queue] += 1
        failure = _failure(ended.end)
        facts.announce(_attempted(ended, was_accepted, failure))
        if was_accepted and failure is not None and failure.type in REJECTED and ended.outcome == "non_retryable":
            facts.announce(PayloadsRejected(REJECTED[failure.type], 1))
    facts.announce(MessagesEnded(tuple((queue, ours[queue], late[queue]) for queue in ours | late)))


def _attempted(ended: Ended, accepted: bool, failure: Failure | None) -> ActivityAttempted:
    task = ended.end.lease.task
    outcome = ended.outcome if accepted else "lost"
    retried = ended.end.retry is not None and ended.outcome != "later"
    error = failure.type if failure is not None else ""
    trace_id = task.trace.trace_id if task.trace else ""
    return ActivityAttempted(task.name, outcome, ended.seconds, retried, task.instance, error, trace_id)


def _failure(end: TaskEnd) -> Failure | None:
    """Why the attempt failed, whether it was the last or another one follows."""
    if isinstance(end.message, ActivityFailure):
        return end.message.failure
    attempt = end.lease.task.attempt
    if end.retry is not None and end.retry.log and end.retry.log[-1].number == attempt:
        return end.retry.log[-1].failure
    return None
