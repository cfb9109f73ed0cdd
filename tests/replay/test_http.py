"""`ctx.call_http` replays: the wait for an answer is timers and tasks in the history, and nothing else."""

from __future__ import annotations

import json

from redurable import App, HttpResponse, OrchestrationContext
from tests.support.app_story import AppStory, event
from tests.support.story import text

app = App("http")


@app.orchestrator
async def fetch(ctx: OrchestrationContext, url: str) -> HttpResponse:
    return await ctx.call_http("POST", url, content="order")


@app.orchestrator
async def race(ctx: OrchestrationContext, url: str) -> int:
    index, _ = await ctx.select(ctx.call_http("GET", url), ctx.wait_for_external_event("Enough"))
    return index


def answer(status: int, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return json.dumps({"status": status, "headers": named, "content": "c"})


def test_the_wait_for_an_answer_survives_evictions() -> None:
    story = AppStory(fetch, "https://shop.example/orders")
    (task,) = story.turn().tasks
    assert (task.name, task.options.timeouts.start_to_close) == ("redurable.http", 100_000)
    assert json.loads(text(task.call.input)) == {
        "method": "POST",
        "url": "https://shop.example/orders",
        "headers": {},
        "content": "order",
        "attempts": 3,
    }
    story.forget()
    (timer,) = story.turn(story.done(1, answer(202, location="/jobs/7", retry_after="90"))).timers
    assert timer.due == story.now + 90_000
    story.forget()
    (task,) = story.turn(story.due(timer.seq)).tasks
    assert json.loads(text(task.call.input))["url"] == "https://shop.example/jobs/7"
    story.forget()
    story.turn(story.done(task.seq, answer(202, location="/jobs/7")))
    story.forget()
    (task,) = story.turn(story.due(4)).tasks
    story.turn(story.done(task.seq, answer(410)))
    assert json.loads(story.result())["status"] == 410
    kinds = story.kinds()
    assert (kinds.count("ActivityScheduled"), kinds.count("TimerFired")) == (3, 2)


def test_a_wait_that_lost_leaves_no_timer() -> None:
    story = AppStory(race, "https://shop.example/orders")
    story.turn()
    (timer,) = story.turn(story.done(1, answer(202, location="/jobs/7"))).timers
    commit = story.turn(event("Enough"))
    assert commit.canceled_timers == (timer.seq,)
    assert story.result() == "1"
