"""Numbers that an index keeps beside the vectors: labels, coordinates, magnitudes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multistar.io.ids import id_numbers
from multistar.io.tables import ID_COLUMNS, read_columns

STATUS, OUTSIDE = "status", "outside_training"  # column of words, and the word that is kept


@dataclass(frozen=True)
class Metadata:
    """values (n, c) float64, NaN = missing; names and units (c), "" where no unit is known."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: np.ndarray

    @classmethod
    def empty(cls, n: int) -> "Metadata":
        """Make metadata of n rows without columns."""
        return cls((), (), np.empty((n, 0)))

    @classmethod
    def of(cls, table: pa.Table) -> "Metadata":
        """All columns with one number per row, ids apart.

        ValueError for integers that float64 cannot hold.
        """
        fields = [field for field in table.schema if is_number(field)]
        columns = []
        for field in fields:
            try:
                numbers = table[field.name].cast(pa.float64())
            except pa.ArrowInvalid as error:
                raise ValueError(
                    f"column {field.name}: integers above 2^53 are no metadata; leave it out"
                ) from error
            columns.append(numbers.to_numpy())
        units = tuple((field.metadata or {}).get(b"unit", b"").decode() for field in fields)
        values = np.stack(columns, 1) if columns else np.empty((len(table), 0))
        return cls(tuple(field.name for field in fields), units, values)

    def rows(self, which) -> "Metadata":
        """Rows by slice, indices or mask."""
        return Metadata(self.names, self.units, self.values[which])

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(f"the index has no column {name!r}; it has {list(self.names)}")
        return self.values[:, self.names.index(name)]

    def described(self) -> int:
        """How many rows have a number at all."""
        return int(np.isfinite(self.values).any(1).sum())

    def beside(self, other: "Metadata") -> "Metadata":
        """Columns of both for the same rows; where a name is in both, the other's stays."""
        own = [i for i, name in enumerate(self.names) if name not in other.names]
        names, units = (tuple(x[i] for i in own) for x in (self.names, self.units))
        return Metadata(
            names + other.names, units + other.units, np.hstack([self.values[:, own], other.values])
        )


def is_number(field: pa.Field) -> bool:
    """Whether a column holds one number per row, and no ids."""
    kind = field.type
    numeric = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return numeric and field.name not in ID_COLUMNS


def stacked(parts: Sequence[Metadata]) -> Metadata:
    """Rows of all parts with the columns that any of them has; what a part lacks is NaN."""
    units = {
        name: unit
        for part in reversed(parts)
        for name, unit in zip(part.names, part.units, strict=True)
    }
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    values = np.full((sum(len(part.values) for part in parts), len(names)), np.nan)
    start = 0
    for part in parts:
        stop = start + len(part.values)
        values[start:stop, [names.index(name) for name in part.names]] = part.values
        start = stop
    return Metadata(names, tuple(units[name] for name in names), values)


def joined(
    source_id: np.ndarray, source: Any, columns: Collection[str] = ()
) -> tuple[Metadata, int]:
    """Numeric columns of another table (all, or those named) for the stars, and how many of these are
    in it.

    source  anything that `read_columns` takes; of a Parquet file only the numbers are read
    Stars that are not in it get NaN. Raises ValueError for absent columns, text columns that are
    asked for, and ids of the index that occur in the table more than once.
    """
    table, origin = _numbers(source, columns)
    name = next((n for n in ID_COLUMNS if n in table.column_names), None)
    if name is None:
        raise ValueError(
            f"{origin}: no column source_id to join by; the table has {table.column_names[:12]}"
        )
    found = Metadata.of(table)
    if absent := sorted(set(columns) - set(found.names)):
        raise ValueError(f"{origin}: no numeric column {absent}; the table has {list(found.names)}")
    column = table[name].fill_null(-1) if pa.types.is_integer(table[name].type) else table[name]
    ids = id_numbers(column.to_numpy(), origin, name)
    order = np.argsort(ids, kind="stable")
    left, right = (
        np.searchsorted(ids, source_id, side, sorter=order) for side in ("left", "right")
    )
    if np.any(repeated := right - left > 1):
        raise ValueError(
            f"{origin}: {repeated.sum()} stars occur more than once (first: "
            f"{source_id[repeated][0]}); "
            "keep one row per star"
        )
    present = right > left
    values = np.full((len(source_id), len(found.names)), np.nan)
    values[present] = found.values[order[left[present]]]
    return Metadata(found.names, found.units, values), int(present.sum())


def _numbers(source: Any, columns: Collection[str]) -> tuple[pa.Table, str]:
    """The table reduced to ids and the numbers that are wanted, and its name for messages.

    Of the words in `status` one becomes a number, because a neighbour's reader must know of it.
    """
    table, origin = _read(source, columns)
    if STATUS not in table.column_names:
        return table, origin
    words = table[STATUS]
    table = table.drop_columns(STATUS)
    wanted = not columns or OUTSIDE in columns
    if wanted and OUTSIDE not in table.column_names and is_text(words.type):
        outside = [float(OUTSIDE in (text or "")) for text in words.to_pylist()]
        table = table.append_column(OUTSIDE, pa.array(outside))
    return table, origin


def is_text(kind: pa.DataType) -> bool:
    """Tell strings, also those of a dictionary, from other columns."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _read(source: Any, columns: Collection[str]) -> tuple[pa.Table, str]:
    """Ids, wanted numbers and the status of a table, and its name for messages."""

    def wanted(field: pa.Field) -> bool:
        return field.name in (*ID_COLUMNS, STATUS) or (
            is_number(field) and (not columns or field.name in columns)
        )

    if isinstance(source, pa.Table):
        return source.select([field.name for field in source.schema if wanted(field)]), "table"
    if (
        isinstance(source, (str, Path))
        and Path(source).suffix in (".parquet", ".pq")
        and Path(source).is_file()
    ):
        names = [field.name for field in pq.read_schema(source) if wanted(field)]
        return pq.read_table(source, columns=names), str(source)
    read = read_columns(source)
    flat = {
        name: values
        for name, values in read.data.items()
        if values.ndim == 1 and (values.dtype.kind in "iufbO" or name == STATUS)
    }
    arrays = {name: pa.array(values, from_pandas=True) for name, values in flat.items()}
    units = {name: {"unit": str(read.unit.get(name, ""))} for name in arrays}
    fields = [pa.field(name, array.type, metadata=units[name]) for name, array in arrays.items()]
    return pa.table(list(arrays.values()), schema=pa.schema(fields)), read.origin
