"""Temperatures from Gaia colours: Mucciarelli, Bellazzini & Massari (2021).

theta = b0 + b1 C + b2 C^2 + b3 m + b4 m^2 + b5 m C, with C = BP-RP free of reddening, m = [Fe/H]
and theta = 5040 K / Teff. The coefficients agree with the solar and clump colours but were not
compared with the printed table. The mock spectra are tilted to this same relation, so agreement
with it tests the chain from spectrum to label, not the temperature scale.
"""

import numpy as np

GIANT = (0.5323, 0.4775, -0.0344, -0.0110, -0.0020, -0.0009)
DWARF = (0.4929, 0.5092, -0.0353, 0.0192, -0.0020, -0.0395)


def teff_from_colour(
    bp_rp: np.ndarray, m_h: np.ndarray | float, b: tuple[float, ...] = GIANT
) -> np.ndarray:
    """Compute the effective temperature of stars from their intrinsic colour.

    Parameters
    ----------
    bp_rp : ndarray, shape (n,)
        Intrinsic BP-RP [mag].
    m_h : ndarray or float
        Metallicity [dex].
    b : tuple of float
        Six coefficients: GIANT or DWARF.

    Returns
    -------
    ndarray, shape (n,)
        Teff [K].
    """
    of_colour = b[0] + b[1] * bp_rp + b[2] * bp_rp**2
    theta = of_colour + b[3] * m_h + b[4] * m_h**2 + b[5] * m_h * bp_rp
    return 5040 / theta


def colour_from_teff(
    teff: np.ndarray, m_h: np.ndarray | float, b: tuple[float, ...] = GIANT
) -> np.ndarray:
    """Compute the intrinsic BP-RP [mag] of stars: the inverse of `teff_from_colour`.

    Parameters
    ----------
    teff : ndarray, shape (n,)
        Effective temperature [K].
    m_h : ndarray or float
        Metallicity [dex].
    b : tuple of float
        Six coefficients: GIANT or DWARF.

    Returns
    -------
    ndarray, shape (n,)
        BP-RP [mag], the root of the quadratic in colour that belongs to real stars.
    """
    theta = 5040 / teff
    quadratic = b[2]
    linear = b[1] + b[5] * m_h
    constant = b[0] + b[3] * m_h + b[4] * m_h**2 - theta
    discriminant = linear**2 - 4 * quadratic * constant
    root = np.sqrt(np.maximum(discriminant, 1e-6))
    return (root - linear) / (2 * quadratic)
