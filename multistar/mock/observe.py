"""Noise-free measurements of stellar systems: magnitudes and XP coefficients, through the dust."""

from dataclasses import dataclass
from functools import lru_cache

import astropy.units as u
import numpy as np
import torch
from dust_extinction.parameter_averages import G23

from multistar.mock.phases import Evolved
from multistar.mock.population import Population, dredge_up
from multistar.mock.sed import BANDS, load_sed_table
from multistar.mock.xp_response import apply_response
from multistar.modalities.gaia_xp.instrument import xp_matrix

CHUNK = 4000  # stars whose spectra are held at once
R_SUN_PER_KPC = 6.957e8 / 3.0857e19
SI_PER_CGS = 1e-10  # erg s-1 cm-3 -> W m-2 nm-1
RV_GRID = np.linspace(2.4, 4.2, 10)
CURVE_RANGE = (100, 30000)  # nm, of the extinction curve
LN_FLUX_PER_MAG = np.float32(-0.4 * np.log(10))
# Of the primary's luminosity; fainter companions change nothing that is measured.
FAINTEST_COMPANION = 1e-3


@dataclass(frozen=True)
class Observation:
    """What a survey without noise would measure of n systems."""

    magnitudes: np.ndarray  # (n, n_band), in the order of BANDS
    coefficients: np.ndarray  # (n, 110) XP coefficients, BP then RP, e-/s
    flux_ratio: np.ndarray  # (n,) of the companion to the primary in G

    def select(self, rows: np.ndarray) -> "Observation":
        """The systems of some rows (a mask or indices)."""
        fields = {name: values[rows] for name, values in vars(self).items()}
        return Observation(**fields)


@lru_cache(maxsize=1)
def _xp_matrix() -> np.ndarray:
    """(110, n_wave) from flux on the table's wavelengths to XP coefficients, float32."""
    matrix = xp_matrix(load_sed_table().wavelength)
    return matrix.astype(np.float32)


@lru_cache(maxsize=1)
def _extinction_curves() -> np.ndarray:
    """(10, n_wave) of tabulate_extinction on the wavelengths of the table of spectra."""
    return tabulate_extinction(load_sed_table().wavelength)


def tabulate_extinction(wavelength: np.ndarray) -> np.ndarray:
    """(10, n_wave) A(lambda)/A(V) at wavelengths [nm] for each R_V of RV_GRID, float32."""
    covered = np.clip(wavelength, *CURVE_RANGE) * u.nm
    curves = []
    for r_v in RV_GRID:
        law = G23(Rv=r_v)
        curves.append(law(covered))
    return np.array(curves, np.float32)


def extinction_curve(r_v: np.ndarray, curves: np.ndarray | None = None) -> np.ndarray:
    """Extinction curves of Gordon et al. (2023), linear between tabulated R_V.

    Parameters
    ----------
    r_v : (n,) array
        A(V) / E(B-V).
    curves : (10, n_wave) array, optional
        Of tabulate_extinction; those of the table of spectra if not given.

    Returns
    -------
    (n, n_wave) array
        A(lambda) / A(V), float32.
    """
    curves = _extinction_curves() if curves is None else curves
    step = RV_GRID[1] - RV_GRID[0]
    place = (r_v - RV_GRID[0]) / step
    place = np.clip(place, 0, len(RV_GRID) - 1.001)
    left = place.astype(int)
    share = (place - left)[:, None]
    share = share.astype(np.float32)
    return curves[left] * (1 - share) + curves[left + 1] * share


def surface_to_earth(
    star: Evolved, m_h: np.ndarray, alpha_m: np.ndarray, c_n: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """Flux of single stars at Earth without dust.

    Parameters
    ----------
    star : Evolved
        (n,) stars.
    m_h, alpha_m, c_n : (n,) array
        Composition, dex.
    distance : (n,) array
        Distance, kpc.

    Returns
    -------
    (n, n_wave) array
        Flux, W m-2 nm-1, float32.
    """
    angular_size = star.radius * R_SUN_PER_KPC / distance
    dilution = np.log(SI_PER_CGS * angular_size**2)
    dilution = dilution[:, None].astype(np.float32)
    ln_flux = load_sed_table().ln_flux(star.teff, star.logg, m_h, alpha_m, c_n)
    return np.exp(ln_flux + dilution)


def compute_spectra(stars: Population) -> tuple[np.ndarray, np.ndarray]:
    """Spectra of systems at Earth, both stars of a pair, behind dust.

    Returns
    -------
    flux : (n, n_wave) array
        Flux, W m-2 nm-1.
    flux_ratio : (n,) array
        Flux of the companion over that of the primary in G, before dust; NaN for single stars.
    """
    flux = surface_to_earth(stars.star, stars.m_h, stars.alpha_m, stars.c_n, stars.distance)
    is_pair = np.isfinite(stars.orbits.period)
    flux_ratio = np.where(is_pair, 0.0, np.nan)
    bright_pairs = _find_bright_companions(stars)
    if len(bright_pairs):
        g_band = load_sed_table().passband[BANDS.index("g")]
        companion_flux = _companion_spectra(stars.select(bright_pairs))
        companion_light = companion_flux @ g_band
        primary_light = flux[bright_pairs] @ g_band
        flux_ratio[bright_pairs] = companion_light / primary_light
        flux[bright_pairs] += companion_flux
    a_v = (stars.r_v * stars.ebv).astype(np.float32)
    ln_loss = LN_FLUX_PER_MAG * a_v[:, None]
    transmission = np.exp(ln_loss * extinction_curve(stars.r_v))
    return flux * transmission, flux_ratio


def _find_bright_companions(stars: Population) -> np.ndarray:
    """Indices of the systems whose companion adds measurable light."""
    with np.errstate(invalid="ignore"):
        faintest = FAINTEST_COMPANION * stars.star.luminosity
        return np.flatnonzero(stars.orbits.companion.luminosity > faintest)


def _companion_spectra(pairs: Population) -> np.ndarray:
    """(n, n_wave) flux of the companions alone, without dust."""
    companion = pairs.orbits.companion
    change = dredge_up(companion.mass, pairs.m_h, companion.logg)
    c_n = pairs.natal_c_n + change
    return surface_to_earth(companion, pairs.m_h, pairs.alpha_m, c_n, pairs.distance)


def observe(stars: Population) -> Observation:
    """Compute what a survey without noise would measure of n systems."""
    table = load_sed_table()
    passband = torch.from_numpy(table.passband)
    xp = torch.from_numpy(_xp_matrix())
    n = len(stars)
    magnitudes = np.empty((n, len(passband)))
    coefficients = np.empty((n, len(xp)))
    flux_ratio = np.empty(n)
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        flux, flux_ratio[rows] = compute_spectra(stars.select(rows))
        spectra = torch.from_numpy(flux)
        light = (spectra @ passband.T).numpy()
        magnitudes[rows] = table.zero_point - 2.5 * np.log10(light)
        modelled = (spectra @ xp.T).numpy()
        coefficients[rows] = apply_response(modelled, stars.star.teff[rows], stars.star.logg[rows])
    return Observation(magnitudes, coefficients, flux_ratio)
