"""Names and ids that are not allowed: each error says what is wrong, with the value, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from redurable import App, OrchestrationContext
from redurable.core.ids import check_hub_name, check_id, check_instance_id, check_name
from redurable.errors import InvalidName
from tests.support.app_story import AppStory

GOOD = ["a", "order-42", "Größe/1", "日本", "a b:c{d}*", "x" * 256, "é" * 128]


@pytest.mark.parametrize("name", GOOD)
def test_most_texts_are_names(name: str) -> None:
    assert check_instance_id(name) == name
    assert check_name(name, "event") == name
    assert check_id(name, "event") == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "'' has 0 bytes: use 1 to 256"),
        ("x" * 257, "…' has 257 bytes: use 1 to 256"),
        ("é" * 129, "…' has 258 bytes: use 1 to 256"),
        ("a\nb", "'a\\nb' has control characters: remove them"),
        ("a\x00", "'a\\x00' has control characters"),
        ("a\x7f", "'a\\x7f' has control characters"),
        ("a\x9b", "'a\\x9b' has control characters"),
        ("a\ud800", "'a\\ud800' is not valid Unicode text: remove its lone surrogates"),
        (42, "42 is of type int: use a string"),
        (None, "None is of type NoneType: use a string"),
        (b"a", "b'a' is of type bytes: use a string"),
    ],
)
def test_what_is_wrong_with_a_name(name: Any, why: str) -> None:
    checks: list[tuple[Callable[[Any], str], str]] = [
        (check_instance_id, "instance id"),
        (lambda it: check_name(it, "event"), "event name"),
    ]
    for check, what in checks:
        with pytest.raises(InvalidName, match=f"^{what} .*" + re.escape(why)) as refused:
            check(name)
        assert len(str(refused.value)) < 150


@pytest.mark.parametrize("hub", ["a", "0", "orders-eu-1", "x" * 63, "-"])
def test_hub_names(hub: str) -> None:
    assert check_hub_name(hub) == hub


@pytest.mark.parametrize("hub", ["", "Orders", "a_b", "a b", "a.b", "{a}", "x" * 64, "é", "a\n", "a/b", "a:b", 7])
def test_hub_names_that_are_not_allowed(hub: Any) -> None:
    with pytest.raises(InvalidName, match=r"^hub name .*: use "):
        check_hub_name(hub)


@pytest.mark.parametrize("check", [check_instance_id, check_hub_name])
def test_a_long_value_is_shown_in_part(check: Callable[[str], str]) -> None:
    with pytest.raises(InvalidName) as refused:
        check("y" * 100_000)
    assert "yyyy…" in str(refused.value)
    assert len(str(refused.value)) < 150


def test_an_id_may_be_any_text_that_is_not_too_long() -> None:
    assert check_id("", "event") == ""
    assert check_id("a\nb", "event") == "a\nb"
    with pytest.raises(InvalidName, match=r"event id 'x+…' has 257 bytes: use at most 256"):
        check_id("x" * 257, "event")


def test_inside_an_orchestrator_the_call_itself_is_refused() -> None:
    app = App("names")

    @app.orchestrator
    async def careless(ctx: OrchestrationContext) -> list[str]:
        loose: Any = ctx
        calls: list[Callable[[], Any]] = [
            lambda: loose.call_activity("a\nb"),
            lambda: loose.call_activity(""),
            lambda: loose.call_sub_orchestrator("Child", instance_id="a\x00b"),
            lambda: loose.call_sub_orchestrator("Child", instance_id="x" * 257),
            lambda: loose.call_sub_orchestrator("Child", instance_id=42),
            lambda: loose.start_orchestration("Child", instance_id="a\ud800"),
            lambda: loose.raise_event("", "Go"),
            lambda: loose.raise_event("other", "\x7f"),
            lambda: loose.wait_for_external_event("x" * 257),
        ]
        told: list[str] = []
        for call in calls:
            with pytest.raises(InvalidName) as refused:
                call()
            told.append(str(refused.value))
        return told

    story = AppStory(careless)
    commit = story.turn()
    assert (commit.tasks, commit.outbox) == ((), ())
    assert json.loads(story.result()) == [
        "activity name 'a\\nb' has control characters: remove them",
        "activity name '' has 0 bytes: use 1 to 256",
        "instance id 'a\\x00b' has control characters: remove them",
        f"instance id '{'x' * 39}…' has 257 bytes: use 1 to 256",
        "instance id 42 is of type int: use a string",
        "instance id 'a\\ud800' is not valid Unicode text: remove its lone surrogates",
        "instance id '' has 0 bytes: use 1 to 256",
        "event name '\\x7f' has control characters: remove them",
        f"event name '{'x' * 39}…' has 257 bytes: use 1 to 256",
    ]
