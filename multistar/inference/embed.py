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
    """source_id, status, embedding (fixed-size list of float32, of unit norm). No catalogue label enters a vector.

    Unless `labels` says so: stars of which labels are all that is known have vectors too, to search with.

    ignore  "dust" or another quantity, or the file of an eraser: vectors that do not tell it; see model/erasure.py

    space   "fused": of everything that is known of a star. "aligned": in which a light curve is near the spectrum of
            its star; the mean of the two where both are known. "eigen": the coordinates of the DualFormer, those of
            the two embeddings' mean along the eigenvectors of the alignment

    Raises ValueError if the model cannot ignore it, or has no such space.
    """
    if space not in SPACES or (space != "fused" and (ignore or labels)):
        raise ValueError(
            f"space={space!r} must be one of {SPACES}, and only 'fused' can ignore {ignore or 'labels'}"
        )
    eraser = model.eraser(ignore) if ignore else None
    out = np.empty((len(stars), eraser.dimension if eraser else model.config.embedding), np.float32)

    def keep(batch: Encoded) -> None:
        vectors = batch.memory.embedding.cpu().numpy()
        out[batch.rows] = eraser(vectors) if eraser else vectors

    flags = map_batches(model, stars, "embed", keep, quiet, labels)
    if space != "fused":
        out = shared(model, stars, space)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(out.ravel()), out.shape[1])
    metadata = {
        "model_sha256": model.hash,
        "precision": model.precision,
        "metric": "cosine",
        "dimension": str(out.shape[1]),
    }
    if eraser:
        metadata["ignore"] = eraser.name
    if space != "fused":
        metadata["space"] = space
    columns = [pa.array(stars.source_id), pa.array(status.words(flags), pa.string()), vectors]
    schema = pa.schema(
        [("source_id", pa.int64()), ("status", pa.string()), ("embedding", vectors.type)],
        metadata=metadata,
    )
    return pa.table(columns, schema=schema)


def shared(model: Model, stars: Stars, space: str) -> np.ndarray:
    """(n, E) float32 of unit norm in a space that light curves and other data share; 0 where nothing is known."""
    seen = embed_views(model, stars)
    both = np.stack(seen.aligned if space == "aligned" else (seen.curve, seen.rest))
    known = np.isfinite(both).all(2, keepdims=True)
    mean = np.where(known, both, 0).sum(0) / np.maximum(known.sum(0), 1)
    if space == "eigen":
        assert model.network.alignment is not None
        mean = mean @ model.network.alignment.eigenspace().cpu().numpy()
    return (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)).astype(
        np.float32
    )
