"""Photometry, parallaxes and XP spectra of stars from the Gaia archive into a folder that reads as one table."""

import csv
import hashlib
import io
import json
import socket
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
from astropy.io import votable
from astropy.table import Table
from rich.console import Console
from rich.progress import track

from multistar._compat import load_tap
from multistar.io.files import atomic_write
from multistar.io.ids import id_numbers, target_ids
from multistar.io.tables import Columns, read_columns
from multistar.modalities.gaia_xp.read import XP_BANDS

ARCHIVE = "https://gea.esac.esa.int"
SELECTION, WITHOUT_SPECTRA = (
    "_selection.arrow",
    "_without_spectra.csv",
)  # passed over by readers of a folder
LIMIT = 5000  # ids in one request, by the archive's rule for DataLink
CHUNK = 2000  # stars per file: about 50 MB with the correlations of the coefficients
FAILURES_IN_A_ROW = 3  # then it is the archive or the network, not the stars
TIMEOUT = 600.0  # s without a byte


@dataclass(frozen=True)
class Release:
    """What the archive calls things in one data release.

    has_xp  the column of `source` that says whether there is a spectrum; None: not known, all stars are asked for
    """

    source: str  # table of sources
    data: str  # release, as DataLink has it
    product: str  # XP coefficients, as DataLink has them
    has_xp: str | None = None


RELEASES = {
    "dr3": Release("gaiadr3.gaia_source", "Gaia DR3", "XP_CONTINUOUS", "has_xp_continuous"),
    # as announced (the product is in astroquery 0.4.11); not tried, for the release is not out
    "dr4": Release("gaiadr4.gaia_source", "Gaia DR4", "MEAN_SPECTRUM_XP"),
}
_FLOAT = pa.float32()
SOURCE_COLUMNS: dict[str, pa.DataType] = {
    "ra": pa.float64(),
    "dec": pa.float64(),
    "parallax": pa.float64(),
    "parallax_error": _FLOAT,
    **{
        f"phot_{b}_mean_{what}": _FLOAT
        for b in ("g", "bp", "rp")
        for what in ("mag", "flux_over_error")
    },
}
_XP = {
    "basis_function_id": pa.int16(),
    "n_parameters": pa.int16(),
    "n_relevant_bases": pa.int16(),
    "standard_deviation": _FLOAT,
    "coefficients": pa.list_(pa.float64()),
    "coefficient_errors": pa.list_(_FLOAT),
    "coefficient_correlations": pa.list_(_FLOAT),
}
XP_COLUMNS: dict[str, pa.DataType] = {
    f"{b}_{name}": kind for b in XP_BANDS for name, kind in _XP.items()
}


@dataclass(frozen=True)
class Cone:
    """All sources within `radius` of a point; ICRS, degrees. ValueError where there is no such cone."""

    ra: float
    dec: float
    radius: float

    def __post_init__(self):
        if not (0 <= self.ra < 360 and -90 <= self.dec <= 90 and 0 < self.radius <= 180):
            raise ValueError(
                f"a cone is RA in [0, 360), DEC in [-90, 90], RADIUS in (0, 180] degrees, got {self}"
            )


