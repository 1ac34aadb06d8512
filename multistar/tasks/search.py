"""Embeddings -> an index on disk -> the nearest stars of a star."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa

from multistar.files import atomic_write, sha256

INDEX, IDS, CARD = "index.faiss", "source_ids.npy", "card.json"
OWNED = (INDEX, IDS, CARD)
UNIT_NORM_TOLERANCE = 1e-3


@dataclass
class Embeddings:
    """source_id (n,) int64, vector (n, dimension) float32, has_data (n,), and the hash of the model."""

    source_id: np.ndarray
    vector: np.ndarray
    has_data: np.ndarray
    model_sha256: str

    @classmethod
    def from_table(cls, table: pa.Table, origin: str = "table") -> "Embeddings":
        """From what `embed` returns or writes."""
        missing = {"source_id", "embedding"} - set(table.column_names)
        if missing:
            raise ValueError(f"{origin}: no column {sorted(missing)}; expected the output of multistar embed")
        column = table["embedding"].combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        if not pa.types.is_fixed_size_list(column.type):
            raise ValueError(f"{origin}: column embedding must be a fixed-size list, it is {column.type}")
        vector = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
        hash_ = (table.schema.metadata or {}).get(b"model_sha256", b"").decode()
        status = table["status"].to_pylist() if "status" in table.column_names else [""] * len(table)
        has_data = np.array(["no_data" not in words for words in status], bool)
        return cls(table["source_id"].to_numpy().astype(np.int64), vector.astype(np.float32), has_data, hash_)

    def searchable(self) -> tuple["Embeddings", int]:
        """Only the stars with an id and data, and how many were left out: a star without data is like any other."""
        keep = self.has_data & (self.source_id >= 0)
        kept = Embeddings(self.source_id[keep], self.vector[keep], self.has_data[keep], self.model_sha256)
        return kept, int((~keep).sum())


class StarIndex:
    """Exact cosine search over unit vectors, with the stars' ids and the hash of the model beside it.

    Distance is 1 - cosine similarity: 0 for the same direction, 2 for the opposite one.
    """

    def __init__(self, index: faiss.Index, source_id: np.ndarray, model_sha256: str):
        self._index, self.source_id, self.model_sha256 = index, source_id, model_sha256
        order = np.argsort(source_id)
        self._order, self._sorted = order, source_id[order]

    def __len__(self) -> int:
        return len(self.source_id)

    @property
    def dimension(self) -> int:
        return self._index.d

    @classmethod
    def build(cls, embeddings: Embeddings | pa.Table) -> "StarIndex":
        """From what `embed` returns; rows of such a table without data or id are left out.

        Raises ValueError on an empty table, NaN or unnormalised vectors, missing or duplicate ids.
        """
        if isinstance(embeddings, pa.Table):
            embeddings = Embeddings.from_table(embeddings).searchable()[0]
        ids, vectors = embeddings.source_id, embeddings.vector
        if not len(ids):
            raise ValueError("cannot build an index of no stars: the embedding table is empty")
        _check_vectors(vectors, ids)
        if np.any(ids < 0):
            raise ValueError(f"{np.sum(ids < 0)} stars have no source_id (-1); give every star an id before indexing")
        unique, count = np.unique(ids, return_counts=True)
        if np.any(count > 1):
            first = unique[count > 1][0]
            raise ValueError(
                f"{np.sum(count > 1)} source_ids occur more than once (first: {first}, {count[count > 1][0]} times); "
                "keep one row per star"
            )
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors))
        return cls(index, ids, embeddings.model_sha256)

    def vectors(self, source_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n, dimension) stored vectors of the given stars; KeyError names those that are not in the index."""
        wanted = np.asarray(source_ids, np.int64)
        place = np.minimum(np.searchsorted(self._sorted, wanted), len(self) - 1)
        absent = wanted[self._sorted[place] != wanted]
        if len(absent):
            raise KeyError(f"{len(absent)} source_ids are not in the index of {len(self)} stars (first: {absent[0]})")
        return self._index.reconstruct_batch(self._order[place])

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids (n, k') and distances (n, k') of the nearest stars, k' = min(k, number of stars)."""
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        vectors = np.ascontiguousarray(np.atleast_2d(vectors), np.float32)
        if vectors.shape[1] != self.dimension:
            raise ValueError(f"query vectors have {vectors.shape[1]} dimensions, the index has {self.dimension}")
        _check_vectors(vectors, np.arange(len(vectors)))
        similarity, rows = self._index.search(vectors, min(k, len(self)))
        return self.source_id[rows], np.maximum(1 - similarity, 0)

    def neighbours(self, source_ids: Sequence[int] | np.ndarray, k: int) -> pa.Table:
        """query_id, rank (from 1), neighbour_id, distance: nearest first, the query star itself left out."""
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        wanted = np.asarray(source_ids, np.int64)
        ids, distance = self.search(self.vectors(wanted), k + 1)
        own = ids == wanted[:, None]
        own[:, -1] |= ~own.any(1)  # a twin pushed the star itself off the list: drop the farthest instead
        kept = ids.shape[1] - 1
        neighbours, distances = (x[~own].reshape(len(wanted), kept) for x in (ids, distance))
        columns = {
            "query_id": np.repeat(wanted, kept),
            "rank": np.tile(np.arange(1, kept + 1, dtype=np.int32), len(wanted)),
            "neighbour_id": neighbours.ravel(),
            "distance": distances.ravel(),
        }
        metadata = {"model_sha256": self.model_sha256, "distance": "1 - cosine similarity"}
        return pa.table(columns).replace_schema_metadata(metadata)

    def save(self, folder: str | Path, overwrite: bool = False) -> None:
        with atomic_write(folder, overwrite, OWNED) as temporary:
            temporary.mkdir()
            faiss.write_index(self._index, str(temporary / INDEX))
            np.save(temporary / IDS, self.source_id, allow_pickle=False)
            card = {
                "format": 1,
                "metric": "cosine",
                "dimension": self.dimension,
                "stars": len(self),
                "model_sha256": self.model_sha256,
                "sha256": {name: sha256(temporary / name) for name in (INDEX, IDS)},
            }
            (temporary / CARD).write_text(json.dumps(card, indent=1))

    @classmethod
    def load(cls, folder: str | Path) -> "StarIndex":
        """Raises FileNotFoundError if it is no index folder, ValueError if a file is not the one that was saved."""
        folder = Path(folder)
        for name in (CARD, INDEX, IDS):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder}: not an index folder, {name} is missing (make one: multistar index)")
        try:
            card = json.loads((folder / CARD).read_text())
            expected = {name: card["sha256"][name] for name in (INDEX, IDS)}
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{folder / CARD}: not readable as an index card ({error!r})") from error
        for name, digest in expected.items():
            if sha256(folder / name) != digest:
                raise ValueError(
                    f"{folder / name}: SHA-256 differs from {CARD}; the file was changed or cut off, build it again"
                )
        index = faiss.read_index(str(folder / INDEX))
        return cls(index, np.load(folder / IDS, allow_pickle=False), card["model_sha256"])


def _check_vectors(vectors: np.ndarray, ids: np.ndarray) -> None:
    norm = np.linalg.norm(vectors, axis=1)
    if np.any(bad := ~np.isfinite(norm)):
        raise ValueError(f"{bad.sum()} vectors hold NaN or infinity (first: star {ids[bad][0]})")
    if np.any(bad := np.abs(norm - 1) > UNIT_NORM_TOLERANCE):
        raise ValueError(
            f"{bad.sum()} vectors are not of unit norm (first: star {ids[bad][0]}, norm {norm[bad][0]:.3f})"
        )
