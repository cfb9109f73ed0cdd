"""Retries in a worker: the activity's own predicate, errors that say when, and what a person sees meanwhile."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from redurable import App, Client, RegistrationError, RetryAfter, RetryPolicy
from tests.unit.worker.play import QUICKLY, Play

HOUR = timedelta(hours=1)


async def test_the_predicate_decides_beside_the_policy() -> None:
    asked: list[str] = []

    def worth_it(error: Exception) -> bool:
        asked.append(str(error))
        return "1" in str(error)

    play = Play(retry_if=worth_it, retry=RetryPolicy(max_attempts=9, initial_interval=timedelta(milliseconds=1)))

    async def act() -> str:
        raise ValueError(f"attempt {play.enter().attempt}")

    play.acts(act)
    assert await play.result() == "ActivityFailed"
    assert asked == ["attempt 1", "attempt 2"]
    assert await play.rows() == ["Started 1", "AttemptFailed 1 ValueError", "Started 2", "Failed ValueError"]
    assert play.outcomes == [("error", True), ("non_retryable", False)]


async def test_the_predicate_is_asked_about_timeouts() -> None:
    asked: list[str] = []

    def never(error: Exception) -> bool:
        asked.append(type(error).__name__)
        return False

    play = Play(retry_if=never, start_to_close_timeout=timedelta(milliseconds=50))

    async def act() -> str:
        await anyio.sleep_forever()
        return "never"

    play.acts(act)
    assert await play.result() == "StartToCloseTimeout"
    assert asked == ["StartToCloseTimeout"]
    assert play.outcomes == [("timeout", False)]


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
async def test_an_error_of_the_predicate_is_how_the_call_fails(kind: type[BaseException]) -> None:
    def broken(error: Exception) -> bool:
        raise kind("what?")

    play = Play(retry_if=broken)

    def act() -> str:
        raise ValueError("no")

    play.acts(act)
    assert await play.result() == "ActivityFailed"
    (failed,) = [event for event in await play.stage.history() if hasattr(event, "failure")]
    failure = getattr(failed, "failure")  # noqa: B009
    assert (failure.type, failure.message, failure.cause.type) == (kind.__name__, "what?", "ValueError")


async def test_a_predicate_is_a_plain_function_of_the_registration() -> None:
    app = App("x")

    async def later(error: Exception) -> bool:
        return True

    for nonsense in (later, "ValueError"):
        with pytest.raises(RegistrationError, match=r"activity 'act': retry_if=.*: use a plain function of the error"):
            app.activity(name="act", retry_if=nonsense)(lambda: None)  # pyright: ignore[reportArgumentType]
    activity = app.activity(name="act")(lambda: None)
    with pytest.raises(RegistrationError, match="no option 'retry_if'"):
        activity.options(retry_if=later)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("limit", [timedelta(0), timedelta(-1), 5])
def test_a_retry_timeout_is_a_span(limit: object) -> None:
    with pytest.raises(RegistrationError, match=r"retry_timeout=.*: use a timedelta of more than nothing"):
        RetryPolicy(retry_timeout=limit)  # pyright: ignore[reportArgumentType]
    assert RetryPolicy(retry_timeout=HOUR).wire.retry_timeout_ms == 3_600_000


async def test_a_status_shows_attempts_the_last_failure_and_when_the_next_one_begins() -> None:
    play = Play(retry=QUICKLY)

    async def act() -> str:
        if play.enter().attempt == 1:
            raise ConnectionError("busy")
        raise RetryAfter(HOUR) from OSError("closed")

    play.acts(act)
    await play.stage.start("ask")
    async with play.stage.working(play.app), Client.from_store(play.stage.store) as client:
        await play.stage.until(lambda: len(play.outcomes) == 2)
        status = await client.get_status("one", show_activities=True)
        assert status.pending_activities is not None
        (call,) = status.pending_activities
        assert (call.name, call.state, call.attempt, call.worker) == ("act", "retrying", 3, None)
        assert call.last_failure is not None
        assert call.last_failure.type == "RetryAfter"
        assert call.next_attempt_at is not None
        assert timedelta(minutes=59) < call.next_attempt_at - call.scheduled_at < timedelta(minutes=61)
        assert (await client.get_status("one")).pending_activities is None
        await client.terminate("one")
        await play.stage.until(lambda: not play.stage.hub.of("one").retries)
        assert (await client.get_status("one", show_activities=True)).pending_activities == []
