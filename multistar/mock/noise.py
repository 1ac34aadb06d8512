"""Measurement errors of Gaia XP coefficients, photometry and parallaxes."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch

from multistar.mock.sed import BANDS, GAIA, PAN_STARRS, TWO_MASS, WISE
from multistar.modalities.gaia_xp.instrument import load_band
from multistar.quantities import PS1_SATURATION

EXPOSURE = 4.42  # s per CCD transit
BACKGROUND = 1.0  # e- s-1 per pixel
SAMPLES = np.linspace(0, 60, 121)  # pseudo-wavelengths at which the mean spectrum is constrained
CHUNK = 500  # stars whose covariance matrices are held at once
RIDGE = 1e-9  # added to the diagonal of a Fisher matrix that is scaled to a unit diagonal

# Focal-plane transits per mean spectrum: log-normal (median, scatter in ln), and limits.
TRANSITS_MEDIAN, TRANSITS_SCATTER, TRANSITS_RANGE = 34, 0.4, (8, 110)

# Real DR3 errors of orders 0-9 over photon noise, measured on GaiaXPy's test sources (G 13-17.5).
INFLATION = {"bp": 1.15, "rp": 1.25}
# G [mag], and the fractional scatter per transit and sample; bright end: from two real stars only.
CALIBRATION_SCATTER = ([6, 9, 11.5, 13], [0.02, 0.012, 0.006, 0.0045])

# mag: floor, amplitude at the reference magnitude, exponent per mag, reference magnitude
PHOTOMETRIC_ERROR = {
    "g": (0.0028, 0.001, 0.2, 15.0),
    "bp": (0.0035, 0.0025, 0.25, 15.0),
    "rp": (0.0030, 0.002, 0.25, 15.0),
    "j": (0.022, 0.1, 0.3, 16.0),
    "h": (0.022, 0.1, 0.3, 15.2),
    "ks": (0.022, 0.1, 0.3, 14.7),
    "w1": (0.022, 0.1, 0.3, 17.3),
    "w2": (0.022, 0.1, 0.3, 16.2),
    "ps1_g": (0.012, 0.1, 0.3, 21.2),
    "ps1_r": (0.012, 0.1, 0.3, 21.0),
    "ps1_i": (0.012, 0.1, 0.3, 21.0),
    "ps1_z": (0.012, 0.1, 0.3, 20.2),
    "ps1_y": (0.012, 0.1, 0.3, 19.2),
}
SATURATION = {f"ps1_{band}": limit for band, limit in PS1_SATURATION.items()}
PARALLAX_ZERO_POINT = -0.017  # mas, Lindegren et al. 2021 (mean over quasars)
PARALLAX_FLOOR = 0.009  # mas
# Errors of stars of one magnitude differ: by how often they were seen, crowding, the catalogue. If
# they did not, a model would read a magnitude from an error, and real ones would mislead it. Scatter
# [ln] of a star's errors in one survey, of those of single bands, and of parallaxes; share of the
# stars whose errors are larger still, and the scatter of by how much.
SURVEYS = (GAIA, TWO_MASS, WISE, PAN_STARRS)
SURVEY_SCATTER, BAND_SCATTER, PARALLAX_SCATTER = 0.45, 0.15, 0.3
SHARE_OF_POOR, POOR_SCATTER = 0.25, 0.7
# Share of the stars whose magnitudes of a survey come with an error that was added to all, as
# catalogues do, and its range, mag.
SHARE_OF_FLOORS, FLOORS = 0.2, (0.01, 0.03)


def draw_transits(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw (n,) numbers of focal-plane transits that went into each mean spectrum."""
    log_median = np.log(TRANSITS_MEDIAN)
    transits = rng.lognormal(log_median, TRANSITS_SCATTER, n)
    transits = np.clip(transits, *TRANSITS_RANGE)
    return transits.astype(int)


@lru_cache(maxsize=1)
def _order_shape() -> dict[str, np.ndarray]:
    """Real errors over photon noise by order, median 1 over orders 0-9.

    Made by scripts/calibrate_xp_noise.py.
    """
    path = files("multistar.mock") / "xp_noise.json"
    table = json.loads(path.read_text())
    return {band: np.array(table[band]) for band in ("bp", "rp")}


