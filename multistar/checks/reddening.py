"""E(B-V) of stars that their measurements know nothing of: from a column, or from a map of the sky's dust.

Maps are those of the package dustmaps (Green 2018, JOSS 3, 695), from files that the user has: nothing is downloaded.
They give what they give: some (Bayestar) are in units of their own, proportional to E(B-V).
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

from multistar.stars import Stars

COLUMN = "column"
MAPS = {
    "bh": "dustmaps.bh:BHQuery",
    "sfd": "dustmaps.sfd:SFDQuery",
    "planck": "dustmaps.planck:PlanckQuery",
    "bayestar": "dustmaps.bayestar:BayestarQuery",
    "mock": "multistar.mock.dust_map:MockDustQuery",
}
QUERY = {"bayestar": {"mode": "median"}}
LEVEL, IDS_PER_PIXEL = (
    12,
    2**35,
)  # a Gaia source_id begins with its HEALPix pixel (nested, ICRS) of level 12


@dataclass(frozen=True)
class Reddening:
    """ebv (n,) [mag], NaN where unknown; origin, in words; how many stars are without a position, and in holes."""

    ebv: np.ndarray
    origin: str
    no_position: int = 0
    holes: int = 0


def reddening(stars: Stars, source: Any = COLUMN, distance: np.ndarray | None = None) -> Reddening:
    """E(B-V) of all stars.

    source    "column" (true_ebv, otherwise ebv), a name of MAPS, MODULE:CLASS of any map of dustmaps, or such an object
    distance  (n,) [kpc] for maps in three dimensions; without it they are asked for what they take for infinity

    Raises ValueError where the table has no such column, for an unknown name, and if the map knows none of the stars;
    ImportError and FileNotFoundError that say why a map cannot be used.
    """
    if source == COLUMN:
        return _column(stars)
    name = source if isinstance(source, str) else type(source).__name__
    query = open_map(source) if isinstance(source, str) else source
    where, origin = positions(stars)
    known = np.isfinite(where.ra.deg)
    at = where[known]
    if distance is not None:
        at = SkyCoord(at, distance=np.maximum(distance[known], 1e-3) * u.kpc)
    ebv = np.full(len(stars), np.nan)
    ebv[known] = np.asarray(query(at, **QUERY.get(name, {})), np.float64)
    ebv[~(ebv >= 0)] = np.nan
    holes = int((known & np.isnan(ebv)).sum())
    if holes == known.sum():
        raise ValueError(
            f"the map {name} knows none of {known.sum()} positions ({origin}): is this part of the sky in it?"
        )
    return Reddening(ebv, f"map {name}, {origin}", int((~known).sum()), holes)


def _column(stars: Stars) -> Reddening:
    for name, column in (("true_ebv", stars.extra), ("ebv", stars.scalars)):
        if name in column:
            values: Any = getattr(column[name], "value", column[name])
            return Reddening(values, f"column {name}", holes=int(np.isnan(values).sum()))
    raise ValueError(
        f"the table has no column ebv; name yours (--columns ebv=NAME) or a map (--ebv): {sorted(MAPS)}"
    )


def open_map(name: str) -> Any:
    """A map by its name or MODULE:CLASS; see reddening for the errors."""
    place = MAPS.get(name, name)
    module, _, cls = place.partition(":")
    if not cls:
        raise ValueError(
            f"unknown map {name!r}; known are {sorted(MAPS)}, 'column', and any MODULE:CLASS of dustmaps"
        )
    said = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            warnings.simplefilter("ignore")
            return getattr(importlib.import_module(module), cls)()
    except ImportError as error:
        raise ImportError(
            f"the map {name} needs {error.name or module}: pip install 'multistar[maps]'"
        ) from error
    except AttributeError as error:
        raise ValueError(f"{module} has no map {cls!r}") from error
    except (OSError, TypeError) as error:
        from dustmaps.std_paths import data_dir

        raise FileNotFoundError(
            f"the map {name} cannot be opened: {' '.join(str(error).split())[:200]}. Its files are looked for in "
            f"{data_dir()} (dustmaps.config['data_dir']); put them there, or choose 'bh', which needs none"
        ) from error


def positions(stars: Stars) -> tuple[Any, str]:
    """SkyCoord (n,), NaN where unknown, and where they are from: ra and dec, l and b, or the Gaia source_id.

    Raises ValueError if there are no coordinates and the ids are none of Gaia's.
    """
    for frame, one, other in (("icrs", "ra", "dec"), ("galactic", "l", "b")):
        if {one, other} <= set(stars.extra):
            first, second = (np.asarray(stars.extra[name], np.float64) for name in (one, other))
            bad = ~(np.isfinite(first) & (np.abs(second) <= 90))
            where = SkyCoord(
                np.where(bad, np.nan, first) * u.deg,
                np.where(bad, np.nan, second) * u.deg,
                frame=frame,
            )
            return where.icrs, f"positions from {one} and {other}"
    healpix = HEALPix(2**LEVEL, order="nested")
    pixel = stars.source_id // IDS_PER_PIXEL
    gaia = (stars.source_id >= IDS_PER_PIXEL) & (pixel < healpix.npix)
    if not gaia.any():
        raise ValueError(
            "no positions: the table has neither ra, dec nor l, b, and its ids are no Gaia source_ids"
        )
    lon, lat = healpix.healpix_to_lonlat(np.where(gaia, pixel, 0))
    where = SkyCoord(
        np.where(gaia, lon.deg, np.nan) * u.deg, np.where(gaia, lat.deg, np.nan) * u.deg
    )
    return where, "positions from source_id, to 0.9 arcmin"
