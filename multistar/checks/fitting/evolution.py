"""Fit of PARSEC isochrones by splines in age and metallicity: what makes mock/evolution.npz.

Two fits: of 0.1-12.6 Gyr with all phases up to the early asymptotic giant branch, and of 1-130 Myr
up to the end of the main sequence, with stars that still contract towards it.

PARSEC: Bressan et al. 2012, MNRAS 427, 127. The isochrones are not shipped, only the fits are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from multistar.io.files import atomic_write
from multistar.mock.evolution import PHASES, design_matrix

# Columns of an isochrone; between log Teff and the phase are logg and one that is not used.
LOG_AGE, INITIAL_MASS, PRESENT_MASS, LOG_L, LOG_TEFF, PHASE = 0, 1, 2, 3, 4, 7
MAIN_SEQUENCE, SUBGIANT, RED_GIANT, CLUMP, AGB = range(5)
MAIN_SEQUENCE_POINTS = 36
# Equivalent evolutionary points of the later phases.
POINTS = {SUBGIANT: 12, RED_GIANT: 34, CLUMP: 16, AGB: 10}
LOWEST_MASS = 0.13  # Msun: 3000 K
CLUMP_DEPTH = 0.3  # dex in luminosity
BRIGHTEST_AGB = 3.35  # log L: the thermally pulsing end is outside the grid of spectra
TEFF_WEIGHT = 8  # a step in log Teff counts as this many in log L along a track
AGES = np.round(np.arange(8.0, 10.1001, 0.05), 2)  # log10 years
YOUNG_AGES = np.round(np.arange(6.0, 8.1001, 0.05), 2)
SAME_AGE = 0.004  # dex
SOLAR_Z_OVER_X = 0.0207
HELIUM = 0.2485, 1.78  # Y = 0.2485 + 1.78 Z, of PARSEC
# Dense where stars of the giant branch stop being degenerate (9.05-9.2), and where turn-off stars
# lose their convective cores.
INNER_KNOTS = (8.3, 8.6, 8.8, 8.9, 9.0, 9.05, 9.1, 9.15, 9.2, 9.3, 9.4, 9.5, 9.6, 9.7, 9.85)
YOUNG_MASSES = np.geomspace(LOWEST_MASS, 17.0, MAIN_SEQUENCE_POINTS + sum(POINTS.values()))  # Msun
YOUNG_KNOTS = tuple(np.round(np.arange(6.1, 8.05, 0.1), 2))
DEGREE, YOUNG_DEGREE, YOUNG_RIDGE = 8, 5, 1e-6
SED_LIMITS = np.log10((3000.0, 30000.0))  # K: residuals are quoted for what the spectra cover


@dataclass(frozen=True)
class EvolutionFit:
    """Coefficients of the fit, its knots in log age, and the phase of every point of a track."""

    coefficients: np.ndarray
    knots: np.ndarray
    degree: int
    phase: np.ndarray
    # Phase -> rms and 95th percentile of the residual in Teff [K], rms of log L [dex].
    residuals: dict[str, dict[str, float]]


def read_isochrones(path: str | Path) -> dict[str, np.ndarray]:
    """Read PARSEC isochrones from Parquet.

    Returns
    -------
    dict of str to ndarray
        Z -> (n, 8) log age, initial mass, present mass, log L, log Teff, log g, composition and
        phase, and "MH": the [M/H] of each, in order.
    """
    table = pd.read_parquet(path)
    columns = ["log_age", "mini", "mact", "log_l", "log_teff", "logg", "composition", "phase"]
    isochrones, m_h = {}, []
    for z, rows in table.groupby("z"):
        constant, slope = HELIUM
        metals = float(str(z))
        hydrogen = 1 - constant - slope * metals - metals
        isochrones[f"{metals:g}"] = rows[columns].to_numpy(float)
        m_h.append(np.log10(metals / hydrogen / SOLAR_Z_OVER_X))
    return isochrones | {"MH": np.array(m_h)}


def select_young(isochrone: np.ndarray) -> np.ndarray:
    """Select stars of fixed initial masses before the end of the main sequence.

    At a fixed mass the way to the main sequence is a smooth function of age.

    Returns
    -------
    ndarray
        (108, 5) as select_main_sequence gives them, for YOUNG_MASSES; NaN but for the mass where
        such a star has left the main sequence.
    """
    rows = isochrone[isochrone[:, PHASE] == MAIN_SEQUENCE]
    later = isochrone[isochrone[:, PHASE] > MAIN_SEQUENCE]
    if len(later):
        rows = rows[rows[:, INITIAL_MASS] < later[0, INITIAL_MASS]]
    before = np.r_[-np.inf, np.maximum.accumulate(rows[:, INITIAL_MASS])[:-1]]
    rows = rows[rows[:, INITIAL_MASS] > before]
    log_mass = np.log10(rows[:, INITIAL_MASS])
    log_young = np.log10(YOUNG_MASSES)
    points = [log_young]
    for column in (rows[:, LOG_L], rows[:, LOG_TEFF], _log_mass_left(rows)):
        points.append(PchipInterpolator(log_mass, column, extrapolate=False)(log_young))
    points.append(np.log(np.gradient(YOUNG_MASSES)))
    track = np.stack(points, -1)
    track[np.isnan(track).any(1), 1:] = np.nan
    return track


def select_main_sequence(isochrone: np.ndarray) -> np.ndarray:
    """Select points on the main sequence of one isochrone.

    Parameters
    ----------
    isochrone
        (n, 8) rows of one age and metallicity, in order of the initial mass.

    Returns
    -------
    ndarray
        (36, 5) log initial mass, log L, log Teff, log of present over initial mass, and ln of the
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


