"""Evaluations on the real sky, on small tables whose answers are known."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from multistar.checks.real import fine_tuning, learners, reddening, spectra, xp_spectra
from multistar.stars import read_stars


def make_regression(n: int = 400):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    x[rng.random(x.shape) < 0.05] = np.nan
    y = 2 * np.nan_to_num(x[:, 0]) + rng.normal(0, 0.1, n)
    return x, y


def test_baselines_learn_a_line_and_skip_what_is_missing():
    pytest.importorskip("xgboost")
    x, y = make_regression()
    y[:20] = np.nan
    train, test = slice(0, 300), slice(300, 400)
    trees = learners.predict_with_trees(x[train], y[train], x[test])
    network = learners.predict_with_network(x[train], y[train, None], x[test], seed=0)[:, 0]
    for guess in (trees, network):
        assert np.std(guess - y[test]) < 1  # of 2
    again = learners.predict_with_network(x[train], y[train, None], x[test], seed=0)[:, 0]
    np.testing.assert_array_equal(network, again)


def test_inputs_are_what_the_model_is_shown(star_model, mock_table):
    stars = read_stars(mock_table).select(slice(0, 50))
    stars.scalars["j"].value[:10] = np.nan
    x = learners.read_inputs(star_model.model, stars)
    assert len(x) == 50 and x.shape[1] % 2 == 0
    assert np.isfinite(x).any(0).all()
    more = learners.read_inputs(star_model.model, stars, ["teff"])
    assert more.shape[1] == x.shape[1] + 2


def test_learners_are_compared_on_the_same_rows(star_model, mock_table):
    pytest.importorskip("xgboost")
    frame = mock_table.to_pandas()
    frame = frame[[name for name in frame if not name.startswith("true_")]]
    frame["mass"], frame["mass_error"] = frame["teff"] / 4000, 0.01
    task = fine_tuning.Task(["mass"], inputs=["teff"], mode="probe", labels_only=["teff"])
    train, test = np.arange(300), np.arange(300, 400)
    found = fine_tuning.compare_learners(star_model.model, frame, train, test, task)
    assert set(found["mass"]) == {"multistar", "XGBoost", "network", "labels only"}
    assert found["mass"]["labels only"]["mad_std"] < 0.05  # it follows from this input
    assert 0 <= found["mass"]["multistar"]["coverage"] <= 1
    assert found["bytes"] > 0 and found["mode"] == "probe"


def test_results_are_averaged_over_draws():
    cell = {"mad_std": 1.0, "std": 2.0, "bias": 0.0}
    runs = []
    for k in (1, 3):
        ours = {key: k * value for key, value in cell.items()} | {"coverage": 0.5}
        runs.append({"y": {"multistar": ours, "XGBoost": cell}, "seconds": 1.0})
    ours, trees = fine_tuning.average_results(runs)
    assert (ours["who"], ours["mad_std"], ours["std_ratio"], ours["coverage"]) == (
        "multistar",
        2.0,
        2.0,
        0.5,
    )
    assert trees["mad_std_ratio"] == 1 and trees["coverage"] is None


class TestReddening:
    def test_reddening_of_a_colour_is_found(self):
        """A column that is E(B-V) itself, and one that is A_r."""
        rng = np.random.default_rng(0)
        teff, logg = rng.uniform(5000, 6300, 5000), rng.uniform(3.9, 4.6, 5000)
        m_h, ebv = rng.uniform(-1, 0.3, 5000), rng.gamma(2, 0.03, 5000)
        colour = 0.8 - (teff - 5700) / 4000 + 0.05 * m_h + 1.3 * ebv + rng.normal(0, 0.02, 5000)
        frame = pd.DataFrame({"teff": teff, "logg": logg, "mh": m_h, "BP": colour, "RP": 0.0})
        for scale in (1.0, 2.285):
            table = frame.assign(reddening_r=scale * ebv)
            slope, error = reddening.measure_colour_slope(table)
            assert slope == pytest.approx(1.3 / scale, abs=4 * error)
            assert error < 0.02

    def test_values_are_compared_with_their_spread(self):
        known = np.linspace(0, 1, 11)
        found = {"ebv": known + 0.1, "ebv_lower": known - 0.1, "ebv_upper": known + 0.3}
        found["ebv"][3] = np.nan
        row = reddening.compare_reddening("us", "them", found, known)
        assert row["stars"] == 10
        assert row["bias"] == pytest.approx(0.1) and row["std"] == pytest.approx(0)
        assert row["rank_correlation"] == pytest.approx(1) and row["coverage"] == 1
        flat = reddening.compare_reddening("median", "them", np.full(11, 0.5), known)
        assert "rank_correlation" not in flat and "coverage" not in flat
        assert flat["its_median"] == pytest.approx(0.5)

    def test_the_given_reddening_moves_teff(self, star_model, mock_table):
        stars = read_stars(mock_table).select(slice(0, 20))
        low, high = (
            reddening.predict_teff_given(star_model.model, stars, np.full(20, ebv))
            for ebv in (0.01, 1.0)
        )
        assert np.isfinite(low).all() and not np.allclose(low, high)

    def test_reddening_is_learnt_from_a_table(self, star_model, mock_table):
        pytest.importorskip("xgboost")
        names = ["source_id", "phot_g_mean_mag", "phot_g_mean_mag_error", "j_m", "j_msigcom", "ebv"]
        frame = mock_table.select(names).to_pandas()
        found = reddening.learn_reddening(
            star_model.model, frame[:200], frame[200:260], {}, "probe"
        )
        assert set(found) == {"ebv", "ebv_lower", "ebv_upper", "XGBoost"}
        assert all(len(value) == 60 for value in found.values())


@pytest.fixture(scope="module")
def mock_spectra():
    return spectra.make_mock_spectra(8000, 1)


class TestSpectra:
    def test_mock_stars_are_like_their_peers(self, mock_spectra):
        other = spectra.make_mock_spectra(600, 2)
        result = spectra.compare_spectra(spectra.select_usable(other), mock_spectra)
        assert result is not None and result["peers_in_g"]
        low = slice(0, 20)
        assert 0.7 < np.median(result["spread"][low]) < 1.4
        assert 0.8 < np.median(result["errors"][low]) < 1.25
        rows = spectra.summarise_orders(result, mock_spectra.bp_orders)
        assert [row["band"] for row in rows] == ["BP"] * 8 + ["RP"] * 8
        for row in spectra.summarise_flux(result)[2:]:
            assert abs(row["median_percent"]) < 3

    def test_a_scaled_error_is_noticed(self, mock_spectra):
        other = spectra.select_usable(spectra.make_mock_spectra(600, 2))
        plain = spectra.compare_spectra(other, mock_spectra)
        other.sigma[:] *= 2
        doubled = spectra.compare_spectra(other, mock_spectra)
        assert plain is not None and doubled is not None
        np.testing.assert_allclose(doubled["errors"], 2 * plain["errors"])

    def test_stars_without_peers_give_nothing(self, mock_spectra):
        far = spectra.select_usable(spectra.make_mock_spectra(600, 2))
        far.colour[:] = 10
        assert spectra.compare_spectra(far, mock_spectra) is None


class TestXPSpectra:
    def test_held_out_stars_are_filled_in(self, star_model, mock_table):
        rows = xp_spectra.evaluate_inpainting(star_model.model, mock_table)
        assert {row["band"] for row in rows} == {"bp", "rp"}
        whole = [row for row in rows if row["g"] == "0-99"]
        neither = 0.2 * 0.4 * mock_table.num_rows  # neither learnt from nor fitted to
        assert all(row["stars"] == pytest.approx(neither, rel=0.4) for row in whole)
        assert all(row["ratio"] == pytest.approx(row["model"] / row["gaussian"]) for row in rows)

    def test_known_stars_are_found_by_their_ids(self, star_model, mock_table):
        frame = mock_table[:5].to_pandas()
        star = next(iter(xp_spectra.KNOWN))
        frame.loc[2, "source_id"] = star
        rows = xp_spectra.evaluate_known_stars(star_model.model, frame)
        assert [row["label"] for row in rows] == list(xp_spectra.LABELS)
        teff = rows[0]
        assert teff["star"] == "18 Sco" and teff["literature"] == 5823
        assert teff["lower"] < teff["median"] < teff["upper"]

    def test_the_flagged_are_counted(self, star_model, mock_table):
        stars = read_stars(mock_table).select(slice(0, 100))
        assert xp_spectra.measure_flagged(star_model.model, stars) < 0.2
        stars.scalars["g"].value[:50] += 20
        stars.scalars["j"].value[:50] -= 20
        assert xp_spectra.measure_flagged(star_model.model, stars) > 0.4


class TestVariability:
    @pytest.fixture
    def variability(self):
        pytest.importorskip("sklearn")
        from multistar.checks.real import variability

        return variability

    def test_eclipsing_classes_are_known_by_their_names(self, variability):
        names = np.array(["ECL", "ECLA", "Close Binary", "RRAB", "DECL"])
        assert variability.is_eclipsing(names).tolist() == [True, True, True, False, False]

    def test_a_probe_finds_classes_that_features_tell_and_no_others(self, variability):
        rng = np.random.default_rng(0)
        kinds = np.repeat(["ECL", "RR", "DSCT"], 60)
        x = rng.normal(size=(180, 4))
        chance = variability.score_features(x, kinds, variability.make_probe)
        x[:, 0] += np.repeat([0, 6, 12], 60)
        found = variability.score_features(x, kinds, variability.make_probe)
        assert len(found["accuracy"]) == len(found["auc"]) == variability.FOLDS
        assert np.mean(found["accuracy"]) > 0.95 and np.mean(found["auc"]) > 0.99
        assert abs(np.mean(chance["accuracy"]) - 1 / 3) < 0.15
        (row,) = variability.summarise_scores({"probe": found})
        assert row["accuracy"] == pytest.approx(np.mean(found["accuracy"]))

    def test_without_eclipsing_classes_there_is_no_auc(self, variability):
        x = np.random.default_rng(0).normal(size=(60, 2))
        found = variability.score_features(x, np.repeat(["A", "B"], 30), variability.make_probe)
        assert set(found) == {"accuracy"}

    def test_a_class_that_was_left_out_is_far_from_the_others(self, variability):
        rng = np.random.default_rng(0)
        kinds = np.repeat(["ECL", "RR", "DSCT"], 80)
        x = rng.normal(size=(240, 6))
        chance = variability.score_left_out(x, kinds)
        x[:80, 0] += 12
        found = variability.score_left_out(x, kinds)
        assert set(found) == {"ECL", "RR", "DSCT"}
        assert found["ECL"] > 0.99
        assert all(0.3 < auc < 0.7 for auc in chance.values())

    def test_mock_stars_teach_the_classes_of_a_survey(self, star_model):
        pytest.importorskip("sklearn")
        from multistar.checks.real import mock_teacher, variability

        rng = np.random.default_rng(0)
        kinds = np.repeat(["RR", "CEP", "ECL", "unknown"], 10)
        embedding = rng.normal(size=(40, star_model.model.config.embedding))
        found = mock_teacher.score_mock_teacher(
            star_model.model, embedding, kinds, "gaia", variability.make_probe, stars=120
        )
        assert set(found["recall"]) == {"RR", "CEP", "ECL"}
        # the vectors are noise, and so is what is said of them
        assert 0 <= found["accuracy"] < 0.75

    def test_mock_stars_have_the_class_of_how_they_vary(self):
        pytest.importorskip("sklearn")
        from multistar.checks.real.mock_teacher import ECLIPSING, mock_classes
        from multistar.mock.survey import SurveyConfig, survey

        pairs = pa.concat_tables(survey(300, SurveyConfig(3, "close-binaries")))
        kinds = mock_classes(pairs)
        assert {"contact", "semidetached", "detached"} <= set(kinds)
        contact = np.isfinite(pairs["fill_out"].to_numpy())
        assert np.array_equal(kinds == "contact", contact)
        assert np.all(np.isfinite(pairs["orbital_period"].to_numpy()[np.isin(kinds, ECLIPSING)]))
        single = pa.concat_tables(survey(60, SurveyConfig(3, "pulsators")))
        assert np.array_equal(mock_classes(single), single["variability"].to_pylist())

    def test_rare_classes_and_empty_light_curves_are_left_out(self, variability):
        from multistar.modalities.light_curve.points import from_points

        rng = np.random.default_rng(0)
        number, times = np.repeat(np.arange(40), 60), np.tile(np.sort(rng.uniform(0, 30, 60)), 40)
        flux = 1 + 0.01 * rng.normal(size=len(times))
        curves = from_points(number, times, flux, np.full(len(times), 0.01), "tess", unit="flux")
        kinds = np.array(["A"] * 18 + ["B"] * 17 + ["rare"] * 5)
        stars = variability.select_classes(curves, kinds)
        assert sorted(set(stars.kinds)) == ["A", "B"]
        assert len(stars.curves) == len(stars.kinds) == len(stars.slots) == 35
        np.testing.assert_allclose(stars.metadata[:, 0], np.log(60), rtol=1e-5)
