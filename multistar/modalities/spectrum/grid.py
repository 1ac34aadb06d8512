"""One grid in ln wavelength and one resolution for the spectra of all surveys that a model reads.

A finer spectrum is smoothed to it; a coarser one keeps its own, which is told to the model.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))
REACH = 4.0  # standard deviations, where the kernel ends
SAMPLES_PER_SIGMA = 0.8  # of the kernel, at least: else a sum over samples is no integral
PIXELS_PER_FWHM = 2
BAND = 0.032  # ln wavelength of a broad band of the shape
LEAST_COVERED = 0.9  # share of a pixel's kernel that must be observed


@dataclass(frozen=True)
class Grid:
    """Pixels of equal width in ln wavelength.

    Attributes
    ----------
    low, high : float
        Ends, nm in vacuum.
    resolving_power : float
        lambda / FWHM that all spectra are smoothed to.
    """

    low: float
    high: float
    resolving_power: float

    def __post_init__(self):
        if not 0 < self.low < self.high or not self.resolving_power > 0:
            raise ValueError(
                f"a grid of spectra needs 0 < low < high and a resolving power above 0, got {self}"
            )

    @property
    def step(self) -> float:
        """Width of a pixel in ln wavelength."""
        return 1 / (PIXELS_PER_FWHM * self.resolving_power)

    @cached_property
    def ln_wavelength(self) -> np.ndarray:
        """(g,) centres of the pixels."""
        return np.arange(np.log(self.low), np.log(self.high), self.step)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return len(self.ln_wavelength)

    @property
    def pixels_per_band(self) -> int:
        """Pixels of a broad band."""
        return max(round(BAND / self.step), 1)

    @property
    def bands(self) -> int:
        """Number of whole broad bands."""
        return self.pixels // self.pixels_per_band


def make_smoothing(
    grid: Grid, wavelength: np.ndarray, resolving_power: float | np.ndarray
) -> csr_array:
    """Make the matrix that smooths a spectrum to a grid.

    Parameters
    ----------
    grid : Grid
    wavelength : (w,) ndarray
        Rising, nm.
    resolving_power : float or (g,) ndarray
        lambda / FWHM of the spectrum, at the pixels of the grid; NaN = much higher than the grid's.

    Returns
    -------
    (g, w) sparse array
        A row sums to 1 where the spectrum covers the kernel of its pixel, to less at the ends.
    """
    ln, centre = np.log(wavelength), grid.ln_wavelength
    width = np.gradient(ln)
    own = np.nan_to_num(1 / np.asarray(resolving_power, float))
    sigma = FWHM_TO_SIGMA * np.sqrt(np.maximum(grid.resolving_power**-2 - own**2, 0))
    spacing = np.maximum(np.interp(centre, ln, width), grid.step / PIXELS_PER_FWHM)
    sigma = np.maximum(sigma, SAMPLES_PER_SIGMA * spacing)
    first = np.searchsorted(ln, centre - REACH * sigma)
    count = np.searchsorted(ln, centre + REACH * sigma) - first
    row = np.repeat(np.arange(len(centre)), count)
    ends = np.cumsum(count)
    column = np.arange(len(row)) + np.repeat(first - (ends - count), count)
    distance = (ln[column] - centre[row]) / sigma[row]
    weight = np.exp(-0.5 * distance**2) * width[column] / (np.sqrt(2 * np.pi) * sigma[row])
    return csr_array((weight, (row, column)), shape=(len(centre), len(ln)))


def smooth_spectra(
    smoothing: csr_array, flux: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth spectra of the same wavelengths to the grid.

    Parameters
    ----------
    smoothing : (g, w) sparse array
        Of make_smoothing.
    flux, sigma : (n, w) ndarray
        NaN where not observed; an unknown error is NaN.

    Returns
    -------
    flux, sigma : (n, g) ndarray
        NaN where too little of the kernel is observed. Errors of neighbours are correlated.
    """
    observed = np.isfinite(flux)
    covered = observed.astype(float) @ smoothing.T
    value = np.where(observed, flux, 0.0) @ smoothing.T
    variance = np.where(observed, sigma, 0.0) ** 2 @ smoothing.power(2).T
    with np.errstate(invalid="ignore", divide="ignore"):
        good = covered >= LEAST_COVERED
        return (
            np.where(good, value / covered, np.nan),
            np.where(good, np.sqrt(variance) / covered, np.nan),
        )
