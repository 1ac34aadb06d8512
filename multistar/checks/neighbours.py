"""What neighbours share: exact neighbours of small samples, and how well they tell a number."""

import faiss
import numpy as np


def nearest(points: np.ndarray, k: int, queries: int | None = None) -> np.ndarray:
    """Find the exact Euclidean neighbours of points among themselves.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        One point per row.
    k : int
        Number of neighbours.
    queries : int, optional
        Only the first so many points are queried; by default all are.

    Returns
    -------
    ndarray of int, shape (queries, k)
        Rows of the neighbours, nearest first; never the point itself.
    """
    points = np.ascontiguousarray(points, np.float32)
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)  # pyright: ignore[reportCallIssue]
    _, found = index.search(points[:queries], k + 1)  # pyright: ignore[reportCallIssue]
    own_row = np.arange(len(found))[:, None]
    found[found == own_row] = -1
    # The point itself goes last. Among more than k equal points it may not have been found;
    # then one of the others is dropped.
    order = np.argsort(found < 0, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)[:, :k]


def squared_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Give R2 of a linear regression of one number (n,) on another (n,)."""
    correlation = np.corrcoef(one, other)[0, 1]
    return float(correlation**2)


def average_neighbours(place: np.ndarray, values: np.ndarray, most: int) -> np.ndarray:
    """Average a number (n,) over up to `most` nearest neighbours of each of places (n, d)."""
    from sklearn.neighbors import NearestNeighbors

    k = min(most, len(place) - 1)
    search = NearestNeighbors(n_neighbors=k + 1).fit(place)
    _, rows = search.kneighbors()
    return values[rows[:, 1:]].mean(1)
