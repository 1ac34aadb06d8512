"""Light curves of Kepler, K2 and TESS from the MAST archive into a folder, through lightkurve."""

import csv
import os
import re
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from rich.console import Console
from rich.progress import track

from multistar._compat import load_lightkurve
from multistar.io.files import atomic_write
from multistar.io.ids import target_ids

# Readers of a folder pass over names that begin with _.
JOURNAL, NOT_FOUND = "_downloads.csv", "_not_found.csv"
# Then it is the archive or the network, not the star.
FAILURES_IN_A_ROW = 5


@dataclass(frozen=True)
class _Products:
    """What is downloaded of a mission: by default its own pipeline's curves of usual cadence.

    exptime is the exposure time [s]; catalogue is that of the ids.
    """

    mission: str
    catalogue: str
    author: str
    exptime: float

    def target(self, star: int) -> str:
        """The name of a star."""
        return f"{self.catalogue} {star}"

    def describe(self, star: int) -> str:
        """The search for a star, as JOURNAL has it."""
        return f"{self.target(star)}, {self.author}, {self.exptime:g} s"


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
    """Save all light curves of some stars as FITS files in a folder.

    Parameters
    ----------
    targets : sequence of int, or table
        KIC, EPIC or TIC ids, or a table that `read_ids` takes.
    folder : str or Path
        Made if it is not there.
    mission : str
        A name in PRODUCTS.
    author : str, optional
        Pipeline as `lightkurve.search_lightcurve` has it, such as "QLP"; by default the mission's.
    exptime : float, optional
        Exposure time [s]; by default the usual one of the mission.
    quiet : bool
        False shows a progress bar.

    Returns
    -------
    dict of int to list of Path
        The files of each star that has any.

    Raises
    ------
    ValueError
        For an unknown mission or an id that is none.
    ImportError
        Without lightkurve.
    ConnectionError
        If FAILURES_IN_A_ROW stars fail one after the other.

    Notes
    -----
    A file appears under its name only when it is complete. An interrupted run goes on where it
    stopped: the file JOURNAL says which searches are done, and their files are fetched again only
    if they are gone or do not open. The file NOT_FOUND lists the stars without light curves and
    why; a later run tries them again. Products of other stars, which the archive gives where it
    does not know the id, are not taken.
    """
    if mission not in PRODUCTS:
        raise ValueError(f"unknown mission {mission!r}; known are {', '.join(PRODUCTS)}")
    products = PRODUCTS[mission]
    products = replace(
        products, author=author or products.author, exptime=exptime or products.exptime
    )
    ids = target_ids(targets)
    lightkurve = load_lightkurve()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stars = track(ids, f"{mission} light curves", console=Console(stderr=True), disable=quiet)
    problems: dict[int, str] = {}
    try:
        files = _download_all(lightkurve, products, stars, folder, problems)
    except ConnectionError:
        _write_problems(folder, problems)
        raise
    _write_problems(folder, problems)
    return files


def _download_all(
    lightkurve: Any,
    products: _Products,
    stars: Iterable[int],
    folder: Path,
    problems: dict[int, str],
) -> dict[int, list[Path]]:
    """Files of each star that has any; why others have none is added to `problems`."""
    done = _read_journal(folder)
    files: dict[int, list[Path]] = {}
    in_a_row = 0
    for star in stars:
        search = products.describe(star)
        paths = [folder / name for name in done.get(search, ())]
        if paths and all(map(_is_complete, paths)):
            files[star] = paths
            continue
        try:
            paths = _fetch(lightkurve, products, star, folder)
        # the archive fails in many ways; the next star may be there
        except Exception as error:
            problems[star] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            in_a_row += 1
            if in_a_row == FAILURES_IN_A_ROW:
                raise ConnectionError(
                    f"{in_a_row} stars in a row failed; of {star}: {problems[star]}"
                ) from error
            continue
        in_a_row = 0
        if paths:
            _append_to_journal(folder, search, paths)
            files[star] = paths
        else:
            wanted = f"{products.author}, {products.exptime:g} s"
            mission = products.mission.lower()
            problems[star] = f"the archive has no {mission} light curve of {wanted}"
    return files


def _fetch(lightkurve: Any, products: _Products, star: int, folder: Path) -> list[Path]:
    """Fetch all products that the archive finds and that are of this star."""
    found = lightkurve.search_lightcurve(
        products.target(star),
        mission=products.mission,
        author=products.author,
        exptime=products.exptime,
    )
    paths = []
    for i in range(len(found)):
        row = found.table[i]
        number = re.sub(r"^\D*0*", "", str(row["target_name"]))
        if number != str(star):
            continue
        path = folder / Path(str(row["productFilename"])).name
        if not _is_complete(path):
            with tempfile.TemporaryDirectory(dir=folder, prefix=".") as partial:
                curve = found[i].download(quality_bitmask="none", download_dir=partial)
                os.replace(curve.meta["FILENAME"], path)
        paths.append(path)
    return paths


def _is_complete(path: Path) -> bool:
    """Whether there is a FITS file, and all of it."""
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


def _read_journal(folder: Path) -> dict[str, list[str]]:
    """Names of files by search, of the searches that earlier runs finished."""
    path = folder / JOURNAL
    if not path.exists():
        return {}
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["search"]: row["files"].split() for row in rows if row["files"]}


def _append_to_journal(folder: Path, search: str, paths: list[Path]) -> None:
    """Note a finished search, below a header if it is the first."""
    is_new = not (folder / JOURNAL).exists()
    names = " ".join(path.name for path in paths)
    with open(folder / JOURNAL, "a", newline="") as stream:
        writer = csv.writer(stream)
        if is_new:
            writer.writerow(["search", "files"])
        writer.writerow([search, names])


def _write_problems(folder: Path, problems: dict[int, str]) -> None:
    with (
        atomic_write(folder / NOT_FOUND, overwrite=True) as temporary,
        open(temporary, "w", newline="") as stream,
    ):
        csv.writer(stream).writerows([["source_id", "reason"], *problems.items()])
