"""What neighbours share: exact neighbours of small samples, and how well they tell a number of the query."""

import faiss
import numpy as np


def nearest(points: np.ndarray, k: int, queries: int | None = None) -> np.ndarray:
    """(queries, k) rows of the Euclidean neighbours of the first `queries` points (n, d) or all; never itself."""
    points = np.ascontiguousarray(points, np.float32)
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)  # pyright: ignore[reportCallIssue]
    _, found = index.search(points[:queries], k + 1)  # pyright: ignore[reportCallIssue]
    found[found == np.arange(len(found))[:, None]] = -1
    last = np.argsort(
        found < 0, axis=1, kind="stable"
    )  # itself goes last; among twins, one of them does
    return np.take_along_axis(found, last, axis=1)[:, :k]


def squared_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """R2 of a linear regression of one (n,) on the other (n,)."""
    return float(np.corrcoef(one, other)[0, 1] ** 2)
