"""App, decorators, options and policies: what is registered, and what is refused with which words."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from redurable import (
    ActivityContext,
    App,
    Backoff,
    CallerError,
    InvalidName,
    InvalidPayload,
    OrchestrationContext,
    RegistrationError,
    RetryPolicy,
)
from redurable.core.retry import is_retryable, next_delay
from redurable.core.values import ABSENT, ActivityOptions, Retry, Task, Timeouts

Loose = Any
"""For calls that a type checker would refuse."""


async def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


def triple(x: int) -> int:
    return 3 * x


async def process(ctx: OrchestrationContext, x: int, fast: bool = False) -> int:
    return x


class CardDeclined(Exception): ...


def test_bare_and_with_options() -> None:
    app = App("orders", default_retry=RetryPolicy(max_attempts=7))
    bare = app.activity(double)
    full = app.activity(name="Triple", task_queue="slow", retry=RetryPolicy(max_attempts=1))(triple)
    renamed = app.orchestrator(name="Process")(process)
    plain = app.orchestrator(process)

    assert (bare.name, full.name, renamed.name, plain.name) == ("double", "Triple", "Process", "process")
    assert app.registry.names == ("Process", "Triple", "double", "process")
    assert list(app.registry.activities) == ["double", "Triple"]
    found = app.registry.activity("double")
    assert found is bare.definition
    assert found is not None
    assert found.is_async
    assert found.options == ActivityOptions("default", Retry(max_attempts=7))
    other = app.registry.activity("Triple")
    assert other is not None
    assert not other.is_async
    assert other.options == ActivityOptions("slow", Retry(max_attempts=1))
    assert app.registry.orchestrator("Process") is renamed.definition
    assert app.registry.orchestrator("double") is None
    assert app.registry.activity("Process") is None


async def test_functions_stay_what_they_are() -> None:
    app = App("orders")
    one, three = app.activity(double), app.activity(triple)
    assert await one(4) == 8
    assert three(x=4) == 12
    assert (getattr(one, "__name__", None), one.__doc__) == ("double", "Twice as much.")
    assert inspect.signature(three) == inspect.signature(triple)
    orchestrator = app.orchestrator(process)
    context: Loose = None
    assert await orchestrator(context, 5) == 5


def test_activities_bind_and_encode() -> None:
    app = App("orders")
    definition = app.activity(double).definition
    assert definition.bind(definition.signature.encode((4,), {})) == ([4], {})
    assert bytes(definition.encode(8)) == b"8"
    with pytest.raises(InvalidPayload, match="activity 'double': parameter 'x' does not accept \"many\""):
        definition.bind(app.activity(name="d2")(triple).definition.signature.encode(("many",), {}))
    with pytest.raises(InvalidPayload, match="activity 'double': result of type object cannot be encoded"):
        definition.encode(object())


def test_options_change_a_copy() -> None:
    app = App("orders")
    activity = app.activity(task_queue="slow")(double)
    vip = activity.options(task_queue="vip").options(retry=RetryPolicy(max_attempts=9))
    assert vip.chosen == ActivityOptions("vip", Retry(max_attempts=9))
    assert activity.chosen == activity.definition.options == ActivityOptions("slow", Retry())
    orchestrator = app.orchestrator(process)
    chosen = orchestrator.options(instance_id="x", tags={"a": "b"}).options(instance_id="y")
    assert chosen.chosen == {"instance_id": "y", "tags": {"a": "b"}}
    assert orchestrator.chosen == {}


async def no_context() -> None: ...
async def context_by_name(*, ctx: OrchestrationContext) -> None: ...
def not_async(ctx: OrchestrationContext) -> None: ...
async def like_an_option(ctx: OrchestrationContext, instance_id: str) -> None: ...
async def many(ctx: OrchestrationContext, *orders: str) -> None: ...
def keywords(**orders: str) -> None: ...
def yields() -> Iterator[int]:
    yield 1


async def async_yields() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("kind", "function", "text"),
    [
        ("orchestrator", no_context, "orchestrator 'no_context' has no context: its first parameter must be"),
        ("orchestrator", context_by_name, "orchestrator 'context_by_name' has no context"),
        ("orchestrator", not_async, "orchestrator 'not_async' is not an async function: write `async def`"),
        ("orchestrator", async_yields, "orchestrator 'async_yields' is not an async function"),
        ("orchestrator", like_an_option, "parameter 'instance_id' has the name of a start option: rename it"),
        ("orchestrator", many, r"orchestrator 'many': \*orders: .* cannot be an input: take a list or a dict"),
        ("activity", keywords, r"activity 'keywords': \*\*orders: .* cannot be an input: take a list or a dict"),
        ("activity", yields, "activity 'yields' yields: an activity has one result, so return a list"),
        ("activity", async_yields, "activity 'async_yields' yields"),
        ("activity", lambda: 1, "has no name: give it one with name="),
        ("activity", CardDeclined, "cannot be an activity: decorate a function"),
    ],
)
def test_what_cannot_work_is_refused(kind: str, function: Loose, text: str) -> None:
    with pytest.raises(RegistrationError, match=text):
        getattr(App("orders"), kind)(function)


def test_a_name_is_taken_once_for_each_kind() -> None:
    app = App("orders")
    app.activity(double)
    app.orchestrator(name="double")(process)
    with pytest.raises(
        RegistrationError, match=r"activity 'double' is registered twice, as .*double and .*triple: give"
    ):
        app.activity(name="double")(triple)
    with pytest.raises(RegistrationError, match="orchestrator 'double' is registered twice"):
        app.orchestrator(name="double")(process)


TIMEOUTS = ["schedule_to_start", "start_to_close", "schedule_to_close", "heartbeat"]


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_timeouts_are_defaults_of_the_activity_and_options_of_a_call(timeout: str) -> None:
    app: Loose = App("orders")
    option = f"{timeout}_timeout"
    limited = app.activity(**{option: timedelta(microseconds=1500)})(double)
    assert limited.chosen.timeouts == Timeouts(**{timeout: 2})
    assert limited.options(**{option: timedelta(minutes=1)}).chosen.timeouts == Timeouts(**{timeout: 60_000})
    assert limited.options(task_queue="vip").chosen.timeouts == Timeouts(**{timeout: 2})
    assert limited.options(**{option: None}).chosen.timeouts == Timeouts()
    assert limited.options(**{option: timedelta.max}).chosen.timeouts == Timeouts(**{timeout: 86_400_000 * 10**9})
    assert app.activity(triple).chosen.timeouts == Timeouts()


@pytest.mark.parametrize("timeout", TIMEOUTS)
@pytest.mark.parametrize("wrong", [timedelta(0), timedelta(seconds=-1), 5, 0, False])
def test_a_timeout_is_more_than_nothing(timeout: str, wrong: Any) -> None:
    app: Loose = App("orders")
    option = f"{timeout}_timeout"
    text = f"^activity 'double': {option}={re.escape(repr(wrong))}: use a timedelta of more than nothing, or None$"
    with pytest.raises(RegistrationError, match=text):
        app.activity(name="'double'", **{option: wrong})
    with pytest.raises(RegistrationError, match=text):
        app.activity(double).options(**{option: wrong})


def test_the_default_policy_is_that_of_the_app() -> None:
    plain: Loose = App("orders").activity(double)
    assert plain.chosen.retry == Retry(max_attempts=3, initial_ms=1_000, backoff=Backoff.EXPONENTIAL, coefficient=2.0)
    app: Loose = App("orders", default_retry=RetryPolicy(max_attempts=7))
    assert app.activity(double).chosen.retry == Retry(max_attempts=7)
    assert app.activity(retry=RetryPolicy(max_attempts=2))(triple).chosen.retry == Retry(max_attempts=2)
    assert app.registry.default_options.retry == Retry(max_attempts=7)


def test_options_that_do_not_exist_are_refused() -> None:
    app: Loose = App("orders")
    with pytest.raises(RegistrationError, match="no option 'task_que'; there are heartbeat_timeout, retry, schedule_"):
        app.activity(task_que="x")
    with pytest.raises(RegistrationError, match="no option 'task_queue'; there are name"):
        app.orchestrator(task_queue="x")
    orchestrator = app.orchestrator(process)
    with pytest.raises(InvalidPayload, match=r"execution_timeout=.*0.*: use a timedelta of more than nothing"):
        orchestrator.options(execution_timeout=timedelta(0))
    with pytest.raises(InvalidPayload, match="on_conflict='nope': use fail, use-existing, replace-finished"):
        orchestrator.options(on_conflict="nope")
    with pytest.raises(InvalidPayload, match=r"delay=.*-1.*: use a timedelta that is not negative"):
        orchestrator.options(delay=timedelta(days=-1))
    with pytest.raises(InvalidPayload, match="tags="):
        orchestrator.options(tags={"a": 1})
    with pytest.raises(InvalidName, match="instance id ''"):
        orchestrator.options(instance_id="")
    with pytest.raises(RegistrationError, match="retry=3: use a RetryPolicy"):
        app.activity(retry=3)
    with pytest.raises(InvalidName, match="hub name 'Orders'"):
        App("Orders")


def test_policies_travel() -> None:
    policy = RetryPolicy(
        max_attempts=5,
        initial_interval=timedelta(microseconds=1500),
        backoff=Backoff.LINEAR,
        coefficient=3,
        max_interval=timedelta(seconds=30),
        jitter=0.5,
        non_retryable=["OutOfStock", CardDeclined, ValueError],
    )
    assert policy.wire == Retry(
        max_attempts=5,
        initial_ms=2,
        backoff=Backoff.LINEAR,
        coefficient=3.0,
        max_interval_ms=30_000,
        jitter=0.5,
        non_retryable=(
            "OutOfStock",
            f"{__name__}.CardDeclined",
            "CardDeclined",
            "builtins.ValueError",
            "ValueError",
        ),
    )
    assert not is_retryable(CardDeclined(), policy.wire)
    assert not is_retryable(UnicodeDecodeError("utf-8", b"", 0, 1, ""), policy.wire)
    assert is_retryable(KeyError(), policy.wire)
    default = RetryPolicy().wire
    assert default == Retry()
    assert [next_delay(default, attempt, "key") for attempt in (1, 2, 3)] == [1000, 2000, None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 2.5},
        {"initial_interval": 5},
        {"initial_interval": timedelta(seconds=-1)},
        {"backoff": "quadratic"},
        {"coefficient": 0.5},
        {"coefficient": float("nan")},
        {"max_interval": timedelta(milliseconds=10)},
        {"jitter": 1.5},
        {"non_retryable": "ValueError"},
        {"non_retryable": [ValueError("x")]},
    ],
)
def test_policies_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RegistrationError, match=f"RetryPolicy: {next(iter(wrong))}"):
        RetryPolicy(**wrong)


def test_activity_context() -> None:
    with pytest.raises(CallerError, match="outside a running activity"):
        ActivityContext.current()
    task = Task(instance="i", execution="x", seq=3, name="double", call=double_call(), attempt=2)
    with ActivityContext.of(task).active() as context:
        assert ActivityContext.current() is context
        assert context == ActivityContext(instance_id="i", execution="x", attempt=2, idempotency_key="i:x:3")
        assert context.last_heartbeat is None
    with pytest.raises(CallerError):
        ActivityContext.current()
    resumed = ActivityContext.of(replace(task, heartbeat=Raw(b'{"line":[7,12345678901234567890]}')))
    assert resumed.last_heartbeat == {"line": [7, 12345678901234567890]}
    assert resumed != context


def test_a_heartbeat_takes_a_note() -> None:
    context = ActivityContext(instance_id="i", execution="x", attempt=1, idempotency_key="i:x:3")
    pulse = context.pulse
    first = pulse.last
    assert (pulse.details is ABSENT, context.cancelled) == (True, False)
    details = {"line": 1}
    context.heartbeat(details)
    details["line"] = 2
    assert bytes(pulse.details) == b'{"line":1}'
    assert pulse.last > first
    context.heartbeat()
    assert bytes(pulse.details) == b'{"line":1}'
    with pytest.raises(InvalidPayload, match="activity call 'i:x:3': heartbeat details of type object cannot be"):
        context.heartbeat(object())
    pulse.cancelled = True
    assert context.cancelled


def double_call() -> Any:
    return App("a").activity(double).definition.signature.encode((1,), {})
