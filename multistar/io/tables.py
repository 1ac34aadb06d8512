"""Any table that users hold -> plain NumPy columns with units."""

import gzip
import itertools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.io import votable
from astropy.table import Table, meta

from multistar.io.files import require_path

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
MOST_EXPANSION, FREE_BYTES = (
    100,
    1 << 28,
)  # of gzipped files; catalogues expand to 2-20 times their size
CSV: Any = {
    "comment": "#",
    "float_precision": "round_trip",
}  # exact; the default crashes at 1e9999999999
ID_COLUMNS = ("source_id", "SOURCE_ID", "Source")


@dataclass
class Columns:
    """name -> array of length n; `unit` has an entry where the file states one; `origin` is for messages."""

    data: dict[str, np.ndarray]
    unit: dict[str, u.UnitBase] = field(default_factory=dict)
    origin: str = "table"
    metadata: dict[str, str] = field(default_factory=dict)  # what the container says of itself

    def __len__(self) -> int:
        return len(next(iter(self.data.values()))) if self.data else 0

    def __contains__(self, name: str) -> bool:
        return name in self.data

    def __getitem__(self, name: str) -> np.ndarray:
        return self.data[name]

    def add_lower_case_names(self) -> None:
        """Let columns be found under their archive names where a tool wrote them in capitals (PHOT_G_MEAN_MAG).

        Names without an underscore stay as they are: Gmag and gmag, H and h are different things.
        """
        for name in list(self.data):
            lower = name.lower()
            if name.isupper() and ("_" in name or lower == "parallax") and lower not in self.data:
                self.data[lower] = self.data[name]
                if name in self.unit:
                    self.unit[lower] = self.unit[name]

    def numbers(self, name: str) -> np.ndarray:
        """(n,) float64 column, missing = NaN; ValueError if it is not one number per star."""
        values = self.data[name]
        if values.ndim != 1:
            raise ValueError(
                f"{self.origin}: column {name} must hold one number per star, its shape is {values.shape}"
            )
        if values.dtype.kind in "iufb":
            return values.astype(np.float64)
        series = pd.Series(values)
        numbers = np.fromiter(map(_number, values), np.float64, len(values))
        words = series.astype(str).str.strip().str.lower()
        text = np.isnan(numbers) & ~np.asarray(
            series.isna() | words.isin(["nan", "null", "none", "", "--"])
        )
        if text.any():
            row = int(np.argmax(text))
            raise ValueError(
                f"{self.origin}: column {name} must be numeric, row {row} holds {values[row]!r}"
            )
        return numbers


def _number(value: Any) -> float:
    """NaN for what is none. (pandas's own way crashes at 1e9999999999.)"""
    try:
        return float(value) if "_" not in str(value) else np.nan
    except (TypeError, ValueError):
        return np.nan


def read_columns(source: Any) -> Columns:
    """Read a file (CSV, ECSV, FITS, VOTable, Parquet; gzipped too), DataFrame, astropy or Arrow table, or dict.

    Raises FileNotFoundError, and ValueError that names the file where it cannot be understood.
    """
    if isinstance(source, Columns):
        return source
    if isinstance(source, (str, Path)):
        return _read_file(Path(source))
    if isinstance(source, pa.Table):
        return _from_arrow(source, "Arrow table")
    if isinstance(source, pd.DataFrame):
        data = {str(c): _dense(source[c].to_numpy()) for c in source}
        return Columns(data, origin="DataFrame", metadata=_as_text(source.attrs))
    if isinstance(source, Table):
        return _from_astropy(source, "astropy Table")
    if isinstance(source, dict):
        columns = {name: np.asarray(values) for name, values in source.items()}
        if scalars := [name for name, values in columns.items() if not values.ndim]:
            raise ValueError(
                f"dict: columns must be arrays, but {scalars[:5]} are single values; write [value]"
            )
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"dict: columns must have one length, but they have {lengths}")
        return Columns(columns, origin="dict")
    raise TypeError(
        f"expected a path, pandas DataFrame, astropy Table, Arrow table or dict of arrays, got {type(source).__name__}"
    )


def _read_file(path: Path) -> Columns:
    require_path(path, "file")
    if path.is_dir():
        return _read_folder(path)
    suffixes = [s.lower() for s in path.suffixes]
    kind = FORMATS.get("".join(suffixes[-2:])) or FORMATS.get(suffixes[-1] if suffixes else "")
    if kind is None:
        raise ValueError(
            f"{path}: cannot tell the format from the name; known endings are {sorted(FORMATS)}"
        )
    reader = {
        "csv": _read_csv,
        "fits": _read_fits,
        "votable": _read_votable,
        "parquet": _read_parquet,
    }[kind]
    try:
        check_expansion(path)
        columns = reader(path)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise not_readable(path, kind, error) from error
    columns.origin = str(path)
    return columns


