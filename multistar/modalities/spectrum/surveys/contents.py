"""What the readers of all surveys give: one spectrum, or one arm of it, and how to open a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from multistar.io.untrusted import check_expansion

ANGSTROM = 0.1  # nm


@dataclass(frozen=True)
class OneSpectrum:
    """One spectrum of one star, or one arm of it.

    Attributes
    ----------
    name : str
        The survey's own name of the star or of the spectrum.
    number : int
        The survey's own number of it, -1 if it has none.
    wavelength : (w,) float64 ndarray
        In vacuum, nm, rising.
    flux, error : (w,) float64 ndarray
        NaN where the survey says that a pixel is bad.
    resolving_power : float
        lambda / FWHM.
    is_normalised : bool
        Over the continuum.
    velocity : float
        km/s, that the wavelengths still hold; 0 if they are at rest, NaN if it is not known.
    arm : int
    """

    name: str
    number: int
    wavelength: np.ndarray
    flux: np.ndarray
    error: np.ndarray
    resolving_power: float
    is_normalised: bool = False
    velocity: float = np.nan
    arm: int = 0


@contextmanager
def open_fits(path: Path) -> Iterator[Any]:
    """Open a FITS file that may be a stranger's: a list of HDUs, whose stubs know too little."""
    check_expansion(path)
    with fits.open(path, memmap=False, lazy_load_hdus=True) as file:
        yield file


def error_of_inverse_variance(inverse: np.ndarray) -> np.ndarray:
    """Errors; NaN where the inverse variance is not above 0."""
    inverse = np.asarray(inverse, float)
    return np.where(inverse > 0, 1 / np.sqrt(np.where(inverse > 0, inverse, 1.0)), np.nan)


def keep_good(flux: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Flux as float64, NaN where it is not good."""
    return np.where(good, np.asarray(flux, float), np.nan)


def find_column(table: Any, name: str) -> np.ndarray:
    """A column of a FITS table, whatever the case of its name; KeyError without it."""
    for own in table.names:
        if own.lower() == name.lower():
            return np.asarray(table[own])
    raise KeyError(f"no column {name} among {table.names}")
