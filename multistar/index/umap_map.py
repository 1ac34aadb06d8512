"""Vectors -> a map of the stars in two dimensions by UMAP (McInnes, Healy & Melville 2018, arXiv
1802.03426).

A map is its coordinates and parameters; no fitted object is kept, for UMAP's can only be pickled.
The same vectors, seed and version of umap-learn give the same map, which is why one thread makes
it.
"""

import json
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
from rich.progress import track

from multistar.index.embeddings import Embeddings
from multistar.index.metadata import joined
from multistar.index.source import check_vectors
from multistar.io.write import to_arrow

FIT = 20_000  # stars, which one core maps in about a minute
CHUNK = 5000  # stars that are placed at once
EMBEDDED = "embedding_status"  # column of a map: the status of the vectors, where they have one


def umap_map(
    vectors: pa.Table,
    sample: int = FIT,
    seed: int = 0,
    neighbours: int = 15,
    min_distance: float = 0.1,
    quiet: bool = True,
) -> pa.Table:
    """What `embed` gave -> source_id, umap_x, umap_y, status, one row per input row.

    status   "kept", or "dropped" (and NaN coordinates) where a star has no data; the vectors' own
             status, if they have one, is in `embedding_status`
    sample   how many stars, drawn at random, UMAP is fitted to; the others are placed among them

    The metadata hold all parameters. Raises ImportError without umap-learn; ValueError for fewer
    stars than twice the neighbours, and vectors that are no embeddings.
    """
    given = Embeddings.from_table(vectors)
    kept = np.flatnonzero(given.has_data)
    if min(len(kept), sample) < 2 * neighbours:
        raise ValueError(
            f"UMAP with {neighbours} neighbours needs {2 * neighbours} stars, got "
            f"{min(len(kept), sample)}"
        )
    check_vectors(given.vector[kept], given.source_id[kept])
    rng = np.random.default_rng(seed)
    fitted = np.sort(rng.choice(kept, sample, replace=False)) if sample < len(kept) else kept
    xy = np.full((len(given.vector), 2), np.nan, np.float32)
    mapper, version = _mapper(seed, neighbours, min_distance)
    for part in track([fitted], f"UMAP of {len(fitted)} stars", disable=quiet):
        xy[part] = mapper.fit_transform(given.vector[part])
    others = np.setdiff1d(kept, fitted)
    starts = range(0, len(others), CHUNK)
    for start in track(starts, f"placing {len(others)} more", disable=quiet or not len(others)):
        part = others[start : start + CHUNK]
        xy[part] = mapper.transform(given.vector[part])
    status = np.where(given.has_data, "kept", "dropped").astype(object)
    parameters = {
        "umap-learn": version,
        "seed": seed,
        "n_neighbors": neighbours,
        "min_dist": min_distance,
        "metric": "euclidean",
        "fitted_stars": len(fitted),
        "placed_stars": len(others),
    }
    metadata = {"umap": json.dumps(parameters), "model_sha256": given.model_sha256}
    metadata |= {"ignore": given.ignore} if given.ignore else {}
    columns = {"source_id": given.source_id, "umap_x": xy[:, 0], "umap_y": xy[:, 1]}
    if isinstance(vectors, pa.Table) and "status" in vectors.column_names:
        columns[EMBEDDED] = np.array(vectors["status"].to_pylist(), object)
    return to_arrow(columns | {"status": status}, metadata)


def _mapper(seed: int, neighbours: int, min_distance: float) -> tuple[Any, str]:
    """Imported here: it compiles for seconds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import umap
    except ImportError as error:
        raise ImportError("umap-learn is not installed: pip install 'multistar[maps]'") from error
    # unit vectors: Euclidean neighbours are those by angle
    mapper = umap.UMAP(n_neighbors=neighbours, min_dist=min_distance, random_state=seed, n_jobs=1)
    return mapper, umap.__version__


def with_numbers(table: pa.Table, metadata: Any) -> pa.Table:
    """A map with the numeric columns of another table (anything that read_columns takes), joined by
    source_id.
    """
    numbers, _ = joined(table["source_id"].to_numpy(), metadata)
    for name, unit in zip(numbers.names, numbers.units, strict=True):
        if name not in table.column_names:
            table = table.append_column(
                pa.field(name, pa.float64(), metadata={"unit": unit}), pa.array(numbers[name])
            )
    return table
