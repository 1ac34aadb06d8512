"""Light curves in whatever form users hold them -> LightCurves."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track

from multistar.io.files import require_path
from multistar.io.tables import CSV, FORMATS
from multistar.io.untrusted import check_expansion
from multistar.modalities.light_curve.curves import LightCurves
from multistar.modalities.light_curve.joining import concatenate, join
from multistar.modalities.light_curve.missions import (
    MISSIONS,
    from_lightkurve,
    is_lightkurve,
    is_mission_file,
    read_mission_file,
)
from multistar.modalities.light_curve.points import UNITS, from_points
from multistar.modalities.light_curve.tables import read_light_curve_table

FITS = tuple(ending for ending, kind in FORMATS.items() if kind == "fits")
TEXT = (".txt", ".dat", ".txt.gz", ".dat.gz")
LONG_TIME = 20  # files; from here on a progress bar is shown
HIDDEN = re.compile(r"(^|/)[._]")  # in a path inside a folder


@dataclass(frozen=True)
class _Options:
    """What the user says about all sources; see `read_light_curves`."""

    unit: str | None
    columns: Mapping[str, str] | None
    quality: str | int


def read_light_curves(
    source: Any,
    *,
    unit: str | None = None,
    columns: Mapping[str, str] | None = None,
    quality: str | int = "default",
) -> LightCurves:
    """Read light curves; what is left out of them is counted, star by star, in `dropped`.

    Parameters
    ----------
    source
        One of these:

        - a lightkurve LightCurve or LightCurveCollection;
        - a light-curve FITS file of Kepler, K2 or TESS (the id is that of the KIC, EPIC or TIC);
        - a text file with columns time, value and perhaps error (the id is the number that its
          name begins with);
        - a table that `read_columns` takes, one point or one star per row (see
          `read_light_curve_table`);
        - a folder of such files, at any depth (names that begin with . or _ are passed over), or a
          list of them. A folder of nothing but Parquet files is one table.
    unit : str, optional
        "flux", "mag" or "relative" (flux / median - 1); needed only where neither the name of a
        column nor its unit tells, and an error where they tell otherwise.
    columns : dict of str to str, optional
        Field to column for tables that call them otherwise: source_id, time, flux, mag, value,
        error, band.
    quality : str or int
        Which cadences to leave out: a mask of lightkurve ("none", "default", "hard", "hardest", or
        its bits).

    Returns
    -------
    LightCurves
        Each curve is divided by its own median in each band. Curves of one star from several files
        (quarters, sectors) are then joined, but not across missions, whose ids are different
        things; in one table each row of lists stays a curve of its own.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If lightkurve is needed and not installed.
    ValueError
        Names the file that cannot be understood.
    TypeError
        For what is no source at all.

    Notes
    -----
    Times are in days, unless the file or object states another unit; seconds that are not said to
    be seconds are not noticed. Only differences of times matter: JD, MJD, BKJD, BTJD are taken as
    they come. Where a file or object says what it counts from, times become JD - 2454833 in its
    own time scale, so that missions fit together.
    """
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}")
    return _read(source, _Options(unit, columns, quality))


def _read(source: Any, options: _Options) -> LightCurves:
    if isinstance(source, LightCurves):
        return source
    if is_lightkurve(source):
        return from_lightkurve(source, options.unit)
    if isinstance(source, (str, Path)):
        path = Path(source)
        return _read_folder(path, options) if path.is_dir() else _read_file(path, options)
    if isinstance(source, (list, tuple)) or _is_collection(source):
        if not len(source):
            raise ValueError("expected light curves, got an empty list")
        return _join_within_missions(_read(part, options) for part in source)
    return _read_table(source, options)


def _is_collection(source: Any) -> bool:
    """Whether it is a LightCurveCollection of lightkurve."""
    return hasattr(source, "data") and is_lightkurve(next(iter(source), None))


def _read_folder(folder: Path, options: _Options) -> LightCurves:
    paths = [path for path in sorted(folder.rglob("*")) if _is_readable(path, folder)]
    if not paths:
        raise ValueError(
            f"{folder}: no light curves in this folder; "
            f"known endings are {sorted((*FORMATS, *TEXT))}"
        )
    if all(path.suffix == ".parquet" and path.parent == folder for path in paths):
        return _read_table(folder, options)
    is_quick = len(paths) < LONG_TIME
    progress = track(paths, "light curves", disable=is_quick, console=Console(stderr=True))
    return _join_within_missions(_read_file(path, options) for path in progress)


def _is_readable(path: Path, folder: Path) -> bool:
    """Whether it is a file with a known ending that is not hidden within the folder."""
    if HIDDEN.search(path.relative_to(folder).as_posix()):
        return False
    return path.is_file() and path.name.lower().endswith((*FORMATS, *TEXT))


def _read_file(path: Path, options: _Options) -> LightCurves:
    require_path(path, "file")
    name = path.name.lower()
    if name.endswith(TEXT):
        return _read_text(path, options.unit)
    if name.endswith(FITS) and is_mission_file(path):
        return read_mission_file(path, options.unit, options.quality)
    return _read_table(path, options)


def _read_table(source: Any, options: _Options) -> LightCurves:
    origin = str(source) if isinstance(source, (str, Path)) else type(source).__name__
    curves = read_light_curve_table(source, options.unit, options.columns, options.quality)
    _check_medians(curves, origin)
    return curves


def _read_text(path: Path, unit: str | None) -> LightCurves:
    """Numbers in columns: time, value and perhaps error; lines that begin with # are comments."""
    if unit is None:
        raise ValueError(
            f"{path}: a text file does not say whether it holds fluxes or magnitudes; say it with "
            "--unit flux or mag (unit= in Python), or move the file out of the folder"
        )
    try:
        check_expansion(path)
        options = CSV | {"sep": r"\s+", "header": None, "comment": "#", "dtype": np.float64}
        numbers = pd.read_csv(path, **options).to_numpy()
    except (ValueError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path}: expected columns of numbers: time, value, perhaps error ({reason})"
        ) from error
    if numbers.shape[1] not in (2, 3):
        raise ValueError(
            f"{path}: expected 2 or 3 columns (time, value, error), found {numbers.shape[1]}"
        )
    number = re.match(r"\d+", path.name)
    ids = np.array([int(number[0]) if number else -1])
    first = np.array([0, len(numbers)])
    error = numbers[:, 2] if numbers.shape[1] == 3 else None
    curves = from_points(ids, numbers[:, 0], numbers[:, 1], error, unit=unit, first=first)
    _check_medians(curves, str(path))
    return curves


def _join_within_missions(parts: Iterable[LightCurves]) -> LightCurves:
    """One curve per star and mission."""
    of_mission: dict[str, list[LightCurves]] = {}
    for part in parts:
        is_mission = len(part.bands) == 1 and part.bands[0] in MISSIONS
        of_mission.setdefault(part.bands[0] if is_mission else "", []).append(part)
    return concatenate([join(concatenate(same)) for same in of_mission.values()])


def _check_medians(curves: LightCurves, origin: str) -> None:
    """ValueError if not one curve had a median to be divided by: then it is no flux."""
    if not len(curves.time) and np.any(curves.dropped.get("bad_median", 0)):
        raise ValueError(
            f"{origin}: no star has a median flux > 0 and few negative ones. "
            "If it is flux / median - 1, say --unit relative (unit='relative')"
        )
