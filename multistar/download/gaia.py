"""Photometry, parallaxes and XP spectra from the Gaia archive into a folder, read as one table."""

import csv
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import track

from multistar.download.gaia_archive import (
    ARCHIVE,
    LIMIT,
    RELEASES,
    XP_COLUMNS,
    GaiaArchive,
    Release,
)
from multistar.io.files import atomic_write
from multistar.io.ids import target_ids
from multistar.modalities.gaia_xp.read import XP_BANDS

# Readers of a folder pass over names that begin with _.
SELECTION, WITHOUT_SPECTRA = "_selection.arrow", "_without_spectra.csv"
# Stars per file: about 50 MB with the correlations of the coefficients.
CHUNK = 2000
# Then it is the archive or the network, not the stars.
FAILURES_IN_A_ROW = 3


@dataclass(frozen=True)
class Cone:
    """All sources within a radius of a point.

    Parameters
    ----------
    ra, dec : float
        Of the point [deg], ICRS.
    radius : float
        [deg]

    Raises
    ------
    ValueError
        If there is no such cone.
    """

    ra: float
    dec: float
    radius: float

    def __post_init__(self):
        if not (0 <= self.ra < 360 and -90 <= self.dec <= 90 and 0 < self.radius <= 180):
            raise ValueError(
                "a cone is RA in [0, 360), DEC in [-90, 90], RADIUS in (0, 180] degrees, "
                f"got {self}"
            )


@dataclass(frozen=True)
class Query:
    """A query in ADQL that gives one row per star with its source_id.

    Its other columns are kept, and those of SOURCE_COLUMNS that it lacks are added.
    """

    adql: str


def download_gaia(
    stars: Any,
    folder: str | Path,
    *,
    release: str = "dr3",
    chunk: int = CHUNK,
    archive: str = ARCHIVE,
    quiet: bool = True,
) -> list[Path]:
    """Save what the Gaia archive has of some stars as gaia_00000.parquet ... in a folder.

    Parameters
    ----------
    stars : Cone, Query, sequence of int, or table
        Which stars: a selection, source_ids, or a table that `read_ids` takes.
    folder : str or Path
        Made if it is not there.
    release : str
        A name in RELEASES.
    chunk : int
        Stars per file and request, at most LIMIT.
    archive : str
        Address of a server that answers as ESA's does.
    quiet : bool
        False shows a progress bar.

    Returns
    -------
    list of Path
        The files. Each has the source_id, SOURCE_COLUMNS, XP_COLUMNS (null where there is no
        spectrum) and a query's own columns, in the order of the selection; all have one schema,
        and `read_stars` reads a file or the folder.

    Raises
    ------
    ValueError
        For an unknown release, a wrong chunk, a selection that is empty or names a star twice, a
        folder that another download began.
    FileExistsError
        For a folder with other things in it.
    ImportError
        Without astroquery.
    ConnectionError
        If the selection failed, if FAILURES_IN_A_ROW chunks failed or, at the end, if any did.

    Notes
    -----
    Stars that the release does not know have no row. The file WITHOUT_SPECTRA lists the stars
    without coefficients, and why.

    A file appears only when it is complete. An interrupted run goes on where it stopped: the file
    SELECTION keeps the stars that were selected, which are not asked for again, and files that are
    there and open are not fetched again. A chunk that fails is passed over and fetched by the next
    run.

    Examples
    --------
    >>> files = download_gaia(Cone(56.75, 24.12, 1), "pleiades")  # doctest: +SKIP
    """
    if release not in RELEASES:
        raise ValueError(f"unknown release {release!r}; known are {', '.join(RELEASES)}")
    if not 1 <= chunk <= LIMIT:
        raise ValueError(f"a chunk has 1 to {LIMIT} stars (the archive's limit), got {chunk}")
    server = GaiaArchive(archive, RELEASES[release])
    folder = Path(folder)
    ids = None if isinstance(stars, (Cone, Query)) else target_ids(stars)
    settings = {"release": release, "chunk": chunk, "stars": _describe(stars, ids)}
    selection = _read_selection(folder, settings)
    if selection is None:
        selection = _select(server, stars, ids)
        _write_selection(folder, selection, settings)
    # What a run that was killed left.
    for partial in folder.glob(".gaia_*.tmp.parquet"):
        partial.unlink()
    chunks = _split(selection, folder, chunk)
    try:
        _fetch_all(server, chunks, folder, quiet)
    finally:
        _write_problems(folder, chunks, server.release)
    return list(chunks)