def tabulate_tracks(
    isochrones: Mapping[str, np.ndarray], young: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Put the points of all isochrones on one grid.

    Parameters
    ----------
    isochrones
        One array (n, 8) per metallicity, named by Z, and "MH", the [M/H] of each, in order.
    young
        Of YOUNG_AGES, up to the end of the main sequence; otherwise of AGES.

    Returns
    -------
    values : ndarray
        (metallicities, ages, 108, 5), see select_main_sequence; NaN where a phase is missing.
    m_h : ndarray
        (metallicities,) [dex].
    """
    grid = []
    ages = YOUNG_AGES if young else AGES
    for name in isochrones:
        if name == "MH":
            continue
        rows = isochrones[name].astype(float)
        for age in ages:
            isochrone = rows[np.abs(rows[:, LOG_AGE] - age) < SAME_AGE]
            if young:
                grid.append(select_young(isochrone))
                continue
            track = np.vstack([select_main_sequence(isochrone), select_evolved(isochrone)])
            grid.append(track)
    m_h = np.asarray(isochrones["MH"])
    values = np.stack(grid).reshape(len(m_h), len(ages), -1, 5)
    return values, m_h


def fit_evolution(values: np.ndarray, m_h: np.ndarray) -> EvolutionFit:
    """Fit splines in log age and polynomials in [M/H] to tracks, by least squares.

    Parameters
    ----------
    values
        (metallicities, ages, 108, 5) as tabulate_tracks gives them; tracks with NaN are left out.
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
    residuals = _measure_residuals(fitted, flat, good[:, None], phase)
    return EvolutionFit(coefficients, knots, DEGREE, phase, residuals)


def fit_young_evolution(values: np.ndarray, m_h: np.ndarray) -> EvolutionFit:
    """Fit the tracks of fixed masses in the same way, each as long as its star lives.

    Parameters
    ----------
    values
        (metallicities, young ages, 108, 5) as tabulate_tracks gives them.
    m_h
        (metallicities,) [dex].

    """
    flat = values.reshape(-1, *values.shape[2:])
    ages, metals = np.tile(YOUNG_AGES, len(m_h)), np.repeat(m_h, len(YOUNG_AGES))
    knots = np.r_[[YOUNG_AGES[0]] * 4, YOUNG_KNOTS, [YOUNG_AGES[-1]] * 4]
    design = design_matrix(ages, metals, knots, YOUNG_DEGREE)
    coefficients = np.zeros((design.shape[1], *flat.shape[1:]))
    penalty = YOUNG_RIDGE * np.eye(design.shape[1])
    for i in range(flat.shape[1]):
        lives = np.isfinite(flat[:, i]).all(1)
        normal = design[lives].T @ design[lives] + penalty
        coefficients[:, i] = np.linalg.solve(normal, design[lives].T @ flat[lives, i])
    fitted = np.einsum("nt,tkc->nkc", design, coefficients)
    alive = np.isfinite(flat).all(2)
    phase = np.full(flat.shape[1], MAIN_SEQUENCE)
    residuals = _measure_residuals(fitted, flat, alive, phase)
    flat_coefficients = coefficients.reshape(len(coefficients), -1)
    return EvolutionFit(flat_coefficients, knots, YOUNG_DEGREE, phase, residuals)


def _measure_residuals(fitted, values, good, phase) -> dict[str, dict[str, float]]:
    log_teff = values[..., 2]
    covered = (log_teff > SED_LIMITS[0]) & (log_teff < SED_LIMITS[1])
    residuals = {}
    for i, name in enumerate(PHASES):
        here = good & (phase == i) & covered
        if not here.any():
            continue
        teff = 10 ** fitted[here][:, 2] - 10 ** values[here][:, 2]
        light = fitted[here][:, 1] - values[here][:, 1]
        residuals[name] = {
            "teff_rms": float(teff.std()),
            "teff_95": float(np.percentile(abs(teff), 95)),
            "log_l_rms": float(light.std()),
        }
    return residuals


def tabulate_lifetimes(values: np.ndarray) -> np.ndarray:
    """Tabulate the mass at which stars leave the main sequence.

    Returns
    -------
    ndarray
        (metallicities, young ages) log10 of the heaviest mass that still lives [Msun].
    """
    alive = np.isfinite(values).all(-1)
    heaviest = np.where(alive, np.log10(YOUNG_MASSES), -np.inf).max(-1)
    return np.minimum.accumulate(heaviest, axis=1)


def write_evolution(
    fit: EvolutionFit,
    young: EvolutionFit,
    heaviest: np.ndarray,
    m_h: np.ndarray,
    path: str | Path,
    overwrite: bool,
) -> None:
    """Write the fits as the mock reads them (NPZ), atomically."""
    arrays: dict[str, Any] = {"phase": fit.phase, "heaviest": heaviest, "heaviest_m_h": m_h}
    arrays["heaviest_log_age"] = YOUNG_AGES
    for prefix, one in (("", fit), ("young_", young)):
        arrays[f"{prefix}coefficients"] = one.coefficients.astype("f4")
        arrays[f"{prefix}knots"] = one.knots
        arrays[f"{prefix}degree"] = np.array(one.degree)
    with atomic_write(path, overwrite) as temporary:
        np.savez_compressed(temporary, **arrays)
