"""An e-mail campaign whose code is a package: `app.scan` registers all that it finds there.

What to look at: nobody keeps a list of imports. `campaign/mails.py` has an app with the activities, `campaign/flow.py`
one with the orchestrators; scanning the package includes both. The campaign goes to its recipients in waves, with a
pause after each; every recipient is a sub-orchestration of its own, which can be looked at under its own id, and one
whose mails bounce ends nobody else's.

$ python examples/email_campaign/main.py
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from campaign.models import Campaign, Report

from redurable import App, Client, Worker

app = App("email-campaign")
app.scan("campaign")


async def main() -> None:
    """Write to everybody in the list, three at a time."""
    plan = Campaign(id="spring", segment="gardeners", wave=3, pause=timedelta(seconds=0.3))
    async with Worker(app).running(), Client(hub=app.name) as client:
        handle = await client.start("run_campaign", plan, result_type=Report)
        report = await handle.result(timeout=30)
        print(f"{report.waves} waves: {report.sent} sent, bounced: {', '.join(report.bounced)}")
        for variant in "AB":
            print(f"  subject {variant}: {report.variants.get(variant, 0)}")
        child = await client.get_status(f"{handle.instance_id}/ada@example.org")
        parent = "the campaign" if child.parent_instance_id == handle.instance_id else "nobody"
        print(f"one of its children: {child.name} is {child.runtime_status}, its parent is {parent}")


if __name__ == "__main__":
    asyncio.run(main())
