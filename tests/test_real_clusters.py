"""Evaluation on members of open clusters, against clusters of known values."""

import numpy as np
import pandas as pd
import pytest

from multistar.checks.real import clusters
from multistar.checks.real.cluster_predictions import (
    FINE_TUNED,
    LABELS,
    LOG_AGE,
    MEDIAN,
    TREES,
    ZERO_SHOT,
    Guess,
    assign_folds,
    predict_in_folds,
    predict_zero_shot,
)
from multistar.stars import read_stars


def make_members(n_clusters: int = 12, members: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    which = np.repeat(np.arange(n_clusters), members)
    values = {name: rng.uniform(0.2, 3, n_clusters)[which] for name in LABELS}
    g = rng.uniform(10, 16, len(which))
    frame = pd.DataFrame({"cluster": [f"c{i}" for i in which], "phot_g_mean_mag": g} | values)
    return frame.assign(phot_bp_mean_mag=g + 0.5, phot_rp_mean_mag=g - 0.5)


def make_guess(frame: pd.DataFrame, factor: float = 1.0) -> Guess:
    values = {name: factor * frame[name].to_numpy() for name in LABELS}
    ends = {name: np.stack([0.9 * value, 1.1 * value], 1) for name, value in values.items()}
    return Guess(values, ends)


def test_scales_of_differences():
    assert clusters.scale_label("age", 10.0) == 1
    assert clusters.scale_label("ebv", 0.3) == 0.3
    assert clusters.scale_label("distance", np.e) == pytest.approx(1)


def test_stars_are_sorted_by_colour_and_brightness():
    g = np.array([8.0, 11.0, 12.0, 13.0, 14.0, 15.0])
    colour = np.array([1.2, 0.3, 0.5, 0.6, 0.7, 1.1])
    frame = pd.DataFrame({"cluster": "x", "phot_g_mean_mag": g, "phot_bp_mean_mag": g + colour})
    frame = frame.assign(phot_rp_mean_mag=g, ebv=0.0, distance=1.0)
    assert clusters.sort_stars(frame).tolist() == ["giants", "upper"] + ["main sequence"] * 4


def test_members_that_agree_scatter_less_than_all_stars():
    frame = make_members()
    rows = clusters.measure_agreement(frame["cluster"].to_numpy(), make_guess(frame))
    assert [row["label"] for row in rows] == list(LABELS)
    for row in rows:
        assert row["stars"] == len(frame)
        assert row["within"] == pytest.approx(0, abs=1e-9) and row["whole"] > 0.1
    assert rows[0]["predicted"] == pytest.approx(np.log10(1.1 / 0.9) / 2)


def test_stars_and_clusters_are_scored_against_the_catalogue():
    frame = make_members()
    groups = np.where(np.arange(len(frame)) % 2, "upper", "giants")
    guesses = {ZERO_SHOT: make_guess(frame, 1.05), FINE_TUNED: make_guess(frame, 2.0)}
    guesses[MEDIAN] = Guess({name: np.ones(len(frame)) for name in LABELS})
    stars = pd.DataFrame(clusters.score_stars(frame, guesses, groups))
    stars = stars.set_index(["label", "group", "who"])
    assert stars.loc[("distance", "all", ZERO_SHOT), "bias"] == pytest.approx(np.log(1.05))
    assert stars.loc[("age", "upper", ZERO_SHOT), "coverage"] == 1
    assert stars.loc[("age", "giants", FINE_TUNED), "coverage"] == 0
    assert np.isnan(stars.loc[("age", "all", MEDIAN), "coverage"])
    of_clusters = pd.DataFrame(clusters.score_clusters(frame, guesses, groups))
    of_clusters = of_clusters.set_index(["label", "group", "who"])
    row = of_clusters.loc[("age", "all", FINE_TUNED)]
    assert row["clusters"] == 12
    assert row["bias"] == pytest.approx(np.log10(2))
    assert row["rank_correlation"] == pytest.approx(1)
    by_age = clusters.score_by_age(frame, guesses, groups)
    assert sum(row["stars"] for row in by_age if row["who"] == ZERO_SHOT) == len(frame)


def test_product_of_posteriors_finds_the_age_beside_an_outlier():
    told, width = np.append(np.random.default_rng(0).normal(-0.5, 0.2, 12), 1.1), 0.2
    density = -0.5 * ((LOG_AGE - told[:, None]) / width) ** 2
    frame = pd.DataFrame({"cluster": "x", "age": 10**-0.5}, index=range(13))
    found = clusters.multiply_posteriors(frame, density, np.ones(13, bool))
    assert found["truth"].item() == pytest.approx(-0.5)
    assert found["x"].item() == pytest.approx(-0.5, abs=3 * 0.2 / np.sqrt(12))
    few = np.arange(13) < clusters.FEWEST - 1
    assert not len(clusters.multiply_posteriors(frame, density, few))


def test_distances_are_those_of_the_mean_parallax():
    frame = pd.DataFrame({"cluster": ["a", "a", "b"], "parallax_error": [0.1, 0.2, 0.1]})
    frame["parallax"] = np.array([1.2, 0.7, 0.5]) + clusters.ZERO_POINT
    found = clusters.estimate_distances(frame)
    np.testing.assert_allclose(found, [1 / 1.1, 2.0])


def test_hot_stars_are_counted_and_asked_for_their_flags():
    frame = make_members(1, 4).assign(ebv=0.0)
    frame["phot_bp_mean_mag"] = frame["phot_rp_mean_mag"] + [0.0, 0.1, 0.5, 1.0]
    found = clusters.count_hot(frame, np.array([True, False, False, False]))
    assert found == {"hot": 0.5, "hot_flagged": 0.5, "others_flagged": 0.0}


def test_age_density_is_a_density(star_model, mock_table):
    stars = read_stars(mock_table).select(slice(0, 20))
    guess = predict_zero_shot(star_model.model, stars)
    assert guess.log_density is not None and guess.intervals is not None
    assert guess.log_density.shape == (20, len(LOG_AGE))
    assert (guess.intervals["age"][:, 0] < guess.values["age"]).all()
    nothing = read_stars(pd.DataFrame({"source_id": [1], "parallax": [np.nan]}))
    empty = predict_zero_shot(star_model.model, nothing).log_density
    assert empty is not None and np.ptp(empty) == pytest.approx(0, abs=1e-4)


def test_folds_keep_clusters_whole_and_their_results(star_model, mock_table, tmp_path, monkeypatch):
    pytest.importorskip("xgboost")
    columns = ["source_id", "phot_g_mean_mag", "phot_g_mean_mag_error", "j_m", "j_msigcom"]
    columns += ["parallax", "parallax_error", *LABELS]
    frame = mock_table.select(columns).to_pandas()[:200]
    frame["cluster"] = [f"c{i % 10}" for i in range(len(frame))]
    monkeypatch.setattr("multistar.checks.real.cluster_predictions.FOLDS", 2)
    fold = assign_folds(frame["cluster"])
    assert frame.assign(fold=fold).groupby("cluster")["fold"].nunique().eq(1).all()
    assert np.bincount(fold).tolist() == [100] * 2
    guesses = predict_in_folds(star_model.model, frame, "probe", 100, tmp_path)
    assert set(guesses) == {FINE_TUNED, TREES, MEDIAN}
    for guess in guesses.values():
        assert all(np.isfinite(value).all() for value in guess.values.values())
    for k in range(2):
        assert len(np.unique(guesses[MEDIAN].values["age"][fold == k])) == 1
    monkeypatch.setattr("multistar.checks.real.cluster_predictions.finetune", None)
    again = predict_in_folds(star_model.model, frame, "probe", 100, tmp_path)
    np.testing.assert_array_equal(again[TREES].values["ebv"], guesses[TREES].values["ebv"])
