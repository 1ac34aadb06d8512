"""RR Lyrae stars: the horizontal branch in the instability strip."""

import numpy as np

from multistar.mock.variability.drawn import OLDEST, Pulsators, radius_of

FIRST_OVERTONE = 0.745  # period of RR Lyrae stars, of the fundamental mode's


def rr_lyrae_period(mass: np.ndarray, luminosity: np.ndarray, teff: np.ndarray) -> np.ndarray:
    """Period [d] of the fundamental mode of RR Lyrae stars; mass and luminosity in solar units.

    References
    ----------
    van Albada & Baker (1971), from memory.
    """
    log_mass = np.log10(mass)
    log_luminosity = np.log10(luminosity)
    log_cooler = np.log10(6500 / teff)
    log_period = -1.772 - 0.68 * log_mass + 0.84 * log_luminosity + 3.48 * log_cooler
    return 10**log_period


def _rr_lyrae(
    m_h: np.ndarray, rng: np.random.Generator, cool: float, hot: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mass, luminosity and Teff on the horizontal branch.

    The branch is fainter by 0.214 mag per dex (Clementini et al. 2003), M_V = 0.6 at [M/H] = -1.5;
    masses follow horizontal-branch models roughly (all from memory). Stars that have left the
    branch are up to 0.1 dex brighter.
    """
    n = len(m_h)
    richer = m_h + 1.5
    typical_mass = np.clip(0.65 - 0.06 * richer, 0.52, 0.80)
    mass = typical_mass + rng.normal(0, 0.015, n)
    evolved = np.minimum(rng.exponential(0.025, n), 0.1)
    log_luminosity = 1.66 - 0.086 * richer + evolved
    teff = rng.uniform(cool, hot, n)
    return mass, 10**log_luminosity, teff


def _pulsating(
    star: tuple[np.ndarray, np.ndarray, np.ndarray],
    period_share: float,
    amplitude: np.ndarray,
    m_h: np.ndarray,
    rng: np.random.Generator,
) -> Pulsators:
    """Put stars of _rr_lyrae together; their period is a share of the fundamental mode's."""
    mass, luminosity, teff = star
    return Pulsators(
        period=period_share * rr_lyrae_period(mass, luminosity, teff),
        amplitude=amplitude,
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius_of(luminosity, teff),
        m_h=m_h,
        age=rng.uniform(10, OLDEST, len(m_h)),
    )


def draw_rrab(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Stars in the fundamental mode."""
    mass, luminosity, teff = _rr_lyrae(m_h, rng, 6150, 6850)
    # Bailey's diagram: the hotter, and so the shorter the period, the larger the amplitude.
    typical = 0.45 + 0.6 * (teff - 6150) / 700
    amplitude = np.clip(typical + rng.normal(0, 0.1, len(m_h)), 0.2, 1.3)
    return _pulsating((mass, luminosity, teff), 1.0, amplitude, m_h, rng)


def draw_rrc(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Stars in the first overtone, hotter ones."""
    mass, luminosity, teff = _rr_lyrae(m_h, rng, 6700, 7250)
    amplitude = np.clip(rng.normal(0.40, 0.08, len(m_h)), 0.1, 0.6)
    return _pulsating((mass, luminosity, teff), FIRST_OVERTONE, amplitude, m_h, rng)


def draw_rrd(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Stars in both modes, between the others; period and amplitude are the first overtone's.

    Double-mode stars have it at 0.34-0.43 d, as a rule the stronger mode (from memory).
    """
    mass, luminosity, teff = _rr_lyrae(m_h, rng, 6600, 6850)
    amplitude = np.clip(rng.normal(0.38, 0.06, len(m_h)), 0.15, 0.6)
    return _pulsating((mass, luminosity, teff), FIRST_OVERTONE, amplitude, m_h, rng)
