"""pyright strict reads right.py, and wrong.py without its marks: it has nothing against the first, and in the second
refuses the marked lines and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARK = "  # pyright: ignore"


def refused(folder: Path, *files: Path) -> dict[str, list[str]]:
    """The lines with errors of every file."""
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=50, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(files), done.stderr
    lines: dict[str, list[str]] = {file.name: [] for file in files}
    for found in report["generalDiagnostics"]:
        path = Path(found["file"])
        row: int = found["range"]["start"]["line"]
        lines[path.name].append(path.read_text().splitlines()[row])
    return {name: list(dict.fromkeys(rows)) for name, rows in lines.items()}


def test_right_uses_are_accepted_and_wrong_ones_refused(tmp_path: Path) -> None:
    marked = (HERE / "wrong.py").read_text()
    wrong = tmp_path / "wrong.py"
    wrong.write_text(marked.replace(MARK, ""))
    expected = [line.removesuffix(MARK) for line in marked.splitlines() if line.endswith(MARK)]
    assert len(expected) > 20
    assert refused(tmp_path, HERE / "right.py", wrong) == {"right.py": [], "wrong.py": list(dict.fromkeys(expected))}
