"""A light curve of any sampling -> features: a fixed set of numbers that a model sees of it.

They are a summary, a power spectrum, a folded profile and samples. Nothing in them tells how bright
the star is. What a light curve cannot tell is NaN.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from rich.progress import track

from encoders import LightCurveLayout
from multistar import status
from multistar.io.columns import Columns
from multistar.io.write import to_arrow
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.periodogram import (
    OVERSAMPLING,
    compute_periodogram,
    compute_white_noise,
    measure_sampling,
)
from multistar.modalities.light_curve.profile import fold_profile
from multistar.modalities.light_curve.samples import take_samples
from multistar.modalities.light_curve.star_points import (
    MAD_TO_STD,
    StarPoints,
    select_star_points,
)

SUMMARY = {
    "ln_scatter": "robust standard deviation (from the MAD) of the relative flux",
    "ln_error": "median error",
    "ln_excess": "robust standard deviation in units of the errors: 0 if they explain it all",
    "asinh_amplitude": "asinh of the range from the 5th to the 95th percentile, in units of 0.001",
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
    "ln_peak": "share of the variance that its sinusoid explains, over the median share",
    "sine": "that share",
    "folded": "share that the folded profile explains, corrected for its number of bins; >= -1",
}
# How the star was seen, no physics.
SAMPLING = ("ln_error", "ln_points", "ln_span", "ln_spacing", "regularity", "ln_noise")
EDGES = np.geomspace(1e-3, 100, 161)  # cycles/d, of the bins of the spectrum
LAYOUT = LightCurveLayout(
    summary=len(SUMMARY), spectrum=len(EDGES) - 1, profile=48, patches=12, samples=16
)
N_SLOTS = LAYOUT.n_slots
VALUE_COLUMN = "light_curve_value"
SIGMA_COLUMN = "light_curve_sigma"
ENOUGH = 5  # points, for moments, the spectrum and the profile
AMPLITUDE_SOFTENING = 1e-3
CLIP = 5.0  # scatters, for moments
LARGEST = 1e6  # scatters; what lies beyond counts as this


@dataclass(frozen=True)
class LightCurveFeatures:
    """Features of the light curves of n stars, in the order of ``LAYOUT.parts``.

    Parameters
    ----------
    value : (n, N_SLOTS) float32
        NaN = not observed.
    sigma : (n, N_SLOTS) float32
        Standard error; NaN = unknown.

    Notes
    -----
    The parts are:

    - summary: SUMMARY, with natural logarithms; without errors;
    - spectrum: ln of the mean power density between EDGES, noise included: see
      `Periodogram.log_density`;
    - profile: means in 48 bins of the light curve folded at twice the best period, so that unequal
      eclipses show, in units of the scatter; the deepest minimum is in the middle of the first bin;
    - samples: 12 patches of 16 samples in units of the scatter: see `take_samples`;
    - sample_times, sample_band: see `Samples`; without errors.

    The scatter is the robust one or, where that is 0, the standard deviation, the median error, or
    1. Before anything else every band is divided by its median.
    """

    value: np.ndarray
    sigma: np.ndarray


def mark_physical() -> np.ndarray:
    """Return (N_SLOTS,) True for features that tell of the star.

    These are all but SAMPLING and the times and bands of samples.
    """
    marks = np.ones(N_SLOTS, bool)
    marks[LAYOUT.parts["summary"]] = [name not in SAMPLING for name in SUMMARY]
    marks[LAYOUT.parts["sample_times"]] = False
    marks[LAYOUT.parts["sample_band"]] = False
    return marks


def assign_pools() -> np.ndarray:
    """Return (N_SLOTS,) int: features of one number are alike.

    They should be standardised with the same location and scale.
    """
    pool = np.arange(N_SLOTS)
    for name in ("profile", "samples", "sample_times", "sample_band"):
        pool[LAYOUT.parts[name]] = LAYOUT.parts[name].start
    # the starts of the patches are no spacings
    pool[LAYOUT.parts["sample_times"]][:: LAYOUT.samples] += 1
    return pool


def compute_features(curves: LightCurves, quiet: bool = True) -> LightCurveFeatures:
    """Compute the features of every star.

    Points that are not finite, or of a band whose median flux is not above zero, are not used. The
    order of the points of a star is free.

    Parameters
    ----------
    curves : LightCurves
        Of n stars.
    quiet : bool
        Whether to show no progress bar.

    Returns
    -------
    LightCurveFeatures
        Of n stars; all NaN for one without usable points.

    Raises
    ------
    ImportError
        If finufft is not installed.
    """
    value, sigma = np.full((2, len(curves), N_SLOTS), np.nan, np.float32)
    title = f"features of {len(curves)} light curves"
    for i in track(range(len(curves)), title, disable=quiet):
        points = select_star_points(curves, i)
        if points is not None:
            _write_features(points, _split(value[i]), _split(sigma[i]))
    return LightCurveFeatures(value, sigma)


def compute_feature_table(curves: LightCurves, quiet: bool = True) -> pa.Table:
    """Compute the features of every star as a catalogue, which `read_features` reads.

    Parameters
    ----------
    curves, quiet
        As of `compute_features`.

    Returns
    -------
    pyarrow.Table
        Columns source_id, status, light_curve_value and light_curve_sigma, the latter two of
        N_SLOTS float32 per star.
    """
    features = compute_features(curves, quiet)
    columns = {
        "source_id": curves.source_id,
        "status": status.words(curves.flags),
        VALUE_COLUMN: features.value,
        SIGMA_COLUMN: features.sigma,
    }
    return to_arrow(columns, {"light_curve_layout": json.dumps(asdict(LAYOUT))})


def read_features(table: Columns) -> LightCurveFeatures | None:
    """Read the features that `multistar view` has written into a table.

    Parameters
    ----------
    table : Columns
        Rows without a light curve may be null. A table of which no row has one is read, too.

    Returns
    -------
    LightCurveFeatures or None
        None if the table has no column light_curve_value.

    Raises
    ------
    ValueError
        If a column is missing or the features are those of another version.
    """
    if VALUE_COLUMN not in table:
        return None
    if SIGMA_COLUMN not in table:
        raise ValueError(
            f"{table.origin}: has {VALUE_COLUMN}, but no {SIGMA_COLUMN}. "
            "Make both with this version: multistar view"
        )
    table.used |= {VALUE_COLUMN: "light curve", SIGMA_COLUMN: "error of light curve"}
    value = table.vectors(VALUE_COLUMN, N_SLOTS)
    sigma = table.vectors(SIGMA_COLUMN, N_SLOTS)
    right = (len(table), N_SLOTS)
    if value.shape != right or sigma.shape != right:
        raise ValueError(
            f"{table.origin}: {VALUE_COLUMN} has shape {value.shape}, {SIGMA_COLUMN} "
            f"{sigma.shape}; expected (n, {N_SLOTS}) both. "
            "Make them anew with this version: multistar view"
        )
    return LightCurveFeatures(np.asarray(value, np.float32), np.asarray(sigma, np.float32))


def _split(row: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of the features (N_SLOTS,) of one star."""
    return {name: row[part] for name, part in LAYOUT.parts.items()}


