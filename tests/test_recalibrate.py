"""Recalibrated quantiles of mixtures whose widths are wrong in a known way."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from multistar.model.calibration import MIN_STARS, Recalibrator
from multistar.model.mixture import Mixture

LEVELS = torch.tensor([0.1, 0.16, 0.5, 0.84, 0.975])


def gaussians(n: int, width: float, bias: float = 0.0) -> Mixture:
    shape = (n, 1, 1)
    return Mixture(
        torch.zeros(shape), torch.full(shape, bias), torch.full(shape, float(np.log(width)))
    )


def noisy_truth(n: int, error: float, seed: int) -> torch.Tensor:
    return torch.tensor(
        np.random.default_rng(seed).normal(0, np.hypot(1, error), (n, 1)), dtype=torch.float32
    )


@pytest.mark.parametrize("width, bias", [(0.5, 0.0), (2.0, 0.0), (0.6, 0.7)])
def test_overconfident_wide_and_biased_mixtures_become_calibrated(width, bias):
    """Truths are N(0, 1), predictions N(bias, width): recalibrated quantiles are those of N(0, 1)."""
    prediction, truth = gaussians(20000, width, bias), noisy_truth(20000, 0.0, 0)
    recalibrator = Recalibrator(1)
    recalibrator.fit(prediction.cdf(truth), torch.ones_like(truth, dtype=torch.bool))
    quantiles = prediction.quantile(recalibrator(LEVELS))[0, 0]
    np.testing.assert_allclose(norm.cdf(quantiles.numpy()), LEVELS.numpy(), atol=0.012)
    low, high = prediction.quantile(recalibrator(torch.tensor([0.16, 0.84])))[0, 0]
    fresh = noisy_truth(20000, 0.0, 1)
    assert abs(((fresh > low) & (fresh < high)).float().mean() - 0.68) < 0.015


def test_label_noise_does_not_widen_a_calibrated_prediction():
    prediction, truth = gaussians(20000, 1.0), noisy_truth(20000, 0.8, 0)
    recalibrator = Recalibrator(1)
    recalibrator.fit(
        prediction.cdf(truth, torch.full_like(truth, 0.8)), torch.ones_like(truth, dtype=torch.bool)
    )
    np.testing.assert_allclose(recalibrator(LEVELS)[0].numpy(), LEVELS.numpy(), atol=0.012)


def test_too_few_stars_leave_the_identity_label_by_label():
    pit = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0)) ** 3
    observed = torch.ones(2000, 2, dtype=torch.bool)
    observed[MIN_STARS - 1 :, 0] = False
    recalibrator = Recalibrator(2)
    recalibrator.fit(pit, observed)
    torch.testing.assert_close(recalibrator(LEVELS)[0], LEVELS.double(), atol=1e-6, rtol=0)
    assert (recalibrator(LEVELS)[1] < LEVELS.double() - 0.02).all()


def test_the_map_is_monotonic():
    recalibrator = Recalibrator(1)
    recalibrator.fit(
        torch.rand(600, 1, generator=torch.Generator().manual_seed(0)) ** 2,
        torch.ones(600, 1).bool(),
    )
    levels = recalibrator(torch.linspace(0.001, 0.999, 500))[0]
    assert (levels.diff() >= 0).all()
    assert 0 < levels[0] < levels[-1] < 1


@pytest.mark.parametrize(
    ("stars", "low", "high"), [(0, 1.0, 1.0), (15, 1.2, 1.8), (400, 1.85, 2.1)]
)
def test_few_stars_give_one_factor_drawn_towards_one(stars, low, high):
    """True errors are twice those told."""
    score = 2 * torch.randn(
        2000, stars, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    factors = []
    for own in score[:50]:
        recalibrator = Recalibrator(2)
        recalibrator.refit(
            torch.tensor([1]), torch.special.ndtr(own)[:, None], torch.ones(stars, 1).bool()
        )
        factors.append(
            float(torch.special.ndtri(recalibrator(torch.tensor([0.84]))[1, 0])) / 0.99446
        )
        assert float(recalibrator(torch.tensor([0.84]))[0, 0]) == pytest.approx(0.84, abs=1e-6)
    assert low - 1e-3 <= np.mean(factors) <= high + 1e-3
