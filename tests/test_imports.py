"""Imports run one way: from the layers below, and within a package without circles."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the bottom up. A package imports what stands above it in this list, and itself.
LAYERS = (
    "encoders",
    "multistar._compat multistar.precision multistar.quantities multistar.status multistar.io",
    "multistar.modalities",
    "multistar.stars",
    "multistar.reading",
    "multistar.mock",
    "multistar.download",
    "multistar.model",
    "multistar.training",
    "multistar.inference",
    "multistar.finetune",
    "multistar.index",
    "multistar.plots",
    "multistar.checks",
    "multistar.hub",
    "multistar.api",
    "multistar.batch",
    "multistar.explore",
    "multistar.cli",
)
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages.split()}
FRONT_DOOR = "multistar"  # re-exports names on first use; below everything


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    module_name(p): p for d in ("encoders", "multistar") for p in sorted((ROOT / d).rglob("*.py"))
}


def package_of(module: str) -> str:
    """The entry of LAYERS that a module belongs to."""
    return next((p for p in LEVEL if module == p or module.startswith(f"{p}.")), FRONT_DOOR)


def imported_modules(module: str) -> set[str]:
    """Our modules that a file imports anywhere in it, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (full & set(FILES)) or {node.module or ""}
    return {name for name in found if name.split(".")[0] in ("encoders", "multistar")}


def test_every_package_has_a_layer():
    packages = {
        ".".join(module.split(".")[:2]) for module in FILES if module.startswith("multistar.")
    }
    assert packages | {"encoders"} == set(LEVEL)


@pytest.mark.parametrize("module", [m for m in FILES if m != FRONT_DOOR])
def test_imports_come_from_lower_layers(module):
    own = LEVEL[package_of(module)]
    imported = {m for m in imported_modules(module) if package_of(m) != FRONT_DOOR}
    wrong = sorted(m for m in imported if LEVEL[package_of(m)] > own)
    assert not wrong, f"{module} imports {wrong}, which stand above it in LAYERS"


def test_no_circles():
    """Within a layer, too, files can be read in some order; CycleError names the circle."""
    graph = {
        module: imported_modules(module) & set(FILES) - {module}
        for module in FILES
        if module != FRONT_DOOR
    }
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) >= set(graph)


def test_rooms_of_modalities_do_not_know_each_other():
    """All may use catalogue numbers: XP coefficients are relative to G."""
    rooms = {m: m.split(".")[2] for m in FILES if m.startswith("multistar.modalities.")}
    rooms = {
        m: room for m, room in rooms.items() if (ROOT / "multistar/modalities" / room).is_dir()
    }
    for module, room in rooms.items():
        known = {rooms.get(m, room) for m in imported_modules(module)}
        assert known <= {room, "scalars"}, f"{module} imports from the rooms {sorted(known)}"
