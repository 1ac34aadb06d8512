"""Lomb-Scargle periodograms of one light curve, through non-uniform fast Fourier transforms.

Needs finufft (extra `lightcurves`).
"""

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import digamma, polygamma

OVERSAMPLING = 2  # frequencies per 1 / span: as many as determine all in between
CLOSER = 8  # frequencies per 1 / span where the highest peaks are looked at again
PEAKS, AROUND = (
    64,
    64,
)  # peaks of a sparse curve; 1 / span to both sides of the highest peak of another
MAX_FREQUENCIES = 2**20  # bounds time and memory: a long span at a high top loses the top
TOP = 100.0  # cycles/d, of any light curve
IRREGULAR_TOP = 20.0  # cycles/d, where no spacing repeats and so no frequency is the highest
SAME_TIME = 1e-6  # d
REGULAR_WITHIN, REGULAR_ROUNDING, REGULAR_STEPS, REGULAR_SHARE = 0.01, 1e-5, 5, 0.75  # see Sampling
SPARSE = 1000  # points; up to here single precision: what a strong signal leaks in it stays below the noise
NOTHING = 1e-24  # variance [relative flux squared] that is rounding
CHUNK = 16384  # frequencies at a time: they stay in the cache


@dataclass(frozen=True)
class Sampling:
    """What the times of a light curve allow.

    They are nearly regular where 3/4 of the distances are the median one or 2 to 5 times as long (lost points), within
    1 % of it and 1e-5 d. Nightly sampling by hand is not.
    """

    spacing: float  # d, median distance of successive times
    regularity: float  # share of the distances that are it or 2 to 5 times as long
    interval: float  # d of observation per point
    span: float  # d
    duty: float  # share of the span that is observed
    top: (
        float  # cycles/d, the highest frequency: Nyquist's where nearly regular, else IRREGULAR_TOP
    )


def sampling(time: np.ndarray) -> Sampling | None:
    """Of sorted times (N,) [d]; None if there are not two different ones.

    Where sampling is nearly regular, the median spacing is observed at each time and gaps are not; else the whole span
    is. Points of several bands at one time share what is observed at it.
    """
    steps = np.diff(time)
    steps = steps[steps > SAME_TIME]
    if not len(steps):
        return None
    spacing = float(np.median(steps))
    multiple = np.clip(np.round(steps / spacing), 1, REGULAR_STEPS)
    off = np.abs(steps - multiple * spacing)
    regularity = float(np.mean(off < REGULAR_WITHIN * spacing + REGULAR_ROUNDING))
    regular = regularity >= REGULAR_SHARE
    step = spacing if regular else float(np.mean(steps))
    span = float(time[-1] - time[0]) + step
    observed = step * (len(steps) + 1)
    top = min(
        0.5 / spacing if regular else IRREGULAR_TOP, TOP, MAX_FREQUENCIES / (OVERSAMPLING * span)
    )
    return Sampling(spacing, regularity, observed / len(time), span, min(observed / span, 1.0), top)