def _describe(stars: Any, ids: list[int] | None) -> dict:
    """What tells one selection from another, ready for JSON."""
    if ids is None:
        return asdict(stars)
    digest = hashlib.sha256(np.array(ids, np.int64).tobytes())
    return {"ids": len(ids), "sha256": digest.hexdigest()}


def _read_selection(folder: Path, settings: dict) -> pa.Table | None:
    """What an earlier run of this download selected; None if there was none.

    Raises ValueError if it was another download, FileExistsError if the folder has other things.
    """
    if (folder / SELECTION).exists():
        table = feather.read_table(folder / SELECTION)
        known = json.loads((table.schema.metadata or {}).get(b"settings", b"{}"))
        names = sorted(settings.keys() | known.keys())
        different = [name for name in names if settings.get(name) != known.get(name)]
        if different:
            raise ValueError(
                f"{folder} holds another download (different {', '.join(different)}); "
                "choose another folder"
            )
        return table.replace_schema_metadata()
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty and no earlier download's; choose another folder"
        )
    return None


def _write_selection(folder: Path, selection: pa.Table, settings: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = selection.replace_schema_metadata({"settings": json.dumps(settings)})
    with atomic_write(folder / SELECTION) as temporary:
        feather.write_feather(table, str(temporary))


def _select(server: GaiaArchive, stars: Any, ids: list[int] | None) -> pa.Table:
    """The selected stars, each once, with the columns that the selection gave."""
    if ids is not None:
        table = pa.table({"source_id": pa.array(ids, pa.int64())})
    elif isinstance(stars, Cone):
        table = _select_cone(server, stars)
    else:
        table = server.query(stars.adql)
        # Columns of spectra are left out here, because they come with the spectra.
        table = table.select([name for name in table.column_names if name not in XP_COLUMNS])
    if not len(table):
        raise ValueError(f"no star is selected by {stars}")
    source_id = pd.Series(table["source_id"].to_numpy())
    if source_id.min() <= 0:
        raise ValueError(f"{stars}: some rows have no source_id; select those that have")
    repeated = source_id.duplicated()
    if repeated.any():
        first = source_id.iloc[int(repeated.argmax())]
        raise ValueError(
            f"{stars}: source_id {first} is selected more than once "
            f"({repeated.sum()} rows too many)"
        )
    return table


def _select_cone(server: GaiaArchive, cone: Cone) -> pa.Table:
    names = ", ".join(["source_id", *server.source_columns])
    circle = f"CIRCLE('ICRS', {cone.ra!r}, {cone.dec!r}, {cone.radius!r})"
    inside = f"1 = CONTAINS(POINT('ICRS', ra, dec), {circle})"
    return server.query(f"SELECT {names} FROM {server.release.source} WHERE {inside}")


def _split(selection: pa.Table, folder: Path, chunk: int) -> dict[Path, pa.Table]:
    """The stars of each file."""
    chunks = {}
    for i, start in enumerate(range(0, len(selection), chunk)):
        chunks[folder / f"gaia_{i:05d}.parquet"] = selection[start : start + chunk]
    return chunks


def _fetch_all(
    server: GaiaArchive, chunks: dict[Path, pa.Table], folder: Path, quiet: bool
) -> None:
    """Fetch all chunks that are not there; ConnectionError if any failed."""
    failed: dict[str, Exception] = {}
    in_a_row = 0
    progress = track(
        chunks.items(), "Gaia", console=Console(stderr=True), disable=quiet, total=len(chunks)
    )
    for path, selected in progress:
        if _is_complete(path):
            continue
        try:
            table = _fetch(server, selected)
        except (ConnectionError, ValueError) as error:
            failed[path.name] = error
            in_a_row += 1
            if in_a_row == FAILURES_IN_A_ROW:
                break
            continue
        in_a_row = 0
        with atomic_write(path, overwrite=True) as temporary:
            pq.write_table(table, temporary)
    if failed:
        name, error = next(iter(failed.items()))
        done = sum(map(_is_complete, chunks))
        raise ConnectionError(
            f"{len(failed)} chunks failed; of {name}: {error}. {done} of {len(chunks)} chunks are "
            f"complete in {folder}; the same command goes on from there"
        ) from error


def _fetch(server: GaiaArchive, selected: pa.Table) -> pa.Table:
    """One chunk: the selected stars that the release knows, with all columns."""
    lacking = [name for name in server.source_columns if name not in selected.column_names]
    if lacking:
        sources = server.sources(selected["source_id"], lacking)
        known = np.isin(selected["source_id"].to_numpy(), sources["source_id"].to_numpy())
        selected = _join(selected.filter(pa.array(known)), sources)
    with_spectrum = selected
    if server.release.has_xp:
        # a null is a no
        with_spectrum = selected.filter(selected[server.release.has_xp])
    return _join(selected, server.spectra(with_spectrum["source_id"]))


def _join(left: pa.Table, right: pa.Table) -> pa.Table:
    """Rows of `left` with the columns of `right`, by source_id.

    They are null where `right` does not have the star.
    """
    ids, first = np.unique(right["source_id"].to_numpy(), return_index=True)
    place = pd.Index(ids).get_indexer(pd.Index(left["source_id"].to_numpy()))
    # The row added at the end stands for stars that are absent, whose place is -1.
    rows = np.append(first, 0)[place]
    rows = pa.array(rows, mask=place < 0)
    for name in right.column_names:
        if name != "source_id":
            left = left.append_column(name, right[name].combine_chunks().take(rows))
    return left


def _is_complete(path: Path) -> bool:
    """Whether there is a Parquet file, and all of it: its directory stands at the end."""
    try:
        return pq.read_metadata(path).num_rows >= 0
    except (OSError, pa.ArrowInvalid):
        return False


def _write_problems(folder: Path, chunks: dict[Path, pa.Table], release: Release) -> None:
    """Write the list of stars without spectra in all finished chunks."""
    rows = []
    for path, selected in chunks.items():
        if _is_complete(path):
            rows += _find_problems(path, selected["source_id"].to_pylist(), release)
    with (
        atomic_write(folder / WITHOUT_SPECTRA, overwrite=True) as temporary,
        open(temporary, "w", newline="") as stream,
    ):
        csv.writer(stream).writerows([["source_id", "reason"], *rows])


def _find_problems(path: Path, selected: list[int], release: Release) -> list[tuple[int, str]]:
    """(source_id, reason) of the selected stars that have no spectrum in a finished chunk."""
    coefficients = [f"{band}_coefficients" for band in XP_BANDS]
    columns = ["source_id", *coefficients]
    if release.has_xp:
        columns.append(release.has_xp)
    table = pq.read_table(path, columns=columns)
    bare = np.all([table[name].is_null().to_numpy() for name in coefficients], axis=0)
    known = table["source_id"].to_pylist()
    is_bare = dict(zip(known, bare.tolist(), strict=True))
    announced: dict[int, bool] = {}
    if release.has_xp:
        announced = dict(zip(known, table[release.has_xp].to_pylist(), strict=True))
    problems = []
    for star in selected:
        if star not in is_bare:
            problems.append((star, f"not in {release.source}"))
        elif is_bare[star] and announced.get(star):
            problems.append((star, "announced, but not sent"))
        elif is_bare[star]:
            problems.append((star, f"no {release.product} in {release.data}"))
    return problems
