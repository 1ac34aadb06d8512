"""What the page shows of an index: places on a map, colours, neighbours. Knows nothing of web pages."""

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
from multistar.quantities import LABELS, QUANTITIES

COORDINATES = ("umap_x", "umap_y")
SAMPLE = 10_000  # stars of which a map is made where none is given
CLICK = 0.02  # of the width and height of the view: how far from a star a click may be
SHOWN = 0.02, 0.98  # quantiles between which colours change
FOUND = ("query_id", "rank", "neighbour_id", "distance")
DIGITS = {
    "teff": 0,
    "logg": 2,
    "m_h": 2,
    "alpha_m": 2,
    "mass": 2,
    "age": 1,
    "ebv": 3,
    "distance": 2,
}


@dataclass(frozen=True)
class Places:
    """Stars on a map in the order of their ids: source_id (m,), row in the index (m,), x and y (m,) float32."""

    source_id: np.ndarray
    row: np.ndarray
    x: np.ndarray
    y: np.ndarray
    origin: str

    def __len__(self) -> int:
        return len(self.source_id)

    @classmethod
    def of(cls, index: StarIndex, row: np.ndarray, xy: np.ndarray, origin: str) -> "Places":
        """xy (n, 2) of rows (n,); those without a place (NaN) are left out."""
        row, xy = row[keep := np.isfinite(xy).all(1)], xy[keep].astype(np.float32)
        row, xy = row[order := np.argsort(index.source_id[row])], xy[order]
        return cls(np.array(index.source_id[row]), row, xy[:, 0].copy(), xy[:, 1].copy(), origin)

    def of_stars(self, source_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x, y (n,) of stars, NaN where one is not on the map."""
        place = np.minimum(np.searchsorted(self.source_id, source_ids), len(self) - 1)
        here = self.source_id[place] == source_ids
        return np.where(here, self.x[place], np.nan), np.where(here, self.y[place], np.nan)

    def nearest(self, x: float, y: float, width: float, height: float) -> int | None:
        """source_id of the star nearest to a point of a view of this size; None if all are farther than CLICK."""
        squared = ((self.x - np.float32(x)) / width) ** 2 + ((self.y - np.float32(y)) / height) ** 2
        best = int(np.argmin(squared))
        return int(self.source_id[best]) if squared[best] <= CLICK**2 else None


def read_places(index: StarIndex, source: Any) -> Places:
    """The map of a table with source_id, umap_x and umap_y.

    Raises ValueError if a column is missing, or if no star of the index is in the table.
    """
    row = np.flatnonzero(index.source_id >= 0)
    found, _ = joined(index.source_id[row], source, COORDINATES)
    places = Places.of(index, row, found.values, str(source))
    if not len(places):
        raise ValueError(
            f"{source}: none of its stars is in {index.origin}; make the map from the same embeddings"
        )
    return places


def umap_places(index: StarIndex, most: int = SAMPLE) -> Places:
    """A UMAP of the stars, or of `most` of them at random (seed 0); ImportError says what to install."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # umap says that a part of its own that needs tensorflow is not there
            from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "without --map, a UMAP is made: pip install 'multistar[maps]', or give --map"
        ) from error
    row = np.flatnonzero(index.source_id >= 0)
    if len(row) > most:
        row = np.sort(np.random.default_rng(0).choice(row, most, replace=False))
    if len(row) < 4:
        raise ValueError(f"{index.origin} is too small for a UMAP; at least 4 stars are needed")
    vectors = index.vectors(index.source_id[row])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap says that a seed costs it its threads
        reducer = UMAP(metric="cosine", n_neighbors=min(15, len(row) - 1), random_state=0, n_jobs=1)
        xy = np.asarray(reducer.fit_transform(vectors))
    share = "" if len(row) == len(index) else f" of a sample of {len(row):,}"
    return Places.of(index, row, xy, f"UMAP{share}, made now")


