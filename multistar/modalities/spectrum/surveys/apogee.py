"""Combined spectra of APOGEE: apStar, asStar (fluxes) and aspcapStar (over the continuum).

Layout: https://data.sdss.org/datamodel, apStar and aspcapStar. HDU 1 flux, HDU 2 error, HDU 3 mask (apStar) or the
best model (aspcapStar); of apStar the first row is the combination of all visits. Wavelengths are in vacuum and at
rest: 10^(4.179 + 6e-6 i) Angstrom.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from multistar.modalities.spectrum.surveys.contents import (
    ANGSTROM,
    OneSpectrum,
    keep_good,
    open_fits,
)

NAME = re.compile(r"(apStar|asStar|aspcapStar)-.*\.fits(\.gz)?$")
FIRST, STEP = 4.179, 6e-6  # log10 Angstrom
RESOLVING_POWER = 22_500.0
# Bits of the mask: bad, cosmic ray, saturated, unfixable, bad dark, flat or error, no sky.
BAD = 0b1111_1111
LARGEST_ERROR = 1e9  # bad pixels have errors of 1e10


def recognises(path: Path) -> bool:
    """Whether the name is that of such a file."""
    return bool(NAME.match(path.name))


def read(path: Path) -> Iterator[OneSpectrum]:
    """Read the combined spectrum of a file."""
    is_normalised = path.name.startswith("aspcap")
    with open_fits(path) as file:
        flux, error = (np.atleast_2d(file[number].data)[0].astype(float) for number in (1, 2))
        good = (error > 0) & (error < LARGEST_ERROR) & (flux != 0)
        if not is_normalised:
            good &= (np.atleast_2d(file[3].data)[0].astype(int) & BAD) == 0
        header = file[1].header
        first, step = header.get("CRVAL1", FIRST), header.get("CDELT1", STEP)
        name = str(file[0].header.get("OBJID", path.name.split(".")[0])).strip()
    yield OneSpectrum(
        name=name,
        number=-1,
        wavelength=10 ** (first + step * np.arange(len(flux))) * ANGSTROM,
        flux=keep_good(flux, good),
        error=np.where(good, error, np.nan),
        resolving_power=RESOLVING_POWER,
        is_normalised=is_normalised,
        velocity=0.0,
    )
