"""Sampled XP spectra (flux over wavelength) -> coefficients, by GaiaXPy's own map and a prior.

The archive's sampled spectra are a linear map of the coefficients, exact to the last digit of a
float, that loses some of them: BP beyond 640 nm, for example, where the archive shows RP alone. Its
inverse is the mean of a Gaussian posterior: the prior is how coefficients of mock stars vary
together (`scripts/fit_sampled_prior.py`), which tells what was lost from what was not.

Shape letters: n star, w wavelength, c coefficient (BP, then RP), r direction that the map keeps.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np

from multistar.io.tables import Columns
from multistar.modalities.gaia_xp.instrument import resampling_matrix
from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS, WAVELENGTH, flux_matrix

FLUX, ERROR, GRID = "flux", "flux_error", "wavelength"
UNIT = u.W / u.m**2 / u.nm
FEWEST = 50  # samples; shorter vectors of this name are something else
PRIOR_FILE = Path(__file__).with_name("sampled_prior.npz")
WIDER = 2.0  # the prior's variance, over that of mock stars
SIZE = 0.3  # share by which the size of all coefficients may differ from that of the flux
FAINTEST_DIRECTION = 1e-9  # of a map, over its strongest; the map keeps none that is fainter
EXACTNESS = 1e-6  # of a spectrum, over its brightest sample, at best: 32-bit floats
# Errors of coefficients over a band's median, at every fourth order: medians of 200 field stars.
SHAPES = {
    "bp": (2.09, 1.94, 1.69, 1.72, 1.49, 1.51, 1.23, 1.0, 0.79, 0.74, 0.67, 0.59, 0.47, 0.24),
    "rp": (1.31, 1.3, 1.22, 0.94, 1.31, 1.02, 1.2, 1.0, 0.93, 0.74, 0.58, 0.53, 0.39, 0.28),
}
MOST_NOISES = 3.0  # a coefficient whose error is more of its usual ones is not observed, and
UNRESOLVED = (
    0.7  # where errors are unknown, one that is known no better than this share of the prior
)
AT_ONCE = 256  # stars


def read_sampled(table: Columns) -> dict[str, XPCoefficients] | None:
    """Read sampled spectra as coefficients.

    Parameters
    ----------
    table : Columns
        With vectors `flux`, and `flux_error` and `wavelength` [nm] where it has them. Without
        wavelengths they are the archive's 343. Units are W m-2 nm-1, or what the table states.

    Returns
    -------
    dict of str to XPCoefficients or None
        BP and RP in the layout of Gaia DR3; None if the table has no sampled spectra.

    Raises
    ------
    ValueError
        If wavelengths are missing, differ between stars or leave 336-1020 nm, or a unit is no
        spectral flux density.
    """
    if FLUX not in table or table[FLUX].ndim == 1 and not _holds_vectors(table[FLUX]):
        return None
    flux = np.asarray(table.vectors(FLUX, len(WAVELENGTH)), np.float64)
    if flux.shape[1] < FEWEST:
        return None
    table.used[FLUX] = "XP bp, XP rp"
    flux = flux * _factor(table, FLUX)
    error = np.full_like(flux, np.nan)
    if ERROR in table:
        table.used[ERROR] = "error of XP bp, XP rp"
        error = np.asarray(table.vectors(ERROR, flux.shape[1]), np.float64) * _factor(table, ERROR)
    return solve_coefficients(flux, error, _read_grid(table, flux.shape[1]))


def _holds_vectors(values: np.ndarray) -> bool:
    return values.dtype.kind == "O" and any(np.ndim(value) == 1 for value in values)


def _factor(table: Columns, name: str) -> float:
    unit: Any = table.unit.get(name, UNIT)
    if not isinstance(unit, u.UnitBase) or not unit.is_equivalent(UNIT):
        raise ValueError(
            f"{table.origin}: column {name} is in {unit}, expected {UNIT} or a unit like it"
        )
    factor: Any = unit.to(UNIT)
    return float(factor)


def _read_grid(table: Columns, samples: int) -> np.ndarray:
    """(w,) nm."""
    if GRID not in table:
        if samples != len(WAVELENGTH):
            raise ValueError(
                f"{table.origin}: {samples} samples of {FLUX}, but no column {GRID}; without one "
                f"the archive's {len(WAVELENGTH)} are expected"
            )
        return WAVELENGTH
    table.used[GRID] = "wavelengths of sampled spectra"
    grids = np.asarray(table.vectors(GRID, samples), np.float64)
    unit: Any = table.unit.get(GRID, u.nm)
    grids = grids[np.isfinite(grids).all(1)] * unit.to(u.nm)
    if not len(grids):
        return WAVELENGTH
    grid = grids[0]
    if grids.shape[1] != samples or not np.allclose(grids, grid, rtol=1e-6):
        raise ValueError(
            f"{table.origin}: column {GRID} must hold the same {samples} wavelengths for all stars"
        )
    if (np.diff(grid) <= 0).any() or grid[0] < WAVELENGTH[0] or grid[-1] > WAVELENGTH[-1]:
        raise ValueError(
            f"{table.origin}: wavelengths must rise within {WAVELENGTH[0]:.0f}-"
            f"{WAVELENGTH[-1]:.0f} nm, found {grid.min():.6g}-{grid.max():.6g}; state their unit"
        )
    return grid


def solve_coefficients(
    flux: np.ndarray, error: np.ndarray, wavelength: np.ndarray
) -> dict[str, XPCoefficients]:
    """Solve for the coefficients whose sampled spectra are these.

    Parameters
    ----------
    flux, error : (n, w) array
        W m-2 nm-1; error NaN = unknown. A star without any flux, or with a part of it, has no
        coefficients.
    wavelength : (w,) array
        nm, rising, within 336-1020.

    Returns
    -------
    dict of str to XPCoefficients
        BP and RP (n, 55), e-/s. The errors hold those of the flux, with the usual shape by order,
        and what the sampling lost; unknown where those of the flux are.
    """
    matrix = flux_matrix() @ resampling_matrix(WAVELENGTH, wavelength).T
    sampling = _decompose(matrix)
    value, sigma = np.full((2, len(flux), len(matrix)), np.nan)
    whole = np.isfinite(flux).all(1) & (np.abs(flux).max(1, initial=0) > 0)
    rows = np.flatnonzero(whole)
    for start in range(0, len(rows), AT_ONCE):
        here = rows[start : start + AT_ONCE]
        value[here], sigma[here] = _solve(flux[here], error[here], sampling)
    split = DR3_ORDERS["bp"]
    return {
        "bp": XPCoefficients(value[:, :split], sigma[:, :split]),
        "rp": XPCoefficients(value[:, split:], sigma[:, split:]),
    }


@dataclass(frozen=True)
class Sampling:
    """The map from coefficients to sampled fluxes, and the directions of flux that it can make."""

    matrix: np.ndarray  # (c, w)
    directions: np.ndarray  # (r, w), orthonormal
    design: np.ndarray  # (c, r): the map onto these

    @property
    def spare(self) -> int:
        """How many more samples there are than directions."""
        return self.matrix.shape[1] - len(self.directions)


def _decompose(matrix: np.ndarray) -> Sampling:
    left, strength, right = np.linalg.svd(matrix, full_matrices=False)
    kept = strength > FAINTEST_DIRECTION * strength[0]
    return Sampling(matrix, right[kept], left[:, kept] * strength[kept])


@dataclass(frozen=True)
class Prior:
    """How coefficients vary from star to star, of stars whose fluxes sum up to 1."""

    mean: np.ndarray  # (c,)
    factor: np.ndarray  # (c, k); times its transpose it is the covariance

    def covariance(self) -> np.ndarray:
        """(c, c): that of mock stars, made wider, since real stars are not all like them."""
        size = SIZE * self.mean
        return WIDER * self.factor @ self.factor.T + np.outer(size, size)


@cache
def load_prior() -> Prior:
    """The prior of the package."""
    with np.load(PRIOR_FILE, allow_pickle=False) as file:
        return Prior(file["mean"].astype(float), file["factor"].astype(float))


def _solve(
    flux: np.ndarray, error: np.ndarray, sampling: Sampling
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean (n, c) and error (n, c) of coefficients."""
    prior = load_prior()
    # in units of a star's flux, so that one prior serves all
    unit = np.abs(flux).sum(1, keepdims=True) / np.abs(prior.mean @ sampling.matrix).sum()
    flux, error = flux / unit, error / unit
    noise = _noise(error, np.isfinite(error) & (error > 0), sampling.matrix)
    covariance, design = prior.covariance(), sampling.design
    # of every star, the prior's covariance and that of its noise, which it does not share
    own = np.nan_to_num(noise) ** 2
    with_flux = covariance @ design + own[:, :, None] * design
    of_flux = design.T @ with_flux
    _add_to_diagonal(of_flux, _exactness(flux, sampling) ** 2)
    gain = np.linalg.solve(of_flux, with_flux.transpose(0, 2, 1)).transpose(0, 2, 1)
    off = flux @ sampling.directions.T - prior.mean @ design
    value = prior.mean + (gain @ off[:, :, None])[:, :, 0]
    width = np.diagonal(covariance) + own
    lost = np.sqrt(np.clip(width - (gain * with_flux).sum(2), 0, None))
    sigma = np.hypot(lost, noise)
    most = np.where(np.isfinite(noise), MOST_NOISES * noise, UNRESOLVED * np.sqrt(width))
    is_known = np.where(np.isfinite(noise), sigma, lost) < most
    return np.where(is_known, value * unit, np.nan), np.where(is_known, sigma * unit, np.nan)


