"""Columns: a table as plain NumPy arrays with units, made from any container in memory."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import Table, meta

from multistar.io.untrusted import parse_unit

ID_COLUMNS = ("source_id", "SOURCE_ID", "Source")
ASTROPY_HEADER = "table_meta_yaml"  # where astropy keeps units in a Parquet file
LONGEST_HEADER = 1 << 20
WORDS_FOR_MISSING = ("nan", "null", "none", "", "--")


@dataclass
class Columns:
    """A table of n rows.

    Parameters
    ----------
    data : dict of str to (n, ...) array
        The columns by their names.
    unit : dict of str to astropy unit
        Has an entry for each column of which the file states the unit.
    origin : str
        Path or kind of the table, for messages.
    metadata : dict of str to str
        What the container says of itself.
    first_row : int
        Number of the first row in the table that this is a part of.
    used : dict of str to str
        Column -> what a reader took it for, such as "teff" or "error of teff".
    aliases : dict of str to str
        Lower-case name -> the column that is meant by it, too.
    """

    data: dict[str, np.ndarray]
    unit: dict[str, u.UnitBase] = field(default_factory=dict)
    origin: str = "table"
    metadata: dict[str, str] = field(default_factory=dict)
    first_row: int = 0
    used: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.data.values()))) if self.data else 0

    def __contains__(self, name: str) -> bool:
        return name in self.data

    def __getitem__(self, name: str) -> np.ndarray:
        return self.data[name]

    def add_lower_case_names(self) -> None:
        """Let columns be found under their archive names where a tool wrote them in capitals.

        PHOT_G_MEAN_MAG is then found as phot_g_mean_mag. Names without an underscore stay as they
        are: Gmag and gmag, H and h are different things.
        """
        for name in list(self.data):
            lower = name.lower()
            is_archive_name = "_" in name or lower == "parallax"
            if not (name.isupper() and is_archive_name) or lower in self.data:
                continue
            self.data[lower] = self.data[name]
            self.aliases[lower] = name
            if name in self.unit:
                self.unit[lower] = self.unit[name]

    def numbers(self, name: str) -> np.ndarray:
        """Return a column of one number per row.

        Parameters
        ----------
        name : str
            Name of the column.

        Returns
        -------
        (n,) float64
            NaN = missing.

        Raises
        ------
        ValueError
            If the column has more dimensions, or holds text that is no number.
        """
        values = self.data[name]
        if values.ndim != 1:
            raise ValueError(
                f"{self.origin}: column {name} must hold one number per star, "
                f"its shape is {values.shape}"
            )
        if values.dtype.kind in "iufb":
            return values.astype(np.float64)
        numbers = np.fromiter(map(_number, values), np.float64, len(values))
        series = pd.Series(values)
        words = series.astype(str).str.strip().str.lower()
        missing = np.asarray(series.isna() | words.isin(WORDS_FOR_MISSING))
        text = np.isnan(numbers) & ~missing
        if text.any():
            row = int(np.argmax(text))
            raise ValueError(
                f"{self.origin}: column {name} must be numeric, row {row} holds {values[row]!r}"
            )
        return numbers

    def vectors(self, name: str, width: int) -> np.ndarray:
        """Return a column of one vector per row.

        Parameters
        ----------
        name : str
            Name of the column.
        width : int
            Length of the vectors if no row has one, as then the column cannot tell it.

        Returns
        -------
        (n, k) array
            Numbers; rows without a vector are NaN. The width k is that of the vectors, which the
            caller checks.

        Raises
        ------
        ValueError
            If rows hold anything else, or vectors of different lengths.
        """
        values = self.data[name]
        if values.ndim == 2 and values.dtype.kind in "iufb":
            return values
        if values.ndim != 1:
            raise ValueError(
                f"{self.origin}: column {name} must hold one vector of numbers per star, "
                f"its shape is {values.shape} of {values.dtype}"
            )
        there = ~_missing(values)
        rows = [self._vector(name, row) for row in np.flatnonzero(there)]
        lengths = sorted({len(row) for row in rows})
        if len(lengths) > 1:
            raise ValueError(
                f"{self.origin}: column {name} must hold vectors of one length, found {lengths[:5]}"
            )
        vectors = np.full((len(values), lengths[0] if lengths else width), np.nan)
        if rows:
            vectors[there] = rows
        return vectors

    def _vector(self, name: str, row: int | np.integer) -> np.ndarray:
        value = self.data[name][row]
        try:
            vector = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            vector = np.zeros(())
        if vector.ndim != 1:
            raise ValueError(
                f"{self.origin}: column {name} must hold one vector of numbers per star, "
                f"row {row} holds {value!r:.60}"
            )
        return vector


def columns_of_frame(frame: pd.DataFrame, origin: str) -> Columns:
    """Return the columns of a pandas DataFrame; ValueError for equal names.

    The index is one only where its name says that it holds ids.
    """
    data, unit = {}, {}
    if frame.index.name in ID_COLUMNS and frame.index.name not in frame:
        frame = frame.reset_index()
    _refuse_repeated([str(name) for name in frame], origin)
    for name in frame:
        values, stated = _split_unit(frame[name].to_numpy())
        data[str(name)] = _to_native(values)
        if stated is not None:
            unit[str(name)] = stated
    return Columns(data, unit, origin, _select_text(frame.attrs))


def columns_of_dict(table: dict, origin: str) -> Columns:
    """Return the columns of a dict of arrays; ValueError if they are not of one length.

    Quantities keep their units; masked entries are missing.
    """
    columns, unit = {}, {}
    for name, values in table.items():
        columns[name], stated = _split_unit(values)
        if stated is not None:
            unit[name] = stated
    scalars = [name for name, values in columns.items() if not values.ndim]
    if scalars:
        raise ValueError(
            f"dict: columns must be arrays, but {scalars[:5]} are single values; write [value]"
        )
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"dict: columns must have one length, but they have {lengths}")
    return Columns(columns, unit, origin)


def columns_of_astropy(table: Table, origin: str) -> Columns:
    """Return the columns of an astropy Table with their units; masked entries are missing."""
    data = {}
    unit = {}
    for name in table.colnames:
        values, stated = _split_unit(table[name])
        data[name] = _to_native(values)
        if stated is not None:
            unit[name] = stated
    return Columns(data, unit, origin, _select_text(table.meta or {}))


def columns_of_arrow(table: pa.Table, origin: str) -> Columns:
    """Return the columns of an Arrow table; lists of one length become two-dimensional.

    Units are those of the fields, as we write them, or of the schema, as astropy writes them.
    """
    _refuse_repeated(table.column_names, origin)
    data = {name: _arrow_column(table[name]) for name in table.column_names}
    metadata = {}
    for key, value in (table.schema.metadata or {}).items():
        # other libraries keep binary schemas there
        with suppress(UnicodeDecodeError):
            metadata[key.decode()] = value.decode()
    stated = _astropy_units(metadata.get(ASTROPY_HEADER, ""))
    for column in table.schema:
        if text := (column.metadata or {}).get(b"unit", b"").decode(errors="replace"):
            stated[column.name] = text
    unit = {name: parse_unit(text) for name, text in stated.items() if name in data}
    return Columns(data, unit, origin, metadata)


def _astropy_units(header: str) -> dict[str, str]:
    """Column -> unit, of the header that astropy writes into a Parquet file; {} if it is none."""
    if not header or len(header) > LONGEST_HEADER:
        return {}
    try:
        described = meta.get_header_from_yaml(header.splitlines())["datatype"]
        return {column["name"]: str(column["unit"]) for column in described if "unit" in column}
    except Exception:  # whatever YAML of others makes of it
        return {}


def _refuse_repeated(names: list[str], origin: str) -> None:
    """ValueError for columns of one name, of which no one could tell which is meant."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{origin}: columns {twice[:5]} occur more than once; rename or drop some")