@dataclass(frozen=True)
class Periodogram:
    """OVERSAMPLING frequencies around each independent one, k / span for k = 1, 2, ... below the top."""

    share: np.ndarray  # (n,) of the weighted variance that a sinusoid explains
    sampling: Sampling
    density: float  # one-sided power density [relative flux^2 per cycle/d] per share
    n_points: int

    def frequency(self, i: np.ndarray | np.integer) -> np.ndarray:
        """[cycles/d] of grid points."""
        return np.asarray((0.5 + (i + 0.5) / OVERSAMPLING) / self.sampling.span)

    def log_density(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ln of the mean power density in bins of these edges (m + 1,) [cycles/d], and its standard error; each (m,).

        NaN in bins without an independent frequency and in those that reach beyond the top. Noise makes the power of
        one frequency a chi^2_2 variable, so the logarithm of the mean of n is digamma(n) - ln n too low on average,
        which is corrected, and scatters by sqrt(trigamma(n)). Gaps leave n * duty independent ones; all of them
        together cannot be known better than the variance of N points, 2 / N.
        """
        cells = len(self.share) // OVERSAMPLING
        bounds = np.clip(np.ceil(edges * self.sampling.span).astype(int), 1, cells + 1) - 1
        number = np.where(edges[1:] <= self.sampling.top, np.diff(bounds), 0)
        filled = number > 0
        value, error = np.full((2, len(number)), np.nan)
        if not filled.any():
            return value, error
        n = np.maximum(number[filled] * self.sampling.duty, 1)
        start, stop = bounds[:-1][filled] * OVERSAMPLING, bounds[1:][filled] * OVERSAMPLING
        mean = self.density * np.add.reduceat(self.share[: stop[-1]], start) / (stop - start)
        value[filled] = np.log(np.where(mean > 0, mean, np.nan)) + np.log(n) - digamma(n)
        error[filled] = np.where(mean > 0, np.sqrt(polygamma(1, n) + 2 / self.n_points), np.nan)
        return value, error


def periodogram(
    time: np.ndarray, flux: np.ndarray, weight: np.ndarray, sampling: Sampling
) -> Periodogram | None:
    """Of N points; weight (N,) > 0 adds up to 1. None if the flux is constant or the span too short for any frequency.

    Density is such that white noise of rms s at a spacing dt gives 2 s^2 dt, and a sinusoid of amplitude a adds up to
    a^2 / 2 over all frequencies, whatever the length and the gaps.
    """
    cells = int(np.ceil(sampling.top * sampling.span)) - 1
    flux = flux - weight @ flux
    variance = float(weight @ flux**2)
    if cells < 1 or variance <= NOTHING:
        return None
    step = 1 / (OVERSAMPLING * sampling.span)
    share = lomb_scargle(
        time, flux, weight, (0.5 + 0.5 / OVERSAMPLING) / sampling.span, step, cells * OVERSAMPLING
    )
    return Periodogram(share, sampling, variance * sampling.interval / np.sum(weight**2), len(time))


def highest_peak(
    power: Periodogram, time: np.ndarray, flux: np.ndarray, weight: np.ndarray
) -> tuple[float, float]:
    """Frequency [cycles/d] of the sinusoid that explains most, and the share of the variance that it explains.

    The grid of the periodogram may miss a peak by a quarter of its width, so the candidates are computed again on one
    of 1 / (8 span): of a sparse curve its 64 highest peaks, which may be anywhere; of another all within 64 / span of
    the highest, among which are those into which long gaps split it. What counts is the top of the parabola through
    three neighbours.
    """
    flux = flux - weight @ flux
    closer = _every_high_peak if len(time) <= SPARSE else _around_the_highest
    start, share = closer(power, time, flux, weight)
    left, top, right = share[:, :-2], share[:, 1:-1], share[:, 2:]
    slope, curvature = 0.5 * (right - left), left - 2 * top + right
    shift = np.clip(-slope / np.where(curvature < 0, curvature, np.inf), -1, 1)
    height = top + slope * shift + 0.5 * curvature * shift**2
    row, i = np.unravel_index(np.argmax(height), height.shape)
    frequency = start[row] + (i + 1 + shift[row, i]) / (CLOSER * power.sampling.span)
    return float(frequency), float(np.clip(height[row, i], 0, 1))


def _every_high_peak(power: Periodogram, time, flux, weight) -> tuple[np.ndarray, np.ndarray]:
    """First frequency (m,) and shares (m, 7) around the m highest local maxima."""
    padded = np.pad(power.share, 1)
    maxima = np.flatnonzero((power.share >= padded[:-2]) & (power.share >= padded[2:]))
    number = min(PEAKS, len(maxima))
    maxima = maxima[np.argpartition(power.share[maxima], -number)[-number:]]
    start = power.frequency(maxima) - 3 / (CLOSER * power.sampling.span)
    steps = np.arange(7) / (CLOSER * power.sampling.span)
    z = np.exp(2j * np.pi * np.outer(start, time))[:, None] * np.exp(
        2j * np.pi * np.outer(steps, time)
    )
    return start, _explained(z @ (weight * flux), z @ weight, (z * z) @ weight) / (weight @ flux**2)


def _around_the_highest(power: Periodogram, time, flux, weight) -> tuple[np.ndarray, np.ndarray]:
    """First frequency (1,) and shares (1, n) about the highest local maximum."""
    unit = 1 / power.sampling.span
    highest = float(power.frequency(np.argmax(power.share)))
    start = max(highest - AROUND * unit, 0.5 * unit)
    n = max(int(CLOSER * (min(highest + AROUND * unit, power.sampling.top) - start) / unit), 3)
    return np.array([start]), lomb_scargle(time, flux, weight, start, unit / CLOSER, n)[None]


def white_noise(sampling: Sampling, weight: np.ndarray, sigma: np.ndarray) -> float:
    """Power density of white noise of standard deviation sigma (N,) with these weights."""
    return float(2 * sampling.interval * np.sum((weight * sigma) ** 2) / np.sum(weight**2))


def lomb_scargle(
    time: np.ndarray, flux: np.ndarray, weight: np.ndarray, first: float, step: float, n: int
) -> np.ndarray:
    """(n,) share of the weighted variance that a sinusoid with a free mean explains at first + step * arange(n).

    With z = exp(i w t) - <exp(i w t)>, A = <|z|^2>, B = <z^2>, Y = <z y> the best sinusoid explains
    2 (A |Y|^2 - Re(B* Y^2)) / (A^2 - |B|^2) of <y^2>: the generalised periodogram of Zechmeister & Kuerster (2009),
    written without a phase. Up to 1000 points go in single precision, which errs by a few thousandths of the share.
    """
    dtype = np.complex64 if len(time) <= SPARSE else np.complex128
    real = np.finfo(dtype).dtype
    turns = np.mod(step * time, 1)
    unit = 1 << max(n.bit_length() - 4, 0)
    modes = -(-n // unit) * unit  # rounded up, so that similar curves share a plan
    plan = _plan(modes, dtype, threading.get_ident())
    start = np.exp(
        2j * np.pi * np.mod((first + modes // 2 * step) * time, 1)
    )  # plans count from -modes // 2
    sums = np.empty((3, modes), dtype)
    flux = flux - weight @ flux
    flux = flux / np.sqrt(weight @ flux**2)
    plan.setpts((2 * np.pi * turns).astype(real))
    plan.execute((weight * flux * start).astype(dtype), out=sums[0])
    plan.execute((weight * start).astype(dtype), out=sums[1])
    plan.setpts((2 * np.pi * np.mod(2 * turns, 1)).astype(real))
    plan.execute((weight * start**2).astype(dtype), out=sums[2])
    share = np.empty(n, real)
    for i in range(0, n, CHUNK):
        part = slice(i, min(i + CHUNK, n))
        np.clip(_explained(*sums[:, part]), 0, 1, out=share[part])
    return share


def _explained(y: np.ndarray, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Variance that the sinusoids explain, from <z y>, <exp(i w t)> and <exp(2 i w t)>; 0 where none is defined."""
    a = 1 - _squared(mean)
    b = square - mean * mean
    y2 = y * y
    top = a * _squared(y) - (np.real(b) * np.real(y2) + np.imag(b) * np.imag(y2))
    bottom = a * a - _squared(b)
    defined = bottom > 10 * np.finfo(bottom.dtype).eps
    return np.divide(2 * top, bottom, out=np.zeros_like(top), where=defined)


def _squared(z: np.ndarray) -> np.ndarray:
    return np.real(z) ** 2 + np.imag(z) ** 2


@lru_cache(maxsize=4)
def _plan(modes: int, dtype: type, thread: int):
    """Making a plan takes as long as using it. It holds buffers, so threads cannot share one."""
    try:
        import finufft
    except ImportError as error:
        raise ImportError(
            "finufft is not installed: pip install 'multistar[lightcurves]'"
        ) from error
    precision = 1e-5 if dtype is np.complex64 else 1e-9
    return finufft.Plan(
        1, (modes,), eps=precision, dtype=np.dtype(dtype).name, nthreads=1, upsampfac=1.25
    )
