"""`python -m grafana`: write grafana/dashboards/. A test fails when they are not what this makes."""

from __future__ import annotations

import json
from pathlib import Path

from grafana.orchestrators import ORCHESTRATORS
from grafana.overview import OVERVIEW
from grafana.streams import STREAMS_AND_REDIS
from grafana.to_json import to_json
from grafana.workers import WORKERS

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = (OVERVIEW, ORCHESTRATORS, WORKERS, STREAMS_AND_REDIS)


def files() -> dict[Path, str]:
    """Every dashboard's file and what is in it."""
    return {
        FOLDER / f"{dashboard.uid}.json": json.dumps(to_json(dashboard), indent=2, ensure_ascii=False) + "\n"
        for dashboard in DASHBOARDS
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
