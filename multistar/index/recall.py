"""How many of the true neighbours an index finds, measured while it is built."""

from collections.abc import Callable

import faiss
import numpy as np

K = 10  # neighbours
TARGET = 0.97
# Of recall. Twice the effort for a smaller gain is not worth it.
GAIN = 0.002


class RecallSample:
    """Some stars of an index that are compared exactly with all of its stars.

    Parameters
    ----------
    rows : (m,) int ndarray
        Their places in the index.
    vectors : (m, dimension) float32 ndarray
        Their vectors, of unit norm.
    """

    def __init__(self, rows: np.ndarray, vectors: np.ndarray):
        self.rows = rows
        self.vectors = vectors
        # One more than K, since each star is its own nearest neighbour.
        shape = (len(rows), K + 1)
        self._distance = np.full(shape, np.inf, np.float32)
        self._nearest = np.full(shape, -1)

    def compare(self, start: int, vectors: np.ndarray) -> None:
        """Compare the sample with the stars of the index whose rows begin at `start`."""
        distance, nearest = faiss.knn(self.vectors, vectors, min(K + 1, len(vectors)))
        distance = np.hstack([self._distance, distance])
        nearest = np.hstack([self._nearest, nearest + start])
        best = np.argsort(distance, axis=1, kind="stable")[:, : K + 1]
        self._distance = np.take_along_axis(distance, best, 1)
        self._nearest = np.take_along_axis(nearest, best, 1)

    def recall(self, found: np.ndarray) -> float:
        """Measure which share of the K true neighbours a search has found.

        Parameters
        ----------
        found : (m, k) int ndarray
            Rows of the index that the search gives for each star of the sample.

        Returns
        -------
        float
            Between 0 and 1. The stars themselves do not count as their neighbours.
        """
        is_other = self._nearest != self.rows[:, None]
        is_true = (self._nearest >= 0) & is_other
        is_true &= np.cumsum(is_true, axis=1) <= K
        is_found = (self._nearest[:, :, None] == found[:, None, :]).any(2)
        hits = (is_found & is_true).sum()
        return float(hits / max(is_true.sum(), 1))


def tuned(
    parameters: dict[str, int],
    recall: Callable[[dict[str, int]], float],
    harder: Callable[[dict[str, int]], dict[str, int] | None],
) -> tuple[dict[str, int], float]:
    """Find the least effort that reaches the recall TARGET.

    Parameters
    ----------
    parameters : dict
        Search parameters to begin with.
    recall : callable
        Measures the recall with some parameters.
    harder : callable
        Gives the parameters of twice the effort, or None if there is no more to do.

    Returns
    -------
    parameters : dict
        Where no effort reaches TARGET, those beyond which less than GAIN is gained.
    recall : float
        The recall with these parameters.
    """
    reached = recall(parameters)
    while reached < TARGET and (more := harder(parameters)) is not None:
        better = recall(more)
        if better < reached + GAIN:
            break
        parameters, reached = more, better
    return parameters, reached
