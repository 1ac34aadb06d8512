"""What multiplies a mean spectrum over pseudo-wavelength, as a change of its coefficients."""

from functools import lru_cache

import numpy as np

from multistar.modalities.gaia_xp.instrument import load_band

KNOTS = np.arange(6.0, 58.1, 0.75)  # pseudo-wavelength, pixels: between these it is linear
FINE = np.arange(0.0, 60.01, 0.25)


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


def response_matrix(band: str, weights: np.ndarray) -> np.ndarray:
    """(55, 55) matrix: coefficients @ it = their change by a response (n_knot,) less 1 at KNOTS."""
    return np.einsum("k,kcd->cd", weights, change_by_knot(band))
