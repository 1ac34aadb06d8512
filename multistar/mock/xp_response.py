"""What Gaia's spectrophotometers do to a spectrum beyond the instrument model of GaiaXPy.

Mean spectra of real stars over those of the instrument model are a smooth function of
pseudo-wavelength, nearly the same for all stars: a few percent at 400-1000 nm, more at the ends,
where it depends on the spectrum. The function here is given at some temperatures and linear in
5040 K / Teff between them: from 4900 K on by stars whose flux is known from HST, below by field
dwarfs; at the red end of BP and the blue end of RP, which spectra of the former hardly show, by field
stars of all kinds. What field dwarfs show is what the spectra of cool dwarfs lack, rather than the instrument: giants
keep the response of 4900 K, with which RP of real ones agrees to 0.5 % at 640-850 nm. It leaves the
magnitudes that are synthesised from the spectra as they are. It is that of faint stars; bright ones
are brought to it (modalities/gaia_xp/bright.py). Made by scripts/fit_xp_response.py.
"""

import json
from functools import lru_cache
from importlib.resources import files

import numpy as np

from multistar.modalities.gaia_xp.response import KNOTS, response_matrix
from multistar.modalities.gaia_xp.synthesis import DR3_ORDERS

BANDS = ("bp", "rp")
TEFF = np.array([20_000.0, 9000.0, 5800.0, 4900.0, 4200.0, 3600.0, 3200.0])  # K


COOLEST_GIANT = 4900.0  # K, whose response cooler giants have
DWARF_LOGG = 3.3, 3.9  # between these giants turn into dwarfs


def describe_star(teff: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """(n, n_teff) the share of each of TEFF in the response of stars of Teff [K] and log g (n,)."""
    coolness = 5040 / np.asarray(teff, float)
    of_giant = np.minimum(coolness, 5040 / COOLEST_GIANT)
    coolness = of_giant + (coolness - of_giant) * np.interp(logg, DWARF_LOGG, (0, 1))
    return np.stack([np.interp(coolness, 5040 / TEFF, unit) for unit in np.eye(len(TEFF))], axis=1)


@lru_cache(maxsize=1)
def load_response() -> dict[str, np.ndarray]:
    """Band -> (n_teff, n_knot) response at KNOTS, less 1, at TEFF."""
    path = files("multistar.mock") / "xp_response.json"
    table = json.loads(path.read_text())
    return {band: np.array(table[band]) for band in BANDS}


def evaluate_response(
    band: str, teff: np.ndarray, logg: np.ndarray, samples: np.ndarray
) -> np.ndarray:
    """(n, n_sample) the response of stars (n,) at pseudo-wavelengths (n_sample,)."""
    at_samples = [np.interp(samples, KNOTS, part) for part in load_response()[band]]
    return 1 + describe_star(teff, logg) @ np.array(at_samples)


def apply_response(coefficients: np.ndarray, teff: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """Give coefficients of the instrument model those that Gaia would have measured.

    Parameters
    ----------
    coefficients : (n, 110) array
        BP, then RP, e-/s.
    teff, logg : (n,) array
        K; log10 cm s-2.

    Returns
    -------
    (n, 110) array
    """
    factors = describe_star(teff, logg)
    response = load_response()
    changed = coefficients.copy()
    start = 0
    for band in BANDS:
        columns = slice(start, start + DR3_ORDERS[band])
        own = coefficients[:, columns]
        for factor, weights in zip(factors.T, response[band], strict=True):
            changed[:, columns] += factor[:, None] * (own @ response_matrix(band, weights))
        start = columns.stop
    return changed
