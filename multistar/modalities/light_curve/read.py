"""Light curves in whatever form users hold them -> LightCurves."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track

from multistar.io.files import require_path
from multistar.io.tables import CSV, FORMATS
from multistar.modalities.light_curve.missions import (
    MISSIONS,
    from_lightkurve,
    is_lightkurve,
    is_mission_file,
    read_mission_file,
)
from multistar.modalities.light_curve.points import (
    UNITS,
    LightCurves,
    concatenate,
    from_points,
    join,
)
from multistar.modalities.light_curve.tables import table_light_curves

FITS = tuple(ending for ending, kind in FORMATS.items() if kind == "fits")
TEXT = (".txt", ".dat", ".txt.gz", ".dat.gz")
LONG_TIME = 20  # files; from here on a progress bar is shown


def read_light_curves(
    source: Any,
    *,
    unit: str | None = None,
    columns: Mapping[str, str] | None = None,
    quality: str | int = "default",
) -> LightCurves:
    """Read light curves; what is left out of them is counted, star by star, in `dropped`.

    source   a lightkurve LightCurve or LightCurveCollection;
             a light-curve FITS file of Kepler, K2 or TESS (the id is that of the KIC, EPIC or TIC);
             a text file with columns time, value and perhaps error (the id is the number that its name begins with);
             a table that `read_columns` takes, one point or one star per row (see `table_light_curves`);
             a folder of such files, at any depth (names that begin with . or _ are passed over), or a list of them
    unit     "flux", "mag" or "relative" (flux / median - 1); needed only where neither the name of a column nor its
             unit tells, and an error where they tell otherwise
    columns  {field: column} for tables that call them otherwise: source_id, time, flux, mag, value, error, band
    quality  which cadences to leave out: a mask of lightkurve ("none", "default", "hard", "hardest", or its bits)

    Each curve is divided by its own median in each band. Curves of one star from several files (quarters, sectors) are
    then joined, but not across missions, whose ids are different things; in one table each row of lists stays a curve
    of its own. A folder of nothing but Parquet files is one table.

    Times are in days, unless the file or object states another unit; seconds that are not said to be seconds are not
    noticed. Only differences of times matter: JD, MJD, BKJD, BTJD are taken as they come. Where a file or object says
    what it counts from, times become JD - 2454833 in its own time scale, so that missions fit together.

    Raises FileNotFoundError; ImportError if lightkurve is needed and not installed; ValueError that names the file for
    what cannot be understood; TypeError for what is no source at all.
    """
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}")
    if isinstance(source, LightCurves):
        return source
    if is_lightkurve(source):
        return from_lightkurve(source, unit)
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            return _read_folder(path, unit, columns, quality)
        return _read_file(path, unit, columns, quality)
    if isinstance(source, (list, tuple)) or (
        hasattr(source, "data") and is_lightkurve(next(iter(source), None))
    ):
        if not len(source):
            raise ValueError("expected light curves, got an empty list")
        return _join(
            read_light_curves(part, unit=unit, columns=columns, quality=quality) for part in source
        )
    return _read_table(source, unit, columns, quality)


def _read_folder(
    folder: Path, unit: str | None, columns: Mapping[str, str] | None, quality: str | int
) -> LightCurves:
    inside = sorted(
        p
        for p in folder.rglob("*")
        if not re.search(r"(^|/)[._]", p.relative_to(folder).as_posix())
    )
    paths = [p for p in inside if p.is_file() and p.name.lower().endswith((*FORMATS, *TEXT))]
    if not paths:
        raise ValueError(
            f"{folder}: no light curves in this folder; known endings are {sorted((*FORMATS, *TEXT))}"
        )
    if all(p.suffix == ".parquet" and p.parent == folder for p in paths):
        return _read_table(folder, unit, columns, quality)
    quick, stderr = len(paths) < LONG_TIME, Console(stderr=True)
    return _join(
        _read_file(path, unit, columns, quality)
        for path in track(paths, "light curves", disable=quick, console=stderr)
    )


def _read_file(
    path: Path, unit: str | None, columns: Mapping[str, str] | None, quality: str | int
) -> LightCurves:
    require_path(path, "file")
    name = path.name.lower()
    if name.endswith(TEXT):
        return _read_text(path, unit)
    if name.endswith(FITS) and is_mission_file(path):
        return read_mission_file(path, unit, quality)
    return _read_table(path, unit, columns, quality)


def _read_table(
    source: Any, unit: str | None, columns: Mapping[str, str] | None, quality: str | int
) -> LightCurves:
    origin = str(source) if isinstance(source, (str, Path)) else type(source).__name__
    return _with_median(table_light_curves(source, unit, columns, quality), origin)


def _read_text(path: Path, unit: str | None) -> LightCurves:
    """Numbers in columns: time, value and perhaps error; lines that begin with # are comments."""
    if unit is None:
        raise ValueError(
            f"{path}: a text file does not say whether it holds fluxes or magnitudes; give unit="
        )
    try:
        numbers = pd.read_csv(path, sep=r"\s+", header=None, dtype=np.float64, **CSV).to_numpy()
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
    ids, first = np.array([int(number[0]) if number else -1]), np.array([0, len(numbers)])
    error = numbers[:, 2] if numbers.shape[1] == 3 else None
    return _with_median(
        from_points(ids, numbers[:, 0], numbers[:, 1], error, unit=unit, first=first), str(path)
    )


def _join(parts: Iterable[LightCurves]) -> LightCurves:
    """One curve per star and mission."""
    of_mission: dict[str, list[LightCurves]] = {}
    for part in parts:
        mission = part.bands[0] if len(part.bands) == 1 and part.bands[0] in MISSIONS else ""
        of_mission.setdefault(mission, []).append(part)
    return concatenate([join(concatenate(same)) for same in of_mission.values()])


def _with_median(curves: LightCurves, origin: str) -> LightCurves:
    """ValueError if not one curve had a median to be divided by: then it is no flux."""
    if not len(curves.time) and np.any(curves.dropped.get("bad_median", 0)):
        raise ValueError(
            f"{origin}: no star has a median flux > 0 and few negative ones. If it is flux / median - 1, "
            "say unit='relative'"
        )
    return curves
