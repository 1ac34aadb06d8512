"""Long-period variables: red giants near the tip, semiregular variables and Miras."""

import numpy as np

from multistar.mock.variability.drawn import Pulsators, lifetime, luminosity_of, radius_of

COOLEST = 2600.0  # K, of the table of spectra


def lpv_mode(
    mass: np.ndarray, radius: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the fundamental mode of luminous red giants.

    Parameters
    ----------
    mass, radius : (n,) array
        In solar units.
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    period, amplitude : (n,) array
        Period [d] and amplitude [mag].

    References
    ----------
    Period: log P = -2.07 + 1.94 log R - 0.9 log M (Vassiliadis & Wood 1993). The amplitudes, which
    grow steeply with period up to those of Miras, are our own.
    """
    log_radius = np.log10(radius)
    log_mass = np.log10(mass)
    log_period = -2.07 + 1.94 * log_radius - 0.9 * log_mass
    period = 10**log_period
    typical = 0.16 * (period / 60) ** 1.5
    amplitude = typical * rng.lognormal(0, 0.35, len(mass))
    return period, np.clip(amplitude, 0.005, 4.0)


def draw_lpvs(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Semi-regular and Mira variables on the asymptotic giant branch; its line is our own."""
    n = len(m_h)
    mass = np.clip(0.8 + rng.exponential(0.45, n), 0.8, 3.0)
    log_luminosity = rng.triangular(2.9, 3.1, 4.0, n)
    by_luminosity = 650 * (log_luminosity - 3.3)
    by_mass = 300 * np.log10(mass)
    teff = 3450 - by_luminosity + by_mass - 250 * m_h + rng.normal(0, 50, n)
    teff = np.clip(teff, 2600, 4000)
    luminosity = 10**log_luminosity
    radius = radius_of(luminosity, teff)
    period, amplitude = lpv_mode(mass, radius, rng)
    return Pulsators(
        period=period,
        amplitude=amplitude,
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius,
        m_h=m_h,
        age=lifetime(mass),
    )


def draw_miras(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Miras of 130-550 d, amplitudes beyond 1.3 mag in G (2.5 in V).

    The radius is that at which the fundamental mode has the period; the cooler, the longer it is.
    """
    n = len(m_h)
    log_period = np.clip(rng.normal(2.45, 0.15, n), 2.11, 2.74)
    mass = np.clip(0.8 + rng.exponential(0.35, n), 0.8, 2.5)
    radius = 10 ** ((log_period + 2.07 + 0.9 * np.log10(mass)) / 1.94)
    teff = np.clip(3150 - 700 * (log_period - 2.45) + rng.normal(0, 100, n), COOLEST, 3600)
    return Pulsators(
        period=10**log_period,
        amplitude=np.clip(rng.normal(2.6 + 2 * (log_period - 2.45), 0.6, n), 1.3, 5.0),
        mass=mass,
        luminosity=luminosity_of(radius, teff),
        teff=teff,
        radius=radius,
        m_h=m_h,
        age=lifetime(mass),
    )


def draw_osargs(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Small-amplitude red giants, 10-100 d, of the RGB and AGB (Wray et al. 2004, from memory).

    Their periods are overtones: 0.35 of the fundamental mode's, by eye.
    """
    n = len(m_h)
    mass = np.clip(0.8 + rng.exponential(0.4, n), 0.8, 2.5)
    log_luminosity = rng.uniform(2.6, 3.35, n)
    warmer = 720 * (3.0 - log_luminosity) - 250 * m_h + 300 * np.log10(mass)
    teff = np.clip(3750 + warmer + rng.normal(0, 50, n), 3200, 4400)
    luminosity = 10**log_luminosity
    radius = radius_of(luminosity, teff)
    fundamental, _ = lpv_mode(mass, radius, rng)
    period = 0.35 * fundamental
    amplitude = 0.025 * (period / 20) ** 0.8 * rng.lognormal(0, 0.4, n)
    return Pulsators(
        period=period,
        amplitude=np.clip(amplitude, 0.003, 0.15),
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius,
        m_h=m_h,
        age=lifetime(mass),
    )
