"""How many of the true neighbours an index finds, measured while it is built."""

from collections.abc import Callable

import faiss
import numpy as np

K = 10  # neighbours
TARGET = 0.97
GAIN = 0.002  # of recall; twice the effort for less is not worth it


class Witnesses:
    """Some stars that are compared with all others, exactly, as these go by.

    rows (m,): their places in the index; vectors (m, dimension).
    """

    def __init__(self, rows: np.ndarray, vectors: np.ndarray):
        self.rows, self.vectors = rows, vectors
        self._distance = np.full((len(rows), K + 1), np.inf, np.float32)
        self._nearest = np.full((len(rows), K + 1), -1)

    def meet(self, start: int, vectors: np.ndarray) -> None:
        """The stars from row `start` on."""
        distance, nearest = faiss.knn(self.vectors, vectors, min(K + 1, len(vectors)))
        distance = np.hstack([self._distance, distance])
        nearest = np.hstack([self._nearest, nearest + start])
        best = np.argsort(distance, axis=1, kind="stable")[:, : K + 1]
        self._distance = np.take_along_axis(distance, best, 1)
        self._nearest = np.take_along_axis(nearest, best, 1)

    def recall(self, found: np.ndarray) -> float:
        """Share of the K true neighbours (themselves left out) that are among the rows `found` (m, k)."""
        true = (self._nearest >= 0) & (self._nearest != self.rows[:, None])
        true &= np.cumsum(true, axis=1) <= K
        hit = (self._nearest[:, :, None] == found[:, None, :]).any(2)
        return float((hit & true).sum() / max(true.sum(), 1))


def tuned(
    parameters: dict[str, int],
    recall: Callable[[dict[str, int]], float],
    harder: Callable[[dict[str, int]], dict[str, int] | None],
) -> tuple[dict[str, int], float]:
    """The least effort that reaches TARGET, and its recall; where none does, the one beyond which little is gained."""
    reached = recall(parameters)
    while reached < TARGET and (more := harder(parameters)) is not None:
        better = recall(more)
        if better < reached + GAIN:
            break
        parameters, reached = more, better
    return parameters, reached
