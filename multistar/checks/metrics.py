"""How far predictions are from the truth, and whether their errors are honest."""

import numpy as np
from astropy.stats import mad_std


def scatter(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """MAD-std, std, bias (median) and 16/84 percentiles of predicted - truth; pairs with NaN are left out."""
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
    """Share of the truths inside [lower, upper]; 0.68 for a calibrated central 68 % interval."""
    return float(np.mean((truth >= lower) & (truth <= upper)))
