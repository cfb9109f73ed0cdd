"""The programs whose life is days, at their real pace on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from examples import delayed_greeting, document_approval, email_sequence, human_interaction, monitor
from examples.email_campaign.campaign.models import Campaign, Report
from redurable import App, WorkerSettings
from redurable.testing import Environment, environment

DAY = timedelta(days=1)
THURSDAY = datetime(2026, 1, 1, 9, tzinfo=UTC)

Said = Callable[[], list[str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """The lines that activities have printed since the last question."""
    return lambda: capsys.readouterr().out.splitlines()


async def kinds(env: Environment, instance: str) -> list[str]:
    """The kinds of an instance's events, without the rows of attempts."""
    history = await env.client.get_history(instance)
    return [type(event).__name__ for event in history if type(event).__name__ != "ActivityStarted"]


class TestDelayedGreeting:
    async def test_a_month_later(self) -> None:
        async with environment(delayed_greeting.app) as env:
            handle = await env.client.start(delayed_greeting.greet_later, "Ada", 30 * DAY, delay=DAY)
            await env.advance(31 * DAY - timedelta(milliseconds=1))
            assert (await kinds(env, handle.instance_id))[-1] == "TimerCreated"
            await env.advance(timedelta(milliseconds=1))
            assert await handle.result() == "Hello, Ada!"

    async def test_at_midnight(self) -> None:
        async with environment(delayed_greeting.app, start=THURSDAY) as env:
            handle = await env.client.start(delayed_greeting.greet_at_midnight, "Ada")
            await env.advance(DAY)
            assert await handle.result() == datetime(2026, 1, 2, tzinfo=UTC)


