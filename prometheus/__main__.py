"""`python -m prometheus`: write the rule files and their tests. A test fails when they are not what this makes.

`python -m prometheus --runbook https://wiki.example/runbook` writes rules whose links lead there instead of into this
project.
"""

from __future__ import annotations

import argparse

from prometheus.files import RUNBOOK, files

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m prometheus")
    parser.add_argument("--runbook", default=RUNBOOK, help="where the runbook is: `runbook_url` without its anchor")
    for path, text in files(parser.parse_args().runbook).items():
        path.write_text(text)
