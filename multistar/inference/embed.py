"""Stars -> one vector of unit norm each, for population studies and search."""

import numpy as np
import pyarrow as pa

from multistar import status
from multistar.inference.stream import Encoded, map_batches
from multistar.inference.views import embed_views
from multistar.model.checkpoint import Model
from multistar.stars import Stars

SPACES = ("fused", "aligned", "eigen")


def embed(
    model: Model,
    stars: Stars,
    quiet: bool = False,
    labels: bool = False,
    ignore: str | None = None,
    space: str = "fused",
) -> pa.Table:
    """Embed each star as one vector of unit norm.

    No catalogue label enters a vector, unless `labels` says so.

    Parameters
    ----------
    model : Model
    stars : Stars
    quiet : bool
        Show no progress.
    labels : bool
        Labels are part of the input. Stars of which labels are all that is known then have
        vectors, too, to search with.
    ignore : str, optional
        "dust" or another quantity, or the file of a nuisance projection: the vectors do not
        tell this quantity; see model/nuisance.py.
    space : {"fused", "aligned", "eigen"}
        "fused" is of everything that is known of a star. In "aligned" a light curve is near the
        spectrum of its star, and the vector is the mean of the two where both are known. "eigen"
        has the coordinates of the DualFormer: those of the two embeddings' mean along the
        eigenvectors of the alignment.

    Returns
    -------
    pyarrow.Table
        source_id, status and embedding (fixed-size list of float32, of unit norm).

    Raises
    ------
    ValueError
        If the model cannot ignore this quantity, or has no such space.
    """
    if space not in SPACES or (space != "fused" and (ignore or labels)):
        raise ValueError(
            f"space={space!r} must be one of {SPACES}, "
            f"and only 'fused' can ignore {ignore or 'labels'}"
        )
    projection = model.projection(ignore) if ignore else None
    dimension = projection.dimension if projection else model.config.embedding
    out = np.empty((len(stars), dimension), np.float32)

    def keep(batch: Encoded) -> None:
        vectors = batch.memory.embedding.cpu().numpy()
        out[batch.rows] = projection(vectors) if projection else vectors

    flags = map_batches(model, stars, "embed", keep, quiet, labels)
    if space != "fused":
        out = shared(model, stars, space)
    metadata = {
        "model_sha256": model.hash,
        "precision": model.precision,
        "metric": "cosine",
        "dimension": str(out.shape[1]),
    }
    if projection:
        metadata["ignore"] = projection.name
    if space != "fused":
        metadata["space"] = space
    return _to_table(stars.source_id, flags, out, metadata)


def _to_table(
    source_id: np.ndarray, flags: np.ndarray, vectors: np.ndarray, metadata: dict[str, str]
) -> pa.Table:
    """Put ids, status words and vectors (n, E) into a table."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    columns = [pa.array(source_id), pa.array(status.words(flags), pa.string()), lists]
    fields = [("source_id", pa.int64()), ("status", pa.string()), ("embedding", lists.type)]
    return pa.table(columns, schema=pa.schema(fields, metadata=metadata))


def shared(model: Model, stars: Stars, space: str) -> np.ndarray:
    """Embed stars in a space that light curves and other data share.

    Returns
    -------
    (n, E) float32 ndarray
        Vectors of unit norm; 0 where nothing is known of a star.
    """
    views = embed_views(model, stars)
    both = np.stack(views.aligned if space == "aligned" else (views.curve, views.rest))
    known = np.isfinite(both).all(2, keepdims=True)
    total = np.where(known, both, 0).sum(0)
    mean = total / np.maximum(known.sum(0), 1)
    if space == "eigen":
        assert model.network.alignment is not None
        mean = mean @ model.network.alignment.eigenspace().cpu().numpy()
    norm = np.linalg.norm(mean, axis=1, keepdims=True)
    unit = mean / np.maximum(norm, 1e-12)
    return unit.astype(np.float32)
