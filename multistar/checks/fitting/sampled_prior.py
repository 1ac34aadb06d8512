"""How the XP coefficients of mock stars vary together: the prior that sampled spectra are read with."""

from pathlib import Path

import numpy as np

from multistar.io.files import atomic_write
from multistar.modalities.gaia_xp.synthesis import flux_matrix
from multistar.stars import Stars

BRIGHTEST = 0.4  # share of the stars that is taken: those with the least noise
COMPONENTS = 60  # of 110


def fit_sampled_prior(stars: Stars) -> dict[str, np.ndarray]:
    """Fit mean and covariance of coefficients in units of the flux that they make.

    Parameters
    ----------
    stars : Stars
        Mock stars with all orders of XP.

    Returns
    -------
    dict of str to array
        `mean` (110,) and `factor` (110, COMPONENTS): BP, then RP, of stars whose sampled fluxes
        sum up to 1 W m-2 nm-1; the factor times its transpose is the covariance.
    """
    bands = stars.xp["bp"], stars.xp["rp"]
    value, sigma = (
        np.hstack([getattr(x, part) for x in bands]).astype(float) for part in ("value", "sigma")
    )
    noise = np.median(sigma / np.abs(value[:, :1]), axis=1)
    value = value[noise <= np.quantile(noise, BRIGHTEST)]
    value /= np.abs(value @ flux_matrix()).sum(1, keepdims=True)
    variance, axes = np.linalg.eigh(np.cov(value.T))
    strongest = slice(None, -COMPONENTS - 1, -1)
    factor = axes[:, strongest] * np.sqrt(variance[strongest])
    # of two signs that an axis can have, always the same
    factor *= np.sign(factor[np.abs(factor).argmax(0), np.arange(COMPONENTS)])
    return {"mean": value.mean(0).astype(np.float32), "factor": factor.astype(np.float32)}


def write_sampled_prior(prior: dict[str, np.ndarray], path: str | Path, overwrite: bool) -> None:
    """Write it as the reader of sampled spectra wants it."""
    with atomic_write(path, overwrite) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **prior)
