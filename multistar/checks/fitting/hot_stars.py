"""Spectra of hot stars: fluxes of Kurucz (1993) at solar composition on the nodes of our grid.

Our LTE models end at 8200 K. Above 7000 K they give way to Kurucz's; what metals and abundances
change is that of our hottest models, and fades where hydrogen and helium alone absorb.

Kurucz, R. L. 1993, CD-ROM 13 (ATLAS9), as a table of (Teff, log g, wavelength).
"""

from pathlib import Path

import numpy as np

LAST_LTE, FIRST_KURUCZ = 7000.0, 9000.0  # K: between them one gives way to the other
METALS_FADE = 6000.0  # K above 8200 K over which the effect of composition falls by e
ANGSTROM_PER_CM = 1e8


def read_kurucz(path: str | Path, wavelength: np.ndarray, teff: np.ndarray, logg: np.ndarray):
    """Interpolate Kurucz's fluxes to nodes.

    Parameters
    ----------
    path
        NPZ with `teff`, `logg` (n,), `wave_angstrom` (m,) and `surface_flux` (n, m), erg s-1 cm-2
        per Angstrom.
    wavelength : ndarray, shape (n_wave,)
        Wavelengths, nm.
    teff, logg : ndarray
        Nodes, K and dex; where there is no model of so low a gravity, the lowest there is.

    Returns
    -------
    ndarray, shape (n_teff, n_logg, n_wave)
        ln F_lambda, erg s-1 cm-2 cm-1.
    """
    table = np.load(path, allow_pickle=False)
    flux = np.maximum(table["surface_flux"].astype(float), 1e-30)
    ln_flux = np.log(flux * ANGSTROM_PER_CM)
    at_wavelength = np.array(
        [np.interp(wavelength * 10, table["wave_angstrom"], x) for x in ln_flux]
    )
    tabulated = np.unique(table["teff"])
    by_teff = np.empty((len(tabulated), len(logg), len(wavelength)))
    for i, temperature in enumerate(tabulated):
        here = np.flatnonzero(table["teff"] == temperature)
        here = here[np.argsort(table["logg"][here])]
        by_teff[i] = _interpolate_rows(logg, table["logg"][here], at_wavelength[here])
    flat = by_teff.reshape(len(tabulated), -1)
    at_nodes = _interpolate_rows(np.log(teff), np.log(tabulated), flat)
    return at_nodes.reshape(len(teff), len(logg), -1)


def _interpolate_rows(x: np.ndarray, known_x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Linear in `known_x` (k,) between rows (k, m); constant outside."""
    place = np.interp(x, known_x, np.arange(len(known_x)))
    left = np.minimum(place.astype(int), max(len(known_x) - 2, 0))
    right = np.minimum(left + 1, len(known_x) - 1)
    share = (place - left)[:, None]
    return rows[left] * (1 - share) + rows[right] * share


def add_hot_stars(
    lte: np.ndarray, lte_teff: np.ndarray, teff: np.ndarray, solar: int, kurucz: np.ndarray
) -> np.ndarray:
    """Join our models and Kurucz's on one grid.

    Parameters
    ----------
    lte : ndarray, shape (n_lte, n_logg, n_m_h, 3, n_wave)
        Our models, as compute_grid gives them.
    lte_teff : ndarray, shape (n_lte,)
        Their temperatures, K.
    teff : ndarray, shape (n_teff,)
        Temperatures of the grid, K: those of our models, then hotter ones.
    solar : int
        Which [M/H] is solar.
    kurucz : ndarray, shape (n_teff, n_logg, n_wave)
        As read_kurucz gives them.

    Returns
    -------
    ndarray, shape (n_teff, n_logg, n_m_h, 3, n_wave)
    """
    grid = np.concatenate([lte, np.repeat(lte[-1:], len(teff) - len(lte_teff), axis=0)])
    hotter = np.maximum(teff - lte_teff[-1], 0)
    fading = np.exp(-hotter / METALS_FADE)[:, None, None, None, None]
    of_metals = grid[:, :, :, :1] - grid[:, :, solar : solar + 1, :1]
    by_abundances = grid[:, :, :, 1:] * fading
    share = np.clip((teff - LAST_LTE) / (FIRST_KURUCZ - LAST_LTE), 0, 1)
    share = (share**2 * (3 - 2 * share))[:, None, None]
    at_solar = (1 - share) * grid[:, :, solar, 0] + share * kurucz
    ln_flux = at_solar[:, :, None, None] + of_metals * fading
    return np.concatenate([ln_flux, by_abundances], axis=3)
