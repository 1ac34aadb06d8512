"""The results of many tables -> one Parquet file, part by part."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from multistar.io.files import atomic_write

TABLE = "table"  # column: name of the table that a row is from
ROWS = 50_000  # that are held at once


def merge_results(results: Sequence[tuple[str, Path]], out: str | Path) -> int:
    """Write the rows of all results to one file, with the name of each one's table.

    Parameters
    ----------
    results : sequence of (str, Path)
        Name of a table, and the Parquet file of its result; those that are not there are left out.
    out : path
        A Parquet file; what an earlier call wrote there is replaced.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    FileExistsError
        If another file is there.
    ValueError
        If no result is there, or two have different columns.
    """
    there = [(name, path) for name, path in results if path.is_file()]
    if not there:
        raise ValueError(f"{out}: none of {len(results)} tables has a result to be merged")
    first = pq.read_schema(there[0][1])
    schema = first.append(pa.field(TABLE, pa.string()))
    if Path(out).exists() and not _has_columns(out, schema):
        raise FileExistsError(f"{out} is there and holds something else; choose another name")
    rows = 0
    with (
        atomic_write(out, overwrite=True) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for name, path in there:
            with pq.ParquetFile(path) as file:
                if file.schema_arrow.names != first.names:
                    raise ValueError(f"{path}: other columns than in {there[0][1]}")
                for batch in file.iter_batches(ROWS):
                    names = pa.array([name] * len(batch), pa.string())
                    part = pa.Table.from_batches([batch]).append_column(TABLE, names)
                    writer.write_table(part.cast(schema))
                    rows += len(batch)
    return rows


def _has_columns(path: str | Path, schema: pa.Schema) -> bool:
    try:
        return pq.read_schema(path).names == schema.names
    except (OSError, pa.ArrowException):
        return False