def _split_unit(values: Any) -> tuple[np.ndarray, Any]:
    """A column as a plain array, masked entries missing, and its unit if it states one."""
    if _holds_quantities(values):
        values = u.Quantity(list(values))
    unit = getattr(values, "unit", None)
    unit = unit if isinstance(unit, (u.UnitBase, u.FunctionUnitBase)) else None
    plain = getattr(values, "value", values) if unit is not None else values
    if hasattr(plain, "unmasked"):  # astropy's own masked arrays, which NumPy takes for whole
        plain = np.ma.array(np.asarray(plain.unmasked), mask=np.asarray(plain.mask))
    if isinstance(plain, np.ma.MaskedArray):
        return _fill_masked(plain), unit
    return np.asarray(plain), unit


def _holds_quantities(values: Any) -> bool:
    """Is it a list, or an array of objects, of single numbers with units?"""
    is_objects = isinstance(values, np.ndarray) and values.dtype.kind == "O" and values.ndim == 1
    if not (isinstance(values, (list, tuple)) or is_objects) or not len(values):
        return False
    return all(isinstance(value, u.Quantity) for value in values)


def _select_text(metadata: Mapping[Any, Any]) -> dict[str, str]:
    """Entries whose keys and values are text; others are not ours."""
    return {k: v for k, v in metadata.items() if isinstance(k, str) and isinstance(v, str)}


