"""XP spectra of bright stars, brought to the calibration of faint ones.

Gaia observes stars brighter than G = 11 or so through other windows and gates. In DR3 their BP is
2-3 % too faint at 550-630 nm relative to 430-500 nm, and their RP 4 % too bright at its blue end,
compared with fainter stars, by spectra that HST took of both (CALSPEC: Bohlin, Gordon & Tremblay
2014). The curves are made by scripts/fit_xp_response.py.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

import numpy as np

from multistar.modalities.gaia_xp.read import XPCoefficients
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS

# G: of the stars that HST observed, those to 9.9 mag are alike, and those from 11.1 mag on.
BRIGHT = 10.5


def is_bright(xp: Mapping[str, XPCoefficients], g: np.ndarray) -> np.ndarray:
    """(n,) bool: the bright stars with a spectrum in the layout of Gaia DR3."""
    known = np.zeros(len(g), bool)
    for band, coefficients in xp.items():
        if coefficients.value.shape[1] == DR3_ORDERS[band]:
            known |= np.isfinite(coefficients.value).any(axis=1)
    return known & (np.asarray(g) < BRIGHT)


def correct_bright(xp: dict[str, XPCoefficients], g: np.ndarray) -> None:
    """Bring spectra of bright stars to the calibration of faint ones, in place.

    Bands in another layout than that of Gaia DR3 are left as they are.

    Parameters
    ----------
    xp : dict of str to XPCoefficients
        By band, (n, n_orders).
    g : (n,) array
        Magnitudes; stars without one are left as they are.
    """
    bright = is_bright(xp, g)
    if not bright.any():
        return
    for band, coefficients in xp.items():
        value = coefficients.value
        if value.shape[1] == DR3_ORDERS[band]:
            known = np.isfinite(value[bright])
            corrected = np.where(known, value[bright], 0) @ _correction(band)
            value[bright] = np.where(known, corrected, value[bright])


@lru_cache(maxsize=1)
def load_bright() -> dict[str, np.ndarray]:
    """Band -> (n_knot,) the response of bright stars over that of faint ones, less 1, at KNOTS."""
    table = json.loads((files("multistar.modalities.gaia_xp") / "bright.json").read_text())
    return {band: np.array(weights) for band, weights in table.items()}


@lru_cache(maxsize=2)
def _correction(band: str) -> np.ndarray:
    """(55, 55) matrix: coefficients of bright stars @ it = those of faint ones."""
    from multistar.modalities.gaia_xp.response import response_matrix  # loads all of GaiaXPy

    inverse = 1 / (1 + load_bright()[band]) - 1
    return np.eye(DR3_ORDERS[band]) + response_matrix(band, inverse)
