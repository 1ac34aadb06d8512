"""StarIndex: vectors of stars in FAISS with their ids, numbers and the hash of the model beside
them.
"""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from multistar.index import kinds
from multistar.index.embeddings import embedding_sources
from multistar.index.folder import Card, Content, read_folder, write_folder
from multistar.index.metadata import Metadata, joined, stacked
from multistar.index.recall import K, RecallSample, tuned
from multistar.index.source import (
    CHUNK,
    Duplicates,
    Source,
    check_same_model,
    check_vectors,
    keep_masks,
    union,
)
from multistar.model.nuisance import NuisanceProjection

IDENTICAL = 1e-6  # distance of two vectors of the same data, which only rounding keeps apart
COPIES = 16  # neighbours among which identical vectors are looked for


class StarIndex:
    """Nearest stars by the angle between unit vectors; made by `build` or `load`.

    Distance is 1 - cosine similarity: 0 for the same direction, 2 for the opposite one. The kinds
    "ivf-sq8" and "pca-sq8" hold rounded vectors, so their distances are rounded too. Deleted
    stars are never found; their place in memory comes back when the index is built anew:
    StarIndex.build(index).

    source_id  (rows,) int64 in the order in which they were added, -1 where deleted
    metadata   numbers of the same rows
    recall     share of the ten true neighbours that a search finds, measured when the index was
               built
    left_out   rows without data or id that were left out when it was built or added to
    ignore     name of the projection that its vectors went through (see model/erasure.py), "" for none
    """

    def __init__(self, content: Content, mapped: bool = False):
        card = content.card
        self.model_sha256, self.kind, self.reason = card.model_sha256, card.kind, card.reason
        self.parameters, self.recall, self.mapped, self.ignore = (
            card.parameters,
            card.recall,
            mapped,
            card.ignore,
        )
        self.source_id, self._order = content.source_id, content.order
        self.metadata = Metadata(tuple(card.columns), tuple(card.units), content.metadata)
        self._index, self.left_out = content.index, 0
        self._files = content.mapped
        self._gpu = None if mapped else kinds.on_gpu(self.kind, self._index)
        self._hide_deleted(card.deleted)

    def __len__(self) -> int:
        return len(self.source_id) - self._deleted

    @property
    def origin(self) -> str:
        """Its name in messages."""
        return f"the index of {len(self)} stars"

    @property
    def dimension(self) -> int:
        return self._index.d

    @classmethod
    def build(
        cls,
        embeddings: Any,
        kind: str | None = None,
        duplicates: Duplicates = "error",
        metadata: Any = None,
        columns: Sequence[str] = (),
        projection: NuisanceProjection | None = None,
        eraser: NuisanceProjection | None = None,
    ) -> "StarIndex":
        """From what `embed` returned or wrote, from other indices, or from a list of these.

        embeddings  Arrow table, Parquet file or folder of them, Embeddings, StarIndex. Files are
                    read in chunks: memory holds the index, ids and numbers. Rows of tables and
                    files without data or id are left out
        kind        see kinds.KINDS; by default the number of stars decides
        duplicates  which row stays where an id occurs more than once: "first" or "last"; or it is
                    an "error"
        metadata    table (anything that `read_columns` takes) of which the numbers, all or
                    `columns`, are kept with the stars of its ids. Numeric columns of the
                    embedding tables are kept anyhow
        projection  what plain embeddings go through first, so that neighbours do not share its
                    quantity
        eraser      the old name of `projection`; deprecated, goes in 0.3

        The answers depend on the stars, not on the order of their rows (but for the graph of
        "hnsw"). Effort is doubled until the recall of a few stars, compared with all others,
        reaches recall.TARGET. Raises ValueError for no stars at all, NaN or unnormalised vectors,
        missing or duplicate ids, several models.
        """
        if eraser is not None:
            text = "StarIndex.build takes projection=, not eraser=; version 0.3 will not know it"
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            projection = eraser
        source = union(_sources(embeddings), duplicates)
        source = source.erased(projection) if projection else source
        if not len(source):
            raise ValueError(
                f"{source.origin}: cannot build an index of no stars: the embedding table is empty"
            )
        if metadata is not None:
            found, _ = joined(source.source_id, metadata, columns)
            source = dataclasses.replace(source, metadata=source.metadata.beside(found))
        kind, reason = kinds.choose(len(source), kind)
        by_id = np.argsort(source.source_id)
        rows = by_id[_spread(len(source), kinds.sample_size(len(source), kind))]
        sample = source.vectors(rows)
        index, parameters = kinds.trained(kind, sample, len(source))
        some = _spread(len(rows), min(kinds.RECALL_STARS, len(rows)))
        recall_sample = RecallSample(rows[some], sample[some])
        for here, vectors in source.checked():
            index.add(vectors)
            recall_sample.compare(here.start, vectors)
        numbers = source.metadata
        card = Card(
            source.model_sha256,
            source.dimension,
            len(source),
            0,
            kind,
            reason,
            parameters,
            1.0,
            list(numbers.names),
            list(numbers.units),
            ignore=source.ignore,
        )
        built = cls(Content(card, index, source.source_id.copy(), by_id, numbers.values))
        built.left_out = source.left_out
        if kind != "exact":
            built._tune(recall_sample)
        return built

    def _tune(self, recall_sample: RecallSample) -> None:
        queries = self._stored(recall_sample.rows)  # as they will be asked by id: rounded

        def recall(parameters: dict[str, int]) -> float:
            self.parameters = parameters
            return recall_sample.recall(self._nearest(queries, K + 1)[1])

        self.parameters, self.recall = tuned(
            self.parameters, recall, lambda p: kinds.harder(self.kind, p)
        )

    @classmethod
    def merge(
        cls,
        indices: Sequence["StarIndex"],
        kind: str | None = None,
        duplicates: Duplicates = "error",
    ) -> "StarIndex":
        """The index that `build` makes of the stars of several indices of one model."""
        return cls.build(list(indices), kind, duplicates)

    def ignoring(self, projection: NuisanceProjection) -> "StarIndex":
        """This index if its vectors went through the projection already.

        Otherwise one built of its vectors.

        Raises ValueError for kinds that hold rounded vectors: erasing would amplify the rounding.
        """
        if self.ignore == projection.name:
            return self
        if self.kind not in ("exact", "hnsw"):
            raise ValueError(
                f"{self.origin} is of kind {self.kind}, whose vectors are rounded: build one "
                "from the embeddings, "
                f"multistar index VECTORS --ignore {projection.quantity} --out IDX, and search that"
            )
        return StarIndex.build(self, projection=projection)

    def add(self, embeddings: Any, duplicates: Duplicates = "error") -> int:
        """Stars in whatever form `build` takes; how many were added.

        An id that is there already is an "error", or the "first" of the two (the old one) or the
        "last" stays. Lists and principal components stay those of the first stars: after adding
        several times as many, build anew. Raises ValueError as `build` does, and for another
        model; the index is then as it was.
        """
        self._refuse_mapped()
        own, new = self.source(), union(_sources(embeddings), duplicates)
        check_same_model(new, self)
        old, fresh = keep_masks([own.source_id, new.source_id], duplicates)
        new = new.kept(fresh)
        for _ in new.checked():
            pass  # all faults are found before the first star is added
        self.delete(own.source_id[~old])
        for _, vectors in new.checked():
            self._index.add(vectors)
        self.source_id = np.concatenate([self.source_id, new.source_id])
        self.metadata = stacked([self.metadata, new.metadata])
        self.left_out += new.left_out
        self._changed()
        return len(new)

    def delete(self, source_ids: Sequence[int] | np.ndarray) -> None:
        """KeyError names ids that are not in the index; nothing is deleted then."""
        self._refuse_mapped()
        self.source_id[self._rows(source_ids)] = -1
        self._changed()

    def dedupe(self, tolerance: float = IDENTICAL) -> int:
        """Delete every star whose vector is that of a star before it, to a distance of `tolerance`.

        How many.

        Data that came twice under two ids are found so. Kinds that round vectors compare them as
        rounded.
        """
        self._refuse_mapped()
        before = len(self)
        while len(self) > 1:
            copies = [self._later_copies(rows, tolerance) for rows in self._chunks_of_rows()]
            if not len(found := np.concatenate(copies)):
                break  # of many alike, a pass may see some only, but always the last one
            self.delete(found)
        return before - len(self)

    def _later_copies(self, rows: np.ndarray, tolerance: float) -> np.ndarray:
        """Ids of the rows that have a twin before them."""
        distance, found = self._nearest(
            self._index.reconstruct_batch(rows), COPIES
        )  # equally rounded, if they are
        return self.source_id[
            rows[((distance <= tolerance) & (found >= 0) & (found < rows[:, None])).any(1)]
        ]

    def source(self) -> Source:
        """Its stars as an index is built from them."""
        alive = self.source_id >= 0
        return Source(
            self.origin,
            self.model_sha256,
            self.dimension,
            self.source_id[alive],
            self.metadata.rows(alive),
            lambda: map(self._stored, self._chunks_of_rows()),
            ignore=self.ignore,
        )

    def vectors(self, source_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n, dimension) stored vectors of the given stars.

        KeyError names those that are not in the index.
        """
        return self._stored(self._rows(source_ids))

    def numbers(self, source_ids: Sequence[int] | np.ndarray) -> Metadata:
        """Metadata of the given stars; KeyError names those that are not in the index."""
        return self.metadata.rows(self._rows(source_ids))

    def contains(self, source_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """(n,) whether the stars are in the index."""
        return self._found(np.asarray(source_ids, np.int64))[1]

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids (n, k') and distances (n, k') of the nearest stars, k' = min(k, number of stars).

        -1 and NaN stand where a graph ("hnsw") leads to fewer. Raises ValueError for k < 1,
        vectors of another dimension, NaN or unnormalised ones, and an index all of whose stars
        were deleted.
        """
        distance, rows = self._nearest(self._checked(vectors, k), k)
        return np.where(rows >= 0, self.source_id[rows], -1), distance

    def neighbours(
        self, source_ids: Sequence[int] | np.ndarray, k: int, columns: Sequence[str] = ()
    ) -> pa.Table:
        """Neighbours of stars of the index, as `neighbours_of` gives them.

        KeyError for stars that are not in it.
        """
        return self.neighbours_of(
            self.vectors(source_ids), np.asarray(source_ids, np.int64), k, columns
        )

    def neighbours_of(
        self, vectors: np.ndarray, query_ids: np.ndarray, k: int, columns: Sequence[str] = ()
    ) -> pa.Table:
        """query_id, rank (from 1), neighbour_id, distance, and the `columns` that the index has of the
        neighbour.

        Nearest first, k for each of the vectors (n, dimension), or all there are; the star of id
        query_ids (n,) itself is left out. A column of one of these four names gets "neighbour_"
        before it.
        """
        numbers = [(name, self.metadata[name]) for name in columns]
        vectors = self._checked(vectors, k)
        distance, rows = self._nearest(vectors, k + 1)
        ids = np.where(rows >= 0, self.source_id[rows], -1)
        keep = (rows >= 0) & (ids != query_ids[:, None])
        rank = np.cumsum(keep, axis=1, dtype=np.int32)
        keep &= rank <= k
        found = {
            "query_id": np.repeat(query_ids, keep.sum(1)),
            "rank": rank[keep],
            "neighbour_id": ids[keep],
            "distance": distance[keep],
        }
        found |= {
            f"neighbour_{name}" if name in found else name: column[rows[keep]]
            for name, column in numbers
        }
        units = ["1"] * 4 + [
            self.metadata.units[self.metadata.names.index(name)] for name in columns
        ]
        fields = [
            pa.field(
                name, pa.array(values[:0]).type, metadata={"unit": unit} if unit != "1" else None
            )
            for (name, values), unit in zip(found.items(), units, strict=True)
        ]
        metadata = {"model_sha256": self.model_sha256, "distance": "1 - cosine similarity"}
        metadata |= {"ignore": self.ignore} if self.ignore else {}
        return pa.table(list(found.values()), schema=pa.schema(fields, metadata=metadata))

    def save(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write the folder atomically.

        FileExistsError if something is there (unless `overwrite`, if it is ours).
        """
        numbers = self.metadata
        card = Card(
            self.model_sha256,
            self.dimension,
            len(self),
            self._deleted,
            self.kind,
            self.reason,
            self.parameters,
            self.recall,
            list(numbers.names),
            list(numbers.units),
            ignore=self.ignore,
        )
        write_folder(
            folder,
            Content(card, self._index, self.source_id, self._order, numbers.values),
            overwrite,
        )

    @classmethod
    def load(cls, folder: str | Path, mapped: bool = False, verify: bool = True) -> "StarIndex":
        """What `save` wrote; see read_folder for `mapped` (read from disk as needed), `verify` and the
        errors.
        """
        return cls(read_folder(folder, mapped, verify), mapped)

    def _checked(self, vectors: np.ndarray, k: int) -> np.ndarray:
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        if not len(self):
            raise ValueError("the index is empty: all of its stars were deleted")
        vectors = np.ascontiguousarray(np.atleast_2d(vectors), np.float32)
        if vectors.shape[1] != self.dimension:
            raise ValueError(
                f"query vectors have {vectors.shape[1]} dimensions, the index has {self.dimension}"
            )
        check_vectors(vectors, np.arange(len(vectors)))
        return vectors

    def _nearest(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and rows (n, min(k, stars)), nearest first.

        NaN and -1 where nothing was found.
        """
        self._check_files()
        k = min(k, len(self))
        parameters = kinds.search_parameters(self.kind, self.parameters, k, self._alive)
        searcher = (
            self._gpu
            if self._gpu is not None and k <= kinds.GPU_MOST and self._alive is None
            else self._index
        )
        squared, rows = searcher.search(vectors, k, params=parameters)
        if np.any(short := rows[:, -1] < 0):  # the lists that were looked into hold fewer than k
            parameters = kinds.search_parameters(
                self.kind, self.parameters, k, self._alive, len(self.source_id)
            )
            squared[short], rows[short] = self._index.search(vectors[short], k, params=parameters)
        return np.where(rows >= 0, np.maximum(squared, 0) / 2, np.nan), rows

    def _stored(self, rows: np.ndarray) -> np.ndarray:
        """(n, dimension) vectors as the index holds them, rounded or not, of unit norm."""
        self._check_files()
        vectors = (
            self._index.reconstruct_batch(rows)
            if len(rows)
            else np.empty((0, self.dimension), np.float32)
        )
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _chunks_of_rows(self) -> Iterator[np.ndarray]:
        alive = np.flatnonzero(self.source_id >= 0)
        return (alive[start : start + CHUNK] for start in range(0, len(alive), CHUNK))

    def _found(self, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n,) of ids, and whether they are right."""
        self._check_files()
        place = np.minimum(
            np.searchsorted(self.source_id, wanted, sorter=self._order), len(self.source_id) - 1
        )
        rows = self._order[place]
        return rows, (self.source_id[rows] == wanted) & (wanted >= 0)

    def _rows(self, source_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        wanted = np.asarray(source_ids, np.int64)
        rows, found = self._found(wanted)
        if not found.all():
            absent = wanted[~found]
            raise KeyError(
                f"{len(absent)} source_ids are not in the index of {len(self)} stars (first: "
                f"{absent[0]})"
            )
        return rows

    def _changed(self) -> None:
        self._order = np.argsort(self.source_id, kind="stable")
        self._gpu = kinds.on_gpu(self.kind, self._index)
        self._hide_deleted(int((self.source_id < 0).sum()))

    def _hide_deleted(self, deleted: int) -> None:
        self._deleted, self._alive = deleted, None
        if deleted:
            self._bits = np.packbits(
                self.source_id >= 0, bitorder="little"
            )  # faiss only borrows them
            self._alive = faiss.IDSelectorBitmap(self._bits)  # pyright: ignore[reportCallIssue]

    def _check_files(self) -> None:
        """OSError if a file that is read as needed has shrunk."""
        if self._files is not None:
            self._files.check()

    def _refuse_mapped(self) -> None:
        if self.mapped:
            raise ValueError(
                "the index was opened memory-mapped and cannot be changed; load it with "
                "mapped=False"
            )


def _sources(embeddings: Any) -> list[Source]:
    parts = embeddings if isinstance(embeddings, (list, tuple)) else [embeddings]
    if not parts:
        raise ValueError("nothing to build an index from: the list is empty")
    nested = (
        [part.source()] if isinstance(part, StarIndex) else embedding_sources(part)
        for part in parts
    )
    return [source for sources in nested for source in sources]


def _spread(n: int, m: int) -> np.ndarray:
    """m indices below n, evenly spaced."""
    return np.linspace(0, n - 1, m).astype(np.int64)