def _add_to_diagonal(matrices: np.ndarray, values: np.ndarray) -> None:
    """Add to matrices (n, r, r) the values (n,)."""
    numbers = np.arange(matrices.shape[1])
    matrices[:, numbers, numbers] += values[:, None]


def _exactness(flux: np.ndarray, sampling: Sampling) -> np.ndarray:
    """(n,) standard error of a sample, by the part of the flux that no coefficients can make."""
    strange = flux - flux @ sampling.directions.T @ sampling.directions
    rest = np.sqrt((strange**2).sum(1) / max(sampling.spare, 1))
    return np.hypot(rest, EXACTNESS * np.abs(flux).max(1))


def _noise(error: np.ndarray, has_error: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(n, c) errors of coefficients, in the usual shape, that give the fluxes theirs; or NaN."""
    shape = np.concatenate(
        [np.interp(np.arange(DR3_ORDERS[b]), 4 * np.arange(len(s)), s) for b, s in SHAPES.items()]
    )
    variance = (shape[:, None] * matrix) ** 2
    split = DR3_ORDERS["bp"]
    power = [variance[:split].sum(0), variance[split:].sum(0)]
    noise = np.full((len(error), matrix.shape[0]), np.nan)
    for band, columns in enumerate((slice(0, split), slice(split, None))):
        alone = power[band] > 100 * power[1 - band]
        scale = np.where(has_error[:, alone], error[:, alone], np.nan) / np.sqrt(power[band][alone])
        known = np.isfinite(scale).any(1)
        noise[known, columns] = np.nanmedian(scale[known], axis=1)[:, None] * shape[columns]
    return noise
