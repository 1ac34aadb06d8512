"""Any table that users hold, in a file or in memory -> Columns."""

import gzip
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column, Table, meta

from multistar.io.columns import (
    ID_COLUMNS,
    Columns,
    columns_of_arrow,
    columns_of_astropy,
    columns_of_dict,
    columns_of_frame,
)
from multistar.io.comments import open_without_comments
from multistar.io.files import require_path
from multistar.io.untrusted import (
    TooSlow,
    check_expansion,
    is_gzipped,
    open_fits_table,
    open_votable,
    parse_unit,
)

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".ecsv": "csv",
    ".ecsv.gz": "csv",
    ".fits": "fits",
    ".fit": "fits",
    ".fits.gz": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".vot.gz": "votable",
    ".xml.gz": "votable",
    ".parquet": "parquet",
    ".pq": "parquet",
}
# Floats are read exactly; the default of pandas crashes at 1e9999999999. Without index_col, rows
# with a field more than the header would give their first field away and move to the left.
CSV: Any = {"float_precision": "round_trip", "index_col": False}


def read_columns(source: Any) -> Columns:
    """Read a table, whatever holds it.

    Parameters
    ----------
    source : path, pandas.DataFrame, astropy Table, pyarrow.Table or dict of arrays
        A path names a file (CSV, ECSV, FITS, VOTable, Parquet; gzipped too) or a folder of Parquet
        files with the same columns. `Columns` are returned as they are.

    Returns
    -------
    Columns
        All columns and rows.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        Names the file that cannot be understood.
    TypeError
        For any other kind of source.
    """
    if isinstance(source, Columns):
        return source
    if isinstance(source, (str, Path)):
        return _read_path(Path(source))
    if isinstance(source, pa.Table):
        return columns_of_arrow(source, "Arrow table")
    if isinstance(source, pd.DataFrame):
        return columns_of_frame(source, "DataFrame")
    if isinstance(source, Table):
        return columns_of_astropy(source, "astropy Table")
    if isinstance(source, dict):
        return columns_of_dict(source, "dict")
    raise TypeError(
        "expected a path, pandas DataFrame, astropy Table, Arrow table or dict of arrays, "
        f"got {type(source).__name__}"
    )


def wrap_read_error(path: Path, kind: str | None, error: Exception) -> ValueError:
    """Return the error for a file that a reader failed on; damaged ones may exhaust the memory."""
    if isinstance(error, TooSlow):
        return error
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ValueError(f"{path}: not readable as {kind}; is it complete? ({reason})")


