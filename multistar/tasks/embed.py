"""Stars -> one vector of unit norm each, for population studies and search."""

import numpy as np
import pyarrow as pa

from multistar.data import status
from multistar.data.stars import Stars
from multistar.model.checkpoint import Model
from multistar.tasks.stream import encoded


def embed(model: Model, stars: Stars, quiet: bool = False, labels: bool = False) -> pa.Table:
    """source_id, status, embedding (fixed-size list of float32). No catalogue label enters a vector.

    Unless `labels` says so: stars of which labels are all that is known have vectors too, to search with.
    """
    out = np.empty((len(stars), model.config.embedding), np.float32)
    for rows, memory in encoded(model, stars, "embed", quiet, labels):
        out[rows] = memory.embedding.cpu().numpy()
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(out.ravel()), out.shape[1])
    metadata = {"model_sha256": model.hash, "metric": "cosine", "dimension": str(out.shape[1])}
    columns = [pa.array(stars.source_id), pa.array(status.words(stars.flags), pa.string()), vectors]
    schema = pa.schema(
        [("source_id", pa.int64()), ("status", pa.string()), ("embedding", vectors.type)], metadata=metadata
    )
    return pa.table(columns, schema=schema)