def _number(value: Any) -> float:
    """NaN for what is none. (pandas's own way crashes at 1e9999999999.)"""
    try:
        return float(value) if "_" not in str(value) else np.nan
    except (TypeError, ValueError):
        return np.nan


def _missing(values: np.ndarray) -> np.ndarray:
    """(n,) True for None, NaN and other marks of a missing entry, not for lists."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), bool)
    return np.array([pd.api.types.is_scalar(x) and bool(pd.isna(x)) for x in values], bool)


def _fill_masked(values: np.ma.MaskedArray) -> np.ndarray:
    """Masked entries become NaN (floats) or None (objects); masked integers become objects."""
    mask = np.ma.getmaskarray(values)
    if values.dtype.kind == "O" or not mask.any():
        return np.asarray(values.data)
    if values.dtype.kind in "iub":
        filled = values.data.astype(object)
        filled[mask] = None
        return filled
    if values.dtype.kind == "f":
        return values.filled(np.nan)
    return np.asarray(values.filled())


def _arrow_column(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    kind = array.type
    is_variable_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if is_variable_list or pa.types.is_fixed_size_list(kind):
        return _list_column(array)
    if pa.types.is_integer(kind) and array.null_count:
        # never through float64, which loses digits
        return np.array(array.to_pylist(), dtype=object)
    return array.to_numpy(zero_copy_only=False)


def _list_column(array) -> np.ndarray:
    """(n, k) of lists of one length, NaN where there is none; of other lists, one object per row.

    Fixed-size lists have their length even if no row has a list.
    """
    there = np.asarray(array.is_valid())
    width = _common_length(array)
    can_be_missing = pa.types.is_floating(array.type.value_type)
    if width is None or not (there.all() or can_be_missing):
        return array.to_numpy(zero_copy_only=False)
    values = array.flatten().to_numpy(zero_copy_only=False).reshape(there.sum(), width)
    if there.all():
        return values
    filled = np.full((len(there), width), np.nan, values.dtype)
    filled[there] = values
    return filled


def _common_length(array) -> int | None:
    """The length of all lists of a column; None if it is not known or they differ."""
    if pa.types.is_fixed_size_list(array.type):
        return array.type.list_size
    lengths = pc.list_value_length(array)  # pyright: ignore[reportAttributeAccessIssue]
    different = lengths.drop_null().unique()
    return different[0].as_py() if len(different) == 1 else None


def _to_native(values: np.ndarray) -> np.ndarray:
    """In native byte order; FITS is big-endian, which torch and Arrow refuse."""
    if values.dtype.kind in "iufb" and not values.dtype.isnative:
        return values.astype(values.dtype.newbyteorder("="))
    return values
