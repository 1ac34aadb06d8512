"""Optical spectra at R = 1000 from a compact table: (Teff, log g, [M/H]) -> ln F_lambda.

The table is a fit to the stars of the MILES library (checks/fitting/optical.py). It says where it
knows nothing: its uncertainty grows away from the stars that it was fitted to, and spectra can be
drawn with it. Abundances other than [M/H] are those of the library's stars.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from multistar.modalities.spectrum.grid import Grid

GRID = Grid(362.0, 735.0, 1000.0)
SUN_THETA = 5040.0  # K
# The axes on which the table is even: theta = 5040 K / Teff, log g, [M/H].
THETA, LOGG, M_H = (0.15, 1.75, 33), (-0.5, 5.5, 13), (-2.75, 0.5, 14)
AXES = (THETA, LOGG, M_H)


class OpticalSpectra:
    """Spectra as functions of labels.

    Parameters
    ----------
    table : dict of str to array
        What scripts/fit_optical_spectra.py writes: `mean` (g,) and `vectors` (k, g) of ln flux,
        `scores` (k, *axes) of the components; of what the fit does not know of them, `variance`
        (*axes) in units of the square of `prior_root` (k,); of stars of the same labels,
        `scatter_root` (k, k), the root of a covariance, times `scatter` by theta; `pixel_scatter`
        (g,) of what the components do not hold.

    Attributes
    ----------
    grid : Grid
        The pixels; ln flux is that of a spectrum of its resolution.
    """

    def __init__(self, table: dict[str, np.ndarray]):
        self.grid = GRID
        self._mean = table["mean"].astype(np.float64)
        self._vectors = table["vectors"].astype(np.float64)
        self._splines = np.stack(
            [spline_filter(score.astype(np.float64), order=3) for score in table["scores"]]
        )
        self._variance = table["variance"].astype(np.float64)
        self._prior_root = table["prior_root"].astype(np.float64)
        self._scatter = table["scatter"].astype(np.float64)
        self._scatter_root = table["scatter_root"].astype(np.float64)
        self._pixel_scatter = table["pixel_scatter"].astype(np.float64)

    def ln_flux(self, teff: np.ndarray, logg: np.ndarray, m_h: np.ndarray) -> np.ndarray:
        """Interpolate ln F_lambda of typical stars of these labels.

        Parameters
        ----------
        teff, logg, m_h : (n,) ndarray
            Teff [K], log g [cgs dex], [M/H] [dex]; clipped to the table's axes.

        Returns
        -------
        (n, g) ndarray
            Its mean over all pixels is 0.
        """
        return self._mean + self._find_scores(_find_place(teff, logg, m_h)) @ self._vectors

    @property
    def n_draws(self) -> int:
        """How many random numbers a star takes."""
        return 2 * len(self._vectors) + len(self._mean)

    def draw(
        self, teff: np.ndarray, logg: np.ndarray, m_h: np.ndarray, normal: np.ndarray
    ) -> np.ndarray:
        """Draw ln F_lambda of single stars: `ln_flux`, and what it may be wrong by.

        Parameters
        ----------
        teff, logg, m_h : (n,) ndarray
            As for ln_flux.
        normal : (n, n_draws) ndarray
            Standard normal random numbers.

        Returns
        -------
        (n, g) ndarray
        """
        k = len(self._vectors)
        place = _find_place(teff, logg, m_h)
        variance = map_coordinates(self._variance, place, order=1, mode="nearest")
        unknown = np.sqrt(np.maximum(variance, 0))[:, None]
        scatter = np.interp(place[0], np.arange(len(self._scatter)), self._scatter)[:, None]
        scores = self._find_scores(place)
        scores += unknown * normal[:, :k] * self._prior_root
        scores += scatter * normal[:, k : 2 * k] @ self._scatter_root.T
        return self._mean + scores @ self._vectors + self._pixel_scatter * normal[:, 2 * k :]

    def _find_scores(self, place: np.ndarray) -> np.ndarray:
        """(n, k) scores at places (3, n) in steps of the axes."""
        scores = [
            map_coordinates(spline, place, order=3, prefilter=False, mode="nearest")
            for spline in self._splines
        ]
        return np.stack(scores, axis=1)


def _find_place(teff: np.ndarray, logg: np.ndarray, m_h: np.ndarray) -> np.ndarray:
    """(3, n) in steps of the axes, inside of them."""
    place = []
    for values, (low, high, count) in zip((SUN_THETA / teff, logg, m_h), AXES, strict=True):
        place.append((np.clip(values, low, high) - low) / (high - low) * (count - 1))
    return np.array(place)


def table_nodes() -> np.ndarray:
    """(m, 3) theta, log g and [M/H] of all nodes, in the order of the table."""
    axes = [np.linspace(low, high, count) for low, high, count in AXES]
    return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=1)


@lru_cache(maxsize=1)
def load_optical_spectra() -> OpticalSpectra:
    """Load the table that comes with the package."""
    with (files("multistar.mock") / "optical.npz").open("rb") as stream:
        return OpticalSpectra(dict(np.load(stream, allow_pickle=False)))
