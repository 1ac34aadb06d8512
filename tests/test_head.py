"""Mixtures: density, quantiles and the label-error convolution against closed forms."""

import numpy as np
import torch
from scipy.stats import norm

from multistar.model.mixture import Mixture


def gaussian(mean: float, sigma: float) -> Mixture:
    as_tensor = lambda x: torch.full((1, 1, 1), x, dtype=torch.float64)  # noqa: E731
    return Mixture(as_tensor(0.0), as_tensor(mean), as_tensor(float(np.log(sigma))))


def test_density_of_one_gaussian_is_the_normal_one():
    y = torch.tensor([[1.7]], dtype=torch.float64)
    got = gaussian(0.5, 0.8).log_prob(y, torch.zeros_like(y))
    np.testing.assert_allclose(got.item(), norm(0.5, 0.8).logpdf(1.7), rtol=1e-12)


def test_label_error_adds_in_quadrature():
    y, error = (
        torch.tensor([[1.7]], dtype=torch.float64),
        torch.tensor([[0.6]], dtype=torch.float64),
    )
    got = gaussian(0.5, 0.8).log_prob(y, error)
    np.testing.assert_allclose(got.item(), norm(0.5, 1.0).logpdf(1.7), rtol=1e-12)


def test_quantiles_of_one_gaussian():
    levels = torch.tensor([0.025, 0.5, 0.84], dtype=torch.float64)
    got = gaussian(0.5, 0.8).quantile(levels)
    np.testing.assert_allclose(got[0, 0].numpy(), norm(0.5, 0.8).ppf(levels.numpy()), atol=1e-8)


def test_quantiles_invert_the_cdf_of_a_mixture():
    g = torch.Generator().manual_seed(3)
    shape = (4, 3, 5)
    weight = torch.log_softmax(torch.randn(shape, generator=g, dtype=torch.float64), -1)
    mixture = Mixture(
        weight,
        torch.randn(shape, generator=g, dtype=torch.float64),
        torch.randn(shape, generator=g, dtype=torch.float64),
    )
    levels = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    quantiles = mixture.quantile(levels)
    for i, level in enumerate(levels):
        torch.testing.assert_close(
            mixture.cdf(quantiles[..., i]), level.expand(4, 3), atol=1e-6, rtol=0
        )


def test_quantiles_of_any_mixture_are_found_in_gaps_and_spikes():
    """Components 12 sigma apart, of widths from 0.0025 to 20 and weights down to 1e-5; levels from 1e-4 to 1 - 1e-4."""
    g = torch.Generator().manual_seed(0)
    shape = (1000, 2, 5)
    weight = torch.log_softmax(3 * torch.randn(shape, generator=g, dtype=torch.float64), -1)
    mean = 4 * torch.randn(shape, generator=g, dtype=torch.float64)
    mixture = Mixture(weight, mean, 9 * torch.rand(shape, generator=g, dtype=torch.float64) - 6)
    levels = torch.tensor(
        [[1e-4, 0.03, 0.5, 0.9], [0.01, 0.3, 0.999, 1 - 1e-4]], dtype=torch.float64
    )
    quantiles = mixture.quantile(levels)
    for i in range(4):
        below, above = (mixture.cdf(quantiles[..., i] + d) for d in (-1e-6, 1e-6))
        assert ((below <= levels[:, i] + 1e-12) & (levels[:, i] - 1e-12 <= above)).all()
    part = Mixture(*(x[3:5] for x in vars(mixture).values()))
    torch.testing.assert_close(part.quantile(levels), quantiles[3:5], rtol=0, atol=1e-9)


def test_noisy_labels_give_back_the_noise_free_width():
    """Maximum likelihood through log_prob recovers the intrinsic spread, not the observed one."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.5, 20000)
    noisy = torch.tensor(truth + rng.normal(0, 1.0, truth.size))[:, None]
    error = torch.ones_like(noisy)
    widths = np.linspace(0.3, 1.2, 46)
    likelihood = [gaussian(0.0, w).log_prob(noisy, error).mean().item() for w in widths]
    assert abs(widths[np.argmax(likelihood)] - 0.5) < 0.05
