"""The page of `make demo`: its numbers are those of the checks, and every section is there."""

import numpy as np
from matplotlib.figure import Figure

from multistar.checks import demo
from multistar.checks.metrics import scatter
from multistar.inference.predict import predict
from multistar.stars import read_stars


def test_labels_are_scored_beside_the_trees(star_model, mock_table):
    stars = read_stars(mock_table).select(slice(0, 100))
    trees = {name: stars.extra[f"true_{name}"] + np.arange(100) % 7 for name in demo.DIGITS}
    shown = demo.Demonstration(star_model.model, stars, trees)
    predicted = predict(star_model.model, stars, quiet=True).to_pandas()
    rows = demo.score_labels(shown, predicted)
    assert [row["label"].split()[0] for row in rows] == list(demo.DIGITS)
    ours = scatter(predicted["logg"].to_numpy(), stars.extra["true_logg"])["mad_std"]
    theirs = scatter(trees["logg"], stars.extra["true_logg"])["mad_std"]
    assert rows[1]["MAD-std"] == f"{ours:.3f}" and rows[1]["ratio"] == f"{ours / theirs:.2f}"
    alone = demo.Demonstration(star_model.model, stars)
    assert "ratio" not in demo.score_labels(alone, predicted)[0]


def test_the_page_has_all_its_sections(star_model, mock_table, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "_draw_map", lambda *_: Figure())
    monkeypatch.setattr(demo, "JOINT_SAMPLES", 5)
    monkeypatch.setattr(demo, "SPECTRUM_SAMPLES", 2)
    stars = read_stars(mock_table).select(slice(0, 60))
    demo.make_report(demo.Demonstration(star_model.model, stars)).write(tmp_path / "demo.html")
    page = (tmp_path / "demo.html").read_text()
    titles = ["What this is", "Scatter", "Kiel diagram", "joint posterior", "from labels"]
    assert all(title in page for title in [*titles, "its neighbours"])
    assert page.count("<img ") == 6 and page.count("<table>") == 2
    assert "XGBoost had" not in page
