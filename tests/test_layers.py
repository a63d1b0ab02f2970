"""The rooms of the package: imports point down, between packages and inside each."""

from __future__ import annotations

import ast
from itertools import chain
from pathlib import Path

import pytest

import irisab

PACKAGE = Path(irisab.__file__).parent
# From the top to the bottom. A package sees those below it; a module of it those further right,
# or in a later line of its own.
LAYERS = {
    "__main__": "",
    "cli": "retrain | rollout | looks | standing | "
    "train imports service reports key history backup models evaluate events | vouch | "
    "noting | text asking | arguments output typed",
    "http": "server | app control | openapi | auth last_good starts listener handshake heap | "
    "key_file dispatch systemd | channel crowd lines sockets | exchange | problem journal",
    "lifecycle": "looking inventory | rollout importing retrain rejected due | "
    "material sitting vetoes | labelled | sealed | adopting | trial | "
    "naming training source backup evaluation kept_models formats | "
    "fitted frames kept summary dataset findings scores | "
    "examples estimators exam prepare weights columns targets | known cells | reading rows | "
    "job sandbox unused",
    "serving": "service | feedback shadow gauges settings buckets | "
    "candidates report prepared labels | comparisons | snapshot | "
    "effective room advice split payload encoder cost ids metrics unseen | values",
    "store": "recorder export | history rollouts | writer labels events | reader traffic pruning | "
    "upgrade | evidence | seen timeline | counters counts window | database revision | rows bulk",
    "model": "publish candidate | forms | footprint | bundle proof | vouched unchanged around | "
    "plain estimator | forest trees linear | ensembles sums wide outline | writing | branches | "
    "steps walk bitset fastest | nodes servable native | columns links nested | "
    "arrays written known seats | answer schema sink",
    "stats": "paired unpaired | votes harm metric disagreement | comparison tally fall | "
    "sequential ratio chance | drift exact sketch",
    "config": "",
    "versions": "",
    "ini": "",
    "keys": "",
    "invocation": "",
    "files": "",
    "turns": "",
    "rfc3339": "",
    "errors": "",
    "__init__": "",
}


def levels() -> dict[str, tuple[int, int]]:
    """Return the height of each module: that of its package, and inside it."""
    found = {}
    for height, (package, floors) in enumerate(reversed(LAYERS.items())):
        if not floors:
            found[package] = height, 0
            continue
        found[f"{package}.__init__"] = height, -1
        for floor, modules in enumerate(reversed(floors.split("|"))):
            found |= {f"{package}.{module}": (height, floor) for module in modules.split()}
    return found


LEVEL = levels()


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports, at the top or inside."""
    tree = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text())
    names = chain.from_iterable(
        _imported(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
    )
    return {name for name in map(_module, names) if name}


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    return [f"{node.module}.{each.name}" for each in node.names]


def _module(name: str) -> str | None:
    """Return the module that an imported name is, or lives in; None where it is not ours."""
    package, _, inner = name.partition(".")
    if package != "irisab":
        return None
    for candidate in (inner, inner.rpartition(".")[0], f"{inner}.__init__", "__init__"):
        if candidate in LEVEL:
            return candidate
    return None


def test_every_module_has_a_layer() -> None:
    """A new module is given its place here before it is imported anywhere."""
    assert {name_of(path) for path in PACKAGE.rglob("*.py")} == set(LEVEL)


@pytest.mark.parametrize("module", sorted(LEVEL))
def test_imports_point_down(module: str) -> None:
    """A module imports from below only: lower packages, or lower floors of its own."""
    assert {name for name in imports(module) if LEVEL[name] >= LEVEL[module]} == set()


def test_no_module_has_outgrown_a_look() -> None:
    """300 lines are the limit: beyond, two nouns live in one room."""
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_no_variable_is_called_found() -> None:
    """A name says what a thing is. This one stood for a dozen types, 198 times."""
    names = [
        f"{name_of(path)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and node.id == "found")
        or (isinstance(node, ast.arg) and node.arg == "found")
    ]
    assert names == []