def _write_features(
    points: StarPoints, value: dict[str, np.ndarray], sigma: dict[str, np.ndarray]
) -> None:
    """Write the features of one star into their places."""
    summary = _summarise_flux(points)
    sampling = measure_sampling(points.time)
    power = None
    if sampling is not None:
        noise = compute_white_noise(sampling, points.weight, points.error)
        summary["ln_span"] = _ln(points.time[-1])
        summary["ln_spacing"] = _ln(sampling.spacing)
        summary["regularity"] = sampling.regularity
        summary["ln_noise"] = _ln(noise)
        if len(points.time) >= ENOUGH:
            power = compute_periodogram(points.time, points.flux, points.weight, sampling)
    if power is not None:
        value["spectrum"][:], sigma["spectrum"][:] = power.log_density(EDGES)
        profile = fold_profile(points, power, LAYOUT.profile)
        value["profile"][:] = _in_units(profile.mean, points.unit)
        sigma["profile"][:] = _in_units(profile.error, points.unit)
        typical = max(float(np.median(power.share[::OVERSAMPLING])), 1e-12)
        summary["ln_period"] = -_ln(profile.frequency)
        summary["ln_peak"] = _ln(profile.sine_share / typical)
        summary["sine"] = profile.sine_share
        summary["folded"] = profile.folded_share
    value["summary"][:] = [summary.get(name, np.nan) for name in SUMMARY]
    samples = take_samples(points, LAYOUT.patches, LAYOUT.samples)
    value["samples"][:] = _in_units(samples.value, points.unit).ravel()
    sigma["samples"][:] = _in_units(samples.sigma, points.unit).ravel()
    value["sample_times"][:] = samples.time.ravel()
    value["sample_band"][:] = samples.band


def _in_units(x: np.ndarray, unit: float) -> np.ndarray:
    return np.clip(x / unit, -LARGEST, LARGEST)


def _ln(x: float | np.floating) -> float:
    return float(np.log(x)) if x > 0 else np.nan


def _summarise_flux(points: StarPoints) -> dict[str, float]:
    """What of SUMMARY the fluxes and their errors tell without the times."""
    flux = points.flux
    summary = {"ln_points": _ln(len(flux)), "ln_error": _ln(np.median(points.error))}
    if len(flux) < ENOUGH:
        return summary
    low, high = np.quantile(flux, (0.05, 0.95))
    summary["ln_scatter"] = _ln(points.scatter)
    summary["asinh_amplitude"] = float(np.arcsinh((high - low) / AMPLITUDE_SOFTENING))
    summary["ln_excess"] = _ln(MAD_TO_STD * np.median(np.abs(flux) / points.error))
    clipped = np.clip(flux / points.unit, -CLIP, CLIP)
    clipped -= clipped.mean()
    squared = clipped**2
    variance = squared.mean()
    if variance > 0:
        summary["skewness"] = float(np.mean(squared * clipped) / variance**1.5)
        summary["ln_kurtosis"] = _ln(np.mean(squared**2) / variance**2)
        summary["root_low"] = float(np.sqrt(np.mean(flux < -3 * points.unit)))
        summary["root_high"] = float(np.sqrt(np.mean(flux > 3 * points.unit)))
        step_variance = np.mean(np.diff(flux) ** 2) / 2
        summary["ln_von_neumann"] = _ln(step_variance / np.var(flux))
    return summary
