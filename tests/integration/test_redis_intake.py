"""The intake on real servers: what its writers may combine it with, and what those do to it who may only XADD."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import ResponseError

from redurable.core.messages import RaiseEvent
from redurable.store.redis.intake import MOST_BYTES
from redurable.store.redis.store import RedisStore
from redurable.store.redis.wire import LAST_ID
from redurable.store.routing import Routed
from tests.support.redis_state import letters, mails, start
from tests.support.servers import Server


@pytest.fixture
def foreign(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client


def event(instance: str, name: str, **more: str) -> dict[Any, Any]:
    return {"instance": instance, "event": name, **more}


async def heard(store: RedisStore, instance: str) -> list[str]:
    return [message.name for message in await mails(store, instance) if isinstance(message, RaiseEvent)]


async def test_what_is_sent_in_a_transaction_of_the_caller_happens_with_it_or_not_at_all(
    store: RedisStore, foreign: Any
) -> None:
    stock, intake = f"stock:{{{store.hub}}}", store.layout.hub.intake
    assert key_slot(stock.encode()) == key_slot(intake.encode())
    await start(store, "o-1")
    with foreign.pipeline(transaction=True) as both:
        both.decrby(stock, 3)
        both.xadd(intake, event("o-1", "Sold", id="sale-1"))
        both.execute()
    with foreign.pipeline(transaction=True) as neither:
        neither.watch(stock)
        neither.multi()
        neither.decrby(stock, 4)
        neither.xadd(intake, event("o-1", "Lost"))
        foreign.set("unrelated", 1)
        foreign.incrby(stock, 0)  # somebody else was faster
        with pytest.raises(Exception, match="Watched variable changed"):
            neither.execute()
    assert await store.route(100, 0) == Routed(1)
    assert await heard(store, "o-1") == ["Sold"]
    assert foreign.get(stock) == b"-3"


async def test_a_script_of_the_caller_writes_its_data_and_the_event_in_one_step(
    store: RedisStore, foreign: Any
) -> None:
    stock, intake = f"stock:{{{store.hub}}}", store.layout.hub.intake
    await start(store, "o-1")
    sell = """
        local left = redis.call('DECRBY', KEYS[1], ARGV[1])
        if left < 0 then redis.call('INCRBY', KEYS[1], ARGV[1]) return 'none left' end
        redis.call('XADD', KEYS[2], '*', 'instance', ARGV[2], 'event', 'Sold', 'data', tostring(left), 'id', ARGV[3])
        return 'sold'
    """
    foreign.set(stock, 5)
    answers = [foreign.eval(sell, 2, stock, intake, 3, "o-1", f"sale-{number}") for number in range(2)]
    assert answers == [b"sold", b"none left"]
    assert await store.route(100, 0) == Routed(1)
    [sold] = await mails(store, "o-1")
    assert isinstance(sold, RaiseEvent)
    assert (sold.name, bytes(sold.data), sold.id) == ("Sold", b"2", "sale-0")


async def test_entries_that_are_trimmed_away_are_told_once_and_the_rest_is_routed(
    store: RedisStore, foreign: Any
) -> None:
    intake = store.layout.hub.intake
    await start(store, "o-1")
    assert await store.route(100, 0) == Routed()
    for name in ("A", "B", "C"):
        foreign.xadd(intake, event("o-1", name))
    foreign.xadd(intake, event("o-1", "D"), maxlen=2, approximate=False)
    routed = await store.route(100, 0)
    assert (routed.delivered, len(routed.told)) == (2, 1)
    assert routed.told[0].startswith("2 intake entries are lost: another program removed them")
    assert await heard(store, "o-1") == ["C", "D"]
    foreign.xadd(intake, event("o-1", "E"), maxlen=0, approximate=False)
    assert [text[:26] for text in (await store.route(100, 0)).told] == ["1 intake entries are lost:"]
    assert await store.route(100, 0) == Routed()
    foreign.xadd(intake, event("o-1", "F"))
    assert await store.route(100, 0) == Routed(1)
    assert [letter[b"reason"][:8] for letter in await letters(store)] == [b"2 intake", b"1 intake"]


async def test_used_up_ids_cost_nobody_an_entry(store: RedisStore, foreign: Any) -> None:
    """What was there is routed, what follows is taken again and routed behind it, and no watermark drops it."""
    intake = store.layout.hub.intake
    await start(store, "o-1")
    for turn in range(3):
        foreign.xadd(intake, event("o-1", f"A{turn}"))
        foreign.xadd(intake, {"no": "sense"})
        foreign.xadd(intake, event("o-1", f"B{turn}"), id=LAST_ID)
        with pytest.raises(ResponseError):
            foreign.xadd(intake, event("o-1", "refused"))
        first = await store.route(1, 0)
        assert (first.delivered, len(first.told)) == (1, 1)
        foreign.xadd(intake, event("o-1", f"C{turn}"))
        assert await store.route(100, 0) == Routed(1, ("malformed",))
        assert await store.route(100, 0) == Routed(1)
    assert await heard(store, "o-1") == [f"{name}{turn}" for turn in range(3) for name in "ABC"]
    assert [letter[b"reason"].split(b" ")[0] for letter in await letters(store)] == [b"another", b"no"] * 3
    assert foreign.exists(store.layout.hub.aside) == 0


async def test_the_greatest_id_with_nothing_left_behind_it_heals(store: RedisStore, foreign: Any) -> None:
    intake = store.layout.hub.intake
    await start(store, "o-1")
    foreign.xadd(intake, event("o-1", "gone"), id=LAST_ID, maxlen=0, approximate=False)
    assert any("used up the ids" in text for text in (await store.route(100, 0)).told)
    foreign.xadd(intake, event("o-1", "E"))
    assert await store.route(100, 0) == Routed(1)
    assert await heard(store, "o-1") == ["E"]


async def test_ids_of_the_future_do_no_harm(store: RedisStore, foreign: Any) -> None:
    intake = store.layout.hub.intake
    await start(store, "o-1")
    foreign.xadd(intake, event("o-1", "A"), id="18446744073709551615-18446744073709551613")
    foreign.xadd(intake, event("o-1", "B"))
    foreign.xadd(intake, event("o-1", "C"))
    routed = await store.route(100, 0)
    assert (routed.delivered, len(routed.told)) == (3, 1)
    foreign.xadd(intake, event("o-1", "D"))
    assert await store.route(100, 0) == Routed(1)
    assert await heard(store, "o-1") == ["A", "B", "C", "D"]


async def test_an_intake_that_was_deleted_begins_anew(store: RedisStore, foreign: Any) -> None:
    """Its ids may lie below the watermarks of the deleted one, and are routed all the same."""
    intake = store.layout.hub.intake
    await start(store, "o-1")
    foreign.xadd(intake, event("o-1", "A"), id="9999999999999-0")
    assert (await store.route(100, 0)).delivered == 1
    foreign.delete(intake)
    for name in ("B", "C"):
        foreign.xadd(intake, event("o-1", name))
    routed = await store.route(100, 0)
    assert (routed.delivered, [text[:34] for text in routed.told]) == (2, ["another program deleted the intake"])
    assert await heard(store, "o-1") == ["A", "B", "C"]


async def test_a_batch_has_a_size_in_bytes_as_well(store: RedisStore, foreign: Any) -> None:
    await start(store, "o-1")
    for number in range(60):
        foreign.xadd(store.layout.hub.intake, event("o-1", f"E{number}", data=f'"{"x" * (MOST_BYTES // 20)}"'))
    sizes: list[int] = []
    while (routed := await store.route(500, 0)) != Routed():
        sizes.append(routed.delivered)
    assert sum(sizes) == 60
    assert max(sizes) <= 32
    assert await heard(store, "o-1") == [f"E{number}" for number in range(60)]


async def test_many_malformed_entries_cost_a_few_calls(store: RedisStore, foreign: Any) -> None:
    pipe = foreign.pipeline(transaction=False)
    for number in range(500):
        pipe.xadd(store.layout.hub.intake, {"nonsense": number})
    pipe.execute()
    foreign.config_resetstat()
    assert await store.route(500, 0) == Routed(0, ("malformed",) * 500)
    assert foreign.info("commandstats")["cmdstat_evalsha"]["calls"] <= 6
    found = await letters(store)
    assert [letter[b"nonsense"] for letter in found] == [b"%d" % number for number in range(500)]
