"""Spectra of SDSS, SEGUE and BOSS: files spec-PLATE-MJD-FIBER.fits.

Layout: https://data.sdss.org/datamodel, spec. HDU 1: flux, loglam (vacuum, heliocentric), ivar, wdisp. HDU 2: one
row about the object.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from multistar.modalities.spectrum.read import LIGHT_SPEED
from multistar.modalities.spectrum.surveys.contents import (
    ANGSTROM,
    OneSpectrum,
    error_of_inverse_variance,
    find_column,
    keep_good,
    open_fits,
)

NAME = re.compile(r"spec-(\d{4,5})-(\d{5})-(\d{4})\.fits(\.gz)?$")
PIXEL = 1e-4 * np.log(10)  # in ln wavelength
FWHM = 2.3548  # standard deviations
USUAL = 1900.0  # resolving power, where a file does not tell


def recognises(path: Path) -> bool:
    """Whether the name is that of such a file."""
    return bool(NAME.match(path.name))


def read(path: Path) -> Iterator[OneSpectrum]:
    """Read the coadded spectrum of a file."""
    match = NAME.match(path.name)
    if match is None:
        raise ValueError(f"expected a name like spec-PLATE-MJD-FIBER.fits, got {path.name}")
    plate, mjd, fibre = (int(part) for part in match.groups()[:3])
    with open_fits(path) as file:
        coadd, about = file[1].data, file[2].data
        error = error_of_inverse_variance(find_column(coadd, "ivar"))
        dispersion = find_column(coadd, "wdisp") if "wdisp" in _names(coadd) else np.array([])
        yield OneSpectrum(
            name=f"{plate}-{mjd}-{fibre:04d}",
            number=(plate * 100_000 + mjd) * 10_000 + fibre,
            wavelength=10 ** find_column(coadd, "loglam").astype(float) * ANGSTROM,
            flux=keep_good(find_column(coadd, "flux"), np.isfinite(error)),
            error=error,
            resolving_power=_resolving_power(dispersion),
            velocity=_velocity(about),
        )


def _names(table) -> set[str]:
    return {name.lower() for name in table.names}


def _resolving_power(dispersion: np.ndarray) -> float:
    """From the standard deviation of a line, in pixels."""
    good = dispersion[dispersion > 0]
    return 1 / (FWHM * float(np.median(good)) * PIXEL) if len(good) else USUAL


def _velocity(about) -> float:
    """Of a star; galaxies and quasars have none that matters here."""
    if not {"z", "class"} <= _names(about):
        return np.nan
    kind = str(find_column(about, "class")[0]).strip()
    return float(find_column(about, "z")[0]) * LIGHT_SPEED if kind == "STAR" else np.nan
