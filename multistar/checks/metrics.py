"""How far predictions are from the truth, and whether their errors are honest."""

import numpy as np
from astropy.stats import mad_std


def scatter(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Summarise the residuals of predictions.

    Parameters
    ----------
    predicted, truth : ndarray, shape (n,)
        In the same unit. Pairs in which either is NaN are left out.

    Returns
    -------
    dict of str to float
        Of predicted - truth: `mad_std` (standard deviation estimated from the median absolute
        deviation), `std`, `bias` (the median), and the percentiles `p16` and `p84`.
    """
    residual = predicted - truth
    residual = residual[np.isfinite(residual)]
    low, bias, high = np.percentile(residual, [16, 50, 84])
    return {
        "mad_std": float(mad_std(residual)),
        "std": float(residual.std()),
        "bias": float(bias),
        "p16": float(low),
        "p84": float(high),
    }


def coverage(lower: np.ndarray, upper: np.ndarray, truth: np.ndarray) -> float:
    """Give the share of the truths inside [lower, upper], each of shape (n,).

    A calibrated central 68 % interval has 0.68.
    """
    inside = (truth >= lower) & (truth <= upper)
    return float(np.mean(inside))
