"""A few stretches of a light curve as they are: patches of samples with their errors, times and band."""

from dataclasses import dataclass

import numpy as np

SHORTEST = 1e-5  # d; times closer than this count as this far apart
REFERENCE = 600.0  # nm
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
}  # nm: pivot wavelengths; g is Gaia's, zg ZTF's


@dataclass(frozen=True)
class Samples:
    """P patches of S samples; NaN where there is none."""

    value: np.ndarray  # (P, S) relative flux
    sigma: np.ndarray  # (P, S)
    time: np.ndarray  # (P, S); [:, 0] start of the patch as a share of the span, [:, 1:] ln(d since the sample before)
    band: (
        np.ndarray
    )  # (P,) ln(wavelength / 600 nm); NaN also for a band that WAVELENGTH does not know


def completed(sigma: np.ndarray) -> np.ndarray:
    """Unknown errors replaced by the median of the known ones, if any."""
    known = np.isfinite(sigma)
    return (
        sigma if known.all() or not known.any() else np.where(known, sigma, np.median(sigma[known]))
    )


def bin_means(index: np.ndarray, n: int, flux, sigma, weight) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and its error in each of n bins (n,); NaN where the bin is empty or the error unknown.

    index, flux, sigma, weight (N,): bin of each point and so on; sigma is known for all points or for none. Where
    points scatter about the means more than sigma says, the difference adds to the error of every point.
    """
    total = np.bincount(index, weight, n)
    filled = total > 0
    mean = np.full(n, np.nan)
    mean[filled] = np.bincount(index, weight * flux, n)[filled] / total[filled]
    variance = np.nan_to_num(sigma**2)
    freedom = len(flux) - np.count_nonzero(filled)
    if freedom > 0:
        whole = weight.sum()
        scatter = weight @ (flux - mean[index]) ** 2 / whole * len(flux) / freedom
        variance = variance + max(scatter - weight @ variance / whole, 0.0)
    error = np.full(n, np.nan)
    error[filled] = np.sqrt(np.bincount(index, weight**2 * variance, n)[filled]) / total[filled]
    return mean, np.where(error > 0, error, np.nan)


def samples(
    time, flux, sigma, weight, band, bands: tuple[str, ...], patches: int, size: int
) -> Samples:
    """Of N points sorted in time, the times counted from the first.

    Each band with points gets the same number of patches, the bands with most points if there are more than patches.
    If its points fit in, all of them stand there in order. If not, half of the patches are windows of successive points
    at the cadence of the mission, begun at equal numbers of points; the other half are means in equal bins of its span.
    """
    out = Samples(
        *(np.full((patches, size), np.nan) for _ in range(3)), band=np.full(patches, np.nan)
    )
    codes, number = np.unique(band, return_counts=True)
    codes = np.sort(codes[np.argsort(-number, kind="stable")[:patches]])
    each = patches // max(len(codes), 1)
    for place, code in enumerate(codes):
        here, own = slice(place * each, (place + 1) * each), band == code
        arrange = _all_points if np.count_nonzero(own) <= each * size else _windows_and_means
        t, out.value[here], out.sigma[here] = arrange(
            time[own], flux[own], sigma[own], weight[own], each, size
        )
        out.time[here] = _stamps(t, time[-1])
        out.band[here] = np.log(WAVELENGTH.get(bands[code].lower(), np.nan) / REFERENCE)
    out.band[np.isnan(out.value).all(1)] = np.nan
    return out


def _all_points(time, flux, sigma, weight, patches: int, size: int) -> np.ndarray:
    """(3, patches, size): time, flux, sigma."""
    rows = np.full((3, patches * size), np.nan)
    rows[:, : len(time)] = time, flux, sigma
    return rows.reshape(3, patches, size)


def _windows_and_means(time, flux, sigma, weight, patches: int, size: int) -> np.ndarray:
    """(3, patches, size): time, flux, sigma."""
    windows = patches // 2
    start = np.round(np.linspace(0, len(time) - size, windows)).astype(int)
    raw = np.array([time, flux, sigma])[:, start[:, None] + np.arange(size)]
    n = (patches - windows) * size
    span = max(time[-1] - time[0], SHORTEST)
    index = ((time - time[0]) * (n / span)).astype(int).clip(0, n - 1)
    number = np.bincount(index, minlength=n)
    moment = np.bincount(index, time, n) / np.where(number, number, np.nan)
    means = np.array([moment, *bin_means(index, n, flux, completed(sigma), weight)])
    return np.concatenate([raw, means.reshape(3, -1, size)], 1)


def _stamps(time: np.ndarray, span: float) -> np.ndarray:
    """Times (P, S) from the start of the light curve, NaN where there is no sample -> Samples.time."""
    before = np.fmax.accumulate(time, axis=1)[:, :-1]
    stamps = np.full(time.shape, np.nan)
    stamps[:, 1:] = np.log(np.maximum(time[:, 1:] - before, SHORTEST))
    first = np.fmin.reduce(time, axis=1)
    stamps[:, 0] = first / span if span > 0 else 0 * first
    return stamps