@dataclass(frozen=True)
class NoisyCoefficients:
    """Coefficients of one band as observed.

    Attributes
    ----------
    value, sigma : (n, n_basis) array
        Coefficients and their standard errors, e-/s.
    correlation : (n, n_basis, n_basis) array or None
        Their correlations, if they were asked for.
    """

    value: np.ndarray
    sigma: np.ndarray
    correlation: np.ndarray | None


def noisy_coefficients(
    band: str,
    coefficients: np.ndarray,
    g_mag: np.ndarray,
    transits: np.ndarray,
    rng: np.random.Generator,
    correlations: bool = False,
) -> NoisyCoefficients:
    """Observe the XP coefficients of one band with noise.

    A mean spectrum is a weighted least-squares fit, so the coefficient covariance is the inverse
    of the Fisher matrix basis @ diag(1 / variance) @ basis.T; noise is drawn from that full
    covariance.

    Parameters
    ----------
    band : str
        "bp" or "rp".
    coefficients : (n, n_basis) array
        Exact coefficients, e-/s.
    g_mag : (n,) array
        G magnitudes.
    transits : (n,) array
        Focal-plane transits.
    rng : numpy.random.Generator
        Source of the noise.
    correlations : bool
        Whether to return the correlations, too.
    """
    n, orders = coefficients.shape
    value = np.empty_like(coefficients)
    sigma = np.empty_like(coefficients)
    correlation = np.empty((n, orders, orders), np.float32) if correlations else None
    scatter = np.interp(g_mag, *CALIBRATION_SCATTER)
    order_shape = _order_shape()[band]
    inflation = INFLATION[band] * order_shape
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        exact = coefficients[rows]
        draw = torch.from_numpy(rng.standard_normal(exact.shape, np.float32))
        factor = _covariance_factor(band, exact, scatter[rows], transits[rows])
        noise = factor.mT @ draw[:, :, None]
        noise = noise.squeeze(2).numpy()
        deviation = _standard_deviation(factor)
        value[rows] = exact + noise * inflation
        sigma[rows] = deviation.numpy() * inflation
        if correlation is not None:
            unit = factor / deviation[:, None, :]
            matrices = unit.mT @ unit
            correlation[rows] = matrices.numpy()
    return NoisyCoefficients(value, sigma, correlation)


def photon_sigma(
    band: str, coefficients: np.ndarray, scatter: np.ndarray, transits: np.ndarray
) -> np.ndarray:
    """Standard errors of coefficients with photon, background and bright-star noise alone.

    Parameters
    ----------
    band : str
        "bp" or "rp".
    coefficients : (n, n_basis) array
        Exact coefficients, e-/s.
    scatter : (n,) array
        Fractional scatter of the calibration per transit and sample.
    transits : (n,) array
        Focal-plane transits.

    Returns
    -------
    (n, n_basis) array
        Errors, e-/s.
    """
    factor = _covariance_factor(band, coefficients, scatter, transits)
    return _standard_deviation(factor).numpy()


def _standard_deviation(factor: torch.Tensor) -> torch.Tensor:
    """(n, n_basis) square root of the diagonal of factor.T @ factor."""
    return factor.square().sum(1).sqrt()


@lru_cache(maxsize=2)
def _basis_products(band: str) -> torch.Tensor:
    """(n_samples, n_basis^2) products of basis functions at SAMPLES."""
    basis = load_band(band).internal_basis(SAMPLES)
    basis = torch.from_numpy(basis).T
    products = basis[:, :, None] * basis[:, None, :]
    return products.flatten(1)


def _covariance_factor(
    band: str, coefficients: np.ndarray, scatter: np.ndarray, transits: np.ndarray
) -> torch.Tensor:
    """(n, n_basis, n_basis) W with covariance = W.T @ W: the inverse of a Cholesky factor.

    The Fisher matrices of all stars are one matrix product of weights and products of the basis.
    Their Cholesky factors need double precision, the inverses do not.
    """
    fisher = _fisher_matrices(band, coefficients, scatter, transits)
    # All matrices are scaled to a unit diagonal, so that one ridge fits all.
    unit = fisher.diagonal(dim1=1, dim2=2).rsqrt()
    scaled = fisher * unit[:, :, None] * unit[:, None, :]
    identity = torch.eye(fisher.shape[1], dtype=torch.float64)
    cholesky = torch.linalg.cholesky(scaled + RIDGE * identity).float()
    right_side = identity.float().expand_as(cholesky)
    inverse = torch.linalg.solve_triangular(cholesky, right_side, upper=False)
    return inverse * unit[:, None, :].float()


