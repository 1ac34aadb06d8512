"""Result tables -> files that the ecosystem reads, written atomically."""

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column, Table

from multistar.io.endings import ASTROPY_FORMATS, check_ending
from multistar.io.files import atomic_write

UNITS = {"dex": "", "Msun": "solMass"}  # FITS and VOTable know no dex


def to_arrow(
    columns: dict[str, np.ndarray], metadata: dict[str, str], ragged: Collection[str] = ()
) -> pa.Table:
    """Make an Arrow table of columns.

    Parameters
    ----------
    columns : dict of str to (n,) or (n, k) array
        The latter become fixed-size lists.
    metadata : dict of str to str
        Of the table.
    ragged : collection of str
        Names of columns (n, k) that become lists of any length instead: the vectors of the archive
        are of this kind, and GaiaXPy reads no other from FITS.

    Returns
    -------
    pyarrow.Table
        n rows.
    """
    arrays = {name: _to_array(values, name in ragged) for name, values in columns.items()}
    return pa.table(arrays).replace_schema_metadata(metadata)


def to_astropy(table: pa.Table) -> Table:
    """Make an astropy Table of an Arrow table, with its units and metadata.

    Parameters
    ----------
    table : pyarrow.Table
        Units are in the metadata of its fields, under "unit".

    Returns
    -------
    astropy.table.Table
        Fixed-size lists become two-dimensional columns, other lists columns of arrays.
    """
    metadata = table.schema.metadata or {}
    out = Table(meta={k.decode(): v.decode() for k, v in metadata.items() if k != b"pandas"})
    for field in table.schema:
        column = table[field.name].combine_chunks()
        if pa.types.is_fixed_size_list(field.type):
            values = column.flatten().to_numpy().reshape(len(table), -1)
        else:
            values = column.to_numpy(zero_copy_only=False)
        if pa.types.is_string(field.type):
            values = values.astype(str)
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        out[field.name] = Column(values, unit=UNITS.get(unit, unit) or None)
    return out


def write_tables(tables: Iterator[pa.Table], path: str | Path, overwrite: bool = False) -> int:
    """Write tables of one schema into one file.

    Parameters
    ----------
    tables : iterator of pyarrow.Table
        At least one.
    path : str or Path
        Its ending tells the format. Parquet is written as the tables come, in bounded memory.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    int
        Number of rows of the file.

    Raises
    ------
    ValueError, FileExistsError, OSError
        As `check_ending` and `atomic_write`.
    """
    check_ending(path)
    first = next(tables)
    if Path(path).suffix != ".parquet":
        whole = pa.concat_tables([first, *tables])
        write_table(whole, path, overwrite)
        return len(whole)
    rows = 0
    with (
        atomic_write(path, overwrite) as temporary,
        pq.ParquetWriter(temporary, first.schema) as writer,
    ):
        for table in itertools.chain([first], tables):
            writer.write_table(table)
            rows += len(table)
    return rows


def write_table(table: pa.Table, path: str | Path, overwrite: bool = False) -> None:
    """Write a table as Parquet, FITS, VOTable, ECSV or CSV, by the ending of the file.

    Parameters
    ----------
    table : pyarrow.Table
        Any; CSV cannot hold vectors such as embeddings.
    path : str or Path
        The file.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ValueError, FileExistsError, OSError
        As `check_ending` and `atomic_write`.
    """
    check_ending(path)
    suffix = Path(path).suffix
    with atomic_write(path, overwrite) as temporary:
        if suffix == ".parquet":
            pq.write_table(table, temporary)
        else:
            out = to_astropy(table)
            _fit_metadata(out, suffix)
            out.write(temporary, format=ASTROPY_FORMATS[suffix])


def _to_array(values: np.ndarray, ragged: bool) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values, pa.string() if values.dtype == object else None)
    flat = pa.array(values.ravel())
    n, width = values.shape
    if ragged:
        return pa.ListArray.from_arrays(pa.array(width * np.arange(n + 1), pa.int32()), flat)
    return pa.FixedSizeListArray.from_arrays(flat, width)


def _fit_metadata(table: Table, suffix: str) -> None:
    """Metadata as the format can keep it: FITS has keywords of eight letters, VOTable a text."""
    meta = dict(table.meta or {})
    if suffix == ".fits":
        kept = {"MODELSHA": meta.pop("model_sha256", "")}
        table.meta = kept | {"comments": [f"{key}: {value}" for key, value in meta.items()]}
    elif suffix in (".vot", ".xml"):
        table.meta = {"description": "; ".join(f"{key}: {value}" for key, value in meta.items())}
