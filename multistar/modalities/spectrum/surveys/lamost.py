"""Low-resolution spectra of LAMOST, of all releases.

Layout: http://www.lamost.org, data products. Up to DR7 five rows of an image (flux, inverse variance, wavelength, two
masks); from DR8 on a table of one row with the same as columns. Wavelengths are in vacuum, heliocentric.
"""

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

RESOLVING_POWER = 1800.0
NO_REDSHIFT = -9000.0  # smaller ones stand for none


def recognises(path: Path) -> bool:
    """Whether the header says so."""
    with open_fits(path) as file:
        header = file[0].header
        return str(header.get("TELESCOP", "")).strip() == "LAMOST" and "OBSID" in header


def read(path: Path) -> Iterator[OneSpectrum]:
    """Read the coadded spectrum of a file."""
    with open_fits(path) as file:
        header = file[0].header
        if file[0].data is not None:
            flux, inverse, wavelength = file[0].data[:3]
        else:
            names = ("FLUX", "IVAR", "WAVELENGTH")
            flux, inverse, wavelength = (find_column(file[1].data, n).ravel() for n in names)
        error = error_of_inverse_variance(inverse)
        redshift = float(header.get("Z", NO_REDSHIFT))
        known = redshift > NO_REDSHIFT and str(header.get("CLASS", "STAR")).strip() == "STAR"
        yield OneSpectrum(
            name=str(header.get("DESIG", path.stem)).strip(),
            number=int(header["OBSID"]),
            wavelength=np.asarray(wavelength, float) * ANGSTROM,
            flux=keep_good(flux, np.isfinite(error)),
            error=error,
            resolving_power=RESOLVING_POWER,
            velocity=redshift * LIGHT_SPEED if known else np.nan,
        )
