"""Foreign workers: programs that take tasks by plain commands and write what became of them."""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from redurable.core.answers import Answer, AnswerKind
from redurable.core.messages import ActivityResult
from redurable.core.values import ABSENT
from redurable.store.hearing import Answered, Heard
from redurable.store.port import Hub, Lost, TaskEnd, TaskLease
from redurable.testing.conformance import scenes
from redurable.testing.conformance.factory import StoreFactory

DETAILS = Raw(b'{"line":2,"big":12345678901234567890,"none":[]}')


class TestAnswers:
    async def test_an_answer_comes_with_the_task_that_its_worker_holds(self, store_factory: StoreFactory) -> None:
        node, store = await store_factory.store("node"), await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(node, scenes.task(queue="resize"))
        at = await store_factory.xadd_answer(lease.partition, _says("complete", lease, result=b'{"n":[]}'))
        answer = Answer(AnswerKind.COMPLETE, lease.id, "resize", "node", result=Raw(b'{"n":[]}'))
        heard = Heard((Answered(lease.partition, at, answer, lease),))
        assert await _hear(store) == heard
        assert await _hear(store) == heard
        message = ActivityResult(execution="x1", seq=1, result=answer.result, worker="node")
        assert (await store.complete([TaskEnd(lease, message=message)], [None])).accepted == (True,)
        (late,) = (await _hear(store)).answers
        assert late.lease is None
        await store.forget([late])
        assert await _hear(store) == Heard()
        assert scenes.said(await scenes.take(store)) == [message]

    async def test_only_who_holds_a_task_is_heard(self, store_factory: StoreFactory) -> None:
        node, store = await store_factory.store("node"), await store_factory.store("w1")
        lease, other = await scenes.with_tasks(node, scenes.task(), scenes.task(seq=2))
        stranger = _says("complete", lease) | {b"worker": b"somebody"}
        elsewhere = _says("complete", lease) | {b"queue": b"another"}
        forged = (f"{lease.id}0", lease.id.partition("-")[0] + " ", f"0{lease.id}", "9" * 40, "-", "+", "(0-0", "$")
        invented = [_says("complete", lease) | {b"complete": entry.encode()} for entry in forged]
        for fields in (stranger, elsewhere, *invented, _says("refuse", other)):
            await store_factory.xadd_answer(lease.partition, fields)
        answers = (await _hear(store)).answers
        assert [item.lease for item in answers] == [None] * (2 + len(forged)) + [other]
        await scenes.take_over(store_factory, store)
        assert {item.lease for item in (await _hear(store)).answers} == {None}
        await store.forget(answers)
        assert await _hear(store) == Heard()

    async def test_a_sign_of_life_renews_the_lease_and_leaves_its_details(self, store_factory: StoreFactory) -> None:
        node, store = await store_factory.store("node"), await store_factory.store("w1")
        told, silent = await scenes.with_tasks(node, scenes.task(), scenes.task(seq=2))
        await store_factory.advance(500)
        await store_factory.xadd_answer(told.partition, _says("heartbeat", told, details=bytes(DETAILS)))
        assert await _hear(store) == Heard(heartbeats=1)
        assert await _hear(store) == Heard()
        (taken,) = (await scenes.reclaim(store, 500)).tasks
        assert (taken.task, taken.holder) == (silent.task, "node")
        await store_factory.xadd_answer(told.partition, _says("fail", told))
        (failed,) = (await _hear(store)).answers
        assert failed.lease == replace(told, heartbeat=DETAILS)
        assert await node.renew([], [told]) == Lost()

    async def test_signs_of_life_of_others_change_nothing(self, store_factory: StoreFactory) -> None:
        node, store = await store_factory.store("node"), await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(node, scenes.task())
        await scenes.take_over(store_factory, store)
        await store_factory.xadd_answer(lease.partition, _says("heartbeat", lease, details=b"1"))
        assert await _hear(store) == Heard(heartbeats=1)
        (again,) = (await scenes.take_over(store_factory, store)).tasks
        assert (again.holder, again.heartbeat) == ("w1", ABSENT)

    async def test_what_cannot_be_read_becomes_a_dead_letter_once(self, store_factory: StoreFactory) -> None:
        one, two = await store_factory.store("w1"), await store_factory.store("w2")
        (lease,) = await scenes.with_tasks(one, scenes.task())
        for wrong in ({b"result": b"1"}, {**_says("complete", lease), b"result": b"{"}, {b"\xff": b"\xff"}):
            await store_factory.xadd_answer(lease.partition, wrong)
        heard = await scenes.together(lambda: _hear(one), lambda: _hear(two))
        assert sum(some.dead for some in heard) == 3
        await scenes.drain(one)
        reasons = [letter[b"reason"].decode() for letter in await store_factory.dead_letters()]
        assert len(reasons) == 3
        assert "an answer has exactly one of complete, fail, heartbeat, hand-back, refuse" in reasons[0]
        assert "field 'result' is not JSON" in reasons[1]
        assert (await store_factory.dead_letters())[1][b"worker"] == b"node"

    async def test_answers_are_heard_where_they_were_written(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        (lease,) = await scenes.with_tasks(store, scenes.task())
        await store_factory.xadd_answer(lease.partition, _says("refuse", lease))
        others = [number for number in scenes.everywhere(store) if number != lease.partition]
        assert await store.hear(others, 10, 0) == Heard()
        assert len((await store.hear([lease.partition], 10, 10_000)).answers) == 1
        assert await store.hear([], 10, 0) == Heard()

    async def test_everybody_learns_which_queues_are_served(self, store_factory: StoreFactory) -> None:
        store = await store_factory.store("w1")
        assert await store.served() == ()
        await store_factory.serve_queue("resize")
        await store_factory.serve_queue("mail")
        assert await store.served() == ("mail", "resize")


async def _hear(store: Hub) -> Heard:
    return await store.hear(scenes.everywhere(store), 100, 0)


def _says(kind: str, lease: TaskLease, **fields: bytes) -> dict[bytes, bytes]:
    said = {kind.encode(): lease.id.encode(), b"queue": lease.queue.encode(), b"worker": b"node"}
    return said | {name.encode(): value for name, value in fields.items()}
