"""Light curves of Kepler, K2 and TESS, through lightkurve: its objects and the missions' files."""

import dataclasses
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from multistar._compat import load_lightkurve
from multistar.io.untrusted import check_fits
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.points import from_points
from multistar.modalities.light_curve.tables import days_since_zero
from multistar.modalities.light_curve.units import decide_unit, plain_numbers

MISSIONS = ("kepler", "k2", "tess")
ID_KEYS = ("TARGETID", "KEPLERID", "TICID", "EPIC")
NAME_KEYS = ("OBJECT", "LABEL")
CATALOGUE_NAME = re.compile(r"\s*(?:KIC|EPIC|TIC)\s*(\d+)\s*", re.IGNORECASE)


def is_lightkurve(source: Any) -> bool:
    """Say whether it is a lightkurve.LightCurve, or something that looks like one."""
    has_parts = all(hasattr(source, name) for name in ("time", "flux", "meta"))
    return has_parts and hasattr(source.time, "jd1")


def from_lightkurve(curve: Any, unit: str | None = None, rejected: int = 0) -> LightCurves:
    """Convert one light curve of lightkurve, relative to its own median.

    Give quarters and sectors one by one, not stitched, as each has a median of its own.

    Parameters
    ----------
    curve : lightkurve.LightCurve
        Its flux is one unless its unit is a magnitude. The band is the mission in small letters.
    unit : str, optional
        As of `read_light_curves`.
    rejected : int
        Number of points that were left out because of their quality.

    Returns
    -------
    LightCurves
        One star; its id is that of the KIC, EPIC or TIC in the metadata, -1 if there is none.

    Raises
    ------
    ValueError
        If the unit of the flux contradicts `unit`.
    """
    stated = getattr(curve.flux, "unit", None)
    # lightkurve calls it flux, so it is one where no unit contradicts
    default = None if "mag" in str(stated or "") else "flux"
    unit = decide_unit(None, stated, unit or default, f"light curve {_name(curve)}")
    error = getattr(curve, "flux_err", None)
    value = plain_numbers(curve.flux)
    curves = from_points(
        np.array([_target_id(curve.meta)]),
        days_since_zero(curve.time),
        value,
        None if error is None else plain_numbers(error),
        str(curve.meta.get("MISSION") or "unknown").lower(),
        unit=unit,
        first=np.array([0, len(value)]),
    )
    if not rejected:
        return curves
    dropped = {"quality": np.array([rejected])} | curves.dropped
    return dataclasses.replace(curves, dropped=dropped)


def is_mission_file(path: Path) -> bool:
    """Say whether a FITS file claims to come from a telescope, which a table does not.

    Raises
    ------
    ValueError
        If the file is not readable.
    """
    try:
        check_fits(path)
        header = fits.getheader(path, 0)
    except Exception as error:
        raise ValueError(f"{path}: not readable as fits; is it complete? ({error})") from error
    return any(key in header for key in ("TELESCOP", *ID_KEYS))


def read_mission_file(
    path: Path, unit: str | None = None, quality: str | int = "default"
) -> LightCurves:
    """Read a light-curve file of Kepler, K2 or TESS: PDCSAP flux if it has any, else SAP flux.

    Parameters
    ----------
    path : Path
        A FITS file, gzipped or not.
    unit : str, optional
        As of `read_light_curves`.
    quality : str or int
        Cadences that lightkurve's mask of this name (or number) rejects are left out and counted
        as "quality"; cadences without a time were never points.

    Returns
    -------
    LightCurves
        One star.

    Raises
    ------
    ImportError
        If lightkurve is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        With the path, if the file is cut short or no light curve.
    """
    lightkurve = load_lightkurve()
    try:
        check_fits(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
            curve = lightkurve.read(str(path), **_reader_options(path, quality))
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
    rejected = 0 if mask is None else int(np.sum(~np.asarray(mask)))
    return from_lightkurve(curve, unit, rejected)


def _reader_options(path: Path, quality: str | int) -> dict[str, Any]:
    """What lightkurve's readers take depends on what the file has."""
    names = set()
    with fits.open(path) as parts:
        for part in parts:
            columns = getattr(part, "columns", None)
            names |= set(getattr(columns, "names", ()))
    options: dict[str, Any] = {}
    if names & {"QUALITY", "SAP_QUALITY"}:
        options["quality_bitmask"] = quality
    if "SAP_FLUX" in names and "PDCSAP_FLUX" not in names:
        options["flux_column"] = "sap_flux"
    return options


def _target_id(meta: Any) -> int:
    for key in ID_KEYS:
        if str(meta.get(key)).isdigit():
            return int(meta[key])
    for key in NAME_KEYS:
        match = CATALOGUE_NAME.fullmatch(str(meta.get(key)))
        if match:
            return int(match[1])
    return -1


def _name(curve: Any) -> str:
    return str(curve.meta.get("LABEL") or curve.meta.get("OBJECT") or "without a name")
