"""The notebooks run from top to bottom, at small size, and draw what they promise."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_run(path, monkeypatch, tmp_path):
    monkeypatch.setenv("MULTISTAR_NOTEBOOK_STARS", "600")
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    plt.close("all")
    notebook = json.loads(path.read_text())
    scope: dict = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{path.name}:{cell['id']}", "exec"), scope)
    figures = [plt.figure(number) for number in plt.get_fignums()]
    assert len(figures) == sum("plt.subplots(" in "".join(c["source"]) or "plt.figure(" in "".join(c["source"])
                               for c in notebook["cells"])  # fmt: skip
    assert all(axis.has_data() for figure in figures for axis in figure.axes if axis.get_visible())
    plt.close("all")
    assert not list(tmp_path.iterdir())  # nothing written where nobody asked for it


def test_there_are_notebooks():
    names = ["01_mock_survey", "02_population_study", "03_similarity_search", "04_fine_tuning"]
    names += ["05_heterogeneous_spectra", "06_variable_stars"]
    assert [p.stem for p in NOTEBOOKS] == names
