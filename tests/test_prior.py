"""Populations as priors: weights against known densities, and mock stars of which the population is known."""

import dataclasses

import numpy as np
import pytest
import torch

from multistar.api import MultiStar
from multistar.batch.job import Job
from multistar.inference.prior import count_effective, resample, weighted_quantiles
from multistar.mock.survey import SurveyConfig, survey_block
from multistar.model.checkpoint import load_model, save_model
from multistar.model.extend import with_labels
from multistar.model.populations import (
    FILE,
    LABELS,
    Populations,
    load_populations,
    make_classifier,
    save_populations,
)
from multistar.quantities import QUANTITIES
from multistar.training import populations as training
from multistar.training.populations import fit_populations, read_populations

N = 20_000


def draw_population(mean: float, seed: int) -> dict[str, np.ndarray]:
    """Labels of which [M/H] alone differs from population to population: N(mean, 0.5)."""
    rng = np.random.default_rng(seed)
    labels = {name: np.exp(0.2 * rng.standard_normal(N)) for name in LABELS}
    return labels | {"m_h": mean + 0.5 * rng.standard_normal(N)}


@pytest.fixture(scope="module")
def two() -> Populations:
    """Dwarfs at 4.5 and giants at 3.5, of which there are three times as many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS", 300)
        patch.setattr(training, "BATCH", 512)
        labels = {"dwarf": draw_population(4.5, 0), "giant": draw_population(3.5, 1)}
        return fit_populations(labels, {"dwarf": 1000, "giant": 3000}, "0" * 64)


@pytest.fixture(scope="module")
def tilted(mock_table, star_model) -> Populations:
    """The mock giants as they are, and with 0.3 dex more in [M/H]."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS", 300)
        patch.setattr(training, "BATCH", 512)
        labels = {name: mock_table[f"true_{name}"].to_numpy() for name in LABELS}
        higher = labels | {"m_h": labels["m_h"] + 0.3}
        both = {"as they are": labels, "higher": higher}
        return fit_populations(both, dict.fromkeys(both, 600), star_model.model.hash)


def flat(names: tuple[str, ...], model_sha256: str) -> Populations:
    """Populations that do not differ."""
    classifier = make_classifier(len(names))
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
    share = torch.full((len(names),), 1 / len(names)).double()
    zero, one = torch.zeros(len(LABELS)).double(), torch.ones(len(LABELS)).double()
    return Populations(names, share, zero, one, classifier, model_sha256)


def test_weights_are_the_ratio_of_the_densities(two):
    logg = np.linspace(3.0, 5.0, 21)[None]
    draws = {name: np.ones_like(logg) for name in LABELS} | {"m_h": logg}
    dwarf, giant = (np.exp(-0.5 * ((logg - mean) / 0.5) ** 2) for mean in (4.5, 3.5))
    truth = dwarf / (0.25 * dwarf + 0.75 * giant)
    found = two.weigh("dwarf", draws)
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(found, truth / truth.sum(), atol=0.012)  # of at most 0.11


def test_no_draw_outweighs_others_by_more_than_the_share_allows(two):
    """p_k / p is 1 where both populations are as dense, and at most 1 / share_k = 4 / 3."""
    draws = {name: np.ones((1, 2)) for name in LABELS} | {"m_h": np.array([[2.5, 4.0]])}
    sure, even = two.weigh("giant", draws)[0]
    assert 1.2 < sure / even < 1.4


def test_a_model_without_the_labels_of_populations_is_refused(star_model, tilted):
    fewer = with_labels(star_model.model, [QUANTITIES["teff"]])
    model = MultiStar(dataclasses.replace(fewer, populations=tilted))
    with pytest.raises(ValueError, match="a prior needs a model with the labels .* has no m_h"):
        model.predict({"source_id": [1], "phot_g_mean_mag": [12.0]}, prior="higher")


def test_an_unknown_population_is_named(two):
    with pytest.raises(ValueError, match="no population is called 'bulge'; the model knows dwarf"):
        two.find("bulge")
    with pytest.raises(ValueError, match="two populations or more are needed"):
        fit_populations({"dwarf": draw_population(4.5, 0)}, {"dwarf": 1}, "0" * 64)


