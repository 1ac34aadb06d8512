"""Stellar evolution from fitted coefficients: (age, [M/H]) -> an isochrone along fixed phases.

Each isochrone is described at 96 equivalent evolutionary points (EEPs) from a dwarf of 0.45 Msun
to the early asymptotic giant branch, for ages of 0.1 to 12.6 Gyr. For every EEP five numbers are
smooth functions of (log age, [M/H]): cubic B-splines in log age times Chebyshev polynomials in
[M/H], fitted by least squares to PARSEC isochrones (Bressan et al. 2012) by
`scripts/fit_evolution.py`, which prints the residuals.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from scipy.interpolate import BSpline

COLUMNS = ("log_initial_mass", "log_luminosity", "log_teff", "log_mass_ratio", "ln_mass_step")
PHASES = ("main_sequence", "subgiant", "rgb", "clump", "agb")
SPLINE_DEGREE = 3
# Middle and half width of the isochrones' [M/H] range, -2.2 ... +0.7.
M_H_MIDDLE, M_H_HALF_WIDTH = -0.75, 1.45


def design_matrix(
    log_age: np.ndarray, m_h: np.ndarray, knots: np.ndarray, degree: int
) -> np.ndarray:
    """Evaluate the basis functions of age and metallicity.

    Parameters
    ----------
    log_age, m_h : (n,) array
        log10(age / yr) and [M/H]; outside the fitted ranges they are clipped.
    knots : array
        Knots of the splines in log_age.
    degree : int
        Degree of the Chebyshev polynomials in [M/H].

    Returns
    -------
    (n, n_terms) array
        Every spline times every polynomial.
    """
    youngest, oldest = knots[0], np.nextafter(knots[-1], 0)
    log_age = np.clip(log_age, youngest, oldest)
    splines = BSpline.design_matrix(log_age, knots, SPLINE_DEGREE).toarray()
    scaled = np.clip((m_h - M_H_MIDDLE) / M_H_HALF_WIDTH, -1, 1)
    chebyshev = np.polynomial.chebyshev.chebvander(scaled, degree)
    products = splines[:, :, None] * chebyshev[:, None, :]
    return products.reshape(len(scaled), -1)


class Evolution:
    """Isochrones from fitted coefficients.

    Parameters
    ----------
    table : dict of str to array
        What scripts/fit_evolution.py writes.

    Attributes
    ----------
    phase : (n_eep,) array
        Index into PHASES of each EEP.
    """

    def __init__(self, table: dict[str, np.ndarray]):
        self.phase = table["phase"]
        self._knots = table["knots"]
        self._degree = int(table["degree"])
        self._coefficients = torch.from_numpy(table["coefficients"].astype(np.float64))

    def isochrone(self, age_gyr: np.ndarray, m_h: np.ndarray) -> np.ndarray:
        """Evaluate all EEPs of many isochrones.

        Parameters
        ----------
        age_gyr, m_h : (n,) array
            Age [Gyr] and [M/H] [dex].

        Returns
        -------
        (n, n_eep, 5) array
            Values of COLUMNS; masses in Msun, luminosity in Lsun, Teff in K, all log10.
            `ln_mass_step` is ln of the initial-mass interval that the EEP stands for.
        """
        log_age = np.log10(age_gyr) + 9
        design = design_matrix(log_age, m_h, self._knots, self._degree)
        points = torch.from_numpy(design) @ self._coefficients
        shape = (len(design), len(self.phase), len(COLUMNS))
        return points.numpy().reshape(shape)


@lru_cache(maxsize=1)
def load_evolution() -> Evolution:
    """Load the fitted isochrones that come with the package."""
    path = files("multistar.mock") / "evolution.npz"
    with path.open("rb") as stream:
        table = dict(np.load(stream, allow_pickle=False))
    return Evolution(table)
