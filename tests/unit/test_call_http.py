"""`ctx.call_http`: requests by an activity, answers that are not there yet by durable timers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from redurable import (
    ActivityFailed,
    App,
    HttpResponse,
    InvalidPayload,
    OrchestrationContext,
    OrchestrationFailed,
    RegistrationError,
    RetryPolicy,
    StartToCloseTimeout,
)
from redurable.core.values import Failure
from redurable.testing import Environment, environment
from redurable.testing.environments import START
from redurable.worker.code import Code
from tests.support.http_server import Answer, Asked, HttpServer

HOUR = timedelta(hours=1)
ONCE = RetryPolicy(max_attempts=1)
Call = Callable[[OrchestrationContext, str], Awaitable[HttpResponse]]


def scripted(*answers: Answer) -> HttpServer:
    """A server that gives these answers one after the other."""
    left = list(answers)

    async def answer(_: Asked) -> Answer:
        return left.pop(0)

    return HttpServer(answer)


async def called(call: Call, url: str, opened: Callable[[Environment], None] = lambda _: None) -> HttpResponse:
    """The result of an orchestrator that makes this call, in ten hours at most."""
    app = App("http")

    @app.orchestrator
    async def main(ctx: OrchestrationContext, url: str) -> HttpResponse:
        return await call(ctx, url)

    async with environment(app) as env:
        opened(env)
        handle = await env.client.start(main, url, instance_id="one")
        await env.advance(10 * HOUR)
        return await handle.result()


async def test_an_answer_that_is_not_there_yet_is_waited_for() -> None:
    times, envs = list[float](), list[Environment]()
    at_three = format_datetime(START + 3 * HOUR, usegmt=True)
    left = [
        Answer(202, {"Location": "/jobs/7?part=1", "Retry-After": "3600"}),
        Answer(202, {"Location": "done", "Retry-After": at_three}),
        Answer(202, {"Location": "done", "Retry-After": "soon"}),
        Answer(200, {"X-Kind": "final", "Content-Type": "application/json"}, '{"ok": "größer"}'.encode()),
    ]

    async def answer(_: Asked) -> Answer:
        times.append((envs[0].now - START) / HOUR)
        return left.pop(0)

    def call(ctx: OrchestrationContext, url: str) -> Awaitable[HttpResponse]:
        headers = {"Authorization": "secret"}
        return ctx.call_http("post", url, headers=headers, content={"lines": [1]}, poll_interval=HOUR)

    async with HttpServer(answer) as server:
        response = await called(call, f"{server.url}/jobs", envs.append)
    assert times == [0, 1, 3, 4]
    assert (response.status, response.headers["x-kind"], response.json()) == (200, "final", {"ok": "größer"})
    assert [(asked.method, asked.path) for asked in server.asked] == [
        ("POST", "/jobs"),
        ("GET", "/jobs/7?part=1"),
        ("GET", "/jobs/done"),
        ("GET", "/jobs/done"),
    ]
    first, *polls = server.asked
    assert (first.body, first.headers["content-type"]) == ('{"lines":[1]}', "application/json")
    assert first.headers["idempotency-key"].startswith("one:")
    for poll in polls:
        assert (poll.body, poll.headers["authorization"]) == ("", "secret")
        assert not {"content-type", "idempotency-key"} & set(poll.headers)


async def test_secrets_stay_with_their_server() -> None:
    headers = {"Authorization": "a", "Cookie": "b", "X-Mine": "c"}
    async with scripted(Answer(200)) as other, scripted(Answer(202, {"Location": f"{other.url}/x"})) as server:
        await called(lambda ctx, url: ctx.call_http("PUT", url, headers=headers), server.url)
        (asked,) = other.asked
        assert asked.headers["x-mine"] == "c"
        assert not {"authorization", "cookie"} & set(asked.headers)
        assert "idempotency-key" not in server.asked[0].headers


async def test_the_pattern_can_be_switched_off_and_errors_are_answers() -> None:
    waits = Answer(202, {"Location": "/later"}, b"wait")
    async with scripted(waits, Answer(404, {}, b"no")) as server:
        off = await called(lambda ctx, url: ctx.call_http("GET", url, asynchronous_pattern=False), server.url)
        assert (off.status, off.headers["location"], off.content) == (202, "/later", "wait")
        missing = await called(lambda ctx, url: ctx.call_http("GET", url), server.url)
        assert (missing.status, missing.content) == (404, "no")


async def test_what_may_pass_is_tried_again() -> None:
    delays = RetryPolicy(max_attempts=3, initial_interval=HOUR)
    async with scripted(Answer(503), Answer(429), Answer(502, {}, b"still"), Answer(200, {}, b"fine")) as server:
        last = await called(lambda ctx, url: ctx.call_http("POST", url, retry=delays), server.url)
        assert (last.status, last.content) == (502, "still")
        keys = [asked.headers["idempotency-key"] for asked in server.asked]
        assert len(keys) == 3
        assert len(set(keys)) == 1


@pytest.mark.parametrize(
    ("body", "words"), [(b"\xff\xfe", "is no text in utf-8"), (b"x" * 1_100_000, "more than 1,048,576 bytes")]
)
async def test_what_cannot_become_better_is_not_tried_again(body: bytes, words: str) -> None:
    async with scripted(Answer(200, {}, body)) as server:
        with pytest.raises(OrchestrationFailed) as caught:
            await called(lambda ctx, url: ctx.call_http("GET", url), server.url)
        assert len(server.asked) == 1
        cause = _cause(caught.value.failure)
        assert cause.type == "InvalidPayload"
        assert words in cause.message


async def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(OrchestrationFailed, match=r"pip install 'redurable\[http\]'") as caught:
        await called(lambda ctx, url: ctx.call_http("GET", url), "http://127.0.0.1:1")
    cause = _cause(caught.value.failure)
    assert (cause.type, cause.attempts) == ("MissingExtra", 1)


async def test_no_answer_fails_the_call() -> None:
    app, hangs = App("http"), asyncio.Event()

    async def answer(_: Asked) -> Answer:
        await hangs.wait()
        return Answer(200)

    @app.orchestrator
    async def main(ctx: OrchestrationContext, url: str) -> list[str]:
        seen: list[str] = []
        for address in (url, "http://127.0.0.1:1/nobody"):
            try:
                await ctx.call_http("GET", address, timeout=HOUR, retry=ONCE)
            except ActivityFailed as error:
                seen += [type(error).__name__, str(ctx.current_utc_datetime - START)]
        return seen

    async with environment(app, patience=0.1) as env, HttpServer(answer) as server:
        handle = await env.client.start(main, server.url)
        await env.advance(2 * HOUR)
        assert await handle.result() == [StartToCloseTimeout.__name__, "1:00:00", "ActivityFailed", "1:00:00"]


async def test_wrong_uses_are_refused_at_once() -> None:
    app = App("http")

    @app.orchestrator
    async def main(ctx: OrchestrationContext) -> list[str]:
        words: list[str] = []
        loose: Any = ctx.call_http
        for arguments in (("GET", "ftp://x/"), ("GET", "http:///x"), ("GET", "http://x:y/"), ("GE T", "http://x/")):
            with pytest.raises(InvalidPayload) as caught:
                loose(*arguments)
            words.append(str(caught.value))
        with pytest.raises(InvalidPayload, match="use strings as names and values"):
            loose("GET", "http://x", headers={"a": 1})
        with pytest.raises(InvalidPayload, match="content of type object cannot be encoded"):
            loose("GET", "http://x", content=object())
        with pytest.raises(RegistrationError, match="use a timedelta of more than nothing"):
            loose("GET", "http://x", timeout=5)
        return words

    async with environment(app) as env:
        words = await (await env.client.start(main)).result()
    assert ["is no address: use http://" in text for text in words] == [True, True, True, False]
    assert "'GE T' is no method" in words[3]
    taken = App("taken")
    taken.activity(name="redurable.http")(lambda: None)
    with pytest.raises(RegistrationError, match="redurable's own"):
        Code([taken])


def _cause(failure: Failure) -> Failure:
    """The innermost failure."""
    return failure if failure.cause is None else _cause(failure.cause)