def not_readable(path: Path, kind: str | None, error: Exception) -> ValueError:
    """A damaged file may also ask for more memory than there is."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ValueError(f"{path}: not readable as {kind}; is it complete? ({reason})")


def check_expansion(path: Path) -> None:
    """ValueError for a gzipped file that would fill the memory, EOFError or OSError for one that is cut or none."""
    if path.suffix.lower() != ".gz":
        return
    most, size = max(FREE_BYTES, MOST_EXPANSION * path.stat().st_size), 0
    with gzip.open(path) as stream:
        while block := stream.read(1 << 20):
            if (size := size + len(block)) > most:
                raise ValueError(
                    f"it expands to more than {most:,} bytes, {MOST_EXPANSION} times its size: unpack it"
                )


def _read_folder(path: Path) -> Columns:
    """All Parquet shards of a folder, in the order of their names."""
    if not (shards := sorted(path.glob("*.parquet"))):
        raise ValueError(
            f"{path}: a folder must hold Parquet files to be read as a table, this one holds none"
        )
    parts = [pq.read_table(shard) for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        if part.schema != parts[0].schema:
            raise ValueError(
                f"{shard}: its columns differ from those of {shards[0].name}; read the files one by one"
            )
    return _from_arrow(pa.concat_tables(parts), str(path))


def _read_csv(path: Path) -> Columns:
    header = _ecsv_header(path) if "ecsv" in path.name.lower() else {}
    separator = header.get("delimiter", " ") if header else ","
    # ids as text: pandas would turn an id column with one gap into float64, which loses digits
    frame = pd.read_csv(path, sep=separator, dtype=dict.fromkeys(ID_COLUMNS, str), **CSV)
    unit: dict[str, u.UnitBase] = {
        c["name"]: u.Unit(c["unit"]) for c in header.get("datatype", []) if c.get("unit")
    }
    return Columns({str(c): frame[c].to_numpy() for c in frame}, unit)


def _ecsv_header(path: Path) -> dict:
    """Delimiter, units and types; pandas reads the data itself, five times as fast as astropy would."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as stream:
        lines = [
            line[2:].rstrip("\n")
            for line in itertools.takewhile(lambda line: line.startswith("#"), stream)
        ]
    return meta.get_header_from_yaml([line for line in lines if not line.startswith("%ECSV")])


def _read_fits(path: Path) -> Columns:
    return _from_astropy(Table.read(path, format="fits"), str(path))


def _read_votable(path: Path) -> Columns:
    tables = list(votable.parse(path).iter_tables())
    if len(tables) != 1:
        raise ValueError(
            f"expected one table with a row per star, found {len(tables)} tables "
            f"(the first has {tables[0].array.dtype.names if tables else ()}); "
            "sampled XP spectra are not read: download XP_CONTINUOUS instead"
        )
    return _from_astropy(tables[0].to_table(use_names_over_ids=True), str(path))


def _read_parquet(path: Path) -> Columns:
    return _from_arrow(pq.read_table(path), str(path))


def _from_astropy(table: Table, origin: str) -> Columns:
    data, unit = {}, {}
    for name in table.colnames:
        column: Any = table[name]
        if getattr(column, "unit", None) is not None:
            unit[name] = column.unit
        values = np.ma.asarray(getattr(column, "value", column))
        data[name] = _dense(_fill(values))
    return Columns(data, unit, origin, _as_text(table.meta))


def _fill(values: np.ma.MaskedArray) -> np.ndarray:
    """Masked entries become NaN (floats) or None (objects); a masked integer column becomes objects."""
    mask = np.ma.getmaskarray(values)
    if values.dtype.kind == "O" or not mask.any():
        return np.asarray(values.data)
    if values.dtype.kind in "iub":
        out = values.data.astype(object)
        out[mask] = None
        return out
    return values.filled(np.nan) if values.dtype.kind == "f" else np.asarray(values.filled())


def _from_arrow(table: pa.Table, origin: str) -> Columns:
    data = {name: _arrow_column(table[name]) for name in table.column_names}
    metadata = {}
    for key, value in (table.schema.metadata or {}).items():
        with suppress(UnicodeDecodeError):  # other libraries keep binary schemas there
            metadata[key.decode()] = value.decode()
    return Columns(data, origin=origin, metadata=metadata)


def _as_text(metadata: Mapping[Any, Any]) -> dict[str, str]:
    """Entries whose keys and values are text; others are not ours."""
    return {k: v for k, v in metadata.items() if isinstance(k, str) and isinstance(v, str)}


def _arrow_column(column: pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list_column(array)
    if pa.types.is_integer(kind) and array.null_count:
        return np.array(array.to_pylist(), dtype=object)  # never through float64
    return array.to_numpy(zero_copy_only=False)


def _list_column(array) -> np.ndarray:
    """(n, k) of lists of one length, NaN where there is none; of other lists, one object per row."""
    there, count = np.asarray(array.is_valid()), pc.list_value_length  # pyright: ignore[reportAttributeAccessIssue]
    lengths = count(array).drop_null().unique()
    if len(lengths) != 1 or not (there.all() or pa.types.is_floating(array.type.value_type)):
        return array.to_numpy(zero_copy_only=False)
    values = array.flatten().to_numpy(zero_copy_only=False).reshape(there.sum(), lengths[0].as_py())
    if there.all():
        return values
    out = np.full((len(there), values.shape[1]), np.nan, values.dtype)
    out[there] = values
    return out


def _dense(values: np.ndarray) -> np.ndarray:
    """Native byte order; FITS is big-endian, which torch and Arrow refuse."""
    if values.dtype.kind in "iufb" and not values.dtype.isnative:
        return values.astype(values.dtype.newbyteorder("="))
    return values
