"""Stellar evolution from fitted coefficients: (age, [M/H]) -> an isochrone along fixed phases.

Each isochrone is described at 96 equivalent evolutionary points (EEPs) from a dwarf of 0.45 Msun to the
early asymptotic giant branch, for ages of 0.1 to 12.6 Gyr. For every EEP five numbers are smooth functions of
(log age, [M/H]): cubic B-splines in log age times Chebyshev polynomials in [M/H], fitted by least squares to
PARSEC isochrones (Bressan et al. 2012) by `scripts/fit_evolution.py`, which prints the residuals.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from scipy.interpolate import BSpline

COLUMNS = ("log_initial_mass", "log_luminosity", "log_teff", "log_mass_ratio", "ln_mass_step")
PHASES = ("main_sequence", "subgiant", "rgb", "clump", "agb")


def design_matrix(
    log_age: np.ndarray, m_h: np.ndarray, knots: np.ndarray, degree: int
) -> np.ndarray:
    """(n, n_terms) basis functions of log10(age/yr) and [M/H]; outside the fit they are clipped."""
    inside = np.clip(log_age, knots[0], np.nextafter(knots[-1], 0))
    splines = BSpline.design_matrix(inside, knots, 3).toarray()
    scaled = np.clip((m_h + 0.75) / 1.45, -1, 1)  # the [M/H] range -2.2 ... +0.7 of the isochrones
    chebyshev = np.polynomial.chebyshev.chebvander(scaled, degree)
    return (splines[:, :, None] * chebyshev[:, None, :]).reshape(len(scaled), -1)


class Evolution:
    """phase (n_eep,) indexes PHASES; `isochrone` evaluates all EEPs of many (age, [M/H]) pairs."""

    def __init__(self, table: dict[str, np.ndarray]):
        self.phase = table["phase"]
        self._knots, self._degree = table["knots"], int(table["degree"])
        self._coefficients = table["coefficients"].astype(np.float64)

    def isochrone(self, age_gyr: np.ndarray, m_h: np.ndarray) -> np.ndarray:
        """(n, n_eep, 5) values of COLUMNS; masses in Msun, luminosity in Lsun, Teff in K, all log10.

        `ln_mass_step` is ln of the initial-mass interval that the EEP stands for.
        """
        design = design_matrix(np.log10(age_gyr) + 9, m_h, self._knots, self._degree)
        points = torch.from_numpy(design) @ torch.from_numpy(self._coefficients)
        return points.numpy().reshape(len(design), len(self.phase), len(COLUMNS))


@lru_cache(maxsize=1)
def load_evolution() -> Evolution:
    with (files("multistar.mock") / "evolution.npz").open("rb") as stream:
        return Evolution(dict(np.load(stream, allow_pickle=False)))
