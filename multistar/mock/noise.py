"""Measurement errors of Gaia XP coefficients, photometry and parallaxes."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch

from multistar.mock.sed import BANDS
from multistar.modalities.gaia_xp.instrument import load_band

EXPOSURE = 4.42  # s per CCD transit
BACKGROUND = 1.0  # e- s-1 per pixel
SAMPLES = np.linspace(0, 60, 121)  # pseudo-wavelengths at which the mean spectrum is constrained
CHUNK = 500

# Real DR3 errors of orders 0-9 over photon noise, measured on GaiaXPy's test sources (G 13-17.5).
INFLATION = {"bp": 1.15, "rp": 1.25}
# Fractional scatter per transit and sample at the bright end, from two real stars only.
CALIBRATION_SCATTER = ([6, 9, 11.5, 13], [0.02, 0.012, 0.006, 0.0045])

# mag: floor, amplitude at the reference magnitude, exponent per mag, reference magnitude
PHOTOMETRIC_ERROR = {
    "g": (0.0028, 0.001, 0.2, 15.0),
    "bp": (0.0035, 0.0025, 0.25, 15.0),
    "rp": (0.0030, 0.002, 0.25, 15.0),
    "j": (0.022, 0.1, 0.3, 15.2),
    "h": (0.022, 0.1, 0.3, 14.4),
    "ks": (0.022, 0.1, 0.3, 13.8),
    "w1": (0.022, 0.1, 0.3, 16.0),
    "w2": (0.022, 0.1, 0.3, 15.0),
}
PARALLAX_ZERO_POINT = -0.017  # mas, Lindegren et al. 2021 (mean over quasars)


def draw_transits(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) focal-plane transits that went into each mean spectrum."""
    return np.clip(rng.lognormal(np.log(34), 0.4, n), 8, 110).astype(int)


@lru_cache(maxsize=1)
def _order_shape() -> dict[str, np.ndarray]:
    """Real errors over photon noise by order, median 1 over orders 0-9; made by scripts/calibrate_xp_noise.py."""
    table = json.loads((files("multistar.mock") / "xp_noise.json").read_text())
    return {band: np.array(table[band]) for band in ("bp", "rp")}


@dataclass(frozen=True)
class NoisyCoefficients:
    """value, sigma (n, n_basis) in e-/s; correlation (n, n_basis, n_basis) if it was asked for."""

    value: np.ndarray
    sigma: np.ndarray
    correlation: np.ndarray | None


def noisy_coefficients(
    name: str, coefficients, g_mag, transits, rng: np.random.Generator, correlations: bool = False
) -> NoisyCoefficients:
    """Observed coefficients of one band and their errors.

    A mean spectrum is a weighted least-squares fit, so the coefficient covariance is the inverse of
    the Fisher matrix basis @ diag(1 / variance) @ basis.T; noise is drawn from that full covariance.
    """
    n, orders = coefficients.shape
    value, sigma = np.empty_like(coefficients), np.empty_like(coefficients)
    correlation = np.empty((n, orders, orders), np.float32) if correlations else None
    scatter = np.interp(g_mag, *CALIBRATION_SCATTER)
    inflation = INFLATION[name] * _order_shape()[name]
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        draw = rng.standard_normal(coefficients[rows].shape, np.float32)
        inverse = _inverse_factor(name, coefficients[rows], scatter[rows], transits[rows])
        noise = (inverse.mT @ torch.from_numpy(draw)[:, :, None]).squeeze(2).numpy()
        deviation = inverse.square().sum(1).sqrt()
        value[rows] = coefficients[rows] + noise * inflation
        sigma[rows] = deviation.numpy() * inflation
        if correlation is not None:
            scaled = inverse / deviation[:, None, :]
            correlation[rows] = (scaled.mT @ scaled).numpy()
    return NoisyCoefficients(value, sigma, correlation)


def photon_sigma(name: str, coefficients, scatter, transits) -> np.ndarray:
    """Standard errors (n, n_basis) as they would be with photon, background and bright-star noise alone."""
    return _inverse_factor(name, coefficients, scatter, transits).square().sum(1).sqrt().numpy()


@lru_cache(maxsize=2)
def _outer_products(name: str) -> torch.Tensor:
    """(n_samples, n_basis^2) products of basis functions at SAMPLES."""
    basis = torch.from_numpy(load_band(name).internal_basis(SAMPLES))
    return (basis.T[:, :, None] * basis.T[:, None, :]).flatten(1)


def _inverse_factor(name: str, coefficients, scatter, transits) -> torch.Tensor:
    """(n, n_basis, n_basis) W with covariance = W.T @ W, from the Cholesky factor of the Fisher matrix.

    The Fisher matrices of all stars are one matrix product of weights and outer products of the basis. The
    factor needs double precision, its inverse does not.
    """
    band = load_band(name)
    basis = band.internal_basis(SAMPLES)
    signal = (torch.from_numpy(coefficients) @ torch.from_numpy(basis)).clamp(min=0)
    step = SAMPLES[1] - SAMPLES[0]
    variance = (signal + BACKGROUND) / EXPOSURE + (torch.from_numpy(scatter)[:, None] * signal) ** 2
    weight = torch.from_numpy(transits * step)[:, None] / variance
    fisher = (weight @ _outer_products(name)).view(-1, band.n_basis, band.n_basis)
    unit = fisher.diagonal(
        dim1=1, dim2=2
    ).rsqrt()  # scaled to a unit diagonal, so that one ridge fits all
    identity = torch.eye(band.n_basis, dtype=torch.float64)
    factor = torch.linalg.cholesky(fisher * unit[:, :, None] * unit[:, None, :] + 1e-9 * identity)
    inverse = torch.linalg.solve_triangular(
        factor.float(), identity.float().expand_as(factor), upper=False
    )
    return inverse * unit[:, None, :].float()


def pack_correlations(correlation: np.ndarray) -> np.ndarray:
    """(n, k, k) -> (n, k (k - 1) / 2): the upper triangle column by column, as the Gaia archive stores it."""
    column, row = np.tril_indices(correlation.shape[1], -1)  # row < column, in order of columns
    return correlation[:, row, column]


def noisy_magnitudes(
    magnitudes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Observed magnitudes and errors, (n, n_band) in the order of BANDS."""
    errors = np.empty_like(magnitudes)
    for i, band in enumerate(BANDS):
        floor, amplitude, exponent, reference = PHOTOMETRIC_ERROR[band]
        errors[:, i] = np.hypot(
            floor, amplitude * 10 ** (exponent * (magnitudes[:, i] - reference))
        )
    return magnitudes + rng.normal(size=magnitudes.shape) * errors, errors


def noisy_parallax(distance: np.ndarray, g_mag: np.ndarray, rng: np.random.Generator):
    """Observed parallax and error [mas].

    The function of G is the prediction of de Bruijne et al. (2014) for the whole mission (from memory) with a floor
    of 0.011 mas; at G = 15 and 17 it gives 0.029 and 0.075 mas, about DR3's medians of 0.03 and 0.07.
    """
    z = np.maximum(10 ** (0.4 * (12.09 - 15)), 10 ** (0.4 * (g_mag - 15)))
    errors = np.hypot(0.011, 1e-3 * np.sqrt(-1.631 + 680.766 * z + 32.732 * z * z))
    return 1 / distance + PARALLAX_ZERO_POINT + rng.normal(size=len(distance)) * errors, errors
