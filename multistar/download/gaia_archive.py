"""ESA's Gaia archive: what it calls things, queries, and spectra by DataLink."""

import io
import socket
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.table import Table

from multistar._compat import load_tap
from multistar.io.ids import id_numbers
from multistar.io.tables import Columns, read_columns
from multistar.io.untrusted import is_gzipped, open_votable
from multistar.modalities.gaia_xp.read import XP_BANDS

ARCHIVE = "https://gea.esac.esa.int"
ANSWER = "the archive's answer"
# Ids in one request, by the archive's rule for DataLink.
LIMIT = 5000
# s without a byte
TIMEOUT = 600.0


@dataclass(frozen=True)
class Release:
    """What the archive calls things in one data release.

    Attributes
    ----------
    source : str
        Table of sources.
    data : str
        The release, as DataLink has it.
    product : str
        XP coefficients, as DataLink has them.
    has_xp : str or None
        The column of `source` that says whether there is a spectrum. None: not known, and all
        stars are asked for.
    """

    source: str
    data: str
    product: str
    has_xp: str | None = None


RELEASES = {
    "dr3": Release("gaiadr3.gaia_source", "Gaia DR3", "XP_CONTINUOUS", "has_xp_continuous"),
    # As announced (the product is in astroquery 0.4.11); not tried, for the release is not out.
    "dr4": Release("gaiadr4.gaia_source", "Gaia DR4", "MEAN_SPECTRUM_XP"),
}
SOURCE_COLUMNS: dict[str, pa.DataType] = {
    "ra": pa.float64(),
    "dec": pa.float64(),
    "parallax": pa.float64(),
    "parallax_error": pa.float32(),
    "phot_g_mean_mag": pa.float32(),
    "phot_g_mean_flux_over_error": pa.float32(),
    "phot_bp_mean_mag": pa.float32(),
    "phot_bp_mean_flux_over_error": pa.float32(),
    "phot_rp_mean_mag": pa.float32(),
    "phot_rp_mean_flux_over_error": pa.float32(),
}
# Columns of one band; the archive has them as bp_NAME and rp_NAME.
_BAND_COLUMNS = {
    "basis_function_id": pa.int16(),
    "n_parameters": pa.int16(),
    "n_relevant_bases": pa.int16(),
    "standard_deviation": pa.float32(),
    "coefficients": pa.list_(pa.float64()),
    "coefficient_errors": pa.list_(pa.float32()),
    "coefficient_correlations": pa.list_(pa.float32()),
}
XP_COLUMNS: dict[str, pa.DataType] = {
    f"{band}_{name}": kind for band in XP_BANDS for name, kind in _BAND_COLUMNS.items()
}


class GaiaArchive:
    """ESA's archive through astroquery's TAP+ client.

    Not through astroquery.gaia: that asks the network when it is imported and unpacks spectra in
    the working folder. All methods raise ConnectionError where the archive gives no good answer.

    Parameters
    ----------
    url : str
        Address of a server that answers as ESA's does.
    release : Release
        What is asked for.

    Raises
    ------
    ImportError
        Without astroquery.
    """

    def __init__(self, url: str, release: Release):
        tap = load_tap()
        url = url.rstrip("/") + "/"
        self.release = release
        self._tables = tap(
            url=url, server_context="tap-server", tap_context="tap", upload_context="Upload"
        )
        self._data = tap(url=url, server_context="data-server", data_context="data")

    @property
    def source_columns(self) -> dict[str, pa.DataType]:
        """Columns of the table of sources that are wanted of every star."""
        columns = dict(SOURCE_COLUMNS)
        if self.release.has_xp:
            columns[self.release.has_xp] = pa.bool_()
        return columns

    def query(self, adql: str, ids: pa.ChunkedArray | None = None) -> pa.Table:
        """Answer a query.

        The job is asynchronous: a synchronous answer ends at 2,000 rows without saying so.

        Parameters
        ----------
        adql : str
            The query.
        ids : pa.ChunkedArray of int64, optional
            Uploaded; the query has them as the table tap_upload.ids.

        Returns
        -------
        pa.Table
            With source_id and all columns of the answer.
        """
        options = {}
        if ids is not None:
            options["upload_resource"] = Table({"source_id": ids.to_numpy()})
            options["upload_table_name"] = "ids"
        start = " ".join(adql.split())[:80]
        with tempfile.TemporaryDirectory() as folder, _archive_errors(f"query {start!r}"):
            answer = Path(folder) / "answer.vot.gz"
            options |= {"dump_to_file": True, "output_file": str(answer)}
            self._tables.launch_job_async(adql, **options)
            if not is_gzipped(answer):  # refusals are not, whatever the name says
                answer = answer.rename(answer.with_suffix(""))
            columns = _read_answer(answer)
        return _to_arrow(columns, self.source_columns)

    def sources(self, ids: pa.ChunkedArray, names: list[str]) -> pa.Table:
        """Fetch columns of the table of sources, for those of the stars that the release knows."""
        wanted = ", ".join(f"g.{name}" for name in ["source_id", *names])
        table = self.release.source
        join = f"tap_upload.ids AS u JOIN {table} AS g ON g.source_id = u.source_id"
        return self.query(f"SELECT {wanted} FROM {join}", ids)

    def spectra(self, ids: pa.ChunkedArray) -> pa.Table:
        """Fetch XP_COLUMNS of those of the stars that have a spectrum."""
        schema = pa.schema([("source_id", pa.int64()), *XP_COLUMNS.items()])
        tables = [schema.empty_table()]
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
                # One table of all stars, as asked for; one each would do as well.
                for member in bundle.namelist():
                    part = Path(folder) / f"part{Path(member).suffix}"
                    part.write_bytes(bundle.read(member))
                    tables.append(_to_arrow(read_columns(part), XP_COLUMNS, only=True))
        return pa.concat_tables(tables)


