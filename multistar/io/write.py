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
    """Columns (n,) or (n, k), the latter as fixed-size lists, or as lists of any length where named in `ragged`.

    The archive's vectors are of the second kind, and GaiaXPy reads no other from FITS.
    """
    return pa.table(
        {name: _array(x, name in ragged) for name, x in columns.items()}
    ).replace_schema_metadata(metadata)


def _array(values: np.ndarray, ragged: bool) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values, pa.string() if values.dtype == object else None)
    flat = pa.array(values.ravel())
    if ragged:
        return pa.ListArray.from_arrays(
            pa.array(values.shape[1] * np.arange(len(values) + 1), pa.int32()), flat
        )
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def to_astropy(table: pa.Table) -> Table:
    """With units and metadata; fixed-size lists become two-dimensional columns, other lists columns of arrays."""
    out = Table(
        meta={
            k.decode(): v.decode()
            for k, v in (table.schema.metadata or {}).items()
            if k != b"pandas"
        }
    )
    for field in table.schema:
        column = table[field.name].combine_chunks()
        if pa.types.is_fixed_size_list(field.type):
            values = column.flatten().to_numpy().reshape(len(table), -1)
        else:
            values = column.to_numpy(zero_copy_only=False)
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        text = pa.types.is_string(field.type)
        out[field.name] = Column(
            values.astype(str) if text else values, unit=UNITS.get(unit, unit) or None
        )
    return out


def _fit_metadata(table: Table, suffix: str) -> None:
    """Metadata as the format can keep it: FITS has keywords of eight letters, VOTable a description."""
    meta = dict(table.meta or {})
    if suffix == ".fits":
        kept = {"MODELSHA": meta.pop("model_sha256", "")}
        table.meta = kept | {"comments": [f"{key}: {value}" for key, value in meta.items()]}
    elif suffix in (".vot", ".xml"):
        table.meta = {"description": "; ".join(f"{key}: {value}" for key, value in meta.items())}


def write_tables(tables: Iterator[pa.Table], path: str | Path, overwrite: bool = False) -> int:
    """Tables of one schema -> one file; how many rows it has. Parquet is written as they come, in bounded memory."""
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
    """Parquet, FITS, VOTable, ECSV or CSV by the file's ending (CSV cannot hold embeddings)."""
    check_ending(path)
    with atomic_write(path, overwrite) as temporary:
        if Path(path).suffix == ".parquet":
            pq.write_table(table, temporary)
        else:
            out = to_astropy(table)
            _fit_metadata(out, Path(path).suffix)
            out.write(temporary, format=ASTROPY_FORMATS[Path(path).suffix])