def test_populations_survive_saving_and_belong_to_one_model(two, tmp_path):
    save_populations(two, tmp_path / FILE)
    again = load_populations(tmp_path / FILE, "0" * 64)
    draws = {name: np.ones((1, 3)) for name in LABELS} | {"m_h": np.array([[3.0, 4.0, 5.0]])}
    assert again.names == two.names
    np.testing.assert_array_equal(again.weigh("dwarf", draws), two.weigh("dwarf", draws))
    with pytest.raises(ValueError, match="made for the model 000000000000, this one is 1111"):
        load_populations(tmp_path / FILE, "1" * 64)
    (tmp_path / FILE).write_bytes(b"something else")
    with pytest.raises(ValueError, match="not readable as populations"):
        load_populations(tmp_path / FILE, "0" * 64)


def test_numbers_that_are_not_finite_are_refused(two, tmp_path):
    broken = dataclasses.replace(two, scale=torch.full_like(two.scale, torch.nan))
    save_populations(broken, tmp_path / FILE)
    with pytest.raises(ValueError, match="numbers that are not finite"):
        load_populations(tmp_path / FILE, "0" * 64)


def test_quantiles_of_even_weights_are_those_of_the_draws():
    x = np.random.default_rng(0).standard_normal((3, 400))
    levels = np.array([0.16, 0.5, 0.84])
    even = np.full(x.shape, 1 / 400)
    found = weighted_quantiles(x, even, levels)
    np.testing.assert_allclose(found, np.quantile(x, levels, axis=1, method="hazen").T)


def test_a_draw_of_weight_two_counts_as_two():
    x = np.array([[1.0, 2.0, 3.0, 4.0]])
    weight = np.array([[1.0, 2.0, 1.0, 0.0]]) / 4
    assert weighted_quantiles(x, weight, np.array([0.5])) == pytest.approx(2.0)
    assert count_effective(weight) == pytest.approx(16 / 6)


def test_draws_are_chosen_as_often_as_their_weights_say():
    rng = np.random.default_rng(0)
    weight = rng.dirichlet(np.full(50, 0.3), 20)
    chosen = resample(weight, 200, rng.random(20))
    counts = np.stack([np.bincount(row, minlength=50) for row in chosen])
    assert np.abs(counts - 200 * weight).max() < 1 + 1e-9
    assert chosen.max() < 50


def test_populations_that_do_not_differ_change_nothing(star_model, mock_table):
    model = dataclasses.replace(
        star_model.model, populations=flat(("one", "other"), star_model.model.hash)
    )
    same = MultiStar(model).predict(mock_table[:60], prior="one", samples=64)
    plain = star_model.predict(mock_table[:60])
    for name in ("teff", "age"):
        width = (plain[f"{name}_upper"].to_numpy() - plain[f"{name}_lower"].to_numpy()) / 2
        difference = same[name].to_numpy() - plain[name].to_numpy()
        # the median of 256 draws has an error of 0.08 of the width
        assert np.std(difference / width) < 0.16
    assert same.schema.metadata[b"prior"] == b"one"
    assert not any("unlike_prior" in word for word in same["status"].to_pylist())
    assert len(same["teff_samples"][0]) == 64 and "covariance" in same.column_names


def test_samples_and_columns_are_of_the_same_weighted_posterior(star_model, mock_table, tilted):
    model = MultiStar(dataclasses.replace(star_model.model, populations=tilted))
    told = model.predict(mock_table[:50], prior="higher", samples=256, labels=["m_h", "ebv"])
    assert [name for name in told.column_names if name.startswith("m_h")] == [
        "m_h",
        "m_h_lower",
        "m_h_upper",
        "m_h_samples",
    ]
    assert "mass" not in told.column_names
    drawn = np.stack(list(told["m_h_samples"].to_numpy(zero_copy_only=False)))
    width = told["m_h_upper"].to_numpy() - told["m_h_lower"].to_numpy()
    effective = np.array(["unlike_prior" not in word for word in told["status"].to_pylist()])
    difference = np.abs(np.median(drawn, 1) - told["m_h"].to_numpy()) / width
    assert effective.any() and difference[effective].max() < 0.1
    plain = model.predict(mock_table[:50], labels=["m_h"])
    assert np.mean(told["m_h"].to_numpy() - plain["m_h"].to_numpy()) > 0


