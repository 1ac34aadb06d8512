"""E(B-V) of stars that their measurements know nothing of: from a column, or from a dust map.

Maps are those of the package dustmaps (Green 2018, JOSS 3, 695), from files that the user has:
nothing is downloaded. They give what they give: some (Bayestar) are in units of their own,
proportional to E(B-V).
"""

import contextlib
import importlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix

from multistar.download.dust import DOWNLOADABLE
from multistar.inference.healpix_map import HealpixMap
from multistar.io.files import require_path
from multistar.stars import Stars

COLUMN = "column"
MAPS = {
    "bh": "dustmaps.bh:BHQuery",
    "sfd": "dustmaps.sfd:SFDQuery",
    "planck": "dustmaps.planck:PlanckQuery",
    "bayestar": "dustmaps.bayestar:BayestarQuery",
    "bayestar2019": "dustmaps.bayestar:BayestarQuery",  # what it reads by default
    "mock": "multistar.mock.dust_map:MockDustQuery",
    "disc": "multistar.mock.dust_map:DiscQuery",  # smooth; needs no file
}
# What maps are called with besides the positions.
OPTIONS = {"bayestar": {"mode": "median"}}
# A Gaia source_id begins with its HEALPix pixel (nested, ICRS) of level 12.
LEVEL, IDS_PER_PIXEL = 12, 2**35
FILE_ENDINGS = (".fits", ".fits.gz", ".fit")
# kpc; predictions nearer than this are moved out to it
NEAREST = 1e-3


@dataclass(frozen=True)
class Reddening:
    """Reddening of some stars, and where it is from.

    Attributes
    ----------
    ebv : ndarray, shape (n,)
        E(B-V) [mag], NaN where unknown.
    origin : str
        In words.
    no_position : int
        Number of stars without a position.
    holes : int
        Number of stars with a position that the map does not know.
    """

    ebv: np.ndarray
    origin: str
    no_position: int = 0
    holes: int = 0


def reddening(stars: Stars, source: Any = COLUMN, distance: np.ndarray | None = None) -> Reddening:
    """Find E(B-V) of all stars.

    Parameters
    ----------
    stars : Stars
        With the column, or with positions, see `positions`.
    source : str or object
        "column" (`true_ebv`, otherwise `ebv`), a name of MAPS, MODULE:CLASS of any map of
        dustmaps, a HEALPix file (see `healpix_map`), or such an object.
    distance : ndarray of shape (n,), optional
        [kpc], for maps in three dimensions; without it these are queried for what they take for
        infinity.

    Returns
    -------
    Reddening

    Raises
    ------
    ValueError
        If the table has no such column, for an unknown name, and if the map knows none of the
        stars.
    ImportError, FileNotFoundError
        If a map cannot be used; they say why.
    """
    if isinstance(source, str) and source == COLUMN:
        return _read_column(stars)
    query = open_map(source) if isinstance(source, str) else source
    found = query_map(stars, query, distance)
    on_the_sky = len(stars) - found.no_position
    if found.holes == on_the_sky:
        raise ValueError(
            f"the {found.origin}: it knows none of {on_the_sky} positions; is this part of the sky "
            "in it?"
        )
    return found


def name_map(query: Any) -> str:
    """Return the name in MAPS of an opened map, or of another its class."""
    own = type(query).__name__
    for name, path in MAPS.items():
        if path.endswith(f":{own}"):
            return name
    return own


def query_map(stars: Stars, query: Any, distance: np.ndarray | None = None) -> Reddening:
    """Ask an opened map; what it does not know is NaN.

    The parameters, and what is raised where no star can have a position, are those of `reddening`.
    """
    name = name_map(query)
    position, origin = positions(stars)
    known = np.isfinite(position.ra.deg)
    at = position[known]
    if distance is not None:
        at = SkyCoord(at, distance=np.maximum(distance[known], NEAREST) * u.kpc)
    ebv = np.full(len(stars), np.nan)
    ebv[known] = np.asarray(query(at, **OPTIONS.get(name, {})), np.float64)
    ebv[~(ebv >= 0)] = np.nan
    holes = int((known & np.isnan(ebv)).sum())
    return Reddening(ebv, f"map {name}, {origin}", int((~known).sum()), holes)


