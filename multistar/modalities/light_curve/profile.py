"""The light curve folded at twice its best period."""

from dataclasses import dataclass

import numpy as np

from multistar.modalities.light_curve.periodogram import Periodogram, find_highest_peak
from multistar.modalities.light_curve.samples import average_in_bins
from multistar.modalities.light_curve.star_points import StarPoints

FINE = 4  # parts of a bin of the profile
SMOOTH = 7  # parts that are averaged, twice over, to find the minimum
TRIANGLE = np.convolve(np.ones(SMOOTH), np.ones(SMOOTH)) / SMOOTH**2


@dataclass(frozen=True)
class FoldedProfile:
    """A light curve folded at twice the period of its highest peak.

    Parameters
    ----------
    mean, error : (n_bins,) float
        Relative flux in bins of phase and its standard error; the deepest minimum is in the middle
        of the first bin. NaN in empty bins.
    frequency : float
        Of the peak [cycles/d].
    sine_share : float
        Share of the variance that the sinusoid of this frequency explains.
    folded_share : float
        Share that the profile explains, corrected for its number of bins; at least -1, and NaN if
        there are no more points than bins.
    """

    mean: np.ndarray
    error: np.ndarray
    frequency: float
    sine_share: float
    folded_share: float


def fold_profile(points: StarPoints, power: Periodogram, n_bins: int) -> FoldedProfile:
    """Fold a light curve at twice its best period, so that unequal eclipses show.

    Parameters
    ----------
    points : StarPoints
        Of one star.
    power : Periodogram
        Of these points.
    n_bins : int
        Number of bins of phase.

    Returns
    -------
    FoldedProfile
        In relative flux.
    """
    frequency, share = find_highest_peak(power, points.time, points.flux, points.weight)
    n_fine = n_bins * FINE
    phase = np.mod(points.time * (frequency / 2), 1)
    fine = np.minimum((phase * n_fine).astype(int), n_fine - 1)
    minimum = _find_minimum(fine, n_fine, points)
    index = (fine - minimum + FINE // 2) % n_fine // FINE
    mean, error = average_in_bins(index, n_bins, points.flux, points.error, points.weight)
    explained = _explained_share(index, mean, points)
    return FoldedProfile(mean, error, frequency, share, explained)


def _explained_share(index: np.ndarray, mean: np.ndarray, points: StarPoints) -> float:
    """Share of the variance that the profile explains, corrected for its number of bins."""
    n = len(points.flux)
    freedom = n - np.count_nonzero(np.isfinite(mean))
    if freedom <= 0:
        return np.nan
    centred = points.flux - points.weight @ points.flux
    residual = points.flux - mean[index]
    left = points.weight @ residual**2 / (points.weight @ centred**2)
    return max(1 - float(left) * (n - 1) / freedom, -1.0)


def _find_minimum(fine: np.ndarray, n_fine: int, points: StarPoints) -> int:
    """The fine bin about which the smoothed flux is least.

    The flux is drawn towards its mean as by one point more, so that no empty stretch wins.
    """
    flux = points.flux - points.weight @ points.flux
    weight = points.weight
    total = _smooth(np.bincount(fine, weight, n_fine))
    sums = _smooth(np.bincount(fine, weight * flux, n_fine))
    one_more = 1 / (SMOOTH * len(fine))
    return int(np.argmin(sums / (total + one_more)))


def _smooth(x: np.ndarray) -> np.ndarray:
    """Weighted by a triangle of 2 SMOOTH - 1 places, end joined to start."""
    around = np.concatenate([x[1 - SMOOTH :], x, x[: SMOOTH - 1]])
    return np.convolve(around, TRIANGLE, "valid")
