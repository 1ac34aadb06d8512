"""Fit of PARSEC isochrones by splines in age and metallicity: what makes mock/evolution.npz.

PARSEC: Bressan et al. 2012, MNRAS 427, 127. The isochrones are not shipped, only the fit is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from multistar.io.files import atomic_write
from multistar.mock.evolution import PHASES, design_matrix

# Columns of an isochrone; between log Teff and the phase are logg and one that is not used.
LOG_AGE, INITIAL_MASS, PRESENT_MASS, LOG_L, LOG_TEFF, PHASE = 0, 1, 2, 3, 4, 7
MAIN_SEQUENCE, SUBGIANT, RED_GIANT, CLUMP, AGB = range(5)
MAIN_SEQUENCE_POINTS = 24
# Equivalent evolutionary points of the later phases.
POINTS = {SUBGIANT: 12, RED_GIANT: 34, CLUMP: 16, AGB: 10}
LOWEST_MASS = 0.45  # Msun: 3600 K
CLUMP_DEPTH = 0.3  # dex in luminosity
BRIGHTEST_AGB = 3.35  # log L: the thermally pulsing end is outside the grid of spectra
TEFF_WEIGHT = 8  # a step in log Teff counts as this many in log L along a track
AGES = np.round(np.arange(8.0, 10.1001, 0.05), 2)  # log10 years
SAME_AGE = 0.004  # dex
# Dense where stars of the giant branch stop being degenerate (9.05-9.2), and where turn-off stars
# lose their convective cores.
INNER_KNOTS = (8.3, 8.6, 8.8, 8.9, 9.0, 9.05, 9.1, 9.15, 9.2, 9.3, 9.4, 9.5, 9.6, 9.7, 9.85)
DEGREE = 8
SED_LIMITS = np.log10((3600.0, 8000.0))  # K: residuals are quoted for what the spectra cover


@dataclass(frozen=True)
class EvolutionFit:
    """Coefficients of the fit, its knots in log age, and the phase of every point of a track."""

    coefficients: np.ndarray
    knots: np.ndarray
    phase: np.ndarray
    # Phase -> rms and 95th percentile of the residual in Teff [K], rms of log L [dex].
    residuals: dict[str, dict[str, float]]


def select_main_sequence(isochrone: np.ndarray) -> np.ndarray:
    """Select points on the main sequence of one isochrone.

    Parameters
    ----------
    isochrone
        (n, 8) rows of one age and metallicity, in order of the initial mass.

    Returns
    -------
    ndarray
        (24, 5) log initial mass, log L, log Teff, log of present over initial mass, and ln of the
        step in initial mass; from LOWEST_MASS to the first subgiant, denser towards the turn-off.
    """
    end = isochrone[isochrone[:, PHASE] == SUBGIANT][0]
    # A stray last row of each isochrone says main sequence, too.
    lighter = isochrone[:, INITIAL_MASS] < end[INITIAL_MASS]
    before = (isochrone[:, PHASE] == MAIN_SEQUENCE) & lighter
    rows = np.vstack([isochrone[before], end])
    share = 1 - (1 - np.linspace(0, 1, MAIN_SEQUENCE_POINTS + 1)) ** 2
    log_mass = np.log10(LOWEST_MASS) + np.log10(end[INITIAL_MASS] / LOWEST_MASS) * share
    tabulated = np.log10(rows[:, INITIAL_MASS])
    points = [log_mass]
    for column in (rows[:, LOG_L], rows[:, LOG_TEFF], _log_mass_left(rows)):
        points.append(PchipInterpolator(tabulated, column)(log_mass))
    points.append(np.log(np.gradient(10**log_mass)))
    return np.stack(points, -1)[:-1]


def select_evolved(isochrone: np.ndarray) -> np.ndarray:
    """Select points after the main sequence of one isochrone.

    They are equal steps of path length in (log Teff, log L), in the clump of time.

    Returns
    -------
    ndarray
        (72, 5) as select_main_sequence gives them; NaN if a phase is missing.
    """
    parts = []
    for phase, n in POINTS.items():
        rows = _rows_of_phase(isochrone, phase)
        if len(rows) < 2:
            return np.full((sum(POINTS.values()), 5), np.nan)
        parts.append(_equal_steps(rows, phase, n))
    return np.vstack(parts)


def _rows_of_phase(isochrone: np.ndarray, phase: int) -> np.ndarray:
    rows = isochrone[isochrone[:, PHASE] == phase]
    light = rows[:, LOG_L]
    if phase == AGB and np.any(light > BRIGHTEST_AGB):
        rows = rows[: max(2, np.argmax(light > BRIGHTEST_AGB))]
    if phase == CLUMP and len(rows):
        # The first rows are the tip of the giant branch, still flashing.
        settled = np.abs(light - np.median(light)) < CLUMP_DEPTH
        rows = rows[np.argmax(settled) :]
    return rows


def _equal_steps(rows: np.ndarray, phase: int, n: int) -> np.ndarray:
    if phase == CLUMP:
        along = rows[:, INITIAL_MASS] - rows[0, INITIAL_MASS]
    else:
        path = np.hypot(np.diff(rows[:, LOG_TEFF]) * TEFF_WEIGHT, np.diff(rows[:, LOG_L]))
        along = np.r_[0, np.cumsum(path)]
    # Interpolation needs places that grow, however little.
    along = along / along[-1] + np.arange(len(rows)) * 1e-12
    wanted = np.linspace(0, 1, n)
    columns = (
        np.log10(rows[:, INITIAL_MASS]),
        rows[:, LOG_L],
        rows[:, LOG_TEFF],
        _log_mass_left(rows),
    )
    points = np.stack([np.interp(wanted, along, column) for column in columns], -1)
    step = np.maximum(np.gradient(10 ** points[:, 0]), 1e-7)
    step[[0, -1]] *= 0.5
    return np.c_[points, np.log(step)]


def _log_mass_left(rows: np.ndarray) -> np.ndarray:
    return np.log10(rows[:, PRESENT_MASS] / rows[:, INITIAL_MASS])


def tabulate_tracks(isochrones: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Put the points of all isochrones on one grid.

    Parameters
    ----------
    isochrones
        One array (n, 8) per metallicity, named by Z, and "MH", the [M/H] of each, in order.

    Returns
    -------
    values : ndarray
        (metallicities, ages, 96, 5), see select_main_sequence; NaN where a phase is missing.
    m_h : ndarray
        (metallicities,) [dex].
    """
    grid = []
    for name in isochrones:
        if name == "MH":
            continue
        rows = isochrones[name].astype(float)
        for age in AGES:
            isochrone = rows[np.abs(rows[:, LOG_AGE] - age) < SAME_AGE]
            track = np.vstack([select_main_sequence(isochrone), select_evolved(isochrone)])
            grid.append(track)
    m_h = np.asarray(isochrones["MH"])
    values = np.stack(grid).reshape(len(m_h), len(AGES), -1, 5)
    return values, m_h


