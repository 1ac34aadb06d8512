"""Scripts are thin: they parse, call the package and write; none imports another."""

import ast
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "scripts").glob("*.py"))
LONGEST = 50


def imported_modules(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_is_thin_and_stands_alone(path):
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    others = {script.stem for script in SCRIPTS}
    assert not others & {name.split(".")[0] for name in imported_modules(tree)}
    assert len(text.splitlines()) <= LONGEST
    assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] == ["main"]
