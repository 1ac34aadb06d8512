"""Columns of a table -> spectra.

Columns (vectors, one per star, filled up with NaN): spectrum_flux, spectrum_flux_error,
spectrum_wavelength, and spectrum_arm where a star has several (numbers of the instrument's arms, or
of its spectra). One number per star: spectrum_resolving_power, spectrum_normalised (1: over the
continuum), radial_velocity. Keys of the metadata: `spectrum_wavelength` (wavelengths that are the
same for all stars) and `spectrum_medium` ("air" or "vacuum").
"""

import json
from typing import Any

import astropy.units as u
import numpy as np

from multistar import status
from multistar.io.tables import Columns
from multistar.modalities.spectrum.features import FEWEST
from multistar.modalities.spectrum.spectra import Spectra, empty_spectra

FLUX, ERROR, GRID, ARM = (
    "spectrum_flux",
    "spectrum_flux_error",
    "spectrum_wavelength",
    "spectrum_arm",
)
POWER, NORMALISED, VELOCITY = "spectrum_resolving_power", "spectrum_normalised", "radial_velocity"
MEDIUM, MEDIA = "spectrum_medium", ("vacuum", "air")
LIKELY_ANGSTROM = 2600.0  # nm, if all of a spectrum lies beyond and the unit is not stated
LIGHT_SPEED = 299_792.458  # km/s
FASTEST = 1000.0  # km/s


def read_spectra(table: Columns, flags: np.ndarray) -> Spectra | None:
    """Read the spectra of all stars of a table.

    Parameters
    ----------
    table : Columns
    flags : (n,) uint16 ndarray
        Those of impossible values are set in place.

    Returns
    -------
    Spectra or None
        None if the table has no spectra.

    Raises
    ------
    ValueError
        If wavelengths are missing, do not rise, or have no likely unit, or shapes differ.
    """
    if FLUX not in table:
        return None
    table.used[FLUX] = "spectrum"
    flux = np.array(table.vectors(FLUX, 0), np.float64)
    n, width = flux.shape
    if width < FEWEST:
        return empty_spectra(n)
    error = _read_like(table, ERROR, flux, np.nan)
    arm = np.nan_to_num(_read_like(table, ARM, flux, 0.0)).astype(np.int16)
    wavelength = _read_wavelengths(table, flux)
    power, normalised, velocity = (
        _read_numbers(table, name, n) for name in (POWER, NORMALISED, VELOCITY)
    )
    wrong = np.isinf(flux).any(1) | (error <= 0).any(1) | (np.abs(velocity) > FASTEST)
    wrong |= power <= 0
    flags[wrong] |= status.BIT["bad_value"]
    flux[~np.isfinite(flux) | np.isnan(wavelength)] = np.nan
    error[~((error > 0) & np.isfinite(error))] = np.nan
    moving = np.where(np.abs(velocity) <= FASTEST, velocity, 0.0)
    wavelength = wavelength / (1 + moving[:, None] / LIGHT_SPEED)
    _require_rising(table, wavelength, arm)
    # fluxes of any unit fit into 32 bits when they are near 1
    positive = np.where(flux > 0, flux, np.nan)
    has_any = np.isfinite(positive).any(axis=1)
    level = np.ones((n, 1))
    level[has_any] = np.nanmedian(positive[has_any], axis=1, keepdims=True)
    # the same wavelengths are kept once
    every = np.concatenate([np.nan_to_num(wavelength), arm], axis=1)
    _, first, grid_of = np.unique(every, axis=0, return_index=True, return_inverse=True)
    return Spectra(
        wavelength[first],
        arm[first],
        grid_of.ravel(),
        (flux / level).astype(np.float32),
        (error / level).astype(np.float32),
        np.where(power > 0, power, np.nan),
        normalised == 1,
    )


def _require_rising(table: Columns, wavelength: np.ndarray, arm: np.ndarray) -> None:
    same_arm = arm[:, 1:] == arm[:, :-1]
    falls = (np.diff(wavelength, axis=1) <= 0) & same_arm
    if falls.any():
        row, pixel = np.argwhere(falls)[0]
        raise ValueError(
            f"{table.origin}: {GRID} must rise within an arm; in row {row} it goes from "
            f"{wavelength[row, pixel]:.6g} to {wavelength[row, pixel + 1]:.6g} nm. Arms that overlap "
            f"are told apart by {ARM}"
        )


def to_vacuum(wavelength: np.ndarray) -> np.ndarray:
    """Convert wavelengths in air [nm] to vacuum.

    References
    ----------
    Morton (2000, ApJS 130, 403), equation 8.
    """
    squared = (1000 / wavelength) ** 2  # um-2
    index = 1 + 8.34254e-5 + 2.406147e-2 / (130 - squared) + 1.5998e-4 / (38.9 - squared)
    return np.where(wavelength > 200, wavelength * index, wavelength)


def _read_like(table: Columns, name: str, flux: np.ndarray, default: float) -> np.ndarray:
    """(n, w) a column of vectors like the fluxes."""
    if name not in table:
        return np.full(flux.shape, default)
    table.used[name] = "error of spectrum" if name == ERROR else "spectrum"
    values = np.array(table.vectors(name, flux.shape[1]), np.float64)
    if values.shape != flux.shape:
        raise ValueError(
            f"{table.origin}: {name} has {values.shape[1]} pixels per star, {FLUX} "
            f"{flux.shape[1]}; expected as many"
        )
    return values


def _read_numbers(table: Columns, name: str, n: int) -> np.ndarray:
    """(n,) a column of numbers; NaN without it."""
    if name not in table:
        return np.full(n, np.nan)
    values = table[name]
    if values.ndim != 1 or values.dtype.kind not in "iufb":
        raise ValueError(f"{table.origin}: {name} must hold one number per star")
    table.used[name] = "spectrum"
    return values.astype(np.float64)


def _read_wavelengths(table: Columns, flux: np.ndarray) -> np.ndarray:
    """(n, w) in vacuum, nm."""
    unit: Any = table.unit.get(GRID, u.nm)
    if GRID in table:
        table.used[GRID] = "wavelengths of spectra"
        wavelength = np.array(table.vectors(GRID, flux.shape[1]), np.float64)
    elif GRID in table.metadata:
        grid = np.array(json.loads(table.metadata[GRID]), np.float64)
        wavelength = np.broadcast_to(grid, (len(flux), grid.size)).copy()
    else:
        raise ValueError(f"{table.origin}: has {FLUX}, but no {GRID} [nm, in vacuum]")
    if wavelength.shape != flux.shape:
        raise ValueError(
            f"{table.origin}: {wavelength.shape[1]} wavelengths for {flux.shape[1]} pixels"
        )
    if not unit.is_equivalent(u.nm):
        raise ValueError(f"{table.origin}: {GRID} is in {unit}, expected a length")
    wavelength *= unit.to(u.nm)
    wavelength[~(wavelength > 0)] = np.nan
    shortest = float(np.nanmin(wavelength)) if np.isfinite(wavelength).any() else 0.0
    if shortest > LIKELY_ANGSTROM and GRID not in table.unit:
        raise ValueError(
            f"{table.origin}: wavelengths begin at {shortest:.6g}, which are nm if no unit is "
            "stated; state the unit of spectrum_wavelength (angstrom?)"
        )
    medium = table.metadata.get(MEDIUM, MEDIA[0])
    if medium not in MEDIA:
        raise ValueError(f"{table.origin}: {MEDIUM} is {medium!r}, expected one of {MEDIA}")
    return to_vacuum(wavelength) if medium == "air" else wavelength