@dataclass(frozen=True)
class Query:
    """ADQL that gives one row per star with its source_id; its other columns are kept, what lacks is added."""

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
    """Save what the archive has of some stars as gaia_00000.parquet ... in `folder`; gives these files.

    stars    a Cone, a Query, source_ids, or a table that `read_ids` takes
    release  a name in RELEASES
    chunk    stars per file and request, at most LIMIT
    archive  address of a server that answers as ESA's does

    Each file has the source_id, SOURCE_COLUMNS, XP_COLUMNS (null where there is no spectrum) and a query's own
    columns, in the order of the selection; all have one schema, and `read_stars` reads a file or the folder. Stars that
    the release does not know have no row. WITHOUT_SPECTRA lists the stars without coefficients, and why.

    A file appears only when it is complete. An interrupted run goes on where it stopped: SELECTION keeps the stars
    that were selected, which are not asked for again, and files that are there and open are not fetched again. A chunk
    that fails is passed over and fetched by the next run.

    Raises ValueError for an unknown release, a wrong chunk, a selection that is empty or names a star twice, a folder
    that another download began; FileExistsError for a folder with other things in it; ImportError without astroquery;
    ConnectionError if the selection failed, if FAILURES_IN_A_ROW chunks failed or, at the end, if any did.
    """
    if release not in RELEASES:
        raise ValueError(f"unknown release {release!r}; known are {', '.join(RELEASES)}")
    if not 1 <= chunk <= LIMIT:
        raise ValueError(f"a chunk has 1 to {LIMIT} stars (the archive's limit), got {chunk}")
    server = _Server(archive, RELEASES[release])
    folder = Path(folder)
    ids = None if isinstance(stars, (Cone, Query)) else target_ids(stars)
    settings = {"release": release, "chunk": chunk, "stars": _described(stars, ids)}
    selection = _selected_before(folder, settings)
    if selection is None:
        selection = _select(server, stars, ids)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / SELECTION) as temporary:
            feather.write_feather(
                selection.replace_schema_metadata({"settings": json.dumps(settings)}),
                str(temporary),
            )
    for left in folder.glob(".gaia_*.tmp.parquet"):  # of a run that was killed
        left.unlink()
    parts = {
        folder / f"gaia_{i:05d}.parquet": selection[i * chunk : (i + 1) * chunk]
        for i in range(-(-len(selection) // chunk))
    }
    try:
        _fetch_all(server, parts, folder, quiet)
    finally:
        _write_problems(folder, parts, server.release)
    return list(parts)


def _described(stars: Any, ids: list[int] | None) -> dict:
    if ids is None:
        return asdict(stars)
    return {
        "ids": len(ids),
        "sha256": hashlib.sha256(np.array(ids, np.int64).tobytes()).hexdigest(),
    }


def _selected_before(folder: Path, settings: dict) -> pa.Table | None:
    """What an earlier run of this download selected; None if there was none."""
    if (folder / SELECTION).exists():
        table = feather.read_table(folder / SELECTION)
        known = json.loads((table.schema.metadata or {}).get(b"settings", b"{}"))
        if differ := sorted(
            k for k in settings.keys() | known.keys() if settings.get(k) != known.get(k)
        ):
            raise ValueError(
                f"{folder} holds another download (different {', '.join(differ)}); choose another folder"
            )
        return table.replace_schema_metadata()
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty and no earlier download's; choose another folder"
        )
    return None


def _select(server: "_Server", stars: Any, ids: list[int] | None) -> pa.Table:
    if ids is not None:
        table = pa.table({"source_id": pa.array(ids, pa.int64())})
    elif isinstance(stars, Cone):
        circle = f"CIRCLE('ICRS', {stars.ra!r}, {stars.dec!r}, {stars.radius!r})"
        names = ", ".join(["source_id", *server.source_columns])
        inside = f"1 = CONTAINS(POINT('ICRS', ra, dec), {circle})"
        table = server.query(f"SELECT {names} FROM {server.release.source} WHERE {inside}")
    else:
        table = server.query(stars.adql)
        table = table.select(
            [name for name in table.column_names if name not in XP_COLUMNS]
        )  # they come with spectra
    if not len(table):
        raise ValueError(f"no star is selected by {stars}")
    chosen = pd.Series(table["source_id"].to_numpy())
    if chosen.min() <= 0:
        raise ValueError(f"{stars}: some rows have no source_id; select those that have")
    if (twice := chosen.duplicated()).any():
        star = chosen.iloc[int(twice.argmax())]
        raise ValueError(
            f"{stars}: source_id {star} is selected more than once ({twice.sum()} rows too many)"
        )
    return table


def _fetch_all(server: "_Server", parts: dict[Path, pa.Table], folder: Path, quiet: bool) -> None:
    failed, in_a_row = {}, 0
    for path, selected in track(
        parts.items(), "Gaia", console=Console(stderr=True), disable=quiet, total=len(parts)
    ):
        if _opens(path):
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
        done = sum(map(_opens, parts))
        raise ConnectionError(
            f"{len(failed)} chunks failed; of {name}: {error}. {done} of {len(parts)} chunks are complete in {folder}; "
            "the same command goes on from there"
        ) from error


def _fetch(server: "_Server", selected: pa.Table) -> pa.Table:
    """One chunk: the selected stars that the release knows, with all columns."""
    lacking = [name for name in server.source_columns if name not in selected.column_names]
    if lacking:
        sources = server.sources(selected["source_id"], lacking)
        known = np.isin(selected["source_id"].to_numpy(), sources["source_id"].to_numpy())
        selected = _beside(selected.filter(pa.array(known)), sources)
    has_xp = server.release.has_xp
    asked = selected.filter(selected[has_xp]) if has_xp else selected  # a null is no
    return _beside(selected, server.spectra(asked["source_id"]))


def _beside(left: pa.Table, right: pa.Table) -> pa.Table:
    """Rows of `left` with the columns of `right`, by source_id; null where `right` does not have the star."""
    ids, first = np.unique(right["source_id"].to_numpy(), return_index=True)
    rows = pd.Index(ids).get_indexer(pd.Index(left["source_id"].to_numpy()))
    rows = pa.array(np.append(first, 0)[rows], mask=rows < 0)
    for name in right.column_names:
        if name != "source_id":
            left = left.append_column(name, right[name].combine_chunks().take(rows))
    return left


def _opens(path: Path) -> bool:
    """Is there a Parquet file, and all of it? Its directory stands at the end."""
    try:
        return pq.read_metadata(path).num_rows >= 0
    except (OSError, pa.ArrowInvalid):
        return False


def _write_problems(folder: Path, parts: dict[Path, pa.Table], release: Release) -> None:
    """The list of stars without spectra in all finished chunks."""
    rows = []
    for path, selected in parts.items():
        if not _opens(path):
            continue
        names = ["source_id", *(f"{band}_coefficients" for band in XP_BANDS)]
        table = pq.read_table(path, columns=names + ([release.has_xp] if release.has_xp else []))
        bare = np.all([table[name].is_null().to_numpy() for name in names[1:]], axis=0)
        announced = table[release.has_xp].to_pylist() if release.has_xp else [False] * len(table)
        found = zip(table["source_id"].to_pylist(), bare.tolist(), announced, strict=True)
        known = {star: (is_bare, promised) for star, is_bare, promised in found}
        for star in selected["source_id"].to_pylist():
            is_bare, promised = known.get(star, (True, None))
            if star not in known:
                rows.append((star, f"not in {release.source}"))
            elif is_bare:
                rows.append(
                    (
                        star,
                        "announced, but not sent"
                        if promised
                        else f"no {release.product} in {release.data}",
                    )
                )
    with (
        atomic_write(folder / WITHOUT_SPECTRA, overwrite=True) as temporary,
        open(temporary, "w", newline="") as stream,
    ):
        csv.writer(stream).writerows([["source_id", "reason"], *rows])


class _Server:
    """ESA's archive through astroquery's TAP+ client.

    Not through astroquery.gaia: that asks the network when it is imported and unpacks spectra in the working folder.
    """

    def __init__(self, url: str, release: Release):
        tap, url = load_tap(), url.rstrip("/") + "/"
        self.release = release
        self._tables = tap(
            url=url, server_context="tap-server", tap_context="tap", upload_context="Upload"
        )
        self._data = tap(url=url, server_context="data-server", data_context="data")

    @property
    def source_columns(self) -> dict[str, pa.DataType]:
        """Columns of the table of sources that are wanted of every star."""
        return SOURCE_COLUMNS | ({self.release.has_xp: pa.bool_()} if self.release.has_xp else {})

    def query(self, adql: str, ids: pa.ChunkedArray | None = None) -> pa.Table:
        """The answer to ADQL, in which `ids` are the table tap_upload.ids.

        Asynchronous: a synchronous answer ends at 2,000 rows without saying so.
        """
        upload = {}
        if ids is not None:
            upload = {
                "upload_resource": Table({"source_id": ids.to_numpy()}),
                "upload_table_name": "ids",
            }
        with (
            tempfile.TemporaryDirectory() as folder,
            _archive_errors(f"query {' '.join(adql.split())[:80]!r}"),
        ):
            answer = Path(folder) / "answer.vot.gz"  # gzipped or not: the reader looks
            self._tables.launch_job_async(
                adql, dump_to_file=True, output_file=str(answer), **upload
            )
            columns = _read_answer(answer)
        return _to_arrow(columns, self.source_columns)

    def sources(self, ids: pa.ChunkedArray, names: list[str]) -> pa.Table:
        wanted = ", ".join(f"g.{name}" for name in ["source_id", *names])
        join = f"tap_upload.ids AS u JOIN {self.release.source} AS g ON g.source_id = u.source_id"
        return self.query(f"SELECT {wanted} FROM {join}", ids)

    def spectra(self, ids: pa.ChunkedArray) -> pa.Table:
        """XP_COLUMNS of those of the stars that have a spectrum."""
        tables = [pa.schema([("source_id", pa.int64()), *XP_COLUMNS.items()]).empty_table()]
        if not len(ids):
            return tables[0]
        request = {
            "ID": ",".join(map(str, ids.to_pylist())),
            "RELEASE": self.release.data,
            "DATA_STRUCTURE": "RAW",
            "FORMAT": "votable",
            "RETRIEVAL_TYPE": self.release.product,
            "USE_ZIP_ALWAYS": "true",
        }
        what = f"{self.release.product} of {len(ids)} stars"
        with tempfile.TemporaryDirectory() as folder, _archive_errors(what):
            answer = Path(folder) / "answer.zip"
            self._data.load_data(params_dict=request, output_file=str(answer))
            with zipfile.ZipFile(answer) as bundle:
                for member in (
                    bundle.namelist()
                ):  # one table of all stars, as asked for; one each would do as well
                    part = Path(folder) / f"part{Path(member).suffix}"
                    part.write_bytes(bundle.read(member))
                    tables.append(_to_arrow(read_columns(part), XP_COLUMNS, only=True))
        return pa.concat_tables(tables)


@contextmanager
def _archive_errors(what: str) -> Iterator[None]:
    """Whatever goes wrong within becomes a ConnectionError of one line; the client's own prints are not shown."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # the client sets none and would wait for ever
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # units that VOTable does not know
            yield
    except Exception as error:  # HTTP, XML, zip, missing columns: the archive fails in many ways
        reason = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"{what}: the archive's answer is no good ({type(error).__name__}: {reason})"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _read_answer(path: Path) -> Columns:
    """A VOTable, if it is whole; ValueError if the archive says that it is not."""
    document = votable.parse(path)
    infos = [
        info
        for resource in document.resources
        for info in resource.infos
        if info.name == "QUERY_STATUS"
    ]
    if bad := [info for info in infos if str(info.value).upper() not in ("OK", "")]:
        raise ValueError(
            f"query status {bad[0].value} {bad[0].content or ''}; with OVERFLOW rows are missing"
        )
    return read_columns(document.get_first_table().to_table(use_names_over_ids=True))


def _to_arrow(columns: Columns, kinds: dict[str, pa.DataType], only: bool = False) -> pa.Table:
    """source_id and the columns in `kinds` as these, all of which must be there if `only`; others as they came."""
    data = {
        name.lower() if "_" in name and name.isupper() else name: values
        for name, values in columns.data.items()
    }
    wanted = ["source_id", *(kinds if only else [name for name in data if name != "source_id"])]
    if absent := [name for name in wanted if name not in data]:
        raise ValueError(f"no columns {absent[:4]} in the answer, which has {list(data)[:8]}")
    arrays = {
        "source_id": pa.array(id_numbers(data["source_id"], "the archive's answer", "source_id"))
    }
    for name in wanted[1:]:
        arrays[name] = _array(
            Columns({name: data[name]}, origin="the archive's answer"), name, kinds.get(name)
        )
    return pa.table(arrays)


def _array(columns: Columns, name: str, kind: pa.DataType | None) -> pa.Array:
    values = columns[name]
    if kind is None:
        return pa.array(
            values if values.ndim == 1 and values.dtype.kind in "iufb" else list(values)
        )
    if pa.types.is_list(kind):
        vectors = [np.ma.filled(np.ma.asarray(x, np.float64), np.nan) for x in values]
        return pa.array(
            [x if np.isfinite(x).any() else None for x in vectors], pa.list_(pa.float64())
        ).cast(kind)
    return pa.array(columns.numbers(name), from_pandas=True).cast(kind)
