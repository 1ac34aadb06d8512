"""Lomb-Scargle periodograms of one light curve, through non-uniform fast Fourier transforms.

Needs finufft (extra `lightcurves`).
"""

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import digamma, polygamma

OVERSAMPLING = 2  # frequencies per 1 / span: as many as determine all in between
FINE_OVERSAMPLING = 8  # frequencies per 1 / span where the highest peaks are computed again
SPARSE_PEAKS = 64  # highest peaks of a sparse curve that are computed again
PEAK_SURROUNDINGS = 64  # in 1 / span, to both sides of the highest peak of any other curve
MAX_FREQUENCIES = 2**20  # bounds time and memory: a long span at a high top loses the top
TOP = 100.0  # cycles/d, of any light curve
IRREGULAR_TOP = 20.0  # cycles/d, where no spacing repeats and so no frequency is the highest
SAME_TIME = 1e-6  # d
# What counts as nearly regular, see Sampling.
REGULAR_WITHIN = 0.01
REGULAR_ROUNDING = 1e-5  # d
REGULAR_STEPS = 5
REGULAR_SHARE = 0.75
# Up to this number of points single precision does: what a strong signal leaks in it stays below
# the noise.
SPARSE = 1000
NOTHING = 1e-24  # variance [relative flux squared] that is rounding
CHUNK = 16384  # frequencies at a time: they stay in the cache
PRECISION = {np.complex64: 1e-5, np.complex128: 1e-9}  # relative, of the transforms


@dataclass(frozen=True)
class Sampling:
    """What the times of a light curve allow.

    Parameters
    ----------
    spacing : float
        Median distance of successive times [d].
    regularity : float
        Share of the distances that are the median one or 2 to 5 times as long.
    interval : float
        Duration of observation per point [d].
    span : float
        From the first to the last point, and one step more [d].
    duty : float
        Share of the span that is observed.
    top : float
        The highest frequency [cycles/d]: Nyquist's where sampling is nearly regular, otherwise
        IRREGULAR_TOP.

    Notes
    -----
    Times are nearly regular where 3/4 of the distances are the median one or 2 to 5 times as long
    (lost points), within 1 % of it and 1e-5 d. Nightly sampling by hand is not.
    """

    spacing: float
    regularity: float
    interval: float
    span: float
    duty: float
    top: float


def measure_sampling(time: np.ndarray) -> Sampling | None:
    """Find out how regular the times of a light curve are, and how much of its span they cover.

    Where sampling is nearly regular, the median spacing is observed at each time and gaps are not;
    elsewhere the whole span is. Points of several bands at one time share what is observed at it.

    Parameters
    ----------
    time : (N,) float
        Sorted times [d].

    Returns
    -------
    Sampling or None
        None if there are not two different times.
    """
    steps = np.diff(time)
    steps = steps[steps > SAME_TIME]
    if not len(steps):
        return None
    spacing = float(np.median(steps))
    multiple = np.clip(np.round(steps / spacing), 1, REGULAR_STEPS)
    off = np.abs(steps - multiple * spacing)
    regularity = float(np.mean(off < REGULAR_WITHIN * spacing + REGULAR_ROUNDING))
    if regularity >= REGULAR_SHARE:
        step = spacing
        nyquist = 0.5 / spacing
    else:
        step = float(np.mean(steps))
        nyquist = IRREGULAR_TOP
    span = float(time[-1] - time[0]) + step
    observed = step * (len(steps) + 1)
    return Sampling(
        spacing=spacing,
        regularity=regularity,
        interval=observed / len(time),
        span=span,
        duty=min(observed / span, 1.0),
        top=min(nyquist, TOP, MAX_FREQUENCIES / (OVERSAMPLING * span)),
    )


