"""Spectra of some stars as they were read: on their own wavelengths."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class Spectra:
    """Spectra of n stars, of w pixels at most; a star may have several, as arms.

    Attributes
    ----------
    grids : (k, w) float64 ndarray
        Wavelengths in vacuum and in the rest frame of the star, where its velocity is known, nm;
        NaN where there is no pixel.
    arms : (k, w) int16 ndarray
        Which arm a pixel belongs to.
    grid_of : (n,) int ndarray
        The row of `grids` and `arms` of each star.
    flux, sigma : (n, w) float32 ndarray
        Per unit wavelength, in any unit, or over the continuum; NaN where not observed, or of
        unknown error.
    resolving_power : (n,) ndarray
        lambda / FWHM; NaN where unknown, which is taken for high.
    is_normalised : (n,) bool ndarray
        Whether the shape is lost: over the continuum.
    """

    grids: np.ndarray
    arms: np.ndarray
    grid_of: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray
    resolving_power: np.ndarray
    is_normalised: np.ndarray

    def select(self, rows: Any) -> Self:
        """The given stars (slice, indices or boolean mask)."""
        by_star = (
            getattr(self, name)[rows]
            for name in ("grid_of", "flux", "sigma", "resolving_power", "is_normalised")
        )
        return type(self)(self.grids, self.arms, *by_star)

    @property
    def has_any(self) -> np.ndarray:
        """(n,) bool: stars of which anything is observed."""
        return np.any(np.isfinite(self.flux), axis=1)


def empty_spectra(n: int) -> Spectra:
    """Spectra of n stars of which none is observed."""
    return Spectra(
        np.full((1, 1), np.nan),
        np.zeros((1, 1), np.int16),
        np.zeros(n, int),
        np.full((n, 1), np.nan, np.float32),
        np.full((n, 1), np.nan, np.float32),
        np.full(n, np.nan),
        np.zeros(n, bool),
    )


def concatenate_spectra(parts: list[Spectra]) -> Spectra:
    """Put spectra of several tables one after the other; the shorter are filled up with NaN."""
    width = max(part.flux.shape[1] for part in parts)

    def fill(values: np.ndarray, by: float) -> np.ndarray:
        missing = width - values.shape[1]
        return np.pad(values, ((0, 0), (0, missing)), constant_values=by)

    # rows of the grids count on from table to table
    first_grid = np.cumsum([0, *(len(part.grids) for part in parts)])[:-1]
    grid_of = [part.grid_of + first for part, first in zip(parts, first_grid, strict=True)]
    return Spectra(
        grids=np.concatenate([fill(part.grids, np.nan) for part in parts]),
        arms=np.concatenate([fill(part.arms, 0) for part in parts]),
        grid_of=np.concatenate(grid_of),
        flux=np.concatenate([fill(part.flux, np.nan) for part in parts]),
        sigma=np.concatenate([fill(part.sigma, np.nan) for part in parts]),
        resolving_power=np.concatenate([part.resolving_power for part in parts]),
        is_normalised=np.concatenate([part.is_normalised for part in parts]),
    )
