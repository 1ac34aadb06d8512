"""Draws of a posterior that assume a population: weights, weighted quantiles, and draws anew."""

import numpy as np

# Draws of a star that count, at least: (sum w)^2 / sum w^2 (Kish 1965).
FEWEST_EFFECTIVE = 16


def count_effective(weight: np.ndarray) -> np.ndarray:
    """Count the draws that count: (B,) of weights (B, n) of sum 1."""
    return 1 / np.square(weight).sum(-1)


def weighted_quantiles(x: np.ndarray, weight: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Take quantiles of weighted draws, interpolated between them.

    Parameters
    ----------
    x, weight : (B, n) ndarray
        Weights of sum 1.
    levels : (q,) ndarray

    Returns
    -------
    (B, q) ndarray
    """
    order = np.argsort(x, -1)
    x, weight = (np.take_along_axis(a, order, -1) for a in (x, weight))
    below = np.cumsum(weight, -1) - weight / 2
    rows = zip(below, x, strict=True)
    return np.stack([np.interp(levels, level, value) for level, value in rows])


def resample(weight: np.ndarray, n: int, start: np.ndarray) -> np.ndarray:
    """Choose draws as often as their weights say, evenly (systematic resampling, Kitagawa 1996).

    Parameters
    ----------
    weight : (B, m) ndarray
        Of sum 1.
    n : int
    start : (B,) ndarray
        Random numbers between 0 and 1.

    Returns
    -------
    (B, n) int ndarray
        Places of the chosen draws, in rising order.
    """
    at = (np.arange(n) + start[:, None]) / n
    edges = np.cumsum(weight, -1)
    edges /= edges[:, -1:]
    return np.stack([np.searchsorted(edge, a) for edge, a in zip(edges, at, strict=True)])
