"""`MODULE:APP`: found as Python finds it, and each mistake is told in one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from redurable import App
from redurable.cli.loading import load_app
from redurable.errors import RegistrationError

SOURCE = """
from redurable import App
app = App("shop")
number = 7
class settings:
    inner = app
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in, on nobody's path, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    (tmp_path / "shop_module.py").write_text(SOURCE)
    return tmp_path


def test_an_app_of_the_current_directory(project: Path) -> None:
    app = load_app("shop_module:app")
    assert isinstance(app, App)
    assert app.name == "shop"
    assert load_app("shop_module:settings.inner") is app


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("shop_module", "'shop_module' does not name an app: write MODULE:APP"),
        (":app", "write MODULE:APP"),
        ("shop_module:", "write MODULE:APP"),
        ("nowhere:app", "there is no module 'nowhere' in "),
        ("nowhere.deep:app", "there is no module 'nowhere' in "),
        ("shop_module:other", "module 'shop_module' has no 'other'"),
        ("shop_module:number", "is a int, not a redurable App"),
        ("needy:app", "importing 'needy' needs module 'not_installed_anywhere', which is not installed"),
        ("broken:app", "importing 'broken' raised ZeroDivisionError: division by zero"),
        ("unfinished:app", "importing 'unfinished' raised SyntaxError: '(' was never closed"),
    ],
)
def test_mistakes(project: Path, target: str, text: str) -> None:
    (project / "needy.py").write_text("import not_installed_anywhere")
    (project / "broken.py").write_text("1 / 0")
    (project / "unfinished.py").write_text("print(")
    with pytest.raises(RegistrationError) as caught:
        load_app(target)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
