"""The `__init__` files hand names on and do nothing else. The root's also publishes them; see its own tests."""

from __future__ import annotations

import ast

from tests.architecture.checkout import PACKAGE, name

HANDED_ON = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)


def test_the_package_files_below_hand_names_on_and_do_nothing_else() -> None:
    for path in set(PACKAGE.rglob("__init__.py")) - {PACKAGE / "__init__.py"}:
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), f"{name(path)} says what the package is"
        assert [ast.unparse(node) for node in tree.body[1:] if not _is_handing_on(node)] == [], name(path)


def _is_handing_on(node: ast.stmt) -> bool:
    # pytest has to be told before the import which modules of a test kit have assertions to rewrite.
    return isinstance(node, HANDED_ON) or ast.unparse(node).startswith("pytest.register_assert_rewrite(")