class Explorer:
    """An index, its map, and perhaps an index of the same stars whose vectors do not know dust."""

    def __init__(self, index: StarIndex, places: Places, dust_free: StarIndex | None = None):
        if dust_free is not None and not dust_free.contains(places.source_id).any():
            raise ValueError(
                f"no star of the map is in the dust-free index of {len(dust_free)} stars"
            )
        self.index, self.places, self.dust_free = index, places, dust_free
        self.columns = tuple(sorted(index.metadata.names, key=_rank))
        self.colour = lru_cache(4)(self._colour)
        self.neighbours = lru_cache(64)(self._neighbours)

    def star(self, text: str) -> int:
        """The source_id that a user typed; ValueError if it is none, or none of the index."""
        word = text.strip().removeprefix("Gaia DR3 ").removeprefix("Gaia DR4 ").strip()
        if not word:
            raise ValueError("Type a source_id, or click on a star of the map.")
        if not (word.isascii() and word.isdigit()) or int(word) >= 2**63:
            raise ValueError(
                f"“{word[:40]}” is no source_id: expected a whole number such as {self.any_star(0)}."
            )
        if not self.index.contains(np.array([int(word)]))[0]:
            raise ValueError(
                f"There is no star {int(word)} among the {len(self.index):,} of this index."
            )
        return int(word)

    def any_star(self, seed: int | None = None) -> int:
        """A star of the map at random."""
        return int(np.random.default_rng(seed).choice(self.places.source_id))

    def unit(self, name: str) -> str:
        return self.index.metadata.units[self.index.metadata.names.index(name)] or _unit_of(name)

    def _colour(self, name: str) -> np.ndarray:
        """(m,) float32 numbers of the stars of the map, NaN = unknown."""
        return self.index.metadata[name][self.places.row].astype(np.float32)

    def limits(self, name: str) -> tuple[float, float]:
        """Between which colours change; (0, 1) if no star of the map has a number."""
        values = self.colour(name)
        if not np.isfinite(values).any():
            return 0.0, 1.0
        low, high = (float(x) for x in np.nanquantile(values[np.isfinite(values)], SHOWN))
        return (low, high) if low < high else (low - 0.5, low + 0.5)

    def _neighbours(self, source_id: int, k: int, ignore_dust: bool = False) -> pa.Table:
        """The star itself (rank 0, distance 0) and its k nearest: query_id, rank, neighbour_id, distance, numbers.

        Raises KeyError if the star is not in the index that is asked.
        """
        index = self.dust_free if ignore_dust and self.dust_free is not None else self.index
        found = index.neighbours([source_id], k).to_pydict()
        ids = np.array([source_id, *found["neighbour_id"]], np.int64)
        distance = np.array([0.0, *found["distance"]])
        own = np.full(len(ids), source_id), np.arange(len(ids), dtype=np.int32), ids, distance
        columns: dict[str, Any] = dict(zip(FOUND, own, strict=True))
        known = self.index.contains(ids)
        numbers = np.full((len(ids), len(self.columns)), np.nan)
        metadata = self.index.numbers(ids[known])
        numbers[known] = np.stack([metadata[c] for c in self.columns], 1) if self.columns else 0
        names = [in_table(name) for name in self.columns]
        units = [""] * 4 + [self.unit(name) for name in self.columns]
        columns |= dict(zip(names, numbers.T, strict=True))
        fields = [
            pa.field(name, pa.array(values).type, metadata={"unit": unit} if unit else None)
            for (name, values), unit in zip(columns.items(), units, strict=True)
        ]
        said = {
            "model_sha256": index.model_sha256,
            "distance": "1 - cosine similarity" + ", dust ignored" * (index is not self.index),
        }
        return pa.table(list(columns.values()), schema=pa.schema(fields, metadata=said))

    def shown_columns(self, colour: str = "", most: int = 6) -> list[str]:
        """Columns for a narrow table: the colour of the map and labels, else the first ones."""
        labels = [name for name in LABELS if name in self.columns and name != "alpha_m"]
        others = [name for name in self.columns if name not in labels]
        chosen = [colour] if colour in self.columns and colour not in labels[:most] else []
        return [*(labels or others)[: most - len(chosen)], *chosen]


def in_table(name: str) -> str:
    """What a number of the index is called in a table of neighbours, whose own columns come first."""
    return f"neighbour_{name}" if name in FOUND else name


def file_of(table: pa.Table, ending: str) -> io.BytesIO:
    """The table as a file in memory: "csv" or "parquet"."""
    out = io.BytesIO()
    if ending == "parquet":
        pq.write_table(table, out)
    else:
        csv.write_csv(table, out)
    out.seek(0)
    return out


def number(name: str, value: float) -> str:
    """With the digits that make sense for a label; a dash for nothing."""
    if not np.isfinite(value):
        return "–"
    digits = DIGITS.get(name.removesuffix("_lower").removesuffix("_upper"))
    return f"{value:.4g}" if digits is None else f"{value:.{digits}f}"


def titled(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit else name


def _rank(name: str) -> tuple[bool, int]:
    """Labels first, then others, bounds of intervals last; within these as they come."""
    return name.endswith(("_lower", "_upper")), LABELS.index(name) if name in LABELS else len(
        LABELS
    )


def _unit_of(name: str) -> str:
    plain = (
        name.removeprefix("true_")
        .removesuffix("_lower")
        .removesuffix("_upper")
        .removesuffix("_error")
    )
    return QUANTITIES[plain].unit if plain in QUANTITIES else ""
