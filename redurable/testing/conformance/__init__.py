"""What every store must do, as tests. For a store of your own:

    from redurable.testing.conformance import *

    @pytest.fixture
    async def store_factory():
        yield MyFactory(...)        # a subclass of StoreFactory, on a fresh hub

in a test module of yours; `anyio_mode = "auto"` must be set in pytest's configuration.
"""

# ruff: noqa: E402

import pytest

_TOPICS = (
    "admission",
    "answers",
    "receive_checkout",
    "commit_fence",
    "continue_as_new",
    "rewinds",
    "park",
    "quarantine",
    "tasks",
    "retries",
    "leases",
    "handover",
    "heartbeats",
    "cancels",
    "timers",
    "timeouts",
    "tokens",
    "traces",
    "outbox_relay",
    "intake",
    "unclaimed",
    "sweep",
    "membership",
    "inspect",
    "depths",
    "letters",
    "queries",
    "purge",
    "retention",
    "bad_entries",
)
pytest.register_assert_rewrite(*(f"{__name__}.{topic}" for topic in (*_TOPICS, "scenes")))

from redurable.testing.conformance.admission import TestChildren, TestSend, TestStart
from redurable.testing.conformance.ahead import TestAhead
from redurable.testing.conformance.answers import TestAnswers
from redurable.testing.conformance.bad_entries import TestBadEntries
from redurable.testing.conformance.cancels import TestCancel, TestCanceledCalls
from redurable.testing.conformance.commit_fence import TestCommit, TestRelease
from redurable.testing.conformance.continue_as_new import TestContinueAsNew, TestPrune
from redurable.testing.conformance.depths import TestDepths
from redurable.testing.conformance.factory import StoreFactory
from redurable.testing.conformance.handover import TestHandOver
from redurable.testing.conformance.heartbeats import TestHeartbeats
from redurable.testing.conformance.inspect import TestFeed, TestInspect
from redurable.testing.conformance.intake import TestRoute
from redurable.testing.conformance.leases import TestHandBack, TestReclaim, TestRecover, TestSteal
from redurable.testing.conformance.letters import TestLetters
from redurable.testing.conformance.membership import TestMembership, TestReap
from redurable.testing.conformance.outbox_relay import TestDeadLetters, TestRelay
from redurable.testing.conformance.park import TestPark
from redurable.testing.conformance.purge import TestAwaited, TestPurge
from redurable.testing.conformance.quarantine import TestDeliveries, TestQuarantine
from redurable.testing.conformance.queries import TestCounts, TestQuery
from redurable.testing.conformance.receive_checkout import TestCheckout, TestReceive
from redurable.testing.conformance.retention import TestExpired, TestFamilies
from redurable.testing.conformance.retries import TestRetries
from redurable.testing.conformance.rewinds import TestRewind, TestRewindOfChildren
from redurable.testing.conformance.sweep import TestSweep
from redurable.testing.conformance.tasks import TestComplete, TestReceiveTasks
from redurable.testing.conformance.timeouts import TestScheduleToClose, TestScheduleToStart
from redurable.testing.conformance.timers import TestTimers
from redurable.testing.conformance.tokens import TestTokens, TestUnderway
from redurable.testing.conformance.traces import TestTraces
from redurable.testing.conformance.unclaimed import TestKeptEvents, TestUnknownInstance, TestUnreadEvents

__all__ = [
    "StoreFactory",
    "TestAhead",
    "TestAnswers",
    "TestAwaited",
    "TestBadEntries",
    "TestCancel",
    "TestCanceledCalls",
    "TestCheckout",
    "TestChildren",
    "TestCommit",
    "TestComplete",
    "TestContinueAsNew",
    "TestCounts",
    "TestDeadLetters",
    "TestDeliveries",
    "TestDepths",
    "TestExpired",
    "TestFamilies",
    "TestFeed",
    "TestHandBack",
    "TestHandOver",
    "TestHeartbeats",
    "TestInspect",
    "TestKeptEvents",
    "TestLetters",
    "TestMembership",
    "TestPark",
    "TestPrune",
    "TestPurge",
    "TestQuarantine",
    "TestQuery",
    "TestReap",
    "TestReceive",
    "TestReceiveTasks",
    "TestReclaim",
    "TestRecover",
    "TestRelay",
    "TestRelease",
    "TestRetries",
    "TestRewind",
    "TestRewindOfChildren",
    "TestRoute",
    "TestScheduleToClose",
    "TestScheduleToStart",
    "TestSend",
    "TestStart",
    "TestSteal",
    "TestSweep",
    "TestTimers",
    "TestTokens",
    "TestTraces",
    "TestUnderway",
    "TestUnknownInstance",
    "TestUnreadEvents",
]
