"""Pictures of results show the numbers of the result, and say what they cannot show."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from multistar.cli.app import main
from multistar.modalities.gaia_xp.synthesis import WAVELENGTH, flux_matrix
from multistar.plots import plot_calibration, plot_corner, plot_kiel, plot_spectrum
from multistar.plots.spectrum import SCALE


@pytest.fixture(scope="module")
def result():
    """A result with joint samples of two labels, correlated with 0.8."""
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 4000).T
    teff, logg = 5000 + 100 * draws[0], 3 + 0.1 * draws[1]
    columns: dict = {"source_id": [7, 8, 9], "status": ["ok", "inconsistent", "ok"]}
    for name, values in (("teff", teff), ("logg", logg)):
        lower, median, upper = np.percentile(values, [16, 50, 84])
        columns[name] = [median, median, median * 1.1]
        for end, value in (("_lower", lower), ("_upper", upper)):
            columns[name + end] = [value, value, value * 1.1]
        columns[f"{name}_samples"] = [values, values, values * 1.1]
    columns["m_h"] = [0.1, 0.2, -1.0]
    return pa.table(columns)


def test_a_corner_plot_shows_the_star_that_was_asked(result):
    picture = plot_corner(result, 9)
    panels = np.array(picture.axes).reshape(2, 2)
    assert panels[0, 0].get_title().startswith("5501 +1")
    assert not panels[0, 1].get_visible()
    x, y = panels[1, 0].lines[0].get_data()
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(0.8, abs=0.03)
    assert panels[1, 0].collections  # contours
    assert len(plot_corner(result, labels=["logg"]).axes) == 1


def test_a_kiel_diagram_greys_what_is_flagged(result):
    (axis, bar) = plot_kiel(result).axes
    grey, coloured = axis.collections
    assert len(grey.get_offsets()) == 1
    assert len(coloured.get_offsets()) == 2
    assert axis.xaxis_inverted() and axis.yaxis_inverted()
    assert bar.get_ylabel() == "m_h [dex]"


def test_a_spectrum_is_that_of_the_coefficients(mock_table):
    picture = plot_spectrum(mock_table, int(mock_table["source_id"][3].as_py()), mock_table)
    line, measured = picture.axes[0].lines
    value = np.concatenate(
        [mock_table[f"{band}_coefficients"][3].as_py() for band in ("bp", "rp")]
    ).astype(float)
    x, y = line.get_data()
    np.testing.assert_array_equal(x, WAVELENGTH)
    np.testing.assert_allclose(y, np.nan_to_num(value) @ flux_matrix() / SCALE, rtol=1e-6)
    np.testing.assert_array_equal(measured.get_ydata(), y)


def test_coverage_is_that_of_the_check(tmp_path):
    histogram = [1.0] * 10
    bins = {"logg": [{"coverage": {"68%": 0.61}}, {"coverage": {"68%": 0.72}}]}
    label = {"pit_histogram": histogram, "coverage": {"68%": 0.68}, "bins": bins}
    result = {"labels": {"teff": label}, "joint": {}}
    panels = [axis for axis in plot_calibration(result).axes if axis.get_visible()]
    assert panels[0].get_title() == "teff: 68% in 68 %"
    assert panels[1].collections[0].get_offsets()[:, 1].tolist() == [0.61, 0.72]
    (tmp_path / "notes.json").write_text("[]")
    with pytest.raises(ValueError, match=r"notes\.json: not a result of multistar check"):
        plot_calibration(tmp_path / "notes.json")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("corner bare.parquet --out c.png", "bare.parquet: no joint samples"),
        ("corner result.parquet --source-id 3 --out c.png", "no star 3; it has 3 stars"),
        ("corner result.parquet --labels age --out c.png", "no samples of ['age']; there are"),
        ("kiel result.parquet --colour status --out c.png", "status must be numeric"),
        ("kiel result.parquet --colour dust --out c.png", "no column ['dust']"),
        ("kiel result.parquet --out c.doc", "must end in .png, .pdf, .svg"),
        ("spectrum result.parquet --out c.png", "no column ['bp_coefficients'"),
        ("calibration result.parquet --out c.png", "result.parquet: not a JSON file"),
        ("kiel nowhere.parquet --out c.png", "nowhere.parquet"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(
    words, message, result, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    pq.write_table(result, "result.parquet")
    pq.write_table(result.select(["source_id", "teff"]), "bare.parquet")
    assert main(["plot", *words.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "c.png").exists()


def test_a_picture_is_written_and_not_replaced(result, tmp_path, capsys):
    pq.write_table(result, tmp_path / "result.parquet")
    words = ["plot", "corner", str(tmp_path / "result.parquet"), "--out", str(tmp_path / "c.png")]
    assert main(words) == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert main(words) == 2
    assert main([*words, "--overwrite"]) == 0
    capsys.readouterr()
