"""Pulsators of the main sequence, from F to B: p modes of hours, g modes of days."""

import dataclasses

import numpy as np

from multistar.mock.variability.drawn import (
    OLDEST,
    Pulsators,
    lifetime,
    log_uniform,
    main_sequence_share,
    radius_by_gravity,
    variables_of_radius,
)

# Pulsation constants of the first three radial modes of delta Scuti stars [d] (Breger 1979, from
# memory), and how often each is the strongest.
DELTA_SCUTI_CONSTANTS = [0.033, 0.0252, 0.0204]
DELTA_SCUTI_SHARES = [0.5, 0.3, 0.2]
# Teff of B stars by mass, K at 1 Msun and power: 12,000 K at 3 and 30,500 K at 15 Msun, by eye
# through models of the zero-age main sequence.
HOT_TEFF, HOT_POWER = 6350.0, 0.58


def delta_scuti_mode(
    mass: np.ndarray, radius: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the strongest mode of delta Scuti stars, one of the first three radial ones.

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
    """
    constant = rng.choice(DELTA_SCUTI_CONSTANTS, len(mass), p=DELTA_SCUTI_SHARES)
    amplitude = rng.lognormal(np.log(0.015), 0.9, len(mass))
    period = constant * np.sqrt(radius**3 / mass)
    return period, np.clip(amplitude, 0.002, 0.35)


def draw_delta_scuti(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Main-sequence stars of 1.5-2.3 Msun in the strip.

    Teff by mass and log g is a line by eye through models; lifetimes are 10 Gyr M^-2.9.
    """
    n = len(m_h)
    mass = rng.uniform(1.5, 2.3, n)
    logg = rng.uniform(3.7, 4.25, n)
    teff = 7700 + 1900 * (mass - 1.8) + 1100 * (logg - 4.0) - 250 * m_h
    teff = np.clip(teff, 6800, 8500)
    radius = radius_by_gravity(mass, logg)
    period, amplitude = delta_scuti_mode(mass, radius, rng)
    return variables_of_radius(
        mass,
        radius,
        teff,
        period=period,
        amplitude=amplitude,
        m_h=m_h,
        age=lifetime(mass) * main_sequence_share(logg),
    )


def draw_hads(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Delta Scuti stars of large amplitude: slow rotators in the fundamental mode, 0.06-0.25 d."""
    drawn = draw_delta_scuti(m_h, rng)
    return dataclasses.replace(
        drawn,
        period=DELTA_SCUTI_CONSTANTS[0] * np.sqrt(drawn.radius**3 / drawn.mass),
        amplitude=np.clip(rng.lognormal(np.log(0.3), 0.5, len(m_h)), 0.08, 0.9),
    )


def draw_sx_phe(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Metal-poor blue stragglers in the strip: one or two radial modes of large amplitude.

    Masses and ages of stragglers, which merged, are those of their mass and of their population.
    """
    n = len(m_h)
    mass = rng.uniform(1.0, 1.3, n)
    logg = rng.uniform(3.8, 4.25, n)
    teff = rng.uniform(7200, 8200, n)
    radius = radius_by_gravity(mass, logg)
    return variables_of_radius(
        mass,
        radius,
        teff,
        period=DELTA_SCUTI_CONSTANTS[0] * np.sqrt(radius**3 / mass),
        amplitude=np.clip(rng.lognormal(np.log(0.3), 0.6, n), 0.05, 1.0),
        m_h=m_h,
        age=rng.uniform(8, OLDEST, n),
    )


def draw_gamma_dor(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """F stars with g modes of 0.3-3 d, from memory of Kaye et al. (1999)."""
    n = len(m_h)
    mass = rng.uniform(1.4, 1.75, n)
    logg = rng.uniform(3.9, 4.3, n)
    return _g_modes(mass, logg, rng.uniform(6700, 7400, n), (0.4, 2.5), 0.02, m_h, rng)


def draw_spb(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Slowly pulsating B stars of 3-7 Msun, g modes of 0.8-3 d (Waelkens 1991, from memory)."""
    n = len(m_h)
    mass = rng.uniform(3, 7, n)
    logg = rng.uniform(3.6, 4.3, n)
    return _g_modes(mass, logg, hot_teff(mass, logg), (0.8, 3.0), 0.012, m_h, rng)


def draw_beta_cep(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Beta Cephei stars of 8-15 Msun, p modes of 2.4-7 h (Stankov & Handler 2005, from memory)."""
    n = len(m_h)
    mass = rng.uniform(8, 15, n)
    logg = rng.uniform(3.6, 4.1, n)
    teff = hot_teff(mass, logg)
    radius = radius_by_gravity(mass, logg)
    constant = rng.choice(DELTA_SCUTI_CONSTANTS[:2], n)
    return variables_of_radius(
        mass,
        radius,
        teff,
        period=np.clip(constant * np.sqrt(radius**3 / mass), 0.08, 0.35),
        amplitude=np.clip(rng.lognormal(np.log(0.025), 0.7, n), 0.003, 0.2),
        m_h=m_h,
        age=lifetime(mass) * main_sequence_share(logg),
    )


def _g_modes(
    mass: np.ndarray,
    logg: np.ndarray,
    teff: np.ndarray,
    periods: tuple[float, float],
    typical_amplitude: float,
    m_h: np.ndarray,
    rng: np.random.Generator,
) -> Pulsators:
    """Stars whose strongest mode has a period that is uniform in its logarithm."""
    n = len(mass)
    radius = radius_by_gravity(mass, logg)
    return variables_of_radius(
        mass,
        radius,
        teff,
        period=log_uniform(periods, n, rng),
        amplitude=np.clip(rng.lognormal(np.log(typical_amplitude), 0.7, n), 0.002, 0.15),
        m_h=m_h,
        age=lifetime(mass) * main_sequence_share(logg),
    )


def hot_teff(mass: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """Teff [K] of B stars, a quarter cooler at the end of the main sequence."""
    return HOT_TEFF * mass**HOT_POWER * (1 - 0.25 * main_sequence_share(logg))
