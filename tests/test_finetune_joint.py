"""Joint samples of an adapter's labels against labels whose residuals have a known correlation."""

import numpy as np
import pandas as pd
import pytest
import torch
from test_finetune import draw, toy_base

from multistar.api import MultiStar
from multistar.finetune.adapter import Adapter
from multistar.finetune.copula import correlate_with_truth, correlation, draw_conditional_scores
from multistar.model.mixture import Mixture

RHO, NOISE = 0.8, 1.0


def gaussians(n: int, rho: float, error: float, seed: int = 0):
    """Predictions N(0, 1) whose residuals correlate with rho, and labels with errors: PIT and what they tell."""
    rng = np.random.default_rng(seed)
    residual = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n) + error * rng.normal(
        size=(n, 2)
    )
    zero = torch.zeros(n, 2, 1)
    pit = torch.special.ndtr(torch.from_numpy(residual) / np.hypot(1, error))
    return pit, correlate_with_truth(Mixture(zero, zero, zero), torch.full((n, 2), error))


@pytest.mark.parametrize("error", [0.0, 1.0])
@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.8])
def test_correlation_is_that_of_the_truths(rho, error):
    pit, told = gaussians(20_000, rho, error)
    found = correlation(pit, told, torch.ones_like(pit, dtype=torch.bool))
    assert abs(float(found[0, 1]) - rho) < 0.03


def test_correlation_of_pairs_that_few_stars_have_is_zero():
    pit, told = gaussians(1000, RHO, 0.0)
    known = torch.ones_like(pit, dtype=torch.bool)
    known[50:, 1] = False
    assert float(correlation(pit, told, known)[0, 1]) == 0


def test_correlation_does_not_read_missing_labels():
    pit, told = gaussians(1000, RHO, 0.5)
    known = torch.rand(pit.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    other = torch.where(known, pit, torch.nan), torch.where(known, told, torch.nan)
    assert torch.equal(correlation(pit, told, known), correlation(*other, known))


def test_what_a_label_tells_of_a_mixture():
    pair = Mixture(
        torch.full((1, 1, 2), 0.5).log(), torch.tensor([[[-3.0, 3.0]]]), torch.zeros(1, 1, 2)
    )
    assert float(correlate_with_truth(pair, torch.tensor([[np.sqrt(30)]]))) == pytest.approx(
        0.5
    )  # variance 10, of the error 30
    assert float(correlate_with_truth(pair, torch.tensor([[torch.nan]]))) == 1


def test_new_scores_follow_the_known_ones():
    rho = torch.tensor([[1.0, 0.8, 0.5], [0.8, 1.0, 0.2], [0.5, 0.2, 1.0]], dtype=torch.float64)
    given = torch.randn(
        3, 1, 40_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    score = draw_conditional_scores(given, rho, torch.Generator().manual_seed(1))
    assert torch.equal(score[:, :1], given)
    for star in score:
        assert np.abs(np.corrcoef(star.numpy()) - rho.numpy()).max() < 0.02


@pytest.fixture(scope="module")
def correlated(tmp_path_factory) -> tuple[MultiStar, pd.DataFrame, MultiStar]:
    """teff, which the base knows, and two new labels with noise in common; the table; the model read from disk."""
    folder = tmp_path_factory.mktemp("joint") / "base"
    toy_base(folder)

    def table(n: int, seed: int) -> pd.DataFrame:
        rng, stars = np.random.default_rng(seed), draw(n, seed)
        one, two = rng.multivariate_normal([0, 0], [[1, RHO], [RHO, 1]], n).T
        stars["a"], stars["b"] = stars["x"] + one, -stars["x"] + two + NOISE * rng.normal(size=n)
        stars["b_error"] = NOISE
        return stars.drop(columns=["y", "z", "kind"])

    base = MultiStar.from_pretrained(folder)
    settings = {"steps": 500, "learning_rate": 6e-3, "batch": 128}
    out = folder.with_name("adapter")
    model = base.finetune(table(4000, 0), ["a", "b", "teff"], mode="full", out=out, **settings)
    return (
        model,
        table(60, 1),
        MultiStar.from_pretrained(folder, adapter=folder.with_name("adapter")),
    )


def test_samples_have_the_marginals_and_the_correlation(correlated):
    model, stars, _ = correlated
    found = model.predict(stars, samples=2000, seed=3).to_pandas()
    a, b = (np.stack(list(found[f"{name}_samples"])) for name in ("a", "b"))
    rho = np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)])
    assert abs(rho - RHO) < 0.1
    for name in ("a", "b", "teff"):
        drawn = np.stack(list(found[f"{name}_samples"]))
        width = found[f"{name}_upper"] - found[f"{name}_lower"]
        for level, column in ((0.16, f"{name}_lower"), (0.5, name), (0.84, f"{name}_upper")):
            assert (np.abs(np.quantile(drawn, level, axis=1) - found[column]) / width).max() < 0.05


def test_covariance_is_that_of_the_samples_and_the_base_keeps_its_ranks(correlated):
    model, stars, _ = correlated
    table = model.predict(stars, samples=500)
    names = table.schema.metadata[b"covariance"].decode().removeprefix("row-major, ").split(", ")
    assert names == ["teff", "logg", "a", "b"]
    found = table.to_pandas()
    square = np.cov(np.stack([found[f"{name}_samples"][0] for name in names]))
    np.testing.assert_allclose(np.asarray(found["covariance"][0]).reshape(4, 4), square, rtol=1e-4)
    alone = MultiStar(model.model).predict(stars, samples=500).to_pandas()
    ranks = [np.argsort(np.stack(list(t["teff_samples"])), axis=1) for t in (found, alone)]
    assert (
        ranks[0] == ranks[1]
    ).mean() > 0.99  # values beyond the tabulated scores are equal, in any order
    np.testing.assert_array_equal(
        np.stack(list(found["logg_samples"])), np.stack(list(alone["logg_samples"]))
    )


def test_joint_samples_survive_saving_and_repeat(correlated):
    model, stars, again = correlated
    one, two = (m.predict(stars, samples=50, seed=7) for m in (model, again))
    assert one.equals(two)


def test_adapters_from_before_joint_samples_have_independent_labels(correlated):
    model, _, again = correlated
    old = Adapter.fresh(model.model, again.adapters[0].request)
    old.apply(
        {name: x for name, x in again.adapters[0].changes.items() if name != "readout.correlation"}
    )
    assert torch.equal(old.readout.correlation, torch.eye(len(old.readout.correlation)))
    assert not torch.equal(again.adapters[0].readout.correlation, old.readout.correlation)
