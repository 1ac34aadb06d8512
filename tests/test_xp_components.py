"""Principal components of XP: NumPy's SVD, the conditional Gaussian, what is not observed, a model with them."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import assert_same_table, small_run

from encoders import Measurement, XPComponents
from multistar.api import MultiStar
from multistar.model.network import ModelConfig
from multistar.stars import read_stars
from multistar.training.pretrain import pretrain

N, K, NOISE = 12, 3, 0.3


def spectra(n: int, seed: int = 0) -> np.ndarray:
    """(n, N) K smooth shapes of falling size, a mean, and noise."""
    rng = np.random.default_rng(seed)
    shapes = np.sin(np.outer(np.arange(1, K + 1), np.linspace(0.3, 2.8, N)))
    return 2 + rng.normal(size=(n, K)) * [5, 3, 2] @ shapes + NOISE * rng.normal(size=(n, N))


def complete(x: np.ndarray, sigma: float = np.nan) -> Measurement:
    value = torch.from_numpy(x).float()
    return Measurement(
        value, torch.full_like(value, sigma), torch.ones_like(value, dtype=torch.bool)
    )


def fitted(x: np.ndarray) -> XPComponents:
    encoder = XPComponents(N, K, 2, 16)
    encoder.fit(complete(x))
    return encoder


def test_components_of_whole_spectra_are_those_of_the_svd():
    x = spectra(500)
    _, singular, shapes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    found = fitted(x).project(complete(x, 0.1))
    want = (x - x.mean(0)) @ shapes[:K].T / (singular[:K] / np.sqrt(len(x)))
    sign = np.sign((found.value.numpy() * want).sum(0))
    np.testing.assert_allclose(found.value.numpy() * sign, want, atol=1e-4)
    error = np.broadcast_to(0.1 / (singular[:K] / np.sqrt(len(x))), want.shape)
    np.testing.assert_allclose(found.sigma, error, rtol=2e-2)


def test_missing_coefficients_are_the_conditional_mean_of_the_gaussian():
    x, rng = spectra(2000), np.random.default_rng(1)
    encoder = fitted(x)
    basis, spread, noise = (
        t.double().numpy() for t in (encoder.basis, encoder.spread, encoder.noise)
    )
    covariance = basis * (spread - noise) @ basis.T + noise * np.eye(N)
    observed = rng.random((30, N)) < 0.5
    observed[:2] = [[False] * N, [True] * N]
    found = encoder.project(
        dataclasses.replace(complete(x[:30]), observed=torch.from_numpy(observed))
    )
    for star, seen in enumerate(observed):
        y = x[star] - encoder.center.numpy()
        gain = covariance[~seen][:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
        left = covariance[np.ix_(~seen, ~seen)] - gain @ covariance[np.ix_(seen, ~seen)]
        y[~seen] = gain @ y[seen]
        np.testing.assert_allclose(found.value[star], y @ basis / spread**0.5, atol=2e-3)
        variance = np.einsum("nk,nm,mk->k", basis[~seen], left, basis[~seen]) / spread
        np.testing.assert_allclose(found.sigma[star] ** 2, variance, atol=2e-3)
    assert found.observed.all(1).tolist() == [star > 0 for star in range(30)]


def test_components_are_learnt_from_stars_that_have_all():
    x = spectra(5000)
    seen = torch.from_numpy(np.random.default_rng(2).random((5000, 1)) < 0.7) | (
        torch.arange(N) < 9
    )
    m, some = complete(x), seen.all(1)
    gappy = XPComponents(N, K, 2, 16)
    gappy.fit(Measurement(torch.where(seen, m.value, 1e9), m.sigma, seen))
    assert all(
        torch.equal(a, b) for a, b in zip(gappy.buffers(), fitted(x[some]).buffers(), strict=True)
    )
    np.testing.assert_allclose(gappy.noise, NOISE**2, rtol=0.1)
    with pytest.raises(ValueError, match="23 training stars have all 12"):
        gappy.fit(complete(x[:23]))


@pytest.fixture(scope="module")
def model(mock_file, tmp_path_factory) -> MultiStar:
    out = tmp_path_factory.mktemp("components") / "model"
    run = small_run(mock_file, out, steps=20)
    pretrain(
        dataclasses.replace(run, model=dataclasses.replace(run.model, xp_components=8, xp_patch=2)),
        quiet=True,
    )
    return MultiStar.from_pretrained(out)


def test_a_model_reads_them_keeps_them_and_ignores_what_is_not_observed(
    model, mock_table, tmp_path
):
    network, stars = model.model.network, read_stars(mock_table[:20])
    assert network.encoders.xp.tokens.embed.weight.shape[0] == 4  # 8 components in pairs
    assert not torch.equal(network.encoders.xp.basis, torch.eye(*network.encoders.xp.basis.shape))
    torch.testing.assert_close(
        network.encoders.xp.basis.T @ network.encoders.xp.basis, torch.eye(8), atol=1e-5, rtol=0
    )
    m = model.model.standardiser(stars)
    observed = m.observed & (
        torch.rand(m.observed.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    )
    junk = Measurement(
        torch.where(observed, m.value, 1e9), torch.where(observed, m.sigma, 1e9), observed
    )
    one, two = (network.encode(x) for x in (Measurement(m.value, m.sigma, observed), junk))
    assert torch.equal(one.features, two.features) and torch.equal(one.embedding, two.embedding)
    model.save_pretrained(tmp_path / "m")
    assert_same_table(
        MultiStar.from_pretrained(tmp_path / "m").predict(mock_table), model.predict(mock_table)
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert network.encoders.xp(m.slots(*_ends(model))).features.isfinite().all()


def _ends(model: MultiStar) -> tuple[int, int]:
    slots = model.model.vocabulary.slots("xp")
    return slots.start, slots.stop


def test_more_components_than_coefficients_and_less_than_none_are_refused():
    with pytest.raises(ValueError, match="13 principal components of 12"):
        XPComponents(N, 13, 2, 16)
    with pytest.raises(ValueError, match="xp_components"):
        ModelConfig(xp_components=-1)
