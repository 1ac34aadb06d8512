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
from multistar.index.build import fill_index
from multistar.index.embeddings import embedding_sources
from multistar.index.folder import Card, Content, read_folder, write_folder
from multistar.index.metadata import Metadata, joined, stacked
from multistar.index.neighbours import make_table, tabulate_neighbours
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

    Attributes
    ----------
    source_id : (rows,) int64 ndarray
        In the order in which they were added, -1 where deleted.
    metadata : Metadata
        Numbers of the same rows.
    recall : float
        Share of the ten true neighbours that a search finds, measured when the index was built.
    left_out : int
        Rows without data or id that were left out when it was built or added to.
    ignore : str
        Name of the projection that its vectors went through (see model/nuisance.py), "" for none.
    """

    def __init__(self, content: Content, mapped: bool = False):
        card = content.card
        self.model_sha256, self.kind, self.reason = card.model_sha256, card.kind, card.reason
        self.parameters, self.recall, self.ignore = card.parameters, card.recall, card.ignore
        self.mapped = mapped
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
        """Of its vectors."""
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
        """Build an index of what `embed` returned or wrote, of other indices, or of a list of these.

        The answers depend on the stars, not on the order of their rows (but for the graph of
        "hnsw"). Effort is doubled until the recall of a few stars, compared with all others,
        reaches recall.TARGET.

        Parameters
        ----------
        embeddings : pyarrow.Table, path, Embeddings, StarIndex, or list of these
            Of a path: a Parquet file or a folder of them, read in chunks; memory holds the index,
            ids and numbers. Rows of tables and files without data or id are left out.
        kind : str, optional
            See kinds.KINDS; by default the number of stars decides.
        duplicates : {"error", "first", "last"}
            Which row stays where an id occurs more than once.
        metadata : table, optional
            Anything that `read_columns` takes. Its numbers, all or `columns`, are kept with the
            stars of its ids. Numeric columns of the embedding tables are kept anyhow.
        columns : sequence of str
        projection : NuisanceProjection, optional
            What plain embeddings go through first, so that neighbours do not share its quantity.
        eraser
            The old name of `projection`; deprecated, goes in 0.3.

        Raises
        ------
        ValueError
            For no stars at all, NaN or unnormalised vectors, missing or duplicate ids, several
            models.
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
        content, recall_sample = fill_index(source, kind)
        built = cls(content)
        built.left_out = source.left_out
        if built.kind != "exact":
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
        """Build an index of the stars of several indices of one model; see `build`."""
        return cls.build(list(indices), kind, duplicates)

    def ignoring(self, projection: NuisanceProjection) -> "StarIndex":
        """Return this index if its vectors went through the projection, or build one that did.

        Raises
        ------
        ValueError
            For kinds that hold rounded vectors: erasing would amplify the rounding.
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
        """Add stars. Lists and principal components stay those of the first stars.

        After adding several times as many, build anew.

        Parameters
        ----------
        embeddings
            In whatever form `build` takes.
        duplicates : {"error", "first", "last"}
            What becomes of an id that is there already: the old row stays, or the new one.

        Returns
        -------
        int
            How many were added.

        Raises
        ------
        ValueError
            As `build` does, and for another model; the index is then as it was.
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
        """Delete stars; KeyError names ids that are not in the index, and nothing is deleted then."""
        self._refuse_mapped()
        self.source_id[self._rows(source_ids)] = -1
        self._changed()

    def dedupe(self, tolerance: float = IDENTICAL) -> int:
        """Delete every star whose vector is that of a star before it: data that came twice.

        Parameters
        ----------
        tolerance : float
            Distance up to which vectors are the same. Kinds that round vectors compare them as
            rounded.

        Returns
        -------
        int
            How many were deleted.
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
        # equally rounded, if they are
        distance, found = self._nearest(self._index.reconstruct_batch(rows), COPIES)
        is_copy_of = (distance <= tolerance) & (found >= 0) & (found < rows[:, None])
        return self.source_id[rows[is_copy_of.any(1)]]

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
        """Return stored vectors (n, dimension) of stars; KeyError names those not in the index."""
        return self._stored(self._rows(source_ids))

    def numbers(self, source_ids: Sequence[int] | np.ndarray) -> Metadata:
        """Return the metadata of stars; KeyError names those that are not in the index."""
        return self.metadata.rows(self._rows(source_ids))

    def contains(self, source_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return (n,) whether the stars are in the index."""
        return self._found(np.asarray(source_ids, np.int64))[1]

    def search(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest stars.

        Parameters
        ----------
        vectors : (n, dimension) float32 ndarray
            Of unit norm.
        k : int

        Returns
        -------
        source_id : (n, min(k, stars)) int64 ndarray
            -1 where a graph ("hnsw") leads to fewer.
        distance : (n, min(k, stars)) ndarray
            1 - cosine similarity; NaN where the id is -1.

        Raises
        ------
        ValueError
            For k < 1, vectors of another dimension, NaN or unnormalised ones, and an index all of
            whose stars were deleted.
        """
        distance, rows = self._nearest(self._checked(vectors, k), k)
        return np.where(rows >= 0, self.source_id[rows], -1), distance

    def neighbours(
        self, source_ids: Sequence[int] | np.ndarray, k: int, columns: Sequence[str] = ()
    ) -> pa.Table:
        """Find neighbours of stars of the index, as `neighbours_of`; KeyError for others."""
        ids = np.asarray(source_ids, np.int64)
        return self.neighbours_of(self.vectors(ids), ids, k, columns)

    def neighbours_of(
        self, vectors: np.ndarray, query_ids: np.ndarray, k: int, columns: Sequence[str] = ()
    ) -> pa.Table:
        """Find neighbours of stars whose vectors are given.

        Parameters
        ----------
        vectors : (n, dimension) float32 ndarray
        query_ids : (n,) int64 ndarray
            The stars of these ids themselves are left out.
        k : int
            Neighbours of each, or all there are.
        columns : sequence of str
            Numbers that the index has of the neighbours, to put beside them.

        Returns
        -------
        pyarrow.Table
            query_id, rank (from 1), neighbour_id, distance (1 - cosine similarity) and the
            columns; nearest first. A column of one of these four names gets "neighbour_" before it.
        """
        for name in columns:
            self.metadata[name]  # an unknown one is an error before the search
        distance, rows = self._nearest(self._checked(vectors, k), k + 1)
        ids = np.where(rows >= 0, self.source_id[rows], -1)
        found, keep = tabulate_neighbours(query_ids, ids, distance, k)
        metadata = {"model_sha256": self.model_sha256, "distance": "1 - cosine similarity"}
        if self.ignore:
            metadata["ignore"] = self.ignore
        return make_table(found, self.metadata, columns, rows[keep], metadata)

    def save(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write the index as a folder, atomically.

        Raises
        ------
        FileExistsError
            If something is there, unless `overwrite` and it is an index.
        """
        numbers = self.metadata
        card = Card(
            model_sha256=self.model_sha256,
            dimension=self.dimension,
            stars=len(self),
            deleted=self._deleted,
            kind=self.kind,
            reason=self.reason,
            parameters=self.parameters,
            recall=self.recall,
            columns=list(numbers.names),
            units=list(numbers.units),
            ignore=self.ignore,
        )
        content = Content(card, self._index, self.source_id, self._order, numbers.values)
        write_folder(folder, content, overwrite)

    @classmethod
    def load(cls, folder: str | Path, mapped: bool = False, verify: bool = True) -> "StarIndex":
        """Read what `save` wrote.

        Parameters
        ----------
        folder : path
        mapped : bool
            Read vectors from disk as they are needed; the index can then not be changed.
        verify : bool
            Compare the hashes of all files.

        Raises
        ------
        ValueError, OSError
            See folder.read_folder.
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
        searcher = self._index
        if self._gpu is not None and k <= kinds.GPU_MOST and self._alive is None:
            searcher = self._gpu
        squared, rows = searcher.search(vectors, k, params=parameters)
        # of which the lists that were looked into hold fewer than k
        short = rows[:, -1] < 0
        if short.any():
            parameters = kinds.search_parameters(
                self.kind, self.parameters, k, self._alive, len(self.source_id)
            )
            squared[short], rows[short] = self._index.search(vectors[short], k, params=parameters)
        return np.where(rows >= 0, np.maximum(squared, 0) / 2, np.nan), rows

    def _stored(self, rows: np.ndarray) -> np.ndarray:
        """(n, dimension) vectors as the index holds them, rounded or not, of unit norm."""
        self._check_files()
        if not len(rows):
            return np.empty((0, self.dimension), np.float32)
        vectors = self._index.reconstruct_batch(rows)
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
            # kept, as faiss only borrows them
            self._bits = np.packbits(self.source_id >= 0, bitorder="little")
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
