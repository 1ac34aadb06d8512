"""The points of one star that can be used, and what all its features are made from."""

from dataclasses import dataclass

import numpy as np

from multistar.modalities.light_curve.curves import LightCurves

MAD_TO_STD = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class StarPoints:
    """The usable points of one star, sorted in time.

    Parameters
    ----------
    time : (N,) float
        From the first point [d].
    flux : (N,) float
        Relative to the median of its band.
    sigma : (N,) float
        Standard error of the flux; NaN = unknown.
    error : (N,) float
        The same with the median for the unknown ones; all NaN if none is known.
    weight : (N,) float
        With the sum 1.
    band : (N,) int
        Index into `bands`.
    bands : tuple of str
        Names of the bands.
    scatter : float
        Robust standard deviation of the flux; may be 0.
    unit : float
        The scatter or, where that is 0, the standard deviation, the median error, or 1.
    """

    time: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    error: np.ndarray
    weight: np.ndarray
    band: np.ndarray
    bands: tuple[str, ...]
    scatter: float
    unit: float


def select_star_points(curves: LightCurves, i: int) -> StarPoints | None:
    """Select the points of star i whose time and flux are finite, in bands of positive median.

    Before anything else every band is divided by its median.

    Parameters
    ----------
    curves : LightCurves
        Of any stars; the order of the points within a star is free.
    i : int
        Number of the star.

    Returns
    -------
    StarPoints or None
        None if no point can be used.
    """
    points = slice(curves.first[i], curves.first[i + 1])
    usable = np.isfinite(curves.time[points]) & np.isfinite(curves.flux[points])
    time = curves.time[points][usable]
    band = curves.band[points][usable]
    sigma = curves.sigma[points][usable]
    sigma = np.where((sigma > 0) & np.isfinite(sigma), sigma, np.nan)
    flux, sigma = _divide_by_median(1 + curves.flux[points][usable], sigma, band)
    order = np.arange(len(time))
    if not np.all(np.diff(time) > 0):
        order = np.lexsort((sigma, flux, band, time))
    order = order[~np.isnan(flux[order])]
    if not len(order):
        return None
    time = time[order]
    flux = flux[order]
    sigma = sigma[order]
    error = fill_unknown_errors(sigma)
    scatter = MAD_TO_STD * float(np.median(np.abs(flux)))
    return StarPoints(
        time=time - time[0],
        flux=flux,
        sigma=sigma,
        error=error,
        weight=_compute_weights(error, scatter),
        band=band[order],
        bands=curves.bands,
        scatter=scatter,
        unit=_choose_unit(flux, error, scatter),
    )


def fill_unknown_errors(sigma: np.ndarray) -> np.ndarray:
    """Replace unknown errors (NaN) by the median of the known ones, if there are any."""
    known = np.isfinite(sigma)
    if known.all() or not known.any():
        return sigma
    return np.where(known, sigma, np.median(sigma[known]))


def _divide_by_median(
    flux: np.ndarray, sigma: np.ndarray, band: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flux / median - 1 and sigma / median in each band; NaN where the median is not above 0."""
    flux = flux.copy()
    sigma = sigma.copy()
    for code in np.unique(band):
        here = band == code
        median = np.median(flux[here])
        level = median if median > 0 else np.nan
        flux[here] = flux[here] / level - 1
        sigma[here] = sigma[here] / level
    return flux, sigma


def _choose_unit(flux: np.ndarray, error: np.ndarray, scatter: float) -> float:
    """The first of several measures of the spread that is above 0."""
    candidates = (scatter, float(np.std(flux)), float(np.median(error)), 1.0)
    return next(x for x in candidates if x > 0)


def _compute_weights(error: np.ndarray, scatter: float) -> np.ndarray:
    """Inverse variances (N,): of the error and of what varies beyond the errors.

    The latter keeps a few points with small errors from ruling a variable star.
    """
    if np.isnan(error[0]):
        return np.full(len(error), 1 / len(error))
    variance = scatter**2 - float(np.median(error)) ** 2
    weight = 1 / (error**2 + max(variance, 0.0))
    return weight / weight.sum()
