"""`python -m tests.monitoring.pictures`: draw the dashboards with what a real Prometheus has seen of the load of the
proof, into grafana/pictures/. It takes a few minutes."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import anyio

from grafana.__main__ import DASHBOARDS
from grafana.drawing.charts import Shown
from grafana.drawing.page import picture
from grafana.model import Panel
from tests.docs.markdown import ROOT
from tests.monitoring.proof import Proof, proven

FOLDER = ROOT / "grafana" / "pictures"
CALM_S = 40


async def main() -> None:
    """Draw all dashboards."""
    program = shutil.which("prometheus")
    if program is None:
        sys.exit("pictures are made of what a real Prometheus has seen: apt-get install prometheus")
    with tempfile.TemporaryDirectory() as directory:
        async with proven(program, "shop", Path(directory), CALM_S) as proof:
            for dashboard in DASHBOARDS:
                shown = {(panel.title, panel.text): await _shown(proof, panel) for panel in dashboard.panels}
                (FOLDER / f"{dashboard.uid}.svg").write_text(picture(dashboard, shown))


async def _shown(proof: Proof, panel: Panel) -> Shown:
    answers = tuple([await proof.series(panel, query) for query in panel.queries])
    return Shown(panel, answers, proof.start, proof.end)


if __name__ == "__main__":
    anyio.run(main)
