"""Fit the coefficients in multistar/mock/evolution.npz to a set of PARSEC isochrones.

    python scripts/fit_evolution.py ISOCHRONES.npz --out multistar/mock/evolution.npz

ISOCHRONES.npz holds one array per metallicity, named by Z, with the columns log age, initial mass,
present mass, log L, log Teff, logg, (unused), phase (0 main sequence, 1 subgiant, 2 red giant
branch, 3 core helium burning, 4 asymptotic giant branch) and `MH`, the [M/H] of each, in order.
PARSEC: Bressan et al. 2012, MNRAS 427, 127. The isochrones are not shipped; only the fit is.
"""

import argparse

import numpy as np
from scipy.interpolate import PchipInterpolator

from multistar.mock.evolution import PHASES, design_matrix

MAIN_SEQUENCE_POINTS = 24
POINTS = {1: 12, 2: 34, 3: 16, 4: 10}  # EEPs of the later phases
LOWEST_MASS = 0.45  # Msun: 3600 K
CLUMP_DEPTH = 0.3  # dex in luminosity
AGES = np.round(np.arange(8.0, 10.1001, 0.05), 2)
# Dense where RGB stars stop being degenerate (9.05-9.2) and where turn-off stars lose their convective cores.
INNER_KNOTS = (8.3, 8.6, 8.8, 8.9, 9.0, 9.05, 9.1, 9.15, 9.2, 9.3, 9.4, 9.5, 9.6, 9.7, 9.85)
DEGREE = 8
SED_LIMITS = np.log10((3600.0, 8000.0))  # K: residuals are quoted for what the spectra cover


def main_sequence_points(isochrone: np.ndarray) -> np.ndarray:
    """(n_eep, 5) in log initial mass from LOWEST_MASS to the first subgiant, denser towards the turn-off."""
    end = isochrone[isochrone[:, 7] == 1][0]
    before = (isochrone[:, 7] == 0) & (
        isochrone[:, 1] < end[1]
    )  # a stray last row of each isochrone says 0, too
    rows = np.vstack([isochrone[before], end])
    share = 1 - (1 - np.linspace(0, 1, MAIN_SEQUENCE_POINTS + 1)) ** 2
    log_mass = np.log10(LOWEST_MASS) + np.log10(end[1] / LOWEST_MASS) * share
    columns = rows[:, 3], rows[:, 4], np.log10(rows[:, 2] / rows[:, 1])
    points = [log_mass, *(PchipInterpolator(np.log10(rows[:, 1]), c)(log_mass) for c in columns)]
    return np.c_[np.stack(points, -1), np.log(np.gradient(10**log_mass))][:-1]


def evolved_points(isochrone: np.ndarray) -> np.ndarray:
    """(n_eep, 5) after the main sequence: equal steps of path length in (log Teff, log L), of time in the clump."""
    parts = []
    for phase, n in POINTS.items():
        rows = isochrone[isochrone[:, 7] == phase]
        if phase == 4 and np.any(
            rows[:, 3] > 3.35
        ):  # the thermally pulsing end is outside the SED grid
            rows = rows[: max(2, np.argmax(rows[:, 3] > 3.35))]
        if phase == 3 and len(
            rows
        ):  # the first rows are the tip of the giant branch, still flashing
            rows = rows[np.argmax(np.abs(rows[:, 3] - np.median(rows[:, 3])) < CLUMP_DEPTH) :]
        if len(rows) < 2:
            return np.full((sum(POINTS.values()), 5), np.nan)
        path = np.hypot(np.diff(rows[:, 4]) * 8, np.diff(rows[:, 3]))
        along = rows[:, 1] - rows[0, 1] if phase == 3 else np.r_[0, np.cumsum(path)]
        along = along / along[-1] + np.arange(len(rows)) * 1e-12
        columns = np.log10(rows[:, 1]), rows[:, 3], rows[:, 4], np.log10(rows[:, 2] / rows[:, 1])
        points = np.stack([np.interp(np.linspace(0, 1, n), along, c) for c in columns], -1)
        step = np.maximum(np.gradient(10 ** points[:, 0]), 1e-7)
        step[[0, -1]] *= 0.5
        parts.append(np.c_[points, np.log(step)])
    return np.vstack(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("isochrones")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    source = np.load(args.isochrones)
    m_h = source["MH"]
    names = [name for name in source.files if name != "MH"]
    grid = np.stack([_one_metallicity(source[name].astype(float)) for name in names])
    values, ages, metals = (
        grid.reshape(-1, *grid.shape[2:]),
        np.tile(AGES, len(m_h)),
        np.repeat(m_h, len(AGES)),
    )
    good = np.asarray(np.isfinite(values).all((1, 2)))
    knots = np.r_[[AGES[0]] * 4, INNER_KNOTS, [AGES[-1]] * 4]
    design = design_matrix(ages, metals, knots, DEGREE)
    coefficients = np.linalg.lstsq(design[good], values[good].reshape(good.sum(), -1), rcond=None)[
        0
    ]
    phase = np.repeat(np.arange(len(PHASES)), [MAIN_SEQUENCE_POINTS, *POINTS.values()])
    np.savez_compressed(
        args.out, coefficients=coefficients.astype("f4"), knots=knots, degree=DEGREE, phase=phase
    )
    fit = (design @ coefficients).reshape(values.shape)
    for i, name in enumerate(PHASES):
        log_teff = values[..., 2]
        at = good[:, None] & (phase == i) & (log_teff > SED_LIMITS[0]) & (log_teff < SED_LIMITS[1])
        light, teff = (fit[at] - values[at])[:, 1], (10 ** fit[at] - 10 ** values[at])[:, 2]
        print(f"{name:13s} Teff rms {teff.std():5.1f} K, 95 % {np.percentile(abs(teff), 95):5.1f} K; "
              f"log L rms {light.std():.4f}")  # fmt: skip


def _one_metallicity(rows: np.ndarray) -> np.ndarray:
    isochrones = [rows[np.abs(rows[:, 0] - age) < 0.004] for age in AGES]
    return np.stack([np.vstack([main_sequence_points(i), evolved_points(i)]) for i in isochrones])


if __name__ == "__main__":
    main()
