"""A table of any length in parts, so that memory does not grow with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from multistar.io.tables import (
    CSV,
    FORMATS,
    ID_COLUMNS,
    Columns,
    check_expansion,
    not_readable,
    read_columns,
)

ROWS = 16_384  # stars read at once: about 100 MB with XP
READABLE = tuple(sorted(FORMATS))


def table_format(path: Path) -> str | None:
    """csv, ecsv, fits, votable or parquet by the ending of the name; None for another."""
    name = path.name.lower()
    ending = max((e for e in READABLE if name.endswith(e)), key=len, default=None)
    return None if ending is None else "ecsv" if ".ecsv" in ending else FORMATS[ending]


def stem(path: Path) -> str:
    """The name without the ending that tells the format."""
    endings = [e for e in READABLE if path.name.lower().endswith(e)]
    return path.name[: -len(max(endings, key=len))] if endings else path.name


def chunks(path: str | Path, rows: int = ROWS) -> Iterator[Columns]:
    """Consecutive parts of a file, at least one, each as read_columns gives it.

    Parquet, CSV and uncompressed FITS are read part by part; VOTable, ECSV and gzipped FITS whole.
    Raises what read_columns raises; a file that turns out to be cut off raises after its sound parts.
    """
    path = Path(path)
    kind = table_format(path)
    reader = {"parquet": _parquet, "csv": _csv, "fits": _fits}.get(kind or "")
    if reader is None or not path.is_file() or (kind == "fits" and path.suffix == ".gz"):
        yield from _parts(read_columns(path), rows)
        return
    parts = reader(path, rows)
    while True:
        try:
            part = next(parts, None)
        except Exception as error:
            raise not_readable(path, kind, error) from error
        if part is None:
            return
        part.origin = str(path)
        yield part


def _parts(whole: Columns, rows: int) -> Iterator[Columns]:
    for start in range(0, max(1, len(whole)), rows):
        part = {name: values[start : start + rows] for name, values in whole.data.items()}
        yield Columns(part, whole.unit, whole.origin, whole.metadata)


def _parquet(path: Path, rows: int) -> Iterator[Columns]:
    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            yield read_columns(file.schema_arrow.empty_table())
        left = file.schema_arrow.empty_table()
        for group in range(
            file.num_row_groups
        ):  # one by one, or Arrow keeps something of all that it has read
            for batch in file.iter_batches(rows, row_groups=[group]):
                left = pa.concat_tables([left, pa.Table.from_batches([batch])])
                while len(left) >= rows:
                    yield read_columns(left[:rows])
                    left = left[rows:]
        if len(left):
            yield read_columns(left)


def _csv(path: Path, rows: int) -> Iterator[Columns]:
    check_expansion(path)
    reader: Any = pd.read_csv(path, dtype=dict.fromkeys(ID_COLUMNS, str), chunksize=rows, **CSV)
    with reader as frames:
        for frame in frames:
            yield Columns({str(c): frame[c].to_numpy() for c in frame})


def _fits(path: Path, rows: int) -> Iterator[Columns]:
    table = Table.read(path, format="fits", memmap=True, mask_invalid=False)
    for start in range(0, max(1, len(table)), rows):
        part = read_columns(table[start : start + rows])
        data = {name: np.array(values) for name, values in part.data.items()}
        yield Columns(data, part.unit, metadata=part.metadata)
