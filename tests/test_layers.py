"""The layers of the package: imports point down."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import irisab

PACKAGE = Path(irisab.__file__).parent
LAYERS = [
    {"errors", "__init__"},
    {"forest", "split", "drift", "verdict", "revision", "database", "systemd", "dispatch"},
    {"bundle", "config", "payload", "recorder", "evidence"},
    {"snapshot", "training", "history"},
    {"export", "report", "metrics"},
    {"gauges"},
    {"service"},
    {"app"},
    {"server"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports, at the top or inside."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "irisab":
            found |= {each.name for each in node.names if each.name != "__version__"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("irisab."):
            found.add(node.module.removeprefix("irisab."))
        elif isinstance(node, ast.Import):
            found |= {
                each.name.removeprefix("irisab.")
                for each in node.names
                if each.name.startswith("irisab.")
            }
    return found


def test_every_module_has_a_layer() -> None:
    """A new module is given its place here before it is imported anywhere."""
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(LEVEL)


@pytest.mark.parametrize("module", sorted(LEVEL))
def test_imports_point_down(module: str) -> None:
    """A module imports from layers below its own only."""
    assert {name for name in imports(module) if LEVEL[name] >= LEVEL[module]} == set()
