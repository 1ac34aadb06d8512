"""Fit the coefficients in multistar/mock/evolution.npz to a set of PARSEC isochrones.

    python scripts/fit_evolution.py ISOCHRONES.npz --out multistar/mock/evolution.npz

ISOCHRONES.npz holds one array per metallicity, named by Z, with the columns log age, initial mass,
present mass, log L, log Teff, logg, (unused), phase (0 main sequence, 1 subgiant, 2 red giant
branch, 3 core helium burning, 4 asymptotic giant branch) and `MH`, the [M/H] of each, in order.
PARSEC: Bressan et al. 2012, MNRAS 427, 127. The isochrones are not shipped; only the fit is.
"""

import argparse

import numpy as np

from multistar.mock.evolution import PHASES, design_matrix

POINTS = {1: 12, 2: 34, 3: 16, 4: 10}  # EEPs per phase
AGES = np.round(np.arange(8.5, 10.1001, 0.05), 2)
INNER_KNOTS = (8.7, 8.85, 8.95, 9.05, 9.1, 9.15, 9.2, 9.3, 9.5, 9.8)  # dense where RGB stars stop being degenerate
DEGREE = 6


def equivalent_points(isochrone: np.ndarray) -> np.ndarray:
    """(n_eep, 5) of one isochrone: equal steps of path length in (log Teff, log L), of time in the clump."""
    parts = []
    for phase, n in POINTS.items():
        rows = isochrone[isochrone[:, 7] == phase]
        if phase == 4 and np.any(rows[:, 3] > 3.35):  # the thermally pulsing end is outside the SED grid
            rows = rows[: max(2, np.argmax(rows[:, 3] > 3.35))]
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("isochrones")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    source = np.load(args.isochrones)
    m_h = source["MH"]
    names = [name for name in source.files if name != "MH"]
    grid = np.stack([_one_metallicity(source[name].astype(float)) for name in names])
    values, ages, metals = grid.reshape(-1, *grid.shape[2:]), np.tile(AGES, len(m_h)), np.repeat(m_h, len(AGES))
    good = np.isfinite(values).all((1, 2))
    knots = np.r_[[AGES[0]] * 4, INNER_KNOTS, [AGES[-1]] * 4]
    design = design_matrix(ages, metals, knots, DEGREE)
    coefficients = np.linalg.lstsq(design[good], values[good].reshape(good.sum(), -1), rcond=None)[0]
    phase = np.repeat(np.arange(len(PHASES)), list(POINTS.values()))
    np.savez_compressed(args.out, coefficients=coefficients.astype("f4"), knots=knots, degree=DEGREE, phase=phase)
    fit = (design @ coefficients).reshape(values.shape)
    for i, name in enumerate(PHASES):
        at = np.ix_(good, phase == i)
        teff = 10 ** fit[at][..., 2] - 10 ** values[at][..., 2]
        light = fit[at][..., 1] - values[at][..., 1]
        print(f"{name:9s} Teff rms {teff.std():5.1f} K, 95 % {np.percentile(abs(teff), 95):5.1f} K; "
              f"log L rms {light.std():.4f}")  # fmt: skip


def _one_metallicity(rows: np.ndarray) -> np.ndarray:
    return np.stack([equivalent_points(rows[np.abs(rows[:, 0] - age) < 0.004]) for age in AGES])


if __name__ == "__main__":
    main()
