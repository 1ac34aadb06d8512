"""Sampled XP spectra (flux over wavelength) -> coefficients, by GaiaXPy's own map and a wide prior.

The archive's sampled spectra are a linear map of the coefficients that loses the finest of them.
Its inverse is the mean of a Gaussian posterior; what the map lost comes back with the prior's width
as its error, or is not observed.

Shape letters: n star, w wavelength, c coefficient (BP, then RP).
"""

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
# Widths of the prior over the length of a band's vector of coefficients: of the first two, and of
# order n the last over n. Mock stars have half of that.
FIRST, SECOND, OTHERS = 1.0, 0.15, 0.06
# What a sampled flux may be off by, as a share of its error, and of itself.
ROUNDING, LEAST_ROUNDING = 0.01, 1e-5
# Errors of coefficients over a band's median, at every fourth order: medians of 200 field stars.
SHAPES = {
    "bp": (2.09, 1.94, 1.69, 1.72, 1.49, 1.51, 1.23, 1.0, 0.79, 0.74, 0.67, 0.59, 0.47, 0.24),
    "rp": (1.31, 1.3, 1.22, 0.94, 1.31, 1.02, 1.2, 1.0, 0.93, 0.74, 0.58, 0.53, 0.39, 0.28),
}
UNRESOLVED = 0.7  # of the prior's width; a coefficient that is known no better is not observed
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
    orders = DR3_ORDERS["bp"] + DR3_ORDERS["rp"]
    value, sigma = np.full((2, len(flux), orders), np.nan)
    whole = np.isfinite(flux).all(1) & (np.abs(flux).max(1, initial=0) > 0)
    rows = np.flatnonzero(whole)
    for start in range(0, len(rows), AT_ONCE):
        here = rows[start : start + AT_ONCE]
        value[here], sigma[here] = _solve(flux[here], error[here], matrix)
    split = DR3_ORDERS["bp"]
    return {
        "bp": XPCoefficients(value[:, :split], sigma[:, :split]),
        "rp": XPCoefficients(value[:, split:], sigma[:, split:]),
    }


def _solve(
    flux: np.ndarray, error: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean (n, c) and error (n, c) of coefficients."""
    has_error = np.isfinite(error) & (error > 0)
    brightest = np.abs(flux).max(1, keepdims=True)
    tolerance = np.where(has_error, ROUNDING * error, 0)
    tolerance = np.hypot(tolerance, LEAST_ROUNDING * brightest)
    width = _prior_widths(flux, matrix)
    # in units of the prior's widths, so that the matrices are well scaled
    design = matrix[None] * width[:, :, None] / tolerance[:, None, :]
    precision = design @ design.transpose(0, 2, 1) + np.eye(matrix.shape[0])
    covariance = np.linalg.inv(precision)
    score = covariance @ (design @ (flux / tolerance)[:, :, None])
    lost = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    value = np.where(lost < UNRESOLVED, score[:, :, 0] * width, np.nan)
    sigma = np.hypot(lost * width, _noise(error, has_error, matrix))
    return value, np.where(np.isfinite(value), sigma, np.nan)


def _prior_widths(flux: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(n, c) from the first coefficients that fit the flux of each band by themselves."""
    split = DR3_ORDERS["bp"]
    first = matrix[[0, split]]
    amplitude = np.abs(np.linalg.lstsq(first.T, flux.T, rcond=None)[0]).T
    widths = []
    for band, orders in enumerate((split, matrix.shape[0] - split)):
        number = np.arange(orders)
        relative = np.where(number < 2, np.where(number == 0, FIRST, SECOND), OTHERS)
        relative = relative / np.maximum(1, number)
        # of a band that seems to be empty, the prior is that of a tenth of the other
        size = np.maximum(amplitude[:, band], 0.1 * amplitude.max(1))
        widths.append(size[:, None] * relative)
    return np.hstack(widths)


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