def _read_path(path: Path) -> Columns:
    require_path(path, "file")
    if path.is_dir():
        return _read_folder(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = FORMATS.get("".join(suffixes[-2:])) or FORMATS.get("".join(suffixes[-1:]))
    if kind is None:
        raise ValueError(
            f"{path}: cannot tell the format from the name; known endings are {sorted(FORMATS)}"
        )
    try:
        columns = READERS[kind](path)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise wrap_read_error(path, kind, error) from error
    columns.origin = str(path)
    return columns


def _read_folder(path: Path) -> Columns:
    """All Parquet shards of a folder, in the order of their names; says what it leaves out."""
    shards = sorted(path.glob("*.parquet"))
    if not shards:
        raise ValueError(
            f"{path}: a folder must hold Parquet files to be read as a table, this one holds none. "
            "predict and embed take folders of any tables if --out is a folder, too (--merge FILE "
            "for one file)"
        )
    others = sorted(p.name for p in path.iterdir() if p not in shards and _is_table(p))
    if others:
        warnings.warn(
            f"{path}: only its Parquet files are read as one table, {', '.join(others[:5])}"
            f"{' ...' if others[5:] else ''} ({len(others)} files) left out; read them on their "
            "own, or give --out a folder",
            stacklevel=4,
        )
    parts = [pq.read_table(shard) for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        if part.schema != parts[0].schema:
            raise ValueError(
                f"{shard}: its columns differ from those of {shards[0].name}; "
                "read the files one by one"
            )
    return columns_of_arrow(pa.concat_tables(parts), str(path))


def _is_table(path: Path) -> bool:
    is_hidden = path.name.startswith((".", "_"))
    return not is_hidden and path.is_file() and path.name.lower().endswith(tuple(FORMATS))


def _read_csv(path: Path) -> Columns:
    check_expansion(path)
    header = _read_ecsv_header(path) if "ecsv" in path.name.lower() else {}
    separator = header.get("delimiter", " ") if header else ","
    with open_csv(path, sep=separator) as frames:
        frame = read_frame(frames)
    assert frame is not None
    columns = columns_of_frame(frame, str(path))
    for column in header.get("datatype", []):
        if column.get("unit"):
            columns.unit[column["name"]] = parse_unit(column["unit"])
    return columns


@contextmanager
def open_csv(path: Path, rows: int | None = None, sep: str = ",") -> Iterator[Any]:
    """Open a CSV file as a reader of frames for `read_frame`.

    Parameters
    ----------
    path : Path
        Lines that begin with # are comments; ids are read as text, as pandas would turn a column
        with one gap into float64, which loses digits.
    rows : int, optional
        Of each frame; all by default.
    sep : str
        Between fields.
    """
    options = CSV | {"dtype": dict.fromkeys(ID_COLUMNS, str), "sep": sep, "iterator": True}
    with open_without_comments(path) as stream:
        reader: Any = pd.read_csv(stream, chunksize=rows, **options)
        with reader as frames:
            yield frames


def read_frame(frames: Any) -> pd.DataFrame | None:
    """Read the next frame of a CSV file; None at its end.

    Raises
    ------
    ValueError
        If rows have more fields than there are columns, other than empty ones at the end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # numbers are made of each value
        try:
            return frames.read() if frames.chunksize is None else next(frames)
        except StopIteration:
            return None
        except pd.errors.ParserWarning as error:
            raise ValueError(
                "rows have more fields than the header has names: name all columns, and put "
                "fields that hold a comma into quotes"
            ) from error


def _read_ecsv_header(path: Path) -> dict:
    """Delimiter, units and types; pandas reads the data itself, five times as fast as astropy."""
    opener = gzip.open if is_gzipped(path) else open
    with opener(path, "rt", encoding="utf-8") as stream:
        comments = list(itertools.takewhile(lambda line: line.startswith("#"), stream))
    lines = [line[2:].rstrip("\n") for line in comments]
    return meta.get_header_from_yaml([line for line in lines if not line.startswith("%ECSV")])


def _read_fits(path: Path) -> Columns:
    return columns_of_astropy(open_fits_table(path), str(path))


def _read_votable(path: Path) -> Columns:
    tables = list(open_votable(path).iter_tables())
    if tables and all(_is_spectrum(table) for table in tables):
        return columns_of_astropy(_stack_spectra(tables), str(path))
    if len(tables) != 1:
        names = tables[0].array.dtype.names if tables else ()
        raise ValueError(
            f"expected one table with a row per star, or a sampled spectrum (wavelength, flux) of "
            f"a star each, found {len(tables)} tables (the first has {names})"
        )
    return columns_of_astropy(tables[0].to_table(use_names_over_ids=True), str(path))


def _is_spectrum(table: Any) -> bool:
    """Whether it is one star's spectrum as Gaia's archive writes it, its source_id a parameter."""
    fields = {field.name for field in table.fields}
    has_id = any(parameter.name == "source_id" for parameter in table.params)
    return {"wavelength", "flux"} <= fields and "source_id" not in fields and has_id


def _stack_spectra(tables: list[Any]) -> Table:
    """One row per spectrum, with vectors; ValueError if they have different lengths."""
    ids = [int(p.value) for table in tables for p in table.params if p.name == "source_id"]
    stacked = Table({"source_id": np.array(ids, np.int64)})
    parts = [table.to_table(use_names_over_ids=True) for table in tables]
    for name in ("wavelength", "flux", "flux_error"):
        if all(name in part.colnames for part in parts):
            lengths = {len(part) for part in parts}
            if len(lengths) > 1:
                raise ValueError(f"spectra of different lengths {sorted(lengths)} in one file")
            columns = [np.ma.filled(part[name], np.nan) for part in parts]
            values = np.stack([np.asarray(column, np.float64) for column in columns])
            stacked[name] = Column(values, unit=parts[0][name].unit)
    return stacked


def _read_parquet(path: Path) -> Columns:
    return columns_of_arrow(pq.read_table(path), str(path))


READERS = {
    "csv": _read_csv,
    "fits": _read_fits,
    "votable": _read_votable,
    "parquet": _read_parquet,
}
