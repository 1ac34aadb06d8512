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
from multistar.modalities.gaia_xp.instrument import xp_matrix

CHUNK = 4000  # stars whose spectra are held at once
R_SUN_PER_KPC = 6.957e8 / 3.0857e19
RV_GRID = np.linspace(2.4, 4.2, 10)
FAINTEST_COMPANION = (
    1e-3  # of the primary's luminosity; fainter ones change nothing that is measured
)


@lru_cache(maxsize=1)
def _operators() -> tuple[np.ndarray, np.ndarray]:
    """XP matrix (110, n_wave) and A(lambda)/A(V) for each R_V of RV_GRID (10, n_wave), float32."""
    wave = load_sed_table().wavelength
    curves = [G23(Rv=r_v)(np.clip(wave, 100, 30000) * u.nm) for r_v in RV_GRID]
    return xp_matrix(wave).astype(np.float32), np.array(curves, np.float32)


def extinction_curve(r_v: np.ndarray) -> np.ndarray:
    """(n, n_wave) A(lambda)/A(V) of Gordon et al. (2023), linear between tabulated R_V."""
    curves = _operators()[1]
    place = np.clip((r_v - RV_GRID[0]) / (RV_GRID[1] - RV_GRID[0]), 0, len(RV_GRID) - 1.001)
    left = place.astype(int)
    share = (place - left)[:, None].astype(np.float32)
    return curves[left] * (1 - share) + curves[left + 1] * share


def surface_to_earth(star: Evolved, m_h, alpha_m, c_n, distance) -> np.ndarray:
    """(n, n_wave) flux of single stars at Earth without dust, W m-2 nm-1, float32."""
    dilution = np.log(
        1e-10 * (star.radius * R_SUN_PER_KPC / distance) ** 2
    )  # erg s-1 cm-3 -> W m-2 nm-1
    ln_flux = load_sed_table().ln_flux(star.teff, star.logg, m_h, alpha_m, c_n)
    return np.exp(ln_flux + dilution[:, None].astype(np.float32))


def spectra(s: Population) -> tuple[np.ndarray, np.ndarray]:
    """Flux of systems at Earth (n, n_wave), both stars of a pair, behind dust, W m-2 nm-1; and (n,) the
    companion's flux over the primary's in G, before dust (NaN for single stars)."""
    flux = surface_to_earth(s.star, s.m_h, s.alpha_m, s.c_n, s.distance)
    ratio = np.where(np.isfinite(s.orbits.period), 0.0, np.nan)
    with np.errstate(invalid="ignore"):
        paired = np.flatnonzero(
            s.orbits.companion.luminosity > FAINTEST_COMPANION * s.star.luminosity
        )
    if len(paired):
        p = s.select(paired)
        companion = p.orbits.companion
        c_n = p.natal_c_n + dredge_up(companion.mass, p.m_h, companion.logg)
        second = surface_to_earth(companion, p.m_h, p.alpha_m, c_n, p.distance)
        g = load_sed_table().passband[BANDS.index("g")]
        ratio[paired] = (second @ g) / (flux[paired] @ g)
        flux[paired] += second
    a_v = (s.r_v * s.ebv).astype(np.float32)
    return flux * np.exp(
        np.float32(-0.4 * np.log(10)) * a_v[:, None] * extinction_curve(s.r_v)
    ), ratio


@dataclass(frozen=True)
class Observation:
    """Noise-free: magnitudes (n, n_band) in the order of BANDS, XP coefficients (n, 110) [e-/s], flux_ratio (n,)
    of the companion to the primary in G."""

    magnitudes: np.ndarray
    coefficients: np.ndarray
    flux_ratio: np.ndarray

    def select(self, rows: np.ndarray) -> "Observation":
        return Observation(self.magnitudes[rows], self.coefficients[rows], self.flux_ratio[rows])


def observe(stars: Population) -> Observation:
    """What a survey without noise would measure."""
    table, xp, n = load_sed_table(), _operators()[0], len(stars)
    seen = Observation(np.empty((n, len(BANDS))), np.empty((n, len(xp))), np.empty(n))
    for start in range(0, n, CHUNK):
        rows = slice(start, start + CHUNK)
        flux, seen.flux_ratio[rows] = spectra(stars.select(rows))
        light, coefficients = (
            torch.from_numpy(flux) @ torch.from_numpy(matrix).T for matrix in (table.passband, xp)
        )
        seen.magnitudes[rows] = table.zero_point - 2.5 * np.log10(light.numpy())
        seen.coefficients[rows] = coefficients.numpy()
    return seen
