"""Coadded spectra of DESI: many stars in a file, three arms.

Layout: https://desidatamodel.readthedocs.io, coadd. FIBERMAP has TARGETID; B_, R_ and Z_ have WAVELENGTH (vacuum,
heliocentric), FLUX, IVAR and MASK.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from multistar.modalities.spectrum.surveys.contents import (
    ANGSTROM,
    OneSpectrum,
    error_of_inverse_variance,
    find_column,
    keep_good,
    open_fits,
)

# lambda / FWHM in the middle of each arm, from 2,000 to 5,100 over all (DESI Collaboration 2022).
ARMS = {"B": 2600.0, "R": 3600.0, "Z": 4600.0}


def recognises(path: Path) -> bool:
    """Whether the file has the parts of such a file."""
    with open_fits(path) as file:
        names = {hdu.name for hdu in file}
    return {"FIBERMAP", "B_WAVELENGTH", "B_FLUX", "B_IVAR"} <= names


def read(path: Path) -> Iterator[OneSpectrum]:
    """Read all stars of a file, arm by arm."""
    with open_fits(path) as file:
        names = {hdu.name for hdu in file}
        targets = find_column(file["FIBERMAP"].data, "TARGETID")
        for arm, (letter, power) in enumerate(ARMS.items()):
            if f"{letter}_FLUX" not in names:
                continue
            wavelength = np.asarray(file[f"{letter}_WAVELENGTH"].data, float) * ANGSTROM
            flux = file[f"{letter}_FLUX"].data
            error = error_of_inverse_variance(file[f"{letter}_IVAR"].data)
            if f"{letter}_MASK" in names:
                error = np.where(file[f"{letter}_MASK"].data == 0, error, np.nan)
            for target, f, e in zip(targets, flux, error, strict=True):
                good = keep_good(f, np.isfinite(e))
                yield OneSpectrum(str(target), int(target), wavelength, good, e, power, arm=arm)
