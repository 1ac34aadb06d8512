"""A few stretches of a light curve as they are: patches of samples with their errors and times."""

from dataclasses import dataclass

import numpy as np

from multistar.modalities.light_curve.star_points import StarPoints, fill_unknown_errors

SHORTEST = 1e-5  # d; times closer than this count as this far apart
REFERENCE = 600.0  # nm
# Pivot wavelengths [nm]; g is Gaia's, zg ZTF's.
WAVELENGTH = {
    "g": 622,
    "bp": 511,
    "rp": 777,
    "gaia": 622,
    "kepler": 640,
    "k2": 640,
    "tess": 787,
    "v": 551,
    "i": 806,
    "zg": 480,
    "zr": 644,
    "zi": 780,
}


@dataclass(frozen=True)
class Samples:
    """P patches of S samples; NaN where there is no sample.

    Parameters
    ----------
    value, sigma : (P, S) float
        Relative flux and its standard error.
    time : (P, S) float
        ``[:, 0]`` is the start of the patch as a share of the span of the light curve, ``[:, 1:]``
        the natural logarithm of the days since the sample before.
    band : (P,) float
        ln(wavelength / 600 nm); NaN also for a band that WAVELENGTH does not know.
    """

    value: np.ndarray
    sigma: np.ndarray
    time: np.ndarray
    band: np.ndarray


def take_samples(points: StarPoints, n_patches: int, size: int) -> Samples:
    """Choose patches of samples from a light curve.

    Each band with points gets the same number of patches; if there are more bands than patches,
    those with most points. If the points of a band fit in, all of them stand there in order. If
    not, half of its patches are windows of successive points at the cadence of the mission, begun
    at equal numbers of points; the other half are means in equal bins of its span.

    Parameters
    ----------
    points : StarPoints
        Of one star.
    n_patches, size : int
        Number of patches, and of samples in each.

    Returns
    -------
    Samples
        Of shape (n_patches, size).
    """
    value, sigma, time = np.full((3, n_patches, size), np.nan)
    wavelength = np.full(n_patches, np.nan)
    codes = _most_frequent(points.band, n_patches)
    each = n_patches // max(len(codes), 1)
    for place, code in enumerate(codes):
        here = slice(place * each, (place + 1) * each)
        own = points.band == code
        if np.count_nonzero(own) <= each * size:
            patches = _arrange_all_points(points, own, each, size)
        else:
            patches = _arrange_windows_and_means(points, own, each, size)
        value[here] = patches[1]
        sigma[here] = patches[2]
        time[here] = _encode_times(patches[0], points.time[-1])
        nanometres = WAVELENGTH.get(points.bands[code].lower(), np.nan)
        wavelength[here] = np.log(nanometres / REFERENCE)
    wavelength[np.isnan(value).all(1)] = np.nan
    return Samples(value, sigma, time, wavelength)


def average_in_bins(
    index: np.ndarray, n: int, flux: np.ndarray, error: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the weighted mean flux in each of n bins.

    Where points scatter about the means more than their errors say, the difference adds to the
    error of every point.

    Parameters
    ----------
    index : (N,) int
        The bin of each point.
    n : int
        Number of bins.
    flux, error, weight : (N,) float
        Of the points; the error is known (not NaN) for all of them or for none.

    Returns
    -------
    mean, error : (n,) float
        NaN where the bin is empty, and where no error is known.
    """
    total = np.bincount(index, weight, n)
    filled = total > 0
    mean = np.full(n, np.nan)
    mean[filled] = np.bincount(index, weight * flux, n)[filled] / total[filled]
    variance = np.nan_to_num(error**2)
    freedom = len(flux) - np.count_nonzero(filled)
    if freedom > 0:
        whole = weight.sum()
        scatter = weight @ (flux - mean[index]) ** 2 / whole * len(flux) / freedom
        variance = variance + max(scatter - weight @ variance / whole, 0.0)
    mean_error = np.full(n, np.nan)
    squared = np.bincount(index, weight**2 * variance, n)
    mean_error[filled] = np.sqrt(squared[filled]) / total[filled]
    return mean, np.where(mean_error > 0, mean_error, np.nan)


def _most_frequent(band: np.ndarray, most: int) -> np.ndarray:
    """Codes of the bands with most points, in ascending order."""
    codes, number = np.unique(band, return_counts=True)
    chosen = np.argsort(-number, kind="stable")[:most]
    return np.sort(codes[chosen])


def _arrange_all_points(
    points: StarPoints, own: np.ndarray, n_patches: int, size: int
) -> np.ndarray:
    """(3, n_patches, size): time, flux, sigma of the band whose points are `own` (N,)."""
    rows = np.full((3, n_patches * size), np.nan)
    n = np.count_nonzero(own)
    rows[0, :n] = points.time[own]
    rows[1, :n] = points.flux[own]
    rows[2, :n] = points.sigma[own]
    return rows.reshape(3, n_patches, size)


def _arrange_windows_and_means(
    points: StarPoints, own: np.ndarray, n_patches: int, size: int
) -> np.ndarray:
    """(3, n_patches, size): time, flux, sigma of the band whose points are `own` (N,)."""
    time = points.time[own]
    flux = points.flux[own]
    sigma = points.sigma[own]
    n_windows = n_patches // 2
    start = np.round(np.linspace(0, len(time) - size, n_windows)).astype(int)
    windows = np.array([time, flux, sigma])[:, start[:, None] + np.arange(size)]
    n = (n_patches - n_windows) * size
    span = max(time[-1] - time[0], SHORTEST)
    place = (time - time[0]) * (n / span)
    index = place.astype(int).clip(0, n - 1)
    number = np.bincount(index, minlength=n)
    total_time = np.bincount(index, time, n)
    mean_time = total_time / np.where(number, number, np.nan)
    mean, error = average_in_bins(index, n, flux, fill_unknown_errors(sigma), points.weight[own])
    means = np.array([mean_time, mean, error])
    return np.concatenate([windows, means.reshape(3, -1, size)], 1)


def _encode_times(time: np.ndarray, span: float) -> np.ndarray:
    """Times (P, S) from the start of the light curve, NaN for no sample -> Samples.time."""
    before = np.fmax.accumulate(time, axis=1)[:, :-1]
    encoded = np.full(time.shape, np.nan)
    step = time[:, 1:] - before
    encoded[:, 1:] = np.log(np.maximum(step, SHORTEST))
    first = np.fmin.reduce(time, axis=1)
    encoded[:, 0] = first / span if span > 0 else 0 * first
    return encoded
