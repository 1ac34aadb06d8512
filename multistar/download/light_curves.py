"""Light curves of Kepler, K2 and TESS from the MAST archive into a folder, through lightkurve."""

import csv
import os
import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from rich.console import Console
from rich.progress import track

from multistar._compat import load_lightkurve
from multistar.io.files import atomic_write
from multistar.io.ids import target_ids

JOURNAL, NOT_FOUND = (
    "_downloads.csv",
    "_not_found.csv",
)  # readers of a folder pass over names with _ in front
FAILURES_IN_A_ROW = 5  # then it is the archive or the network, not the star


@dataclass(frozen=True)
class _Products:
    """What is downloaded of a mission unless told otherwise: its own pipeline's curves of the usual cadence."""

    mission: str
    catalogue: str
    author: str
    exptime: float  # s


PRODUCTS = {
    "kepler": _Products("Kepler", "KIC", "Kepler", 1800),
    "k2": _Products("K2", "EPIC", "K2", 1800),
    "tess": _Products("TESS", "TIC", "SPOC", 120),
}


def download_light_curves(
    targets: Any,
    folder: str | Path,
    mission: str,
    *,
    author: str | None = None,
    exptime: float | None = None,
    quiet: bool = True,
) -> dict[int, list[Path]]:
    """Save all light curves of some stars as FITS files in `folder`; gives the files of each star that has any.

    targets          KIC, EPIC or TIC ids: integers, or a table that `read_ids` takes
    mission          a name in PRODUCTS
    author, exptime  pipeline and exposure time [s] as `lightkurve.search_lightcurve` has them, e.g. "QLP"

    A file appears under its name only when it is complete. An interrupted run goes on where it stopped: JOURNAL in the
    folder says which searches are done, and their files are fetched again only if they are gone or do not open.
    NOT_FOUND lists the stars without light curves and why; a later run tries them again. Products of other stars,
    which the archive gives where it does not know the id, are not taken.

    Raises ValueError for an unknown mission or an id that is none, ImportError without lightkurve, ConnectionError if
    FAILURES_IN_A_ROW stars fail one after the other.
    """
    if mission not in PRODUCTS:
        raise ValueError(f"unknown mission {mission!r}; known are {', '.join(PRODUCTS)}")
    ids = target_ids(targets)
    lightkurve = load_lightkurve()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    done = _done(folder)
    products = PRODUCTS[mission]
    author, exptime = author or products.author, exptime or products.exptime
    files: dict[int, list[Path]] = {}
    problems: dict[int, str] = {}
    in_a_row = 0
    for star in track(ids, f"{mission} light curves", console=Console(stderr=True), disable=quiet):
        target = f"{products.catalogue} {star}"
        search = f"{target}, {author}, {exptime:g} s"
        paths = [folder / name for name in done.get(search, ())]
        if not (paths and all(map(_opens, paths))):
            try:
                found = lightkurve.search_lightcurve(
                    target, mission=products.mission, author=author, exptime=exptime
                )
                paths = _fetch(found, star, folder)
                in_a_row = 0
            except Exception as error:  # the archive fails in many ways; the next star may be there
                problems[star] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                in_a_row += 1
                if in_a_row == FAILURES_IN_A_ROW:
                    _write_problems(folder, problems)
                    raise ConnectionError(
                        f"{in_a_row} stars in a row failed; of {star}: {problems[star]}"
                    ) from error
                continue
            if paths:
                _note(folder, search, paths)
        if paths:
            files[star] = paths
        else:
            problems[star] = f"the archive has no {mission} light curve of {author}, {exptime:g} s"
    _write_problems(folder, problems)
    return files


def _fetch(found: Any, star: int, folder: Path) -> list[Path]:
    """The files of all products found that are of this star."""
    paths = []
    for i in range(len(found)):
        row = found.table[i]
        if re.sub(r"^\D*0*", "", str(row["target_name"])) != str(star):
            continue
        path = folder / Path(str(row["productFilename"])).name
        if not _opens(path):
            with tempfile.TemporaryDirectory(dir=folder, prefix=".") as partial:
                curve = found[i].download(quality_bitmask="none", download_dir=partial)
                os.replace(curve.meta["FILENAME"], path)
        paths.append(path)
    return paths


def _opens(path: Path) -> bool:
    """Is there a FITS file, and all of it?"""
    if not path.exists():
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "File may have been truncated", AstropyUserWarning)
            with fits.open(path) as parts:
                tables: list[Any] = list(parts)[1:]
                return bool(tables) and all(table.data is not None for table in tables)
    except (OSError, EOFError, ValueError, TypeError, AstropyUserWarning):
        return False


def _done(folder: Path) -> dict[str, list[str]]:
    """Names of files by search, of the searches that earlier runs finished."""
    if not (folder / JOURNAL).exists():
        return {}
    with open(folder / JOURNAL, newline="") as stream:
        return {
            row["search"]: row["files"].split() for row in csv.DictReader(stream) if row["files"]
        }


def _note(folder: Path, search: str, paths: list[Path]) -> None:
    new = not (folder / JOURNAL).exists()
    with open(folder / JOURNAL, "a", newline="") as stream:
        csv.writer(stream).writerows(
            [["search", "files"]] * new + [[search, " ".join(path.name for path in paths)]]
        )


def _write_problems(folder: Path, problems: dict[int, str]) -> None:
    with (
        atomic_write(folder / NOT_FOUND, overwrite=True) as temporary,
        open(temporary, "w", newline="") as stream,
    ):
        csv.writer(stream).writerows([["source_id", "reason"], *problems.items()])
