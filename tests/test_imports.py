"""Imports run one way: a file may import only files named before it in ORDER."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = """
encoders.contract encoders.layers encoders.scalars encoders.xp encoders.xp_components encoders.lightcurve encoders
multistar multistar.config multistar.files multistar.quantities multistar._compat
multistar.data multistar.data.tables multistar.data.status multistar.data.gaia_xp multistar.data.xp_synthesis
multistar.data.write multistar.data.light_curves multistar.data.periodogram multistar.data.light_curve_samples
multistar.data.light_curve_view multistar.data.stars multistar.data.lookup multistar.data.light_curve_columns
multistar.data.light_curve_tables multistar.data.mission_light_curves multistar.data.read_light_curves
multistar.data.download_light_curves multistar.data.download_gaia multistar.data.chunks
multistar.mock multistar.mock.sed multistar.mock.evolution multistar.mock.dust multistar.mock.dust_map
multistar.mock.variability multistar.mock.variability.rotation multistar.mock.variability.oscillations
multistar.mock.variability.eclipses multistar.mock.variability.pulsation multistar.mock.variability.pulsators
multistar.mock.variability.missions multistar.mock.variability.light_curve multistar.mock.galaxy multistar.mock.phases
multistar.mock.binaries multistar.mock.pulsating multistar.mock.population multistar.mock.activity
multistar.mock.light_curves multistar.mock.atmosphere multistar.mock.atmosphere.gas
multistar.mock.atmosphere.continuum multistar.mock.atmosphere.molecules multistar.mock.atmosphere.lines
multistar.mock.atmosphere.structure multistar.mock.atmosphere.spectrum multistar.mock.atmosphere.sun
multistar.mock.xp_operator multistar.mock.observe multistar.mock.noise multistar.mock.selection multistar.mock.survey
multistar.mock.shards multistar.mock.describe
multistar.model multistar.model.vocabulary multistar.model.standardise multistar.model.mismatch
multistar.model.alignment multistar.model.hadamard multistar.model.fusion multistar.model.mixture multistar.model.head
multistar.model.network multistar.model.domain multistar.model.recalibrate multistar.model.erasure
multistar.model.checkpoint multistar.model.graft
multistar.model.card
multistar.hub
multistar.training multistar.training.run multistar.training.splits multistar.training.objective
multistar.training.optimiser multistar.training.workers multistar.training.dataset multistar.training.loop
multistar.index multistar.index.metadata multistar.index.source multistar.index.embeddings multistar.index.kinds
multistar.index.recall multistar.index.folder multistar.index.star_index
multistar.tasks multistar.tasks.stream multistar.tasks.views multistar.tasks.consistency multistar.tasks.predict
multistar.tasks.embed multistar.tasks.erase multistar.tasks.umap_map multistar.tasks.generate multistar.tasks.inpaint
multistar.tasks.search multistar.tasks.explain
multistar.checks multistar.checks.metrics
multistar.finetune multistar.finetune.request multistar.finetune.extend multistar.finetune.lora
multistar.finetune.readout multistar.finetune.copula multistar.finetune.adapter multistar.finetune.examples
multistar.finetune.losses multistar.finetune.dropout multistar.finetune.begin multistar.finetune.train
multistar.finetune.predict multistar.finetune.joint multistar.finetune.retention multistar.finetune.finetune
multistar.api
multistar.batch multistar.batch.job multistar.batch.folder multistar.batch.ray_engine
multistar.checks.colour_teff multistar.checks.neighbours
multistar.checks.report multistar.checks.calibration multistar.checks.baselines multistar.checks.physics
multistar.checks.reddening multistar.checks.disentangle multistar.checks.populations
multistar.explore multistar.explore.data multistar.explore.map multistar.explore.star multistar.explore.figures
multistar.explore.widgets multistar.explore.map_panel multistar.explore.page
multistar.cli_index multistar.cli_population multistar.cli_finetune multistar.cli_download multistar.cli_batch
multistar.cli_explore
multistar.cli
""".split()  # noqa: SIM905
FILES = [p for d in ("encoders", "multistar") for p in sorted((ROOT / d).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> set[str]:
    """Our modules that a file imports anywhere in it, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (full & set(ORDER)) or {node.module or ""}
    return {name for name in found if name.split(".")[0] in ("encoders", "multistar")}


def test_order_names_every_file_once():
    assert sorted(ORDER) == sorted(module_name(p) for p in FILES)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_left(path):
    name = module_name(path)
    if name == "multistar":
        return  # the front door re-exports what lies behind it
    allowed = set(ORDER[: ORDER.index(name)])
    wrong = sorted(imported_modules(path) - allowed)
    assert not wrong, f"{name} imports {wrong}, which come after it"
