"""Do vectors tell temperature and dust apart? Probes, directions, residuals.

"At fixed c" means: of what a quadratic in c leaves. R2 is that of predictions for stars that the
probe was not fitted to; its error is the scatter of R2 over permutations of the target among the
stars.
"""

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from astropy.stats import mad_std
from scipy.stats import spearmanr

from multistar.checks.neighbours import nearest

FOLDS, PERMUTATIONS, NEIGHBOURS = 5, 50, 10
# Of ridge regressions, in units of the mean variance of a component.
RIDGE = 1e-4


def probe_targets(
    vectors: np.ndarray, target: dict[str, np.ndarray], rng: np.random.Generator
) -> dict:
    """Measure how well vectors tell of each of two targets where the other one is fixed.

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
        Embeddings of stars.
    target : dict of str to ndarray, shape (n,)
        `teff` and `dust`, in any unit.
    rng : numpy.random.Generator
        Draws folds and permutations.

    Returns
    -------
    dict
        "dust at fixed teff" and "teff at fixed dust", each with the `r2`, `error` and `chance`
        (mean over permutations) of a `linear` probe and of the mean of the nearest neighbours
        (`knn`); and `angle`, see `measure_angle`.
    """
    neighbours = nearest(vectors, NEIGHBOURS)
    fold = rng.permutation(len(vectors)) % FOLDS
    result: dict = {}
    for name, other in (("dust", "teff"), ("teff", "dust")):
        fixed = _quadratic_design(target[other])
        y = _remove_fit(target[name][:, None], fixed)[:, 0]
        x = _remove_fit(vectors, fixed)
        permutations = [rng.permutation(y) for _ in range(PERMUTATIONS)]
        targets = np.stack([y, *permutations], axis=1)
        mean_of_neighbours = targets[neighbours].mean(1)
        result[f"{name} at fixed {other}"] = {
            "linear": _compare_with_chance(probe_linearly(x, targets, fold)),
            "knn": _compare_with_chance(explain_variance(mean_of_neighbours, targets)),
        }
    result["angle"] = measure_angle(vectors, target)
    return result


def _compare_with_chance(r2: np.ndarray) -> dict[str, float]:
    """Summarise R2 of a target, which comes first, and of its permutations."""
    chance = r2[1:]
    return {"r2": float(r2[0]), "error": float(chance.std()), "chance": float(chance.mean())}


def probe_linearly(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Measure R2 of ridge regressions for stars that they were not fitted to.

    Parameters
    ----------
    x : ndarray, shape (n, d)
        Vectors of the stars.
    y : ndarray, shape (n, m)
        Targets; one regression is made for each column.
    fold : ndarray of int, shape (n,)
        From 0 to FOLDS - 1: each fold is predicted by a fit to the others.

    Returns
    -------
    ndarray, shape (m,)
    """
    guess = np.empty_like(y)
    for i in range(FOLDS):
        train = fold != i
        test = ~train
        x_mean = x[train].mean(0)
        y_mean = y[train].mean(0)
        centred = x[train] - x_mean
        gram = centred.T @ centred
        gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        weights = np.linalg.solve(gram, centred.T @ (y[train] - y_mean))
        guess[test] = (x[test] - x_mean) @ weights + y_mean
    return explain_variance(guess, y)


def explain_variance(guess: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give (m,) 1 - mean squared error / variance of each column of y (n, m).

    Below 0 a guess is worse than the mean of the column.
    """
    squared_error = np.mean((guess - y) ** 2, axis=0)
    return 1 - squared_error / y.var(axis=0)


def measure_angle(vectors: np.ndarray, target: dict[str, np.ndarray]) -> dict[str, float]:
    """Measure the angle between the directions in which vectors move with two targets.

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
        Embeddings of stars.
    target : dict of str to ndarray, shape (n,)
        Two of them.

    Returns
    -------
    dict of str to float
        `directions` [deg]: the angle between the directions of the two targets, each at fixed
        other one. `planes` [deg]: the smallest angle between the planes that also hold their
        curves (the model is a quadratic in each). 90: told apart, 0: the same.
    """
    one, other = (_standardise(values) for values in target.values())
    terms = [np.ones_like(one), one, other, one**2, other**2, one * other]
    move, *_ = np.linalg.lstsq(np.stack(terms, axis=1), vectors, rcond=None)
    return {
        "directions": _smallest_angle(move[[1]], move[[2]]),
        "planes": _smallest_angle(move[[1, 3]], move[[2, 4]]),
    }


def _smallest_angle(one: np.ndarray, other: np.ndarray) -> float:
    """[deg] between the spaces of rows of one (k, d) and other (k, d)."""
    radians = scipy.linalg.subspace_angles(one.T, other.T)
    return float(np.degrees(radians.min()))


def correlate_residuals(
    guess: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    given: Sequence[str],
    dust: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """Correlate what is wrong with predicted labels with dust.

    Parameters
    ----------
    guess, labels : dict of str to ndarray, shape (n,)
        Predicted and known labels.
    given : sequence of str
        Labels that are judged; `ebv` is always added.
    dust : ndarray, shape (n,)
        Reddening, in any monotonic measure.
    rng : numpy.random.Generator
        Draws the permutations.

    Returns
    -------
    dict of str to dict
        Of each label `spearman`, the rank correlation of predicted - known with dust, `error`,
        its scatter over permutations, and `mad_std` of the residuals.
    """
    names = list(given)
    if "ebv" not in names:
        names.append("ebv")
    result = {}
    for name in names:
        residual = guess[name] - labels[name]
        chance = []
        for _ in range(PERMUTATIONS):
            chance.append(_rank_correlation(rng.permutation(residual), dust))
        result[name] = {
            "spearman": float(_rank_correlation(residual, dust)),
            "error": float(np.std(chance)),
            "mad_std": float(mad_std(residual)),
        }
    return result


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    return np.asarray(spearmanr(one, other))[0]


def _standardise(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / x.std()


def _quadratic_design(x: np.ndarray) -> np.ndarray:
    """(n, 3) terms of a quadratic in x (n,)."""
    z = _standardise(x)
    return np.stack([np.ones_like(z), z, z**2], axis=1)


def _remove_fit(y: np.ndarray, design: np.ndarray) -> np.ndarray:
    """What a least-squares fit of y (n, m) by the terms of a design (n, k) leaves."""
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    return y - design @ coefficients
