"""Light curves of Kepler, K2 and TESS, through lightkurve: its objects and the missions' FITS files."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from multistar._compat import load_lightkurve
from multistar.modalities.light_curve.columns import unit_of_values
from multistar.modalities.light_curve.points import LightCurves, from_points
from multistar.modalities.light_curve.tables import days_since_zero, plain_numbers

MISSIONS = ("kepler", "k2", "tess")
ID_KEYS = ("TARGETID", "KEPLERID", "TICID", "EPIC")
NAME_KEYS = ("OBJECT", "LABEL")
CATALOGUE_NAME = re.compile(r"\s*(?:KIC|EPIC|TIC)\s*(\d+)\s*", re.IGNORECASE)


def is_lightkurve(source: Any) -> bool:
    """Is it a lightkurve.LightCurve, or something that looks like one?"""
    return all(hasattr(source, name) for name in ("time", "flux", "meta")) and hasattr(
        source.time, "jd1"
    )


def from_lightkurve(curve: Any, unit: str | None = None, rejected: int = 0) -> LightCurves:
    """One lightkurve.LightCurve, relative to its own median: give quarters and sectors one by one, not stitched.

    unit as of `read_light_curves`; without it the flux is one, unless its unit is a magnitude. The id is that of the
    KIC, EPIC or TIC in the metadata (-1 if there is none), the band the mission in small letters. `rejected` is the
    number of points that were left out because of their quality.
    """
    flux, error = curve.flux, getattr(curve, "flux_err", None)
    unit = unit_of_values(
        None,
        getattr(flux, "unit", None),
        unit or _default_unit(flux),
        f"light curve {_name(curve)}",
    )
    mission = str(curve.meta.get("MISSION") or "unknown").lower()
    value = plain_numbers(flux)
    sigma = None if error is None else plain_numbers(error)
    dropped = {"quality": np.array([rejected])} if rejected else None
    ids, first = np.array([_target_id(curve.meta)]), np.array([0, len(value)])
    return from_points(
        ids,
        days_since_zero(curve.time),
        value,
        sigma,
        mission,
        unit=unit,
        first=first,
        dropped=dropped,
    )


def is_mission_file(path: Path) -> bool:
    """Does a FITS file say that it comes from a telescope? A table does not. ValueError if it is not readable."""
    try:
        header = fits.getheader(path, 0)
    except Exception as error:
        raise ValueError(f"{path}: not readable as fits; is it complete? ({error})") from error
    return any(key in header for key in ("TELESCOP", *ID_KEYS))


def read_mission_file(
    path: Path, unit: str | None = None, quality: str | int = "default"
) -> LightCurves:
    """A light-curve file of Kepler, K2 or TESS, gzipped or not: PDCSAP flux if it has any, else SAP flux.

    Cadences that lightkurve's mask of this name (or number) rejects are left out and counted as "quality"; cadences
    without a time were never points. Raises ValueError with the path if the file is cut short or no light curve.
    """
    lightkurve = load_lightkurve()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
            curve = lightkurve.read(str(path), **_options(path, quality))
    except FileNotFoundError:
        raise
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise ValueError(
            f"{path}: not readable as a light curve; is it complete? ({reason})"
        ) from error
    if not is_lightkurve(curve):
        raise ValueError(f"{path}: expected a light curve, found a {type(curve).__name__}")
    mask = curve.meta.get("QUALITY_MASK")
    return from_lightkurve(curve, unit, 0 if mask is None else int(np.sum(~np.asarray(mask))))


def _options(path: Path, quality: str | int) -> dict[str, Any]:
    """What lightkurve's readers take depends on what the file has."""
    with fits.open(path) as parts:
        names = {
            name for part in parts for name in getattr(getattr(part, "columns", None), "names", ())
        }
    options: dict[str, Any] = (
        {"quality_bitmask": quality} if names & {"QUALITY", "SAP_QUALITY"} else {}
    )
    if "SAP_FLUX" in names and "PDCSAP_FLUX" not in names:
        options["flux_column"] = "sap_flux"
    return options


def _default_unit(flux: Any) -> str | None:
    """lightkurve calls it flux, so it is one where no unit contradicts."""
    return None if "mag" in str(getattr(flux, "unit", "")) else "flux"


def _target_id(meta: Any) -> int:
    for key in ID_KEYS:
        if str(meta.get(key)).isdigit():
            return int(meta[key])
    found = (CATALOGUE_NAME.fullmatch(str(meta.get(key))) for key in NAME_KEYS)
    return next((int(match[1]) for match in found if match), -1)


def _name(curve: Any) -> str:
    return str(curve.meta.get("LABEL") or curve.meta.get("OBJECT") or "without a name")
