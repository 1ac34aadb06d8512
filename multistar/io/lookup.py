"""Rows of a table by source_id, read when they are asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.io.columns import ID_COLUMNS, Columns
from multistar.io.ids import id_numbers
from multistar.io.tables import read_columns


class Lookup:
    """Rows of a table, found by source_id; where an id occurs more than once, its first row.

    Parameters
    ----------
    source
        A Parquet file or a folder of them, of which memory holds the ids, and reading the row
        groups that have the rows; or anything else that `read_columns` takes, which is kept in
        memory.

    Attributes
    ----------
    origin : str
        Path or kind of the table, for messages.
    columns : tuple of str
        Names of its columns.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there is no column of ids.
    """

    def __init__(self, source: Any):
        self.origin = str(source)
        self._table: Columns | None = None
        self._files = _open_parquet(source)
        if self._files:
            self.columns = tuple(self._files[0].schema_arrow.names)
        else:
            self._table = read_columns(source)
            self.origin = self._table.origin
            self.columns = tuple(self._table.data)
        ids = self._read_ids()
        self._order = np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]
        self._groups = [(file, i) for file in self._files for i in range(file.num_row_groups)]
        lengths = [file.metadata.row_group(i).num_rows for file, i in self._groups]
        self._bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, source_id: int) -> bool:
        return bool(len(self._find(np.array([source_id]))))

    def rows(self, source_ids: Sequence[int] | np.ndarray) -> Columns:
        """Return the rows of those of the stars that are in the table, in the order asked.

        Parameters
        ----------
        source_ids : (m,) int
            Ids of stars.

        Returns
        -------
        Columns
            At most m rows.

        Raises
        ------
        KeyError
            If the table has none of them.
        """
        rows = self._find(np.asarray(source_ids, np.int64))
        if not len(rows):
            raise KeyError(
                f"Star {source_ids[0]} is not among the {len(self):,} rows of {self.origin}."
            )
        if self._table is not None:
            data = {name: values[rows] for name, values in self._table.data.items()}
            return Columns(data, self._table.unit, self.origin, self._table.metadata)
        table = read_columns(self._read_rows(rows))
        table.origin = self.origin
        return table

    def _read_rows(self, rows: np.ndarray) -> pa.Table:
        """The given rows of the Parquet files, reading each row group once."""
        group = np.searchsorted(self._bounds, rows, "right") - 1
        parts = []
        for which in np.unique(group):
            file, i = self._groups[which]
            inside = rows[group == which] - self._bounds[which]
            parts.append(file.read_row_group(i).take(inside))
        # the parts stand by row group; back to the order of `rows`
        back = np.argsort(np.argsort(group, kind="stable"))
        return pa.concat_tables(parts).take(back)

    def _find(self, ids: np.ndarray) -> np.ndarray:
        """Numbers of the rows of those of the ids that are there."""
        place = np.searchsorted(self._sorted, ids)
        found = (place < len(self._sorted)) & (ids >= 0)
        found[found] = self._sorted[place[found]] == ids[found]
        return self._order[place[found]]

    def _read_ids(self) -> np.ndarray:
        name = next((name for name in ID_COLUMNS if name in self.columns), None)
        if name is None:
            raise ValueError(
                f"{self.origin}: no column source_id; the table has {list(self.columns[:12])}"
            )
        if self._table is not None:
            return id_numbers(self._table[name], self.origin, name)
        column = pa.concat_tables([file.read(columns=[name]) for file in self._files])
        return id_numbers(read_columns(column)[name], self.origin, name)


def _open_parquet(source: Any) -> list[pq.ParquetFile]:
    """The Parquet files that a path names, in the order of their names; none for anything else."""
    if not isinstance(source, (str, Path)):
        return []
    path = Path(source)
    if path.is_dir():
        return [pq.ParquetFile(shard) for shard in sorted(path.glob("*.parquet"))]
    if path.is_file() and path.suffix in (".parquet", ".pq"):
        return [pq.ParquetFile(path)]
    return []
