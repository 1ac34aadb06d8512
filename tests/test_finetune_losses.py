"""Losses of fine-tuning: Mahalanobis' distance against SciPy, what it moves, what is learnt with it."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis as reference
from scipy.stats import pearsonr
from test_finetune import SCATTER, SLOPE, draw, toy_base

from encoders import Measurement
from multistar.api import MultiStar
from multistar.cli.app import main
from multistar.finetune.examples import Examples
from multistar.finetune.losses import Loss, loss_of, mahalanobis
from multistar.finetune.tune import FinetuneConfig
from multistar.model.mixture import Mixture

COVARIANCE = np.array([[1.0, -0.8, 0.1], [-0.8, 1.5, 0.2], [0.1, 0.2, 0.5]])


def of_stars(value: torch.Tensor, known: torch.Tensor) -> Examples:
    target = Measurement(torch.where(known, value, torch.nan), torch.zeros_like(value), known)
    return Examples(target, target, torch.zeros(len(value), 0, dtype=torch.long))


def test_distance_is_scipys_of_the_labels_that_are_known():
    rng = np.random.default_rng(0)
    difference, known = rng.normal(size=(50, 3)), rng.random((50, 3)) < 0.6
    known[:2] = [[True] * 3, [False] * 3]
    garbage = np.where(known, difference, np.nan)
    got = mahalanobis(
        torch.from_numpy(garbage), torch.from_numpy(known), torch.from_numpy(COVARIANCE)
    )
    want = [
        reference(d[k], np.zeros(k.sum()), np.linalg.inv(COVARIANCE[np.ix_(k, k)]))
        if k.any()
        else 0
        for d, k in zip(difference, known, strict=True)
    ]
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_covariance_is_that_of_stars_with_all_labels():
    rng = np.random.default_rng(1)
    value = torch.from_numpy(rng.multivariate_normal(np.zeros(3), COVARIANCE, 20_000))
    known = torch.ones(20_000, 3, dtype=torch.bool)
    known[::4, 1] = False
    np.testing.assert_allclose(
        loss_of("mahalanobis", of_stars(value, known)).covariance, COVARIANCE, atol=0.05
    )
    assert loss_of("likelihood", of_stars(value, known)).covariance is None
    with pytest.raises(ValueError, match="3 numeric labels, but 5 training stars"):
        loss_of(
            "mahalanobis", of_stars(value[1:8], known[1:8] & (torch.arange(1, 8) != 6)[:, None])
        )
    value[:, 2] = 2 * value[:, 0]
    with pytest.raises(ValueError, match="functions of each other"):
        loss_of("mahalanobis", of_stars(value, known))


def test_centres_follow_the_distance_and_widths_the_likelihood():
    """At the minimum for one star the mean is the label and the width the scatter; neither moves the other."""
    generator = torch.Generator().manual_seed(2)
    n = 4000
    value = (
        torch.randn(n, 2, generator=generator, dtype=torch.float64) * torch.tensor([0.5, 2.0]) + 1
    )
    part = of_stars(value, torch.ones(n, 2, dtype=torch.bool))
    mean = torch.zeros(1, 2, 1, dtype=torch.float64, requires_grad=True)
    log_sigma = torch.full((1, 2, 1), -1.0, dtype=torch.float64, requires_grad=True)
    loss = Loss(torch.diag(torch.tensor([0.25, 4.0], dtype=torch.float64)))
    mixture = Mixture(torch.zeros(n, 2, 1), mean.expand(n, -1, -1), log_sigma.expand(n, -1, -1))
    terms = loss.means(mixture, [], part)
    assert terms.shape == (3,)
    widths, distance = terms[:2].sum(), terms[2]
    assert not torch.autograd.grad(widths, mean, retain_graph=True)[0].any()
    assert not torch.autograd.grad(distance, log_sigma)[0].any()
    optimiser = torch.optim.Adam([mean, log_sigma], lr=0.05)
    for _ in range(300):
        mixture = Mixture(torch.zeros(n, 2, 1), mean.expand(n, -1, -1), log_sigma.expand(n, -1, -1))
        optimiser.zero_grad()
        loss.means(mixture, [], part).sum().backward()
        optimiser.step()
    np.testing.assert_allclose(mean.detach().flatten(), [1, 1], atol=0.1)
    np.testing.assert_allclose(log_sigma.detach().exp().flatten(), [0.5, 2], rtol=0.05)


def test_labels_are_learnt_with_it(tmp_path):
    toy_base(tmp_path / "base")
    table, stars = draw(2500, 0), draw(400, 1)
    table.loc[np.arange(2500) % 3 == 0, "z"] = np.nan
    settings = {
        "mode": "full",
        "steps": 300,
        "learning_rate": 6e-3,
        "batch": 128,
        "hide": 0.1,
        "loss": "mahalanobis",
    }
    found = (
        MultiStar.from_pretrained(tmp_path / "base")
        .finetune(table, ["y", "z", "kind"], **settings)
        .predict(stars)
    )
    found = found.to_pandas()
    assert np.std(found["y"] - SLOPE * stars["x"]) < 0.4
    assert pearsonr(found["z"], stars["z"]).statistic > 0.95
    assert (found["kind"] == stars["kind"]).mean() > 0.9
    inside = (stars["truth"] > found["y_lower"]) & (stars["truth"] < found["y_upper"])
    assert 0.55 < inside.mean() < 0.85
    assert (found["y_upper"] - found["y_lower"]).median() / 2 < 2 * SCATTER


def test_it_is_an_option_of_the_command(tmp_path, capsys):
    toy_base(tmp_path / "base")
    draw(200, 0).to_csv(tmp_path / "t.csv", index=False)
    arguments = [
        "finetune",
        str(tmp_path / "t.csv"),
        "--labels",
        "y,z",
        "--model",
        str(tmp_path / "base"),
    ]
    arguments += [
        "--mode",
        "probe",
        "--steps",
        "5",
        "--loss",
        "mahalanobis",
        "--out",
        str(tmp_path / "a"),
    ]
    assert main(arguments) == 0
    assert '"loss": "mahalanobis"' in (tmp_path / "a" / "adapter.json").read_text()
    with pytest.raises(ValueError, match="loss must be one of"):
        FinetuneConfig(loss="euclid")
