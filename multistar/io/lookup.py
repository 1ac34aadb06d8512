"""Rows of a table by source_id, read when they are asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.io.ids import id_numbers
from multistar.io.tables import ID_COLUMNS, Columns, read_columns


class Lookup:
    """Rows of a table, found by source_id; where an id occurs more than once, its first row.

    source  a Parquet file or a folder of them, of which memory holds the ids and reading the row groups that have the
            rows; or anything else that `read_columns` takes, which is kept in memory
    Raises FileNotFoundError, and ValueError if there is no column of ids.
    """

    def __init__(self, source: Any):
        self.origin, self._table, self._files = str(source), None, []
        path = Path(source) if isinstance(source, (str, Path)) else None
        if path and path.is_dir():
            self._files = [pq.ParquetFile(shard) for shard in sorted(path.glob("*.parquet"))]
        elif path and path.is_file() and path.suffix in (".parquet", ".pq"):
            self._files = [pq.ParquetFile(path)]
        if not self._files:
            self._table = read_columns(source)
            self.origin = self._table.origin
        self.columns = tuple(self._table.data if self._table else self._files[0].schema_arrow.names)
        ids = self._ids()
        self._order = np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]
        groups = [
            f.metadata.row_group(i).num_rows for f in self._files for i in range(f.num_row_groups)
        ]
        self._bounds = np.concatenate([[0], np.cumsum(groups)]).astype(np.int64)
        self._groups = [(f, i) for f in self._files for i in range(f.num_row_groups)]

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, source_id: int) -> bool:
        return bool(len(self._rows(np.array([source_id]))))

    def rows(self, source_ids: Sequence[int] | np.ndarray) -> Columns:
        """Rows of those of the stars that are in the table, in the order asked; KeyError if none of them is."""
        rows = self._rows(np.asarray(source_ids, np.int64))
        if not len(rows):
            raise KeyError(
                f"Star {source_ids[0]} is not among the {len(self):,} rows of {self.origin}."
            )
        if self._table is not None:
            data = {name: values[rows] for name, values in self._table.data.items()}
            return Columns(data, self._table.unit, self.origin, self._table.metadata)
        group = np.searchsorted(self._bounds, rows, "right") - 1
        parts = []
        for which in np.unique(group):
            file, i = self._groups[which]
            parts.append(file.read_row_group(i).take(rows[group == which] - self._bounds[which]))
        back = np.argsort(np.argsort(group, kind="stable"))
        table = read_columns(pa.concat_tables(parts).take(back))
        table.origin = self.origin
        return table

    def _rows(self, ids: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self._sorted, ids)
        found = (place < len(self._sorted)) & (ids >= 0)
        found[found] = self._sorted[place[found]] == ids[found]
        return self._order[place[found]]

    def _ids(self) -> np.ndarray:
        name = next((n for n in ID_COLUMNS if n in self.columns), None)
        if name is None:
            raise ValueError(
                f"{self.origin}: no column source_id; the table has {list(self.columns[:12])}"
            )
        if self._table:
            return id_numbers(self._table[name], self.origin, name)
        column = pa.concat_tables([file.read(columns=[name]) for file in self._files])
        return id_numbers(read_columns(column)[name], self.origin, name)
