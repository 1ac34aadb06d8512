"""What goes into an index: ids and metadata at once, vectors in chunks.

And the rules for all of them.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from multistar.index.metadata import Metadata, stacked
from multistar.model.nuisance import NuisanceProjection

CHUNK = 65_536  # stars whose vectors are in memory at once: 64 MB at 256 dimensions
UNIT_NORM_TOLERANCE = 1e-3
Duplicates = Literal["error", "first", "last"]


class OfModel(Protocol):
    """Vectors that a model made."""

    @property
    def origin(self) -> str: ...
    @property
    def model_sha256(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def ignore(self) -> str: ...


@dataclass(frozen=True)
class Source:
    """Stars for an index, or queries to one.

    source_id  (n,) int64, none missing
    metadata   n rows
    chunks     gives the n vectors in order, (m, dimension) float32 at a time; can be called again
    left_out   rows of the table that are not among the n, because they have no data or no id
    ignore     name of the projection that the vectors went through, "" for none
    """

    origin: str
    model_sha256: str
    dimension: int
    source_id: np.ndarray
    metadata: Metadata
    chunks: Callable[[], Iterator[np.ndarray]]
    left_out: int = 0
    ignore: str = ""

    def __len__(self) -> int:
        return len(self.source_id)

    def checked(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows and vectors of each chunk.

        ValueError for NaN, infinity and vectors that are not of unit norm.
        """
        start = 0
        for vectors in self.chunks():
            rows = slice(start, start + len(vectors))
            start = rows.stop
            if len(vectors):  # a chunk may hold no star with data
                check_vectors(vectors, self.source_id[rows])
                yield rows, vectors

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), dimension) vectors of some rows, in the order asked for; reads all chunks."""
        out = np.empty((len(rows), self.dimension), np.float32)
        if not len(rows):
            return out
        order = np.argsort(rows)
        for here, vectors in self.checked():
            inside = slice(*np.searchsorted(rows, (here.start, here.stop), sorter=order))
            out[order[inside]] = vectors[rows[order[inside]] - here.start]
        return out

    def erased(self, projection: NuisanceProjection) -> "Source":
        """The same stars by vectors that do not tell the projection's quantity.

        Raises ValueError for vectors of another model, and those that went through another projection.
        """
        if self.ignore == projection.name:
            return self
        if self.ignore or (self.model_sha256, self.dimension) != (
            projection.model_sha256,
            len(projection.mean),
        ):
            which = (
                f"which ignores {self.ignore} already"
                if self.ignore
                else f"of {self.dimension} dimensions"
            )
            raise ValueError(
                f"{self.origin}: made by the model {_short(self.model_sha256)}, {which}; "
                f"{projection.name} is for plain "
                f"embeddings of {len(projection.mean)} dimensions by {_short(projection.model_sha256)}"
            )
        chunks = self.chunks
        return replace(
            self,
            dimension=projection.dimension,
            ignore=projection.name,
            chunks=lambda: (projection(part) for part in chunks()),
        )

    def kept(self, keep: np.ndarray) -> "Source":
        """Only the rows where `keep` (n,) is True."""
        if keep.all():
            return self

        def chunks() -> Iterator[np.ndarray]:
            start = 0
            for vectors in self.chunks():
                yield vectors[keep[start : start + len(vectors)]]
                start += len(vectors)

        return replace(
            self, source_id=self.source_id[keep], metadata=self.metadata.rows(keep), chunks=chunks
        )


def union(sources: Sequence[Source], duplicates: Duplicates = "error") -> Source:
    """Join sources, one after the other.

    Raises
    ------
    ValueError
        If their models differ, and as keep_masks does.
    """
    first = sources[0]
    for other in sources[1:]:
        check_same_model(other, first)
    masks = keep_masks([source.source_id for source in sources], duplicates)
    parts = [source.kept(mask) for source, mask in zip(sources, masks, strict=True)]
    return Source(
        origin=", ".join(source.origin for source in sources),
        model_sha256=first.model_sha256,
        dimension=first.dimension,
        source_id=np.concatenate([part.source_id for part in parts]),
        metadata=stacked([part.metadata for part in parts]),
        chunks=lambda: itertools.chain.from_iterable(part.chunks() for part in parts),
        left_out=sum(source.left_out for source in sources),
        ignore=first.ignore,
    )


def check_same_model(source: OfModel, other: OfModel) -> None:
    """ValueError unless the vectors of both can be compared."""
    if source.ignore != other.ignore:
        one, two = (f"ignore {s.ignore}" if s.ignore else "ignore nothing" for s in (source, other))
        raise ValueError(
            f"{source.origin}: the vectors {one}, those of {other.origin} {two}; make both "
            "with the same --ignore"
        )
    if source.dimension != other.dimension:
        raise ValueError(
            f"{source.origin}: vectors have {source.dimension} dimensions, those of "
            f"{other.origin} {other.dimension}"
        )
    if source.model_sha256 != other.model_sha256:
        one, two = (_short(s.model_sha256) for s in (source, other))
        raise ValueError(
            f"{source.origin}: made by the model {one}, {other.origin} by {two}; vectors of "
            "two models cannot be "
            "compared: embed again with the same --model"
        )


def _short(model_sha256: str) -> str:
    return model_sha256[:12] or "unknown (the table does not say)"


def keep_masks(parts: Sequence[np.ndarray], duplicates: Duplicates) -> list[np.ndarray]:
    """For each array of ids, which rows stay so that every id occurs once.

    Its first or its last row.

    Raises ValueError for missing ids, and for repeated ones if duplicates="error".
    """
    if duplicates not in ("error", "first", "last"):
        raise ValueError(f"duplicates={duplicates!r} must be 'error', 'first' or 'last'")
    ids = np.concatenate(parts)
    if np.any(ids < 0):
        raise ValueError(
            f"{np.sum(ids < 0)} stars have no source_id (-1); give every star an id before indexing"
        )
    order = np.argsort(ids, kind="stable")
    new = np.ones(len(ids), bool)
    new[1:] = ids[order[1:]] != ids[order[:-1]]
    if duplicates == "error" and not new.all():
        repeated, count = np.unique(ids[order][~new], return_counts=True)
        raise ValueError(
            f"{len(repeated)} source_ids occur more than once (first: {repeated[0]}, "
            f"{count[0] + 1} times); keep one "
            "row per star, or say which one: --duplicates first or last (duplicates=)"
        )
    keep = np.zeros(len(ids), bool)
    keep[order[new if duplicates != "last" else np.roll(new, -1)]] = True
    return np.split(keep, np.cumsum([len(part) for part in parts])[:-1])


def check_vectors(vectors: np.ndarray, ids: np.ndarray) -> None:
    """ValueError for NaN, infinity and norms other than one; `ids` are for the message."""
    norm = np.linalg.norm(vectors, axis=1)
    if np.any(bad := ~np.isfinite(norm)):
        raise ValueError(f"{bad.sum()} vectors hold NaN or infinity (first: star {ids[bad][0]})")
    if np.any(bad := np.abs(norm - 1) > UNIT_NORM_TOLERANCE):
        raise ValueError(
            f"{bad.sum()} vectors are not of unit norm (first: star {ids[bad][0]}, norm "
            f"{norm[bad][0]:.3f})"
        )
