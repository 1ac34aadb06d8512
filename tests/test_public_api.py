"""What others' code may rely on: exported names, methods and their parameters, exit codes, optional extras.

A change here is a change for users: see "Versions" in CONTRIBUTING.md.
"""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import multistar
from multistar import MultiStar, StarIndex

ROOT = Path(__file__).parents[1]
MULTISTAR = {
    "from_pretrained": "name adapter precision device",
    "save_pretrained": "folder overwrite",
    "push_to_hub": "repo private token",
    "describe": "table columns labels origin light_curves",
    "predict": "table columns quiet samples seed consistency light_curves mc_dropout origin "
    "labels given dust prior",
    "embed": "table columns quiet light_curves ignore space origin",
    "eraser": "ignore",
    "nuisance_projection": "ignore",
    "generate": "table columns quiet samples seed sampled origin",
    "inpaint": "table columns quiet bands light_curves origin given dust",
    "finetune": "table labels mode inputs columns out overwrite quiet light_curves retain settings",
    "save_adapter": "folder overwrite",
    "search": "index table k columns quiet numbers ignore origin",
    "explain": "found index table columns labels",
    "umap": "table columns quiet light_curves ignore seed origin",
    "erase": "table quantity columns quiet origin",
    "check_calibration": "table columns samples seed quiet origin",
    "check_physics": "table columns reference seed quiet origin",
    "check_disentangle": "table ebv columns seed quiet maps origin",
    "check_populations": "table facts columns light_curves seed quiet origin",
    "check_garbage": "table columns seed quiet",
    "check_surveys": "tables label_scale columns origin",
    "check_sky": "folder",
}
STAR_INDEX = {
    "build": "embeddings kind duplicates metadata columns projection eraser",
    "merge": "indices kind duplicates",
    "load": "folder mapped verify",
    "save": "folder overwrite",
    "add": "embeddings duplicates",
    "delete": "source_ids",
    "dedupe": "tolerance",
    "ignoring": "projection",
    "vectors": "source_ids",
    "numbers": "source_ids",
    "contains": "source_ids",
    "search": "vectors k",
    "neighbours": "source_ids k columns",
    "neighbours_of": "vectors query_ids k columns",
    "source": "",
}
EXTRAS = [
    "cpu",
    "demo",
    "docs",
    "explore",
    "gaia",
    "gpu",
    "grid",
    "lightcurves",
    "maps",
    "notebooks",
    "ray",
    "test",
    "trees",
    "variability",
]
OPTIONAL = (
    "faiss",
    "ray",
    "lightkurve",
    "finufft",
    "umap",
    "dustmaps",
    "xgboost",
    "panel",
    "datashader",
    "pyphot",
)
OPTIONAL += ("lightgbm", "light_curve", "numba", "astroquery", "hypothesis", "pytest")


def test_exported_names():
    assert sorted(multistar.__all__) == ["MultiStar", "StarIndex", "Stars", "read_stars"]
    parameters = inspect.signature(multistar.read_stars).parameters
    assert list(parameters) == [
        "source",
        "columns",
        "labels",
        "all_orders",
        "declared",
        "origin",
        "measured",
    ]


@pytest.mark.parametrize("cls, methods", [(MultiStar, MULTISTAR), (StarIndex, STAR_INDEX)])
def test_methods_and_their_parameters(cls, methods):
    public = {
        name
        for name, value in vars(cls).items()
        if not name.startswith("_") and not isinstance(value, property)
    }
    assert public == set(methods)
    for name, parameters in methods.items():
        found = [p for p in inspect.signature(getattr(cls, name)).parameters if p != "self"]
        assert found == parameters.split(), name


def test_the_version_is_semantic_and_extras_keep_their_names():
    assert len(multistar.__version__.split(".")) == 3 and all(
        part.isdigit() for part in multistar.__version__.split(".")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert sorted(project["project"]["optional-dependencies"]) == EXTRAS
    packages = {
        ".".join(p.parent.relative_to(ROOT).parts)
        for d in ("encoders", "multistar")
        for p in (ROOT / d).rglob("*.py")
    }
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(packages)


WITHOUT_EXTRAS = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None  # as if not installed
from multistar import MultiStar, read_stars
from multistar.cli.app import main
stars = {{"source_id": [1, 2], "phot_g_mean_mag": [12.0, 13.0], "parallax": [1.0, 2.0]}}
model = MultiStar.from_pretrained("mini")
print(len(model.predict(stars)), len(model.embed(stars)))
print(main(["search", "absent", "--source-id", "1"]))
"""


def test_everything_but_the_extras_works_without_them(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True, cwd=tmp_path
    )
    assert run.stdout.split()[:3] == ["2", "2", "2"], run.stderr
    assert "needs faiss: pip install 'multistar[cpu]'" in run.stderr.strip().splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
