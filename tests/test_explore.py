"""What the page to explore an index shows, against the index and the table."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from explore_example import load_explorer, write_example

from multistar import _compat
from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.explore.data import (
    Places,
    format_number,
    read_places,
    umap_places,
    write_to_memory,
)
from multistar.explore.star import CONTEXTS, Measured, model_of
from multistar.io.lookup import Lookup
from multistar.modalities.gaia_xp.synthesis import flux_matrix
from multistar.modalities.light_curve.curves import LightCurves
from multistar.model.checkpoint import load_model
from multistar.stars import read_stars


@pytest.fixture(scope="module")
def table(mock_table):
    return mock_table[:250]


@pytest.fixture(scope="module")
def folder(star_model, table, tmp_path_factory):
    out = tmp_path_factory.mktemp("explore")
    write_example(star_model, table, out)
    return out


@pytest.fixture(scope="module")
def explorer(folder):
    return load_explorer(folder)


@pytest.fixture(scope="module")
def measured(folder, star_model):
    return Measured(Lookup(folder / "stars.parquet"), star_model.model)


def test_lookup_gives_the_rows_of_the_table_in_the_order_asked(folder, table):
    ids = table["source_id"].to_numpy()
    asked = ids[[240, 3, 120, 99, 100]]
    for source in (folder / "stars.parquet", table):
        lookup = Lookup(source)
        found = lookup.rows([*asked[:2], 7, *asked[2:]])
        np.testing.assert_array_equal(found["source_id"], asked)
        want = np.stack(table["bp_coefficients"].to_pylist())[[240, 3, 120, 99, 100]]
        np.testing.assert_array_equal(np.stack(found["bp_coefficients"]), want)
        assert len(lookup) == 250
        assert int(asked[0]) in lookup
        assert 7 not in lookup
        assert -1 not in lookup
        with pytest.raises(KeyError, match="Star 7 is not among the 250 rows"):
            lookup.rows([7])
    with pytest.raises(ValueError, match="no column source_id"):
        Lookup({"teff": [1.0]})
    shards = folder / "shards"
    shards.mkdir()
    for i in range(2):
        pq.write_table(table[125 * i : 125 * (i + 1)], shards / f"{i}.parquet")
    np.testing.assert_array_equal(Lookup(shards).rows(asked)["source_id"], asked)


def test_places_are_those_of_the_map(explorer, folder, table):
    written = pq.read_table(folder / "map.parquet").to_pandas().set_index("source_id")
    ids = table["source_id"].to_numpy()
    x, y = explorer.places.of_stars(np.append(ids, 3))
    assert len(explorer.places) == 249
    assert np.isnan(x[[0, -1]]).all()
    np.testing.assert_allclose(x[1:-1], written.loc[ids[1:], "umap_x"], rtol=1e-6)
    np.testing.assert_allclose(y[1:-1], written.loc[ids[1:], "umap_y"], rtol=1e-6)
    for row in (1, 77, 249):
        assert explorer.places.nearest(x[row] + 1e-4, y[row], 6, 6) == ids[row]
    assert explorer.places.nearest(50, 50, 6, 6) is None
    teff = explorer.colour("teff")
    np.testing.assert_allclose(teff, explorer.index.numbers(explorer.places.source_id)["teff"])
    low, high = explorer.limits("teff")
    assert low < high
    assert np.isclose(np.mean(teff < low), 0.02, atol=0.01)


def test_a_map_of_other_stars_or_columns_is_refused(explorer, folder):
    other = pa.table({"source_id": [1, 2], "umap_x": [0.0, 1.0], "umap_y": [0.0, 1.0]})
    with pytest.raises(ValueError, match="none of its stars is in the index of 250 stars"):
        read_places(explorer.index, other)
    with pytest.raises(ValueError, match="no numeric column.*umap_y"):
        read_places(explorer.index, other.drop_columns(["umap_y"]))


def test_without_a_map_a_sample_is_mapped(explorer, monkeypatch):
    class FirstTwo:
        def __init__(self, **settings):
            assert settings["metric"] == "cosine" and settings["random_state"] == 0

        def fit_transform(self, vectors):
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=FirstTwo))
    for most, number_of_stars in ((60, 60), (1000, 250)):
        places = umap_places(explorer.index, most)
        assert len(places) == number_of_stars == len(np.unique(places.source_id))
        vectors = explorer.index.vectors(places.source_id)
        np.testing.assert_array_equal(np.stack([places.x, places.y], 1), vectors[:, :2])
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"pip install 'multistar\[maps\]', or give --map"):
        umap_places(explorer.index)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Type a source_id"),
        ("abc", "“abc” is no source_id: expected a whole number such as [0-9]+"),
        ("1.5", "is no source_id"),
        ("-3", "is no source_id"),
        ("²", "is no source_id"),
        ("9" * 19, "is no source_id"),
        ("12", "There is no star 12 among the 250"),
    ],
)
def test_what_is_typed_is_a_star_or_a_clear_message(explorer, text, message):
    with pytest.raises(ValueError, match=message):
        explorer.star(text)
    star = explorer.any_star(1)
    assert explorer.star(f" Gaia DR3 {star} ") == star


def test_neighbours_are_those_of_the_index_after_the_star_itself(explorer, table):
    star = int(table["source_id"][30].as_py())
    found = explorer.neighbours(star, 7)
    want = explorer.index.neighbours([star], 7, ["teff", "distance"])
    assert found["neighbour_id"].to_pylist() == [star, *want["neighbour_id"].to_pylist()]
    assert found["distance"].to_pylist() == [0, *want["distance"].to_pylist()]
    assert found["teff"].to_pylist()[1:] == want["teff"].to_pylist()
    assert found["neighbour_distance"].to_pylist()[1:] == want["neighbour_distance"].to_pylist()
    assert found.schema.field("teff").metadata == {b"unit": b"K"}
    free = explorer.neighbours(star, 7, True)
    want = explorer.dust_free.neighbours([star], 7)["neighbour_id"].to_pylist()
    assert free["neighbour_id"].to_pylist()[1:] == want
    assert np.isfinite(free["teff"].to_numpy()).all()
    with pytest.raises(KeyError):
        explorer.neighbours(int(table["source_id"][0].as_py()), 7, True)
    assert pq.read_table(write_to_memory(found, "parquet")).equals(found)
    lines = write_to_memory(found, "csv").read().decode().splitlines()
    assert len(lines) == 9
    assert lines[0].startswith('"query_id","rank"')
    assert str(star) in lines[1]


def test_columns_labels_first(explorer):
    assert explorer.columns[:3] == ("teff", "logg", "m_h")
    assert explorer.columns[-1].endswith("_upper")
    assert explorer.choose_columns("teff") == ["teff", "logg", "m_h", "mass", "age", "ebv"]
    assert explorer.choose_columns("teff_upper")[-1] == "teff_upper"
    assert format_number("teff", 4712.4) == "4712"
    assert format_number("m_h", np.nan) == "–"
    assert format_number("chi2", 12345.6) == "1.235e+04"


def test_spectra_are_gaiaxpys_of_the_coefficients(measured, table):
    ids = table["source_id"].to_pylist()
    stars = read_stars(table[:3])
    want = np.hstack([np.nan_to_num(stars.xp[band].value) for band in ("bp", "rp")]) @ flux_matrix()
    found = measured.spectra((ids[2], 5, ids[0]))
    np.testing.assert_allclose(found[[0, 2]], want[[2, 0]])
    assert np.isnan(found[1]).all()


def test_what_the_model_says_of_a_star(folder, table):
    measured = Measured(Lookup(folder / "stars.parquet"), load_model("mini"))
    star = table["source_id"][4].as_py()
    posterior = measured.posterior(star)
    row = MultiStar.from_pretrained("mini").predict(table[4:5]).to_pylist()[0]
    assert posterior.interval["mass"] == (row["mass_lower"], row["mass"], row["mass_upper"])
    assert np.isclose(np.median(posterior.samples["mass"]), row["mass"], rtol=0.1)
    assert measured.posterior(star) is posterior, "results are kept"
    own = measured.spectra((star,))[0]
    hidden = {context: measured.model_spectra(star, context) for context in CONTEXTS}
    assert {x.shape for x in hidden.values()} == {(24, 343)}
    blue, red = slice(40, 130), slice(200, 300)  # 416-596 nm, 736-936 nm
    spread = {context: x.std(0) / np.abs(own) for context, x in hidden.items()}
    for context, hidden_range, given in (("bp", blue, red), ("rp", red, blue)):
        assert spread[context][given].max() < 1e-3 < spread[context][hidden_range].mean()
        np.testing.assert_allclose(hidden[context].mean(0)[given], own[given], rtol=1e-3)
    for context in CONTEXTS:  # a mock giant is no surprise
        off = np.abs(hidden[context].mean(0) / own - 1)
        assert np.median(off[40:]) < 0.05 and np.median(spread[context][40:]) < 0.1


def test_light_curves_of_the_table_or_of_their_own(measured, table, folder):
    ids = table["source_id"].to_pylist()
    assert measured.has_light_curves
    curve = measured.light_curve(ids[1])
    assert isinstance(curve, LightCurves) and curve.bands == ("gaia",)
    np.testing.assert_allclose(np.diff(curve.time), 1)
    with pytest.raises(KeyError, match="no light curve"):
        measured.light_curve(ids[5])
    apart = Measured(None, None, curve)
    np.testing.assert_array_equal(apart.light_curve(ids[1]).flux, curve.flux)
    for ask in (apart.posterior, lambda star: apart.spectra((star,))):
        with pytest.raises(ValueError, match="start with --data"):
            ask(ids[1])


def test_spectra_of_other_instruments(table):
    """The star's comes first, on its own wavelengths; neighbours without one are left out."""
    ids = table["source_id"].to_pylist()[:3]
    wavelength = np.linspace(400.0, 700, 120)
    flux = np.stack([np.full(120, 2.0), np.linspace(1, 3, 120), np.full(120, np.nan)])
    rows = {"source_id": ids, "spectrum_flux": list(flux), "spectrum_flux_error": list(0.01 * flux)}
    metadata = {"spectrum_wavelength": json.dumps(wavelength.tolist()), "spectrum_medium": "vacuum"}
    measured = Measured(Lookup(pa.table(rows).replace_schema_metadata(metadata)), None)
    assert measured.has_own_spectra
    own, neighbour = measured.own_spectra((ids[1], ids[2], ids[0]))
    np.testing.assert_allclose(own[0], wavelength)
    np.testing.assert_allclose(own[1] / np.median(own[1]), flux[1] / np.median(flux[1]), rtol=1e-6)
    np.testing.assert_allclose(np.ptp(neighbour[1]), 0, atol=1e-6)
    with pytest.raises(KeyError, match="no spectrum but"):
        measured.own_spectra((ids[2], ids[0]))
    figures = pytest.importorskip("multistar.explore.figures")
    plot = figures.draw_own_spectra([own, neighbour], 300)
    assert (plot.x_range.start, plot.x_range.end) == (400, 700)
    lines = [part.data_source.data for part in plot.renderers]
    np.testing.assert_allclose(lines[-1]["y"], flux[1] / np.median(flux[1]), rtol=1e-6)