def _fisher_matrices(
    band: str, coefficients: np.ndarray, scatter: np.ndarray, transits: np.ndarray
) -> torch.Tensor:
    """(n, n_basis, n_basis) inverse covariances of the coefficients of mean spectra."""
    n_basis = load_band(band).n_basis
    basis = torch.from_numpy(load_band(band).internal_basis(SAMPLES))
    signal = torch.from_numpy(coefficients) @ basis
    signal = signal.clamp(min=0)
    photon_variance = (signal + BACKGROUND) / EXPOSURE
    calibration_error = torch.from_numpy(scatter)[:, None] * signal
    variance = photon_variance + calibration_error**2
    sample_step = SAMPLES[1] - SAMPLES[0]
    exposure = torch.from_numpy(transits * sample_step)
    weight = exposure[:, None] / variance
    matrices = weight @ _basis_products(band)
    return matrices.view(-1, n_basis, n_basis)


def pack_correlations(correlation: np.ndarray) -> np.ndarray:
    """Pack symmetric matrices (n, k, k) as the Gaia archive does: (n, k (k - 1) / 2).

    The upper triangles are written column by column.
    """
    column, row = np.tril_indices(correlation.shape[1], -1)  # row < column, in order of columns
    return correlation[:, row, column]


def noisy_magnitudes(
    magnitudes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Observe magnitudes (n, n_band), in the order of BANDS, with noise.

    Returns
    -------
    value, error : (n, n_band) array
        Magnitudes and their standard errors; NaN where a star saturates.
    """
    errors = np.empty_like(magnitudes)
    for i, band in enumerate(BANDS):
        floor, amplitude, exponent, reference = PHOTOMETRIC_ERROR[band]
        fainter_by = magnitudes[:, i] - reference
        growing = amplitude * 10 ** (exponent * fainter_by)
        errors[:, i] = np.hypot(floor, growing)
    errors = _scatter_errors(errors, rng)
    noise = rng.normal(size=magnitudes.shape) * errors
    brightest = np.array([SATURATION.get(band, -np.inf) for band in BANDS])
    value = magnitudes + noise
    saturated = value < brightest
    return np.where(saturated, np.nan, value), np.where(saturated, np.nan, errors)


def _scatter_errors(errors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Errors (n, n_band) of single stars around those that their magnitudes have on average."""
    n = len(errors)
    errors = errors * np.exp(BAND_SCATTER * rng.normal(size=errors.shape))
    for bands in SURVEYS:
        here = [BANDS.index(band) for band in bands]
        factor = np.exp(SURVEY_SCATTER * rng.normal(size=n)) * _draw_poor(n, rng)
        floor = np.where(rng.random(n) < SHARE_OF_FLOORS, rng.uniform(*FLOORS, n), 0.0)
        errors[:, here] = np.hypot(errors[:, here] * factor[:, None], floor[:, None])
    return errors


def _draw_poor(n: int, rng: np.random.Generator) -> np.ndarray:
    """Factors (n,) of at least 1 by which errors of some stars are larger."""
    poor = rng.random(n) < SHARE_OF_POOR
    return np.where(poor, np.exp(POOR_SCATTER * np.abs(rng.normal(size=n))), 1.0)


def noisy_parallax(
    distance: np.ndarray, g_mag: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Observe parallaxes with noise and with Gaia's zero point.

    Parameters
    ----------
    distance, g_mag : (n,) array
        Distance [kpc] and G magnitude.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    value, error : (n,) array
        Parallaxes and their standard errors, mas.

    References
    ----------
    The function of G is the prediction of de Bruijne et al. (2014) for the whole mission (from
    memory) with a floor of 0.009 mas; at G = 15 and 17 it gives 0.029 and 0.075 mas, about DR3's
    medians of 0.03 and 0.07. Errors of stars scatter around it.
    """
    brightest = 10 ** (0.4 * (12.09 - 15))
    flux = 10 ** (0.4 * (g_mag - 15))
    z = np.maximum(brightest, flux)
    micro_arcsec = np.sqrt(-1.631 + 680.766 * z + 32.732 * z * z)
    errors = np.hypot(PARALLAX_FLOOR, 1e-3 * micro_arcsec)
    factor = np.exp(PARALLAX_SCATTER * rng.normal(size=len(distance)))
    errors = errors * factor * _draw_poor(len(distance), rng)
    noise = rng.normal(size=len(distance)) * errors
    return 1 / distance + PARALLAX_ZERO_POINT + noise, errors
