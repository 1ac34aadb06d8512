"""A light curve of any sampling -> a fixed set of numbers: a summary, a power spectrum, a folded profile, samples.

Nothing in it tells how bright the star is. What a light curve cannot tell is NaN.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from rich.progress import track

from encoders import LightCurveLayout
from multistar import status
from multistar.io.write import to_arrow
from multistar.modalities.light_curve.periodogram import (
    OVERSAMPLING,
    Periodogram,
    Sampling,
    highest_peak,
    periodogram,
    sampling,
    white_noise,
)
from multistar.modalities.light_curve.points import LightCurves
from multistar.modalities.light_curve.samples import bin_means, completed, samples

SUMMARY = {
    "ln_scatter": "robust standard deviation (from the MAD) of the relative flux",
    "ln_error": "median error",
    "ln_excess": "robust standard deviation in units of the errors: 0 if the errors explain it all",
    "asinh_amplitude": "asinh of the range from the 5th to the 95th percentile in units of 0.001",
    "skewness": "of the flux clipped at 5 scatters",
    "ln_kurtosis": "the same; ln 3 for noise",
    "root_low": "square root of the share of points below -3 scatters",
    "root_high": "and above 3",
    "ln_von_neumann": "mean squared step from point to point over twice the variance: 0 for noise",
    "ln_points": "number of points",
    "ln_span": "from the first to the last point [d]",
    "ln_spacing": "median distance of successive points [d]",
    "regularity": "share of distances that are it or a small multiple: 1 if regular",
    "ln_noise": "power density of the errors [relative flux^2 per cycle/d]",
    "ln_period": "1 / frequency of the highest peak [d]",
    "ln_peak": "share of the variance that the sinusoid there explains, over the median of all frequencies",
    "sine": "that share",
    "folded": "share of the variance that the folded profile explains, corrected for its number of bins; at least -1",
}
SAMPLING = (
    "ln_error",
    "ln_points",
    "ln_span",
    "ln_spacing",
    "regularity",
    "ln_noise",
)  # how it was seen, no physics
EDGES = np.geomspace(1e-3, 100, 161)  # cycles/d, of the bins of the spectrum
LAYOUT = LightCurveLayout(
    summary=len(SUMMARY), spectrum=len(EDGES) - 1, profile=48, patches=12, samples=16
)
N_SLOTS = LAYOUT.n_slots
ENOUGH = 5  # points, for moments, the spectrum and the profile
AMPLITUDE_SOFTENING = 1e-3
CLIP = 5.0  # scatters, for moments
FINE, SMOOTH = (
    4,
    7,
)  # parts of a bin of the profile; how many are averaged, twice over, to find the minimum
TRIANGLE = np.convolve(np.ones(SMOOTH), np.ones(SMOOTH)) / SMOOTH**2
LARGEST = 1e6  # scatters; what lies beyond counts as this


@dataclass(frozen=True)
class LightCurveView:
    """value, sigma (n, N_SLOTS) float32 of n stars, by LAYOUT.parts; NaN = not observed, error unknown.

    summary       SUMMARY, natural logarithms; without errors
    spectrum      ln of the mean power density between EDGES, noise included: see Periodogram.log_density
    profile       means in 48 bins of the light curve folded at twice the best period, so that unequal eclipses show,
                  in units of the scatter; the deepest minimum is in the middle of the first bin
    samples       12 patches of 16 samples in units of the scatter: see light_curve_samples.samples
    sample_times, sample_band   see light_curve_samples.Samples; without errors

    The scatter is the robust one or, where that is 0, the standard deviation, the median error, or 1. Before anything
    else every band is divided by its median.
    """

    value: np.ndarray
    sigma: np.ndarray


def physical() -> np.ndarray:
    """(N_SLOTS,) True for the slots that tell of the star: all but SAMPLING and the times and bands of samples."""
    out = np.ones(N_SLOTS, bool)
    out[LAYOUT.parts["summary"]] = [name not in SAMPLING for name in SUMMARY]
    for name in ("sample_times", "sample_band"):
        out[LAYOUT.parts[name]] = False
    return out


def pools() -> np.ndarray:
    """(N_SLOTS,) int: slots of one number are alike and should be standardised with the same location and scale."""
    pool = np.arange(N_SLOTS)
    for name in ("profile", "samples", "sample_times", "sample_band"):
        pool[LAYOUT.parts[name]] = LAYOUT.parts[name].start
    pool[LAYOUT.parts["sample_times"]][:: LAYOUT.samples] += (
        1  # the starts of the patches are no spacings
    )
    return pool


def view(curves: LightCurves, quiet: bool = True) -> LightCurveView:
    """Slots of every star; all NaN for one without points. The order of its points is free.

    Points that are not finite, or of a band whose median flux is not above zero, are not used. Raises ImportError if
    finufft is not installed.
    """
    value, sigma = np.full((2, len(curves), N_SLOTS), np.nan, np.float32)
    for i in track(range(len(curves)), f"view {len(curves)} light curves", disable=quiet):
        curve = _curve(curves, slice(curves.first[i], curves.first[i + 1]))
        if curve is not None:
            _fill(curve, _by_part(value[i]), _by_part(sigma[i]))
    return LightCurveView(value, sigma)


def view_table(curves: LightCurves, quiet: bool = True) -> pa.Table:
    """source_id, status, light_curve_value, light_curve_sigma, the latter two (N_SLOTS,) float32: a catalogue."""
    seen = view(curves, quiet)
    columns = {"source_id": curves.source_id, "status": status.words(curves.flags)}
    columns |= {f"light_curve_{name}": array for name, array in vars(seen).items()}
    return to_arrow(columns, {"light_curve_layout": json.dumps(asdict(LAYOUT))})


@dataclass(frozen=True)
class _Curve:
    """The usable points of one star, sorted in time."""

    time: np.ndarray  # (N,) d from the first point
    flux: np.ndarray  # (N,) relative to the median of its band
    sigma: np.ndarray  # (N,) NaN = unknown
    error: (
        np.ndarray
    )  # (N,) the same with the median for the unknown ones; all NaN if none is known
    weight: np.ndarray  # (N,) adds up to 1
    band: np.ndarray
    bands: tuple[str, ...]
    scatter: float  # may be 0
    unit: float  # > 0


def _curve(curves: LightCurves, points: slice) -> _Curve | None:
    """None if no point is usable: time and flux finite, and the median flux of its band above zero."""
    usable = np.isfinite(curves.time[points]) & np.isfinite(curves.flux[points])
    time, flux, sigma, band = (
        x[points][usable] for x in (curves.time, curves.flux, curves.sigma, curves.band)
    )
    flux, sigma = 1 + flux, np.where((sigma > 0) & np.isfinite(sigma), sigma, np.nan)
    for code in np.unique(band):
        here = band == code
        median = np.median(flux[here])
        level = median if median > 0 else np.nan
        flux[here], sigma[here] = flux[here] / level - 1, sigma[here] / level
    if np.isnan(flux).any():
        time, flux, sigma, band = (x[~np.isnan(flux)] for x in (time, flux, sigma, band))
    if not len(time):
        return None
    if not np.all(np.diff(time) > 0):
        order = np.lexsort((sigma, flux, band, time))
        time, flux, sigma, band = (x[order] for x in (time, flux, sigma, band))
    error = completed(sigma)
    scatter = 1.4826 * float(np.median(np.abs(flux)))
    unit = next(x for x in (scatter, float(np.std(flux)), float(np.median(error)), 1.0) if x > 0)
    return _Curve(
        time - time[0],
        flux,
        sigma,
        error,
        _weights(error, scatter),
        band,
        curves.bands,
        scatter,
        unit,
    )


def _weights(error: np.ndarray, scatter: float) -> np.ndarray:
    """Inverse variances: of the error and of what varies beyond the errors, so that no few points rule a variable."""
    if np.isnan(error[0]):
        return np.full(len(error), 1 / len(error))
    weight = 1 / (error**2 + max(scatter**2 - float(np.median(error)) ** 2, 0.0))
    return weight / weight.sum()


def _by_part(row: np.ndarray) -> dict[str, np.ndarray]:
    return {name: row[part] for name, part in LAYOUT.parts.items()}


def _fill(curve: _Curve, value: dict[str, np.ndarray], sigma: dict[str, np.ndarray]) -> None:
    """Write the slots of one star."""
    summary = _flux_summary(curve)
    times = sampling(curve.time)
    if times is not None:
        summary |= _times_summary(curve, times)
    power = None
    if times is not None and len(curve.time) >= ENOUGH:
        power = periodogram(curve.time, curve.flux, curve.weight, times)
    if power is not None:
        value["spectrum"][:], sigma["spectrum"][:] = power.log_density(EDGES)
        value["profile"][:], sigma["profile"][:] = _profile(curve, power, summary)
    value["summary"][:] = [summary.get(name, np.nan) for name in SUMMARY]
    some = samples(
        curve.time,
        curve.flux,
        curve.sigma,
        curve.weight,
        curve.band,
        curve.bands,
        LAYOUT.patches,
        LAYOUT.samples,
    )
    value["samples"][:] = _in_units(some.value, curve.unit).ravel()
    sigma["samples"][:] = _in_units(some.sigma, curve.unit).ravel()
    value["sample_times"][:] = some.time.ravel()
    value["sample_band"][:] = some.band


def _in_units(x: np.ndarray, unit: float) -> np.ndarray:
    return np.clip(x / unit, -LARGEST, LARGEST)


def _ln(x: float | np.floating) -> float:
    return float(np.log(x)) if x > 0 else np.nan


def _flux_summary(curve: _Curve) -> dict[str, float]:
    flux, scatter = curve.flux, curve.scatter
    summary = {"ln_points": _ln(len(flux)), "ln_error": _ln(np.median(curve.error))}
    if len(flux) < ENOUGH:
        return summary
    low, high = np.quantile(flux, (0.05, 0.95))
    summary["ln_scatter"] = _ln(scatter)
    summary["asinh_amplitude"] = float(np.arcsinh((high - low) / AMPLITUDE_SOFTENING))
    summary["ln_excess"] = _ln(1.4826 * np.median(np.abs(flux) / curve.error))
    clipped = np.clip(flux / curve.unit, -CLIP, CLIP)
    clipped -= clipped.mean()
    squared = clipped**2
    variance = squared.mean()
    if variance > 0:
        summary["skewness"] = float(np.mean(squared * clipped) / variance**1.5)
        summary["ln_kurtosis"] = _ln(np.mean(squared**2) / variance**2)
        summary["root_low"] = float(np.sqrt(np.mean(flux < -3 * curve.unit)))
        summary["root_high"] = float(np.sqrt(np.mean(flux > 3 * curve.unit)))
        summary["ln_von_neumann"] = _ln(np.mean(np.diff(flux) ** 2) / (2 * np.var(flux)))
    return summary


def _times_summary(curve: _Curve, times: Sampling) -> dict[str, float]:
    return {
        "ln_span": _ln(curve.time[-1]),
        "ln_spacing": _ln(times.spacing),
        "regularity": times.regularity,
        "ln_noise": _ln(white_noise(times, curve.weight, curve.error)),
    }


def _profile(
    curve: _Curve, power: Periodogram, summary: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Folded profile and its errors in units of the scatter; what the period explains goes into the summary."""
    frequency, share = highest_peak(power, curve.time, curve.flux, curve.weight)
    phase = np.mod(curve.time * (frequency / 2), 1)
    fine = np.minimum((phase * (LAYOUT.profile * FINE)).astype(int), LAYOUT.profile * FINE - 1)
    fine = (fine - _minimum(fine, curve) + FINE // 2) % (LAYOUT.profile * FINE)
    index = fine // FINE
    mean, error = bin_means(index, LAYOUT.profile, curve.flux, curve.error, curve.weight)
    summary["ln_period"], summary["sine"] = -_ln(frequency), share
    summary["ln_peak"] = _ln(share / max(float(np.median(power.share[::OVERSAMPLING])), 1e-12))
    freedom = len(curve.flux) - np.count_nonzero(np.isfinite(mean))
    if freedom > 0:
        centred = curve.flux - curve.weight @ curve.flux
        left = curve.weight @ (curve.flux - mean[index]) ** 2 / (curve.weight @ centred**2)
        summary["folded"] = max(1 - float(left) * (len(curve.flux) - 1) / freedom, -1.0)
    return _in_units(mean, curve.unit), _in_units(error, curve.unit)


def _minimum(fine: np.ndarray, curve: _Curve) -> int:
    """The fine bin about which the smoothed flux, drawn towards the mean as by one point more, is least."""
    n = LAYOUT.profile * FINE
    flux = curve.flux - curve.weight @ curve.flux
    total, sums = (_smooth(np.bincount(fine, x, n)) for x in (curve.weight, curve.weight * flux))
    return int(np.argmin(sums / (total + 1 / (SMOOTH * len(fine)))))


def _smooth(x: np.ndarray) -> np.ndarray:
    """Weighted by a triangle of 2 SMOOTH - 1 places, end joined to start."""
    around = np.concatenate([x[1 - SMOOTH :], x, x[: SMOOTH - 1]])
    return np.convolve(around, TRIANGLE, "valid")