class TestMonitor:
    async def test_it_tells_of_changes_once_and_ends_with_the_delivery(
        self, said: Said, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(monitor.SCANS, "p", ["in Riga", "in Riga", "in Lima", "delivered", "delivered"])
        async with environment(monitor.app, start=THURSDAY) as env:
            handle = await env.client.start(monitor.follow, monitor.Watch(parcel="p", until=THURSDAY + 14 * DAY))
            await env.advance(timedelta(minutes=89))
            assert said() == ["p is in Riga", "p is in Lima"]
            await env.advance(timedelta(minutes=1))
            assert said() == ["p is delivered"]
            assert (await handle.result()).looks == 4

    async def test_it_gives_up_after_two_weeks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(monitor.SCANS, "p", ["in Riga"])
        watch = monitor.Watch(parcel="p", every=timedelta(hours=12), until=THURSDAY + 14 * DAY)
        async with environment(monitor.app, start=THURSDAY) as env:
            handle = await env.client.start(monitor.follow, watch)
            await env.advance(14 * DAY)
            assert (await handle.result()).looks == 29

    async def test_a_round_costs_what_it_says_and_a_long_history_is_left_behind(
        self, said: Said, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """12,500 rounds to the cap are 260 days, 2,500 to a fifth of it 52; here the fifth is 20 rounds."""
        assert WorkerSettings().max_history_events / monitor.EVENTS_PER_ROUND == 12_500
        capped = WorkerSettings(max_history_events=5 * 20 * monitor.EVENTS_PER_ROUND)
        monkeypatch.setitem(monitor.SCANS, "p", ["in Riga"])
        watch = monitor.Watch(parcel="p", until=THURSDAY + 14 * DAY)
        async with environment(monitor.app, start=THURSDAY, settings=capped) as env:
            handle = await env.client.start(monitor.follow, watch)
            lengths: list[int] = []
            for _ in range(3):
                await env.advance(watch.every)
                lengths.append(len(await kinds(env, handle.instance_id)))
            assert [b - a for a, b in pairwise(lengths)] == [monitor.EVENTS_PER_ROUND] * 2
            await env.advance(DAY)
            executions = await env.client.list_executions(handle.instance_id)
            assert len(executions) == 3  # 52 looks: 20 and 20 rounds are past
            status = await env.client.get_status(handle.instance_id)
            assert status.input["looks"] == 40
            assert said() == ["p is in Riga"]  # the next execution knows what was told


class TestHumanInteraction:
    PROPOSAL = human_interaction.Proposal(title="hall", author="Ada", lead="Lea", head="Hedy")

    async def test_the_lead_decides_on_the_third_day(self, said: Said) -> None:
        async with environment(human_interaction.app) as env:
            handle = await env.client.start(human_interaction.approve, self.PROPOSAL)
            await env.advance(3 * DAY - timedelta(seconds=1))
            no = human_interaction.Decision(by="Lea", approved=False)
            for _ in range(2):
                await env.client.raise_event(handle.instance_id, "Decision", no, event_id="click")
            assert await handle.result() == human_interaction.Outcome(status="rejected", by="Lea")
            history = await kinds(env, handle.instance_id)
            assert (history.count("TimerCanceled"), history.count("EventRaised")) == (1, 1)
        assert said() == ["to Lea: please decide about 'hall'", "to Ada: 'hall' is rejected by Lea"]

    async def test_after_three_days_the_head_is_asked(self, said: Said) -> None:
        async with environment(human_interaction.app) as env:
            handle = await env.client.start(human_interaction.approve, self.PROPOSAL)
            await env.advance(3 * DAY)
            assert said() == [f"to {name}: please decide about 'hall'" for name in ("Lea", "Hedy")]
            yes = human_interaction.Decision(by="Hedy", approved=True)
            await env.client.raise_event(handle.instance_id, "Decision", yes)
            assert await handle.result() == human_interaction.Outcome(status="approved", by="Hedy", escalated=True)

    async def test_nobody_answers_for_five_days(self) -> None:
        async with environment(human_interaction.app) as env:
            handle = await env.client.start(human_interaction.approve, self.PROPOSAL)
            await env.advance(5 * DAY - timedelta(seconds=1))
            assert (await env.client.get_status(handle.instance_id)).custom_status == "waits for Hedy"
            await env.advance(timedelta(seconds=1))
            outcome = await handle.result()
            assert (outcome.status, outcome.by) == ("rejected, for nobody has answered", "")


class TestEmailSequence:
    CUSTOMER = email_sequence.Customer(name="Ada", address="ada@example.org")

    async def test_each_mail_on_its_day(self, said: Said) -> None:
        async with environment(email_sequence.app) as env:
            handle = await env.client.start(email_sequence.sequence, self.CUSTOMER)
            sent_on: dict[str, int] = {}
            for day in range(8):
                await env.advance(DAY if day else timedelta(0))
                sent_on |= dict.fromkeys(said(), day)
            assert sent_on == {f"to ada@example.org: {subject}": day for day, subject in email_sequence.SEQUENCE}
            assert await handle.result() == email_sequence.Result(
                reason="all sent", sent=[subject for _, subject in email_sequence.SEQUENCE]
            )

    async def test_who_has_had_enough_gets_no_more_and_leaves_no_timer(self, said: Said) -> None:
        async with environment(email_sequence.app) as env:
            handle = await env.client.start(email_sequence.sequence, self.CUSTOMER)
            await env.advance(2 * DAY)
            assert len(said()) == 2
            await env.client.raise_event(handle.instance_id, "Stop", "unsubscribed")
            assert (await handle.result()).reason == "unsubscribed"
            assert "TimerCanceled" in await kinds(env, handle.instance_id)
            await env.advance(7 * DAY)
            assert said() == []


class TestDocumentApproval:
    PEOPLE = ("Ada", "Bob", "Eve", "Lin", "Zoe")

    @staticmethod
    async def vote(env: Environment, instance: str, **votes: bool) -> None:
        for by, approve in votes.items():
            await env.client.raise_event(instance, "Vote", document_approval.Vote(by=by, approve=approve))
        await env.run_until_idle()

    async def test_a_majority_ends_it_and_strangers_have_no_say(self) -> None:
        document = document_approval.Document(title="budget", reviewers=list(self.PEOPLE))
        async with environment(document_approval.app) as env:
            handle = await env.client.start(document_approval.approve, document)
            await self.vote(env, handle.instance_id, Ada=True, Mallory=True, Bob=True)
            assert not (await env.client.get_status(handle.instance_id)).runtime_status.finished
            await self.vote(env, handle.instance_id, Zoe=True)
            minutes = await handle.result()
            assert (minutes.approved, minutes.votes) == (True, dict.fromkeys(("Ada", "Bob", "Zoe"), True))

    async def test_who_is_missing_is_reminded_every_day_and_no_more(self, said: Said) -> None:
        document = document_approval.Document(title="budget", reviewers=list(self.PEOPLE))
        async with environment(document_approval.app) as env:
            handle = await env.client.start(document_approval.approve, document)
            for name in ("Ada", "Bob", "Ada"):  # a second thought is no second vote
                await self.vote(env, handle.instance_id, **{name: True})
                await env.advance(DAY)
            await env.advance(2 * DAY)
            minutes = await handle.result()
            assert (minutes.approved, minutes.reason, minutes.reminders) == (False, "too few have voted", 4)
        reminded = [line.partition(": ")[2] for line in said() if line.startswith("still missing")]
        assert reminded == ["Bob, Eve, Lin, Zoe", *["Eve, Lin, Zoe"] * 3]

    def test_the_verdict(self) -> None:
        verdict = document_approval.verdict
        assert verdict({"a": True, "b": True}, 3) is True
        assert verdict({"a": False, "b": False}, 3) is False
        assert verdict({"a": False, "b": False}, 4) is False
        assert verdict({"a": True, "b": True}, 4) is None


async def test_a_campaign_pauses_between_its_waves() -> None:
    app = App("email-campaign")
    app.scan("examples.email_campaign.campaign")
    async with environment(app) as env:
        plan = Campaign(id="spring", segment="gardeners", wave=3)
        handle = await env.client.start("run_campaign", plan, result_type=Report, instance_id="c")
        for waves, sent in enumerate(("3 of 8", "6 of 8", "8 of 8")):
            await env.advance(timedelta(hours=1) if waves else timedelta(0))
            assert (await env.client.get_status("c")).custom_status == sent
        report = await handle.result()
        assert (report.waves, report.sent, report.bounced) == (3, 7, ["eve@invalid"])
        assert sum(report.variants.values()) == 7
        child = await env.client.get_status("c/eve@invalid")
        assert (child.runtime_status, child.parent_instance_id) == ("Failed", "c")