def _read_column(stars: Stars) -> Reddening:
    if "true_ebv" in stars.extra:
        name, ebv = "true_ebv", stars.extra["true_ebv"]
    elif "ebv" in stars.scalars:
        name, ebv = "ebv", stars.scalars["ebv"].value
    else:
        raise ValueError(
            "the table has no column ebv; name yours (--columns ebv=NAME) or a map (--ebv): "
            f"{sorted(MAPS)}"
        )
    return Reddening(ebv, f"column {name}", holes=int(np.isnan(ebv).sum()))


def open_map(name: str) -> Any:
    """Open a dust map by its name in MAPS, as MODULE:CLASS, or a HEALPix file.

    Errors are those of `reddening` and, of a file, of `HealpixMap`.
    """
    if name.lower().endswith(FILE_ENDINGS):
        require_path(name)
        return HealpixMap(name)
    module, _, class_name = MAPS.get(name, name).partition(":")
    if not class_name:
        raise ValueError(
            f"unknown map {name!r}; known are {sorted(MAPS)}, any MODULE:CLASS of dustmaps and HEALPix files (.fits); "
            "the word 'column' stands for the table's own E(B-V)"
        )
    try:
        with _silence():
            return getattr(importlib.import_module(module), class_name)()
    except ImportError as error:
        missing = error.name or module
        raise ImportError(
            f"the map {name} needs {missing}: pip install 'multistar[maps]'"
        ) from error
    except AttributeError as error:
        raise ValueError(f"{module} has no map {class_name!r}") from error
    except (OSError, TypeError) as error:
        from dustmaps.std_paths import data_dir

        reason = " ".join(str(error).split())[:200]
        command = f"multistar download dust {name} gets" if name in DOWNLOADABLE else "put"
        raise FileNotFoundError(
            f"the map {name} cannot be opened: {reason}. Its files are looked for in "
            f"{data_dir()} (dustmaps.config['data_dir']); {command} them there, or choose 'bh', "
            "which needs none"
        ) from error


@contextlib.contextmanager
def _silence():
    """Hide warnings and prints: dustmaps explains at length how its files are downloaded."""
    said = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        warnings.simplefilter("ignore")
        yield


def positions(stars: Stars) -> tuple[Any, str]:
    """Find the positions of stars: from ra and dec, l and b, or the Gaia source_id.

    Parameters
    ----------
    stars : Stars
        With these columns [deg], or with ids of Gaia.

    Returns
    -------
    position : SkyCoord, shape (n,)
        ICRS, NaN where unknown.
    origin : str
        What they are from, in words.

    Raises
    ------
    ValueError
        If there are no coordinates and the ids are none of Gaia's.
    """
    for frame, one, other in (("icrs", "ra", "dec"), ("galactic", "l", "b")):
        if {one, other} <= set(stars.extra):
            longitude = np.asarray(stars.extra[one], np.float64)
            latitude = np.asarray(stars.extra[other], np.float64)
            # a longitude of 999 is a word for "missing" in some tables, and no angle
            valid = (np.abs(longitude) <= 360) & (np.abs(latitude) <= 90)
            position = _sky(longitude, latitude, valid, frame)
            return position.icrs, f"positions from {one} and {other}"
    healpix = HEALPix(2**LEVEL, order="nested")
    pixel = stars.source_id // IDS_PER_PIXEL
    of_gaia = (stars.source_id >= IDS_PER_PIXEL) & (pixel < healpix.npix)
    if not of_gaia.any():
        raise ValueError(
            "no positions: the table has neither ra, dec nor l, b, "
            "and its ids are no Gaia source_ids"
        )
    longitude, latitude = healpix.healpix_to_lonlat(np.where(of_gaia, pixel, 0))
    position = _sky(longitude.deg, latitude.deg, of_gaia, "icrs")
    return position, "positions from source_id, to 0.9 arcmin"


def _sky(longitude: Any, latitude: Any, valid: np.ndarray, frame: str) -> Any:
    """SkyCoord (n,) of coordinates (n,) [deg]; NaN where they are not valid."""
    return SkyCoord(
        np.where(valid, longitude, np.nan) * u.deg,
        np.where(valid, latitude, np.nan) * u.deg,
        frame=frame,
    )
