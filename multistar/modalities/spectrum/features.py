"""Spectra -> numbers that do not depend on where a spectrum ends or how it was normalised.

Lines are ln flux over a local straight line; the shape is how much ln flux rises from one broad band
to the next. Both are local: a spectrum in two arms, or cut, has the same numbers where it is
observed, but for a margin at its ends. Continuum-normalised spectra have lines and no shape.

Shape letters: n star, w pixel of a spectrum, g pixel of the grid, N slot.
"""

import numpy as np
from scipy.ndimage import convolve1d

from multistar.modalities.spectrum.grid import Grid, make_smoothing, smooth_spectra
from multistar.modalities.spectrum.spectra import Spectra

LINE_WIDTH = 0.03  # ln wavelength: standard deviation of the kernel of the local line
LINE_REACH = 2.0  # standard deviations, where it ends
LEAST_ON_A_SIDE = 0.8  # share of the kernel's half that must be observed
LEAST_OF_A_BAND = 0.8  # share of its pixels
NOISIEST = 0.5  # relative error beyond which ln flux means nothing
FEWEST = 20  # pixels of an arm that means anything


def find_parts(grid: Grid) -> dict[str, slice]:
    """Where lines, shape and resolution stand among the slots."""
    shape = grid.pixels + grid.bands - 1
    return {
        "lines": slice(0, grid.pixels),
        "shape": slice(grid.pixels, shape),
        "resolution": slice(shape, shape + 1),
    }


def compute_features(spectra: Spectra, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Compute the slots of stars.

    Parameters
    ----------
    spectra : Spectra
        Of n stars.
    grid : Grid

    Returns
    -------
    value, sigma : (n, N) float32 ndarray
        NaN where not observed, or of unknown error. Where arms overlap, their mean by inverse
        variance.
    """
    n_slots = find_parts(grid)["resolution"].stop
    value, sigma = np.full((2, len(spectra.flux), n_slots), np.nan, np.float32)
    # stars of one kind and the same wavelengths are smoothed together
    power = np.nan_to_num(spectra.resolving_power, nan=0.0)
    kind = np.stack([spectra.grid_of, power, spectra.is_normalised], 1)
    kinds, number = np.unique(kind[spectra.has_any], axis=0, return_inverse=True)
    observed = np.flatnonzero(spectra.has_any)
    for i, (which, resolving_power, is_normalised) in enumerate(kinds):
        rows = observed[number.ravel() == i]
        wavelength, arms = spectra.grids[int(which)], spectra.arms[int(which)]
        found = []
        for arm in np.unique(arms[np.isfinite(wavelength)]):
            here = np.flatnonzero((arms == arm) & np.isfinite(wavelength))
            if len(here) < FEWEST:
                continue
            smoothing = make_smoothing(grid, wavelength[here], resolving_power or np.nan)
            flux, error = smooth_spectra(
                smoothing, spectra.flux[rows][:, here], spectra.sigma[rows][:, here]
            )
            found.append(_measure_arm(grid, flux, error, bool(is_normalised)))
        if found:
            value[rows], sigma[rows] = _average(found)
        if resolving_power and found:
            # finer ones were smoothed to the grid's
            coarser = min(resolving_power / grid.resolving_power, 1.0)
            value[rows, find_parts(grid)["resolution"]] = np.log(coarser)
    return value, sigma


def _measure_arm(
    grid: Grid, flux: np.ndarray, error: np.ndarray, is_normalised: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Value and sigma (n, N) of one arm (n, g)."""
    parts = find_parts(grid)
    value, sigma = np.full((2, len(flux), parts["resolution"].stop), np.nan, np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = error / flux
        usable = (flux > 0) & ~(relative > NOISIEST)
    ln_flux = np.where(usable, np.log(np.where(usable, flux, 1.0)), np.nan)
    lines = ln_flux - fit_local_line(ln_flux, grid.step)
    value[:, parts["lines"]] = lines
    sigma[:, parts["lines"]] = np.where(np.isfinite(lines), relative, np.nan)
    if not is_normalised:
        relative = np.where(usable, relative, np.nan)
        value[:, parts["shape"]], sigma[:, parts["shape"]] = measure_shape(
            ln_flux, relative, grid.pixels_per_band
        )
    return value, sigma


def _average(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of arms by inverse variance; one without errors counts as much as the noisiest number."""
    if len(parts) == 1:
        return parts[0]
    value, sigma = (np.stack(numbers) for numbers in zip(*parts, strict=True))
    observed = np.isfinite(value)
    worst = np.nanmax(sigma) if np.isfinite(sigma).any() else 1.0
    weight = np.where(observed, np.nan_to_num(sigma, nan=worst) ** -2.0, 0.0)
    total = weight.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (np.where(observed, value, 0.0) * weight).sum(0) / total
        error = np.where(np.isfinite(sigma).any(0), total**-0.5, np.nan)
    return mean, error


def fit_local_line(ln_flux: np.ndarray, step: float) -> np.ndarray:
    """Fit a straight line around every pixel, by a Gaussian kernel: its value there.

    Parameters
    ----------
    ln_flux : (n, g) ndarray
        NaN where not observed.
    step : float
        Width of a pixel in ln wavelength.

    Returns
    -------
    (n, g) ndarray
        NaN where too little is observed on either side.
    """
    half = int(LINE_REACH * LINE_WIDTH / step)
    offset = np.arange(-half, half + 1)
    kernel = np.exp(-0.5 * (offset * step / LINE_WIDTH) ** 2)
    is_observed = np.isfinite(ln_flux)
    known = np.where(is_observed, ln_flux, 0.0)
    # what follows from the observed pixels alone is found once where they are the same for all
    alike = bool((is_observed == is_observed[:1]).all())
    observed = (is_observed[:1] if alike else is_observed).astype(float)

    def sum_around(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return convolve1d(x, weights[::-1], axis=1, mode="constant")

    scaled = offset / max(half, 1)
    s0, s1, s2 = (sum_around(observed, kernel * scaled**power) for power in (0, 1, 2))
    t0, t1 = (sum_around(known, kernel * scaled**power) for power in (0, 1))
    least = LEAST_ON_A_SIDE * kernel[offset > 0].sum()
    left = sum_around(observed, kernel * (offset < 0))
    right = sum_around(observed, kernel * (offset > 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        line = (s2 * t0 - s1 * t1) / (s0 * s2 - s1**2)
    return np.where((left >= least) & (right >= least), line, np.nan)


def measure_shape(
    ln_flux: np.ndarray, sigma: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Measure by how much ln flux rises from each broad band to the next.

    Parameters
    ----------
    ln_flux, sigma : (n, g) ndarray
        NaN where not observed, or of unknown error.
    size : int
        Pixels of a band.

    Returns
    -------
    value, sigma : (n, bands - 1) ndarray
    """
    bands = ln_flux.shape[1] // size
    shape = (len(ln_flux), bands, size)
    values = ln_flux[:, : bands * size].reshape(shape)
    errors = sigma[:, : bands * size].reshape(shape)
    observed = np.isfinite(values)
    count = observed.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(observed, values, 0.0).sum(-1) / count
        error = np.sqrt((np.where(observed, errors, 0.0) ** 2).sum(-1)) / count
    mean[count < LEAST_OF_A_BAND * size] = np.nan
    rise = np.diff(mean, axis=1)
    return rise, np.where(np.isfinite(rise), np.hypot(error[:, 1:], error[:, :-1]), np.nan)
