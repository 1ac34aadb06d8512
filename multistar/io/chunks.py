"""A table of any length in parts, so that memory does not grow with it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.io.columns import Columns
from multistar.io.tables import FORMATS, open_csv, read_columns, read_frame, wrap_read_error
from multistar.io.untrusted import check_expansion, is_gzipped, open_fits_table

ROWS = 16_384  # stars read at once: about 100 MB with XP
ENDINGS = tuple(sorted(FORMATS))


def table_format(path: Path) -> str | None:
    """Return csv, ecsv, fits, votable or parquet by the ending of the name; None for another."""
    ending = _ending(path)
    if not ending:
        return None
    return "ecsv" if ".ecsv" in ending else FORMATS[ending]


def strip_ending(path: Path) -> str:
    """Return the name without the ending that tells the format."""
    ending = _ending(path)
    return path.name[: len(path.name) - len(ending)]


def read_chunks(path: str | Path, rows: int = ROWS) -> Iterator[Columns]:
    """Read consecutive parts of a file.

    Parquet, CSV and uncompressed FITS are read part by part; VOTable, ECSV and gzipped FITS whole.

    Parameters
    ----------
    path : str or Path
        Anything that names a table for `read_columns`.
    rows : int
        Number of rows of each part; the last one may be shorter.

    Yields
    ------
    Columns
        At least one part, each as `read_columns` gives it.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_columns`. A file that turns out to be cut off raises after its sound parts.
    """
    path = Path(path)
    kind = table_format(path)
    reader = {"parquet": _read_parquet, "csv": _read_csv, "fits": _read_fits}.get(kind or "")
    if reader is None or not path.is_file() or (kind == "fits" and is_gzipped(path)):
        yield from _split(read_columns(path), rows)
        return
    parts = reader(path, rows)
    while True:
        try:
            part = next(parts, None)
        except Exception as error:
            raise wrap_read_error(path, kind, error) from error
        if part is None:
            return
        part.origin = str(path)
        yield part


def _ending(path: Path) -> str:
    """The longest known ending of the name, in small letters; "" if there is none."""
    name = path.name.lower()
    return max((ending for ending in ENDINGS if name.endswith(ending)), key=len, default="")


def _split(whole: Columns, rows: int) -> Iterator[Columns]:
    for start in range(0, max(1, len(whole)), rows):
        data = {name: values[start : start + rows] for name, values in whole.data.items()}
        yield Columns(data, whole.unit, whole.origin, whole.metadata)


def _read_parquet(path: Path, rows: int) -> Iterator[Columns]:
    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            yield read_columns(file.schema_arrow.empty_table())
        left = file.schema_arrow.empty_table()
        # row groups one by one, or Arrow keeps something of all that it has read
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(rows, row_groups=[group]):
                left = pa.concat_tables([left, pa.Table.from_batches([batch])])
                while len(left) >= rows:
                    yield read_columns(left[:rows])
                    left = left[rows:]
        if len(left):
            yield read_columns(left)


def _read_csv(path: Path, rows: int) -> Iterator[Columns]:
    check_expansion(path)
    with open_csv(path, rows) as frames:
        while (frame := read_frame(frames)) is not None:
            yield read_columns(frame)


def _read_fits(path: Path, rows: int) -> Iterator[Columns]:
    table = open_fits_table(path, memmap=True, mask_invalid=False)
    for start in range(0, max(1, len(table)), rows):
        part = read_columns(table[start : start + rows])
        # copied, so that no part holds on to the memory map
        data = {name: np.array(values) for name, values in part.data.items()}
        yield Columns(data, part.unit, metadata=part.metadata)