def fit_evolution(values: np.ndarray, m_h: np.ndarray) -> EvolutionFit:
    """Fit splines in log age and polynomials in [M/H] to tracks, by least squares.

    Parameters
    ----------
    values
        (metallicities, ages, 96, 5) as tabulate_tracks gives them; tracks with NaN are left out.
    m_h
        (metallicities,) [dex].
    """
    flat = values.reshape(-1, *values.shape[2:])
    ages, metals = np.tile(AGES, len(m_h)), np.repeat(m_h, len(AGES))
    good = np.asarray(np.isfinite(flat).all((1, 2)))
    knots = np.r_[[AGES[0]] * 4, INNER_KNOTS, [AGES[-1]] * 4]
    design = design_matrix(ages, metals, knots, DEGREE)
    known = flat[good].reshape(good.sum(), -1)
    coefficients = np.linalg.lstsq(design[good], known, rcond=None)[0]
    phase = np.repeat(np.arange(len(PHASES)), [MAIN_SEQUENCE_POINTS, *POINTS.values()])
    fitted = (design @ coefficients).reshape(flat.shape)
    residuals = _measure_residuals(fitted, flat, good, phase)
    return EvolutionFit(coefficients, knots, phase, residuals)


def _measure_residuals(fitted, values, good, phase) -> dict[str, dict[str, float]]:
    log_teff = values[..., 2]
    covered = (log_teff > SED_LIMITS[0]) & (log_teff < SED_LIMITS[1])
    residuals = {}
    for i, name in enumerate(PHASES):
        here = good[:, None] & (phase == i) & covered
        teff = 10 ** fitted[here][:, 2] - 10 ** values[here][:, 2]
        light = fitted[here][:, 1] - values[here][:, 1]
        residuals[name] = {
            "teff_rms": float(teff.std()),
            "teff_95": float(np.percentile(abs(teff), 95)),
            "log_l_rms": float(light.std()),
        }
    return residuals


def write_evolution(fit: EvolutionFit, path: str | Path, overwrite: bool) -> None:
    """Write the fit as the mock reads it (NPZ), atomically."""
    with atomic_write(path, overwrite) as temporary:
        np.savez_compressed(
            temporary,
            coefficients=fit.coefficients.astype("f4"),
            knots=fit.knots,
            degree=DEGREE,
            phase=fit.phase,
        )
