"""The public surface, pinned: a name that comes or goes is a decision."""

from __future__ import annotations

import subprocess
import sys

import redurable

NAMES = """
App activity OrchestrationContext ActivityContext HttpResponse RetryPolicy Backoff
Orchestrator Activity AsyncActivity SyncActivity
Worker WorkerSettings
Client Handle Status InstanceFilters Page BulkProgress PendingActivity DeadLetter Quarantine Reason RuntimeStatus
Failure
RedurableError
CallerError InvalidName InvalidPayload RegistrationError InvalidToken InvalidFilter AttemptNotFound UnknownFunction
HubNotFound
InstanceNotFound InstanceAlreadyExists InstanceFinished InstanceNotFinished InstanceNotFailed InvalidPosition
InvalidHistory
NotBuilt
OrchestrationEnded OrchestrationFailed ExecutionTimedOut HistoryLimitExceeded OrchestrationCanceled
OrchestrationTerminated
CallFailed ActivityFailed ActivityCrashed
ActivityTimedOut ScheduleToStartTimeout StartToCloseTimeout ScheduleToCloseTimeout HeartbeatTimeout
SubOrchestrationFailed RetryAfter
DeterminismError NondeterminismError NotDeterministic TurnLimitExceeded
StoreError StoreUnavailable StoreFull StoreRefused StoreDamaged MissingExtra WorkerStopped
"""
"""In the order in which they are exported."""


def test_the_public_names() -> None:
    assert redurable.__all__ == NAMES.split()
    assert set(NAMES.split()) <= set(dir(redurable))


def test_every_public_name_says_that_it_is_of_redurable() -> None:
    modules = {name: getattr(redurable, name).__module__ for name in NAMES.split()}
    assert modules == dict.fromkeys(NAMES.split(), "redurable")
    assert all(getattr(redurable, name).__doc__ for name in NAMES.split())


def test_every_error_is_public() -> None:
    def tree(error: type[Exception]) -> set[str]:
        return {error.__name__}.union(*(tree(child) for child in error.__subclasses__()))

    errors = {name for name in tree(redurable.RedurableError) if not name.startswith("_")}
    assert errors == {name for name in errors if hasattr(redurable, name)}


def test_what_the_blocking_client_returns_says_so_too() -> None:
    code = "import sys, redurable.sync; print(sys.modules['redurable.client'].Status.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "redurable"


def test_a_client_does_not_pay_for_the_worker() -> None:
    code = "import sys, redurable; print(*(m for m in sys.modules if m.startswith(('redurable.worker', 'redis.'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
