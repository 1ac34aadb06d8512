"""Cepheids: young ones of the blue loops in two modes, and old ones above the horizontal branch."""

import numpy as np

from multistar.mock.variability.drawn import OLDEST, Pulsators, radius_of
from multistar.mock.variability.rr_lyrae import rr_lyrae_period

STEEPNESS = 1.7  # of the number of stars above a mass: Kroupa's slope of -2.7
HEAVIEST = 12.0  # Msun
# Period of the first overtone over that of the fundamental mode at 1 d, and its change per dex
# (Alcock et al. 1995, from memory).
FIRST_OVERTONE = (0.733, -0.034)
LONGEST_OVERTONE = 6.0  # d


def draw_cepheids(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Fundamental-mode classical Cepheids of 3.5-12 Msun.

    Luminosity: the mass-luminosity relation of blue loops of Bono et al. (2000, solar composition,
    from memory), 0.2 dex brighter for mild overshooting. Period: Pilecki et al. (2018). Age: Bono
    et al. (2005), from memory. The line of the strip and the amplitudes, which have their minimum
    at 10 d, are our own.
    """
    mass, luminosity, teff = _draw_blue_loops(len(m_h), 3.5, rng)
    radius = radius_of(luminosity, teff)
    log_period = _fundamental_log_period(mass, radius)
    typical = _typical_cepheid_amplitude(log_period)
    return Pulsators(
        period=10**log_period,
        amplitude=np.clip(typical + rng.normal(0, 0.12, len(m_h)), 0.2, 1.4),
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius,
        m_h=m_h,
        age=10 ** (8.31 - 0.67 * log_period - 9),
    )


def _typical_cepheid_amplitude(log_period: np.ndarray) -> np.ndarray:
    from_ten_days = log_period - 1
    distance = from_ten_days / 0.08
    dip = np.exp(-(distance**2))
    longer = np.maximum(from_ten_days, 0)
    return 0.62 - 0.2 * dip + 0.4 * longer


def draw_overtone_cepheids(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Classical Cepheids in the first overtone: lighter, hotter, of small amplitude."""
    n = len(m_h)
    mass, luminosity, teff = _draw_blue_loops(n, 3.0, rng)
    mass, luminosity = np.minimum(mass, 6.0), np.minimum(luminosity, 10**3.6)
    teff = 1.03 * teff
    radius = radius_of(luminosity, teff)
    log_fundamental = _fundamental_log_period(mass, radius)
    at_one_day, slope = FIRST_OVERTONE
    period = 10**log_fundamental * (at_one_day + slope * log_fundamental)
    return Pulsators(
        period=np.minimum(period, LONGEST_OVERTONE),
        amplitude=np.clip(rng.normal(0.28, 0.09, n), 0.08, 0.5),
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius,
        m_h=m_h,
        age=10 ** (8.20 - 0.72 * np.log10(period) - 9),
    )


def draw_old_cepheids(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Type II Cepheids: BL Herculis (1-4 d), W Virginis (4-20 d) and RV Tauri stars (to 60 d).

    Mass 0.5-0.6 Msun, a strip that cools with luminosity, and the luminosity at which such a star
    has this period by the relation of RR Lyrae stars. Amplitudes are our own. Age of bulge and halo.
    """
    n = len(m_h)
    log_period = rng.uniform(0.05, 1.78, n)
    mass = rng.uniform(0.50, 0.60, n)
    teff = 6400 - 650 * log_period + rng.normal(0, 120, n)
    of_one_lsun = np.log10(rr_lyrae_period(mass, np.ones(n), teff))
    luminosity = 10 ** ((log_period - of_one_lsun) / 0.84)
    return Pulsators(
        period=10**log_period,
        amplitude=np.clip(rng.normal(0.75, 0.2, n), 0.25, 1.4),
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius_of(luminosity, teff),
        m_h=m_h,
        age=rng.uniform(9, OLDEST, n),
    )


def _draw_blue_loops(
    n: int, lightest_mass: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mass, luminosity and Teff in the strip."""
    lightest, heaviest = lightest_mass**-STEEPNESS, HEAVIEST**-STEEPNESS
    mass = (lightest + rng.random(n) * (heaviest - lightest)) ** (-1 / STEEPNESS)
    log_luminosity = 0.93 + 3.35 * np.log10(mass) + rng.normal(0, 0.08, n)
    log_teff = 3.767 - 0.05 * (log_luminosity - 3.3) + rng.uniform(-0.02, 0.02, n)
    return mass, 10**log_luminosity, 10**log_teff


def _fundamental_log_period(mass: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Log10 of the period [d] of classical Cepheids (Pilecki et al. 2018)."""
    return -1.555 - 0.795 * np.log10(mass) + 1.703 * np.log10(radius)
