"""Stars -> one vector of unit norm each, for population studies and search."""

import numpy as np
import pyarrow as pa

from multistar.data import status
from multistar.data.stars import Stars
from multistar.model.checkpoint import Model
from multistar.tasks.stream import encoded


def embed(model: Model, stars: Stars, quiet: bool = False, labels: bool = False, ignore: str | None = None) -> pa.Table:
    """source_id, status, embedding (fixed-size list of float32, of unit norm). No catalogue label enters a vector.

    Unless `labels` says so: stars of which labels are all that is known have vectors too, to search with.

    ignore  "dust" or another quantity, or the file of an eraser: vectors that do not tell it; see model/erasure.py

    Raises ValueError if the model cannot ignore it.
    """
    eraser = model.eraser(ignore) if ignore else None
    out = np.empty((len(stars), eraser.dimension if eraser else model.config.embedding), np.float32)
    for rows, memory in encoded(model, stars, "embed", quiet, labels):
        vectors = memory.embedding.cpu().numpy()
        out[rows] = eraser(vectors) if eraser else vectors
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(out.ravel()), out.shape[1])
    metadata = {"model_sha256": model.hash, "metric": "cosine", "dimension": str(out.shape[1])}
    if eraser:
        metadata["ignore"] = eraser.name
    columns = [pa.array(stars.source_id), pa.array(status.words(stars.flags), pa.string()), vectors]
    schema = pa.schema(
        [("source_id", pa.int64()), ("status", pa.string()), ("embedding", vectors.type)], metadata=metadata
    )
    return pa.table(columns, schema=schema)