def test_a_model_of_other_vectors_is_refused(explorer, model_folder):
    assert model_of(explorer.index, model_folder).hash == explorer.index.model_sha256
    with pytest.raises(ValueError, match="give --model its own"):
        model_of(explorer.index, "mini")


def test_a_missing_extra_is_named(monkeypatch, capsys, folder):
    find = _compat.importlib.util.find_spec
    monkeypatch.setattr(
        _compat.importlib.util, "find_spec", lambda name: None if name == "panel" else find(name)
    )
    assert main(["explore", str(folder / "idx")]) == 2
    assert "panel not installed: pip install 'multistar[explore]'" in capsys.readouterr().err


def test_the_image_is_the_mean_by_pixel(explorer):
    pytest.importorskip("datashader")
    from multistar.explore.map import (
        View,
        dot_radius,
        draw_image,
        view_all,
        view_around,
        zoom,
    )

    rng = np.random.default_rng(1)
    n = 200_000  # so many that each paints one pixel
    x, y = rng.uniform(0, 10, (2, n)).astype(np.float32)
    values = np.where(rng.random(n) < 0.1, np.nan, x + y).astype(np.float32)
    places = Places(np.arange(n), np.arange(n), x, y, "random")
    view = View((0, 10), (2, 7), 20, 10)
    known = np.isfinite(values) & (y >= 2) & (y < 7)
    pixels = {"bins": (10, 20), "range": ((2, 7), (0, 10))}
    count, *_ = np.histogram2d(y, x, weights=known, **pixels)
    total, *_ = np.histogram2d(y, x, weights=np.where(known, values, 0), **pixels)
    np.testing.assert_allclose(draw_image(places, values, view), total / count, rtol=1e-3)
    count = draw_image(places, None, view)
    inside = (y >= 2) & (y < 7)
    # but for the upper edge
    assert abs(int(count.sum()) - inside.sum()) <= 2
    assert dot_radius(n) == 0
    assert dot_radius(100) == 3
    few = Places(np.arange(1), np.arange(1), np.array([5.0]), np.array([5.0]), "one")
    dot = draw_image(few, np.array([3.0], np.float32), View((0, 10), (0, 10), 100, 100))
    assert set(dot[np.isfinite(dot)]) == {3}
    assert 25 < np.isfinite(dot).sum() < 50
    assert dot[50, 50] == 3
    home = view_all(places, 200, 100)
    assert home.x[0] < x.min()
    assert home.y[1] > y.max()
    assert np.isclose((home.x[1] - home.x[0]) / (home.y[1] - home.y[0]), 2)
    assert zoom(zoom(home, 0.5), 2).x == pytest.approx(home.x)
    near = view_around(np.array([1.0, 2, np.nan]), np.array([3.0, 3, np.nan]), home, 0.1)
    assert near.x[0] < 1
    assert near.x[1] > 2
    assert np.isclose(np.diff(near.x), 2 * np.diff(near.y))