def test_a_model_without_populations_says_how_to_get_them(star_model, mock_table):
    with pytest.raises(ValueError, match="knows no populations, so prior='young' cannot"):
        star_model.predict(mock_table[:2], prior="young")


def test_a_model_keeps_its_populations(star_model, two, tmp_path):
    populations = dataclasses.replace(two, model_sha256=star_model.model.hash)
    model = dataclasses.replace(star_model.model, populations=populations)
    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.populations is not None and again.populations.names == ("dwarf", "giant")


def test_tables_are_known_by_the_selection_that_made_them(mock_file, tmp_path):
    labels, stars = read_populations([mock_file, mock_file])
    assert stars == {"apogee-like": 1200} and len(labels["apogee-like"]["mass"]) == 600
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"true_teff": [5000.0]}), tmp_path / "mine.parquet")
    with pytest.raises(ValueError, match="not a table of multistar mock"):
        read_populations([tmp_path / "mine.parquet"])


def test_a_population_that_was_not_trained_on_is_told_by_its_own_labels():
    """Of no training stars: the ratio of densities to those of the others, without a bound."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS", 300)
        patch.setattr(training, "BATCH", 512)
        means = {"dwarf": 4.5, "giant": 3.5, "between": 4.0}
        labels = {name: draw_population(mean, i) for i, (name, mean) in enumerate(means.items())}
        three = fit_populations(labels, {"dwarf": 1000, "giant": 3000}, "0" * 64)
    assert dict(zip(three.names, three.share.tolist(), strict=True))["between"] == 0
    m_h = np.linspace(3.0, 5.0, 21)[None]
    found = three.weigh("between", {name: np.ones_like(m_h) for name in LABELS} | {"m_h": m_h})
    dwarf, giant, between = (np.exp(-0.5 * ((m_h - mean) / 0.5) ** 2) for mean in (4.5, 3.5, 4.0))
    truth = between / (0.25 * dwarf + 0.75 * giant)
    np.testing.assert_allclose(found, truth / truth.sum(), atol=0.012)


@pytest.mark.parametrize(
    ("option", "message"),
    [({"prior": "bulge"}, "knows no populations"), ({"labels": ["bulge"]}, "are none of this")],
)
def test_a_folder_is_refused_before_a_table_is_read(option, message, model_folder):
    with pytest.raises(ValueError, match=message):
        Job("predict", str(model_folder), option).described()


def draw_measured(selection: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Gaia magnitudes and parallaxes of 500 mock stars of a selection, and the truth."""
    table = survey_block(SurveyConfig(seed=91, selection=selection), block=0)[:500]
    measured = ["source_id", "parallax", "parallax_error"]
    measured += [f"phot_{band}_mean_mag" for band in ("g", "bp", "rp")]
    truth = {name: np.asarray(table[f"true_{name}"]) for name in ("age", "ebv")}
    return {name: np.asarray(table[name]) for name in measured}, truth


@pytest.mark.parametrize("population", ["young", "clusters"])
def test_stars_of_a_known_population_have_calibrated_and_better_ages(population):
    """Young stars, and members of clusters of any age, of which training had no table."""
    model = MultiStar.from_pretrained("mini", device="cpu")
    measured, truth = draw_measured(population)
    plain, told = (
        model.predict(measured, origin="mock", labels=["age", "ebv"], prior=prior)
        for prior in (None, population)
    )
    for name, known in truth.items():
        errors = [np.abs(t[name].to_numpy() - known) for t in (plain, told)]
        assert np.median(errors[1]) < np.median(errors[0])
        lower, upper = (told[f"{name}_{end}"].to_numpy() for end in ("lower", "upper"))
        inside = (lower < known) & (known < upper)
        assert 0.54 < inside.mean() < 0.75  # 56-65 % of these and other stars