@contextmanager
def _archive_errors(what: str) -> Iterator[None]:
    """Make whatever goes wrong within a ConnectionError of one line; hide the client's prints."""
    before = socket.getdefaulttimeout()
    # the client sets none and would wait for ever
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # units that VOTable does not know
            warnings.simplefilter("ignore")
            yield
    # HTTP, XML, zip, missing columns: the archive fails in many ways
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"{what}: the archive's answer is no good ({type(error).__name__}: {reason})"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _read_answer(path: Path) -> Columns:
    """Read a VOTable, if it is whole; ValueError if the archive says that it is not."""
    document = open_votable(path)
    for resource in document.resources:
        for info in resource.infos:
            if info.name == "QUERY_STATUS" and str(info.value).upper() not in ("OK", ""):
                raise ValueError(
                    f"query status {info.value} {info.content or ''}; "
                    "with OVERFLOW rows are missing"
                )
    table = document.get_first_table().to_table(use_names_over_ids=True)
    return read_columns(table)


def _to_arrow(columns: Columns, kinds: dict[str, pa.DataType], only: bool = False) -> pa.Table:
    """Convert an answer to Arrow: source_id and the columns in `kinds`, as these types.

    With `only`, all of `kinds` must be there, and other columns are dropped; otherwise these are
    kept as they came.
    """
    data = {_lower_case(name): values for name, values in columns.data.items()}
    others = [name for name in data if name != "source_id"]
    wanted = list(kinds) if only else others
    absent = [name for name in ["source_id", *wanted] if name not in data]
    if absent:
        raise ValueError(f"no columns {absent[:4]} in the answer, which has {list(data)[:8]}")
    source_id = id_numbers(data["source_id"], ANSWER, "source_id")
    arrays = {"source_id": pa.array(source_id)}
    for name in wanted:
        arrays[name] = _to_array(Columns({name: data[name]}, origin=ANSWER), name, kinds.get(name))
    return pa.table(arrays)


def _lower_case(name: str) -> str:
    """The archive has written SOURCE_ID in capitals since 2023; other names stay as they are."""
    return name.lower() if "_" in name and name.isupper() else name


def _to_array(columns: Columns, name: str, kind: pa.DataType | None) -> pa.Array:
    """Convert one column to an Arrow type, or to what it looks like; masked values are null."""
    values = columns[name]
    if kind is None:
        plain = values.ndim == 1 and values.dtype.kind in "iufb"
        return pa.array(values if plain else list(values))
    if not pa.types.is_list(kind):
        return pa.array(columns.numbers(name), from_pandas=True).cast(kind)
    vectors = []
    for value in values:
        vector = np.ma.filled(np.ma.asarray(value, np.float64), np.nan)
        vectors.append(vector if np.isfinite(vector).any() else None)
    return pa.array(vectors, pa.list_(pa.float64())).cast(kind)
