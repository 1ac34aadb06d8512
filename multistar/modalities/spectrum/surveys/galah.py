"""Spectra of GALAH DR3: four files per star, one for each camera, SOBJECT_ID followed by 1-4.

Layout: https://www.galah-survey.org/dr3/the_spectra. HDU 0 flux, HDU 1 its relative error, HDU 4 the
normalised flux; wavelengths are in air, barycentric and linear.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from multistar.modalities.spectrum.read import to_vacuum
from multistar.modalities.spectrum.surveys.contents import (
    ANGSTROM,
    OneSpectrum,
    keep_good,
    open_fits,
)

NAME = re.compile(r"(\d{15})([1-4])\.fits$")
RESOLVING_POWER = 28_000.0


def recognises(path: Path) -> bool:
    """Whether the name is that of such a file."""
    return bool(NAME.match(path.name))


def read(path: Path) -> Iterator[OneSpectrum]:
    """Read one camera of a star, not normalised."""
    match = NAME.match(path.name)
    if match is None:
        raise ValueError(f"expected a name like SOBJECT_ID and 1-4, got {path.name}")
    with open_fits(path) as file:
        flux, relative = (np.asarray(file[number].data, float) for number in (0, 1))
        header = file[0].header
        pixel = np.arange(len(flux)) + 1 - (header.get("CRPIX1", 1) or 1)
        air = header["CRVAL1"] + header["CDELT1"] * pixel
    error = np.abs(flux) * relative
    good = error > 0
    yield OneSpectrum(
        name=match.group(1),
        number=int(match.group(1)),
        wavelength=to_vacuum(air * ANGSTROM),
        flux=keep_good(flux, good),
        error=np.where(good, error, np.nan),
        resolving_power=RESOLVING_POWER,
        arm=int(match.group(2)) - 1,
    )
