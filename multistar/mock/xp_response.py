"""What Gaia's spectrophotometers do to a spectrum beyond the instrument model of GaiaXPy.

Mean spectra of real stars over those of the instrument model are a smooth function of
pseudo-wavelength, nearly the same for all stars: a few percent at 400-1000 nm, more at the ends.
The function here is linear in 5040 K / Teff. It leaves the magnitudes that are synthesised from the
spectra as they are. Made by scripts/fit_xp_response.py from field stars.
"""

import json
from functools import lru_cache
from importlib.resources import files

import numpy as np

from multistar.modalities.gaia_xp.instrument import load_band
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS

BANDS = ("bp", "rp")
KNOTS = np.arange(6.0, 58.1, 0.75)  # pseudo-wavelength, pixels: between these it is linear
FINE = np.arange(0.0, 60.01, 0.25)
# Of 5040 K / Teff: the range in which stars show the dependence, and its middle and half width.
COOLNESS = 0.7, 1.35
MIDDLE, HALF_WIDTH = 1.0, 0.35


def describe_star(teff: np.ndarray) -> np.ndarray:
    """(n, 2) the factors of the two parts of the response, of stars of Teff (n,) [K]."""
    coolness = np.clip(5040 / np.asarray(teff, float), *COOLNESS)
    return np.stack([np.ones_like(coolness), (coolness - MIDDLE) / HALF_WIDTH], axis=1)


@lru_cache(maxsize=2)
def change_by_knot(band: str) -> np.ndarray:
    """(n_knot, 55, 55) matrices: coefficients @ one = their change by a unit response at a knot.

    The mean spectrum is h(u) = c @ basis(u), whose basis functions are orthonormal in the scaled
    pseudo-wavelength.
    """
    basis = load_band(band).internal_basis(FINE)
    step = (FINE[1] - FINE[0]) * load_band(band).scale
    changes = []
    for unit in np.eye(len(KNOTS)):
        response = np.interp(FINE, KNOTS, unit)
        changes.append((basis * response * step) @ basis.T)
    return np.array(changes)


@lru_cache(maxsize=1)
def load_response() -> dict[str, np.ndarray]:
    """Band -> (2, n_knot) response at KNOTS, less 1, by the factors of describe_star."""
    path = files("multistar.mock") / "xp_response.json"
    table = json.loads(path.read_text())
    return {band: np.array(table[band]) for band in BANDS}


def evaluate_response(band: str, teff: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """(n, n_sample) the response of stars of Teff (n,) [K] at pseudo-wavelengths (n_sample,)."""
    at_samples = [np.interp(samples, KNOTS, part) for part in load_response()[band]]
    return 1 + describe_star(teff) @ np.array(at_samples)


def apply_response(coefficients: np.ndarray, teff: np.ndarray) -> np.ndarray:
    """Give coefficients of the instrument model those that Gaia would have measured.

    Parameters
    ----------
    coefficients : (n, 110) array
        BP, then RP, e-/s.
    teff : (n,) array
        K.

    Returns
    -------
    (n, 110) array
    """
    factors = describe_star(teff)
    response = load_response()
    changed = coefficients.copy()
    start = 0
    for band in BANDS:
        columns = slice(start, start + DR3_ORDERS[band])
        own = coefficients[:, columns]
        for factor, weights in zip(factors.T, response[band], strict=True):
            matrix = np.einsum("k,kcd->cd", weights, change_by_knot(band))
            changed[:, columns] += factor[:, None] * (own @ matrix)
        start = columns.stop
    return changed
