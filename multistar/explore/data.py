"""What the page shows of an index: places on a map, colours, neighbours. Knows no web pages."""

import io
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from multistar.index.metadata import joined
from multistar.index.star_index import StarIndex
from multistar.plots.corner import DIGITS
from multistar.quantities import LABELS, QUANTITIES

COORDINATES = ("umap_x", "umap_y")
# Stars of which a map is made where none is given, and the fewest that UMAP can place.
SAMPLE, FEWEST = 10_000, 4
# How far from a star a click may be, as a share of the width and height of the view.
CLICK = 0.02
# Quantiles between which colours change.
SHOWN = 0.02, 0.98
# Columns of a table of neighbours that come before the numbers of the index.
FOUND = ("query_id", "rank", "neighbour_id", "distance")
BOUNDS = ("_lower", "_upper")


@dataclass(frozen=True)
class Places:
    """Stars on a map, in the order of their ids.

    Attributes
    ----------
    source_id : ndarray of int64, shape (m,)
    row : ndarray of int, shape (m,)
        Of each star in the index.
    x, y : ndarray of float32, shape (m,)
    origin : str
        What the map is from, in words.
    """

    source_id: np.ndarray
    row: np.ndarray
    x: np.ndarray
    y: np.ndarray
    origin: str

    def __len__(self) -> int:
        return len(self.source_id)

    @classmethod
    def from_rows(cls, index: StarIndex, row: np.ndarray, xy: np.ndarray, origin: str) -> "Places":
        """Place rows (n,) of an index at xy (n, 2); those with NaN are left out."""
        placed = np.isfinite(xy).all(1)
        row, xy = row[placed], xy[placed].astype(np.float32)
        order = np.argsort(index.source_id[row])
        row, xy = row[order], xy[order]
        source_id = np.array(index.source_id[row])
        return cls(source_id, row, xy[:, 0].copy(), xy[:, 1].copy(), origin)

    def of_stars(self, source_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up x and y (n,) of stars; NaN where one is not on the map."""
        place = np.searchsorted(self.source_id, source_ids)
        place = np.minimum(place, len(self) - 1)
        present = self.source_id[place] == source_ids
        x = np.where(present, self.x[place], np.nan)
        y = np.where(present, self.y[place], np.nan)
        return x, y

    def nearest(self, x: float, y: float, width: float, height: float) -> int | None:
        """Find the star nearest to a point of a view of this size.

        Gives its source_id, or None if all are farther than CLICK.
        """
        right = (self.x - np.float32(x)) / width
        up = (self.y - np.float32(y)) / height
        squared = right**2 + up**2
        best = int(np.argmin(squared))
        return int(self.source_id[best]) if squared[best] <= CLICK**2 else None


def read_places(index: StarIndex, source: Any) -> Places:
    """Read the map of a table with source_id, umap_x and umap_y.

    Parameters
    ----------
    index : StarIndex
        Stars that are not in it are left out.
    source : path or table
        Anything that `read_columns` takes.

    Returns
    -------
    Places

    Raises
    ------
    ValueError
        If a column is missing, or if no star of the index is in the table.
    """
    row = np.flatnonzero(index.source_id >= 0)
    found, _ = joined(index.source_id[row], source, COORDINATES)
    places = Places.from_rows(index, row, found.values, str(source))
    if not len(places):
        raise ValueError(
            f"{source}: none of its stars is in {index.origin}; "
            "make the map from the same embeddings"
        )
    return places


def umap_places(index: StarIndex, most: int = SAMPLE) -> Places:
    """Make a UMAP of the stars, or of `most` of them drawn at random (seed 0).

    Raises
    ------
    ImportError
        Without umap-learn; it says what to install.
    ValueError
        With fewer than 4 stars.
    """
    mapper_class = _load_umap()
    row = np.flatnonzero(index.source_id >= 0)
    if len(row) > most:
        row = np.sort(np.random.default_rng(0).choice(row, most, replace=False))
    if len(row) < FEWEST:
        raise ValueError(
            f"{index.origin} is too small for a UMAP; at least {FEWEST} stars are needed"
        )
    vectors = index.vectors(index.source_id[row])
    neighbours = min(15, len(row) - 1)
    with warnings.catch_warnings():
        # umap says that a seed costs it its threads
        warnings.simplefilter("ignore")
        mapper = mapper_class(metric="cosine", n_neighbors=neighbours, random_state=0, n_jobs=1)
        xy = np.asarray(mapper.fit_transform(vectors))
    share = "" if len(row) == len(index) else f" of a sample of {len(row):,}"
    return Places.from_rows(index, row, xy, f"UMAP{share}, made now")


def _load_umap() -> Any:
    try:
        with warnings.catch_warnings():
            # umap says that a part of its own that needs tensorflow is not there
            warnings.simplefilter("ignore")
            from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "without --map, a UMAP is made: pip install 'multistar[maps]', or give --map"
        ) from error
    return UMAP


class Explorer:
    """An index with a map of its stars.

    Parameters
    ----------
    index : StarIndex
        The index.
    places : Places
        The map.
    dust_free : StarIndex, optional
        An index of the same stars whose vectors do not know dust.

    Raises
    ------
    ValueError
        If no star of the map is in the dust-free index.
    """

    def __init__(self, index: StarIndex, places: Places, dust_free: StarIndex | None = None):
        if dust_free is not None and not dust_free.contains(places.source_id).any():
            raise ValueError(
                f"no star of the map is in the dust-free index of {len(dust_free)} stars"
            )
        self.index, self.places, self.dust_free = index, places, dust_free
        self.columns = tuple(sorted(index.metadata.names, key=_sort_key))
        self.colour = lru_cache(4)(self._colour)
        self.neighbours = lru_cache(64)(self._neighbours)

    def star(self, text: str) -> int:
        """Read the source_id that a user typed; ValueError if it is none, or not in the index."""
        word = text.strip()
        for prefix in ("Gaia DR3 ", "Gaia DR4 "):
            word = word.removeprefix(prefix)
        word = word.strip()
        if not word:
            raise ValueError("Type a source_id, or click on a star of the map.")
        is_number = word.isascii() and word.isdigit() and len(word) < 20
        if not is_number or int(word) >= 2**63:
            raise ValueError(
                f"“{word[:40]}” is no source_id: "
                f"expected a whole number such as {self.any_star(0)}."
            )
        source_id = int(word)
        if not self.index.contains(np.array([source_id]))[0]:
            raise ValueError(
                f"There is no star {source_id} among the {len(self.index):,} of this index."
            )
        return source_id

    def any_star(self, seed: int | None = None) -> int:
        """Draw a star of the map at random."""
        return int(np.random.default_rng(seed).choice(self.places.source_id))

    def unit(self, name: str) -> str:
        """Give the unit of a number of the index, "" if it has none."""
        place = self.index.metadata.names.index(name)
        return self.index.metadata.units[place] or _unit_of_label(name)

    def _colour(self, name: str) -> np.ndarray:
        """(m,) float32 numbers of the stars of the map, NaN = unknown."""
        return self.index.metadata[name][self.places.row].astype(np.float32)

    def limits(self, name: str) -> tuple[float, float]:
        """Give the numbers between which colours change; (0, 1) if no star of the map has one."""
        values = self.colour(name)
        known = values[np.isfinite(values)]
        if not len(known):
            return 0.0, 1.0
        low, high = (float(x) for x in np.nanquantile(known, SHOWN))
        return (low, high) if low < high else (low - 0.5, low + 0.5)

    def _neighbours(self, source_id: int, k: int, ignore_dust: bool = False) -> pa.Table:
        """The star itself (rank 0, distance 0) and its k nearest, with the numbers of the index.

        Columns are those of FOUND, then one for each number, see `column_name`. Raises KeyError
        if the star is not in the index that is searched.
        """
        without_dust = ignore_dust and self.dust_free is not None
        index: Any = self.dust_free if without_dust else self.index
        found = index.neighbours([source_id], k).to_pydict()
        ids = np.array([source_id, *found["neighbour_id"]], np.int64)
        columns: dict[str, Any] = {
            "query_id": np.full(len(ids), source_id),
            "rank": np.arange(len(ids), dtype=np.int32),
            "neighbour_id": ids,
            "distance": np.array([0.0, *found["distance"]]),
        }
        fields = [pa.field(name, pa.array(values).type) for name, values in columns.items()]
        for name, values in self._numbers(ids).items():
            unit = self.unit(name)
            metadata = {"unit": unit} if unit else None
            columns[column_name(name)] = values
            fields.append(pa.field(column_name(name), pa.float64(), metadata=metadata))
        measure = "1 - cosine similarity"
        if without_dust:
            measure += ", dust ignored"
        metadata = {"model_sha256": index.model_sha256, "distance": measure}
        return pa.table(list(columns.values()), schema=pa.schema(fields, metadata=metadata))

    def _numbers(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """(n,) numbers of stars, NaN for those that are not in the index."""
        known = self.index.contains(ids)
        of_known = self.index.numbers(ids[known])
        numbers = {}
        for name in self.columns:
            numbers[name] = np.full(len(ids), np.nan)
            numbers[name][known] = of_known[name]
        return numbers

    def choose_columns(self, colour: str = "", most: int = 6) -> list[str]:
        """Choose columns for a narrow table: labels, or else the first ones, and `colour`.

        `colour` is the column that the map is coloured by.
        """
        labels = [name for name in LABELS if name in self.columns and name != "alpha_m"]
        others = [name for name in self.columns if name not in labels]
        extra = []
        if colour in self.columns and colour not in labels[:most]:
            extra = [colour]
        return (labels or others)[: most - len(extra)] + extra


def column_name(name: str) -> str:
    """Name a number of the index in a table of neighbours, whose own columns come first."""
    return f"neighbour_{name}" if name in FOUND else name


def write_to_memory(table: pa.Table, ending: str) -> io.BytesIO:
    """Write a table to a file in memory, "csv" or "parquet"."""
    stream = io.BytesIO()
    if ending == "parquet":
        pq.write_table(table, stream)
    else:
        csv.write_csv(table, stream)
    stream.seek(0)
    return stream


def format_number(name: str, value: float) -> str:
    """Write a number with the digits that make sense for a label; a dash for NaN."""
    if not np.isfinite(value):
        return "–"
    digits = DIGITS.get(_strip_bound(name))
    return f"{value:.4g}" if digits is None else f"{value:.{digits}f}"


def _sort_key(name: str) -> tuple[bool, int]:
    """Labels first, then others, bounds of intervals last; within these as they come."""
    place = LABELS.index(name) if name in LABELS else len(LABELS)
    return name.endswith(BOUNDS), place


def _strip_bound(name: str) -> str:
    for bound in BOUNDS:
        name = name.removesuffix(bound)
    return name


def _unit_of_label(name: str) -> str:
    """Of a label, also of its truth, error or bounds; "" for other names."""
    plain = _strip_bound(name.removeprefix("true_")).removesuffix("_error")
    return QUANTITIES[plain].unit if plain in QUANTITIES else ""
