"""A dust map in a file of the user: HEALPix in FITS, as all-sky maps are published.

Layout: a binary table with PIXTYPE = HEALPIX, NSIDE, ORDERING and COORDSYS in its header, all pixels of the sky in
order (also as rows of many), and E(B-V) in mag in one of its columns.
"""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import ICRS, Galactic, SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix

from multistar.io.untrusted import check_expansion

COLUMNS = ("ebv", "e(b-v)", "ebv_mean", "reddening")  # names of E(B-V), in lower case
FRAMES = {"G": Galactic, "GALACTIC": Galactic, "C": ICRS, "CELESTIAL": ICRS, "EQUATORIAL": ICRS}
UNSEEN = -1e30  # of HEALPix: no value


class HealpixMap:
    """E(B-V) of lines of sight.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no HEALPix map of the whole sky, or has no column of E(B-V).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        check_expansion(self.path)
        try:
            with fits.open(self.path, memmap=False) as file:
                header, columns = _find_map(file)
        except OSError as error:
            raise ValueError(f"{path}: not a FITS file: {error}") from error
        self._values = _choose_column(self.path, columns)
        frame = FRAMES.get(str(header.get("COORDSYS", "G")).strip().upper())
        if frame is None:
            raise ValueError(f"{path}: COORDSYS is {header['COORDSYS']!r}, expected G or C")
        order = "nested" if str(header.get("ORDERING", "")).upper().startswith("NEST") else "ring"
        self._pixels = HEALPix(int(header["NSIDE"]), order=order, frame=frame())
        if self._pixels.npix != len(self._values):
            raise ValueError(
                f"{path}: {len(self._values):,} pixels, but NSIDE = {header['NSIDE']} has "
                f"{self._pixels.npix:,}; expected a map of the whole sky"
            )

    def __call__(self, position: SkyCoord) -> np.ndarray:
        """E(B-V) [mag] (n,) of the pixels that positions (n,) lie in; NaN where the map has none."""
        if not len(position):
            return np.empty(0)
        values = self._values[self._pixels.skycoord_to_healpix(position)].astype(float)
        return np.where(values > UNSEEN, values, np.nan)


def _find_map(file: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Header and columns (by their names in lower case) of the first table that is a HEALPix map."""
    for hdu in file:
        if str(hdu.header.get("PIXTYPE", "")).strip().upper() == "HEALPIX" and hdu.data is not None:
            return hdu.header, {n.lower(): np.ravel(hdu.data[n]) for n in hdu.data.names}
    raise ValueError(f"{file.filename()}: no table with PIXTYPE = HEALPIX")


def _choose_column(path: Path, columns: dict[str, np.ndarray]) -> np.ndarray:
    """The column that is called as E(B-V) is, or the only one."""
    for name in COLUMNS:
        if name in columns:
            return columns[name]
    if len(columns) == 1:
        return next(iter(columns.values()))
    raise ValueError(
        f"{path}: which of the columns {list(columns)} is E(B-V)? expected one of {COLUMNS}"
    )
