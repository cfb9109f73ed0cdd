"""Operations on the command line: before a release, and by a person at a terminal."""

from __future__ import annotations

import pytest

from tests.support.shop_line import SOURCE, Shop, until

pytestmark = pytest.mark.timeout(200)


@pytest.mark.usefixtures("shop_worker")
def test_a_release_that_would_break_what_runs_is_found_before(shop: Shop) -> None:
    """Golden histories, the code at hand, and a hub at work; then all that it would break is put away."""
    shop.run("start", "hello", "--input", '"Ada"', "--id", "h", "--wait")
    shop.run("start", "wait_for", "--input", '"Approval"', "--id", "w")
    until(lambda: shop.json("status", "w")["runtime_status"] == "Running", "it waits")
    shop.run("history", "h", "--export", "golden.jsonl")
    source = shop.directory / "shop_app.py"
    assert {row["verdict"] for row in shop.json("replay", "shop_app:app", "--all")} == {"same"}

    source.write_text(SOURCE.replace("ctx.call_activity(greet, name)", "ctx.call_activity(ask, name)"))
    (row,) = shop.verdict("replay", "shop_app:app", "golden.jsonl")
    assert (row["verdict"], row["position"]) == ("differs", 1)
    assert "shop_app.py" in row["difference"]
    verdicts = shop.verdict("replay", "shop_app:app", "--all")
    assert {row["instance_id"]: row["verdict"] for row in verdicts} == {"h": "differs", "w": "same"}

    assert shop.json("list", "--count") == [
        {"name": "hello", "runtime_status": "Completed", "count": 1},
        {"name": "wait_for", "runtime_status": "Running", "count": 1},
    ]
    assert [row["waits_for"] for row in shop.json("explain", "w")] == ["event"]
    assert shop.json("terminate", "--all", "--name", "wait_for", "--yes")["done"] == 1
    assert "was terminated" in shop.run("result", "w", "--timeout", "20", code=1)
    assert "ok" in shop.run("doctor")


@pytest.mark.usefixtures("shop_worker")
def test_a_person_at_a_terminal_is_asked_and_sees_tables(shop: Shop) -> None:
    for name in ("one", "two"):
        shop.run("start", "wait_for", "--input", '"Never"', "--id", name)
    refused = shop.typed("n\n", "terminate", "--all")
    assert "Terminate 2 instances of hub 'shop'? [y/N]" in refused
    assert "Aborted" in refused
    assert len(shop.json("list", "--status", "Running", "--status", "Pending")["instances"]) == 2

    agreed = shop.typed("y\n", "terminate", "--all")
    assert "matched" in agreed
    until(lambda: len(shop.json("list", "--status", "Terminated")["instances"]) == 2, "both have ended")
    assert "\x1b[" in shop.typed("", "list", "--all")
    plain = shop.typed("", "list", "--all", NO_COLOR="1", TERM="dumb")
    assert "\x1b[" not in plain
    assert "Terminated" in plain
