"""Stellar evolution from fitted coefficients: (age, [M/H]) -> an isochrone along fixed phases.

Each isochrone is described at 108 equivalent evolutionary points (EEPs). For ages of 0.1 to 12.6
Gyr they lead from a dwarf of 0.13 Msun to the early asymptotic giant branch; for 1 to 100 Myr to
the end of the main sequence, and lighter stars are still on their way to it. For every EEP five
numbers are smooth functions of (log age, [M/H]): cubic B-splines in log age times Chebyshev polynomials in
[M/H], fitted by least squares to PARSEC isochrones (Bressan et al. 2012) by
`scripts/fit_evolution.py`, which prints the residuals.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from scipy.interpolate import BSpline, RegularGridInterpolator

COLUMNS = ("log_initial_mass", "log_luminosity", "log_teff", "log_mass_ratio", "ln_mass_step")
PHASES = ("main_sequence", "subgiant", "rgb", "clump", "agb")
SPLINE_DEGREE = 3
NO_STARS = -60.0  # ln of an empty interval of mass
OLDEST_YOUNG = 0.1  # Gyr: younger isochrones end with the main sequence
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
        Index into PHASES of each EEP, of isochrones older than OLDEST_YOUNG.
    """

    def __init__(self, table: dict[str, np.ndarray]):
        self.phase = table["phase"]
        self._fits = {}
        for name, prefix in (("old", ""), ("young", "young_")):
            coefficients = torch.from_numpy(table[f"{prefix}coefficients"].astype(np.float64))
            knots, degree = table[f"{prefix}knots"], int(table[f"{prefix}degree"])
            self._fits[name] = knots, degree, coefficients
        axes = table["heaviest_m_h"], table["heaviest_log_age"]
        self._heaviest = RegularGridInterpolator(axes, table["heaviest"])
        self._axes = axes

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
        age_gyr, m_h = np.broadcast_arrays(age_gyr, m_h)
        is_young = age_gyr < OLDEST_YOUNG
        points = np.empty((len(age_gyr), len(self.phase), len(COLUMNS)))
        for name, here in (("young", is_young), ("old", ~is_young)):
            if not here.any():
                continue
            knots, degree, coefficients = self._fits[name]
            log_age = np.log10(age_gyr[here]) + 9
            design = design_matrix(log_age, m_h[here], knots, degree)
            values = torch.from_numpy(design) @ coefficients
            points[here] = values.numpy().reshape(-1, *points.shape[1:])
        if is_young.any():
            young = self._end_heavy_stars(points[is_young], age_gyr[is_young], m_h[is_young])
            points[is_young] = young
        return points

    def _end_heavy_stars(self, points: np.ndarray, age_gyr: np.ndarray, m_h: np.ndarray):
        """Let points of young isochrones beyond the end of the main sequence stand for no stars."""
        m_h_axis, age_axis = self._axes
        log_age = np.clip(np.log10(age_gyr) + 9, age_axis[0], age_axis[-1])
        metals = np.clip(m_h, m_h_axis[0], m_h_axis[-1])
        heaviest = self._heaviest((metals, log_age))
        ended = points[..., 0] > heaviest[:, None] + 1e-6
        points[..., 4] = np.where(ended, NO_STARS, points[..., 4])
        return points

    def phases(self, age_gyr: np.ndarray) -> np.ndarray:
        """Index into PHASES (n, n_eep) of the EEPs of isochrones of ages (n,) [Gyr]."""
        is_young = np.asarray(age_gyr) < OLDEST_YOUNG
        return np.where(is_young[:, None], np.zeros_like(self.phase), self.phase)


@lru_cache(maxsize=1)
def load_evolution() -> Evolution:
    """Load the fitted isochrones that come with the package."""
    path = files("multistar.mock") / "evolution.npz"
    with path.open("rb") as stream:
        table = dict(np.load(stream, allow_pickle=False))
    return Evolution(table)