@dataclass(frozen=True)
class Periodogram:
    """Power at OVERSAMPLING frequencies around each independent one.

    Independent frequencies are k / span for k = 1, 2, ... below the top of the sampling.

    Parameters
    ----------
    share : (n,) float
        Share of the weighted variance that a sinusoid of each frequency explains.
    sampling : Sampling
        Of the light curve.
    density : float
        One-sided power density [relative flux^2 per cycle/d] of a share of 1.
    n_points : int
        Number of points of the light curve.
    """

    share: np.ndarray
    sampling: Sampling
    density: float
    n_points: int

    def frequency(self, i: np.ndarray | np.integer) -> np.ndarray:
        """Return the frequencies [cycles/d] of the grid points i."""
        cycles = 0.5 + (i + 0.5) / OVERSAMPLING
        return np.asarray(cycles / self.sampling.span)

    def log_density(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the logarithm of the mean power density in bins of frequency.

        Parameters
        ----------
        edges : (m + 1,) float
            Of the bins [cycles/d].

        Returns
        -------
        value, error : (m,) float
            Natural logarithm and its standard error. NaN in bins without an independent frequency
            and in those that reach beyond the top.

        Notes
        -----
        Noise makes the power of one frequency a chi^2_2 variable, so the logarithm of the mean of
        n is digamma(n) - ln n too low on average, which is corrected, and scatters by
        sqrt(trigamma(n)). Gaps leave n * duty independent ones; all of them together cannot be
        known better than the variance of N points, 2 / N.
        """
        n_independent = len(self.share) // OVERSAMPLING
        bounds = np.ceil(edges * self.sampling.span).astype(int)
        bounds = np.clip(bounds, 1, n_independent + 1) - 1
        number = np.where(edges[1:] <= self.sampling.top, np.diff(bounds), 0)
        filled = number > 0
        value = np.full(len(number), np.nan)
        error = np.full(len(number), np.nan)
        if not filled.any():
            return value, error
        n = np.maximum(number[filled] * self.sampling.duty, 1)
        start = bounds[:-1][filled] * OVERSAMPLING
        stop = bounds[1:][filled] * OVERSAMPLING
        total = np.add.reduceat(self.share[: stop[-1]], start)
        mean = self.density * total / (stop - start)
        mean[~(mean > 0)] = np.nan
        value[filled] = np.log(mean) + np.log(n) - digamma(n)
        scatter = np.sqrt(polygamma(1, n) + 2 / self.n_points)
        error[filled] = np.where(np.isnan(mean), np.nan, scatter)
        return value, error


def compute_periodogram(
    time: np.ndarray, flux: np.ndarray, weight: np.ndarray, sampling: Sampling
) -> Periodogram | None:
    """Compute the periodogram of a light curve on its own grid of frequencies.

    Parameters
    ----------
    time, flux : (N,) float
        Times [d] and relative fluxes.
    weight : (N,) float
        Above zero, with the sum 1.
    sampling : Sampling
        Of these times.

    Returns
    -------
    Periodogram or None
        None if the flux is constant or the span too short for any frequency.

    Notes
    -----
    The density is such that white noise of rms s at a spacing dt gives 2 s^2 dt, and a sinusoid of
    amplitude a adds up to a^2 / 2 over all frequencies, whatever the length and the gaps.
    """
    n_independent = int(np.ceil(sampling.top * sampling.span)) - 1
    flux = flux - weight @ flux
    variance = float(weight @ flux**2)
    if n_independent < 1 or variance <= NOTHING:
        return None
    first = (0.5 + 0.5 / OVERSAMPLING) / sampling.span
    step = 1 / (OVERSAMPLING * sampling.span)
    share = lomb_scargle(time, flux, weight, first, step, n_independent * OVERSAMPLING)
    density = variance * sampling.interval / np.sum(weight**2)
    return Periodogram(share, sampling, density, len(time))


def find_highest_peak(
    power: Periodogram, time: np.ndarray, flux: np.ndarray, weight: np.ndarray
) -> tuple[float, float]:
    """Find the sinusoid that explains most of the variance.

    Parameters
    ----------
    power : Periodogram
        Of this light curve.
    time, flux, weight : (N,) float
        As of `compute_periodogram`.

    Returns
    -------
    frequency : float
        Of the sinusoid [cycles/d].
    share : float
        Share of the variance that it explains.

    Notes
    -----
    The grid of the periodogram may miss a peak by a quarter of its width, so the candidates are
    computed again on a grid of 1 / (8 span). Of a sparse curve these are its 64 highest peaks,
    which may be anywhere; of any other all frequencies within 64 / span of the highest, among
    which are those into which long gaps split it. What counts is the top of the parabola through
    three neighbours.
    """
    flux = flux - weight @ flux
    if len(time) <= SPARSE:
        start, share = _refine_every_high_peak(power, time, flux, weight)
    else:
        start, share = _refine_around_the_highest(power, time, flux, weight)
    left = share[:, :-2]
    top = share[:, 1:-1]
    right = share[:, 2:]
    slope = 0.5 * (right - left)
    curvature = left - 2 * top + right
    downward = np.where(curvature < 0, curvature, np.inf)
    shift = np.clip(-slope / downward, -1, 1)
    height = top + slope * shift + 0.5 * curvature * shift**2
    row, i = np.unravel_index(np.argmax(height), height.shape)
    steps = i + 1 + shift[row, i]
    frequency = start[row] + steps / (FINE_OVERSAMPLING * power.sampling.span)
    return float(frequency), float(np.clip(height[row, i], 0, 1))


def compute_white_noise(sampling: Sampling, weight: np.ndarray, sigma: np.ndarray) -> float:
    """Return the power density of white noise of standard deviation sigma (N,), so weighted."""
    variance = np.sum((weight * sigma) ** 2)
    return float(2 * sampling.interval * variance / np.sum(weight**2))


def lomb_scargle(
    time: np.ndarray, flux: np.ndarray, weight: np.ndarray, first: float, step: float, n: int
) -> np.ndarray:
    """Compute the share of the weighted variance that sinusoids with a free mean explain.

    Parameters
    ----------
    time, flux : (N,) float
        Times [d] and relative fluxes.
    weight : (N,) float
        Above zero, with the sum 1.
    first, step : float
        The frequencies are ``first + step * arange(n)`` [cycles/d].
    n : int
        Number of frequencies.

    Returns
    -------
    (n,) float
        From 0 to 1. Up to 1000 points go in single precision, which errs by a few thousandths of
        the share.

    Raises
    ------
    ImportError
        If finufft is not installed.

    Notes
    -----
    With z = exp(i w t) - <exp(i w t)>, A = <|z|^2>, B = <z^2>, Y = <z y> the best sinusoid
    explains 2 (A |Y|^2 - Re(B* Y^2)) / (A^2 - |B|^2) of <y^2>: the generalised periodogram of
    Zechmeister & Kuerster (2009, A&A 496, 577), written without a phase.
    """
    flux = flux - weight @ flux
    flux = flux / np.sqrt(weight @ flux**2)
    sums = _fourier_sums(time, flux, weight, first, step, n)
    share = np.empty(n, np.real(sums).dtype)
    for i in range(0, n, CHUNK):
        part = slice(i, min(i + CHUNK, n))
        np.clip(_explained_variance(*sums[:, part]), 0, 1, out=share[part])
    return share


def _refine_every_high_peak(power: Periodogram, time, flux, weight):
    """First frequency (m,) and shares (m, 7) around the m highest local maxima."""
    padded = np.pad(power.share, 1)
    is_maximum = (power.share >= padded[:-2]) & (power.share >= padded[2:])
    maxima = np.flatnonzero(is_maximum)
    number = min(SPARSE_PEAKS, len(maxima))
    maxima = maxima[np.argpartition(power.share[maxima], -number)[-number:]]
    per_unit = FINE_OVERSAMPLING * power.sampling.span
    start = power.frequency(maxima) - 3 / per_unit
    steps = np.arange(7) / per_unit
    of_start = np.exp(2j * np.pi * np.outer(start, time))
    of_steps = np.exp(2j * np.pi * np.outer(steps, time))
    z = of_start[:, None] * of_steps
    explained = _explained_variance(z @ (weight * flux), z @ weight, (z * z) @ weight)
    variance = weight @ flux**2
    return start, explained / variance


def _refine_around_the_highest(power: Periodogram, time, flux, weight):
    """First frequency (1,) and shares (1, n) about the highest local maximum."""
    unit = 1 / power.sampling.span
    highest = float(power.frequency(np.argmax(power.share)))
    start = max(highest - PEAK_SURROUNDINGS * unit, 0.5 * unit)
    stop = min(highest + PEAK_SURROUNDINGS * unit, power.sampling.top)
    n = max(int(FINE_OVERSAMPLING * (stop - start) / unit), 3)
    share = lomb_scargle(time, flux, weight, start, unit / FINE_OVERSAMPLING, n)
    return np.array([start]), share[None]


def _fourier_sums(time, flux, weight, first: float, step: float, n: int) -> np.ndarray:
    """(3, >= n) complex: <exp(i w t) y>, <exp(i w t)> and <exp(2 i w t)> of all frequencies."""
    dtype = np.complex64 if len(time) <= SPARSE else np.complex128
    real = np.finfo(dtype).dtype
    # rounded up, so that similar curves share a plan
    unit = 1 << max(n.bit_length() - 4, 0)
    modes = -(-n // unit) * unit
    plan = _make_plan(modes, dtype, threading.get_ident())
    turns = np.mod(step * time, 1)
    # plans count from -modes // 2
    middle = first + modes // 2 * step
    start = np.exp(2j * np.pi * np.mod(middle * time, 1))
    sums = np.empty((3, modes), dtype)
    plan.setpts((2 * np.pi * turns).astype(real))
    plan.execute((weight * flux * start).astype(dtype), out=sums[0])
    plan.execute((weight * start).astype(dtype), out=sums[1])
    plan.setpts((2 * np.pi * np.mod(2 * turns, 1)).astype(real))
    plan.execute((weight * start**2).astype(dtype), out=sums[2])
    return sums


def _explained_variance(y: np.ndarray, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Variance that the sinusoids explain, from the sums above; 0 where none is defined."""
    a = 1 - _squared_modulus(mean)
    b = square - mean * mean
    y2 = y * y
    real_product = np.real(b) * np.real(y2) + np.imag(b) * np.imag(y2)
    numerator = a * _squared_modulus(y) - real_product
    denominator = a * a - _squared_modulus(b)
    defined = denominator > 10 * np.finfo(denominator.dtype).eps
    explained = np.zeros_like(numerator)
    return np.divide(2 * numerator, denominator, out=explained, where=defined)


def _squared_modulus(z: np.ndarray) -> np.ndarray:
    return np.real(z) ** 2 + np.imag(z) ** 2


@lru_cache(maxsize=4)
def _make_plan(modes: int, dtype: type, thread: int):
    """Making a plan takes as long as using it. It holds buffers, so threads cannot share one."""
    try:
        import finufft
    except ImportError as error:
        raise ImportError(
            "finufft is not installed: pip install 'multistar[lightcurves]'"
        ) from error
    return finufft.Plan(
        1,
        (modes,),
        eps=PRECISION[dtype],
        dtype=np.dtype(dtype).name,
        nthreads=1,
        upsampfac=1.25,
    )
