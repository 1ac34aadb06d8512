"""Stars whose surfaces or discs make them vary: magnetic A stars, flaring dwarfs, Be stars."""

import numpy as np

from multistar.mock.variability.drawn import (
    Pulsators,
    lifetime,
    log_uniform,
    main_sequence_share,
    radius_by_gravity,
    variables_of_radius,
)
from multistar.mock.variability.main_sequence import hot_teff


def draw_alpha2_cvn(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Magnetic A and B stars with stable spots of metals; they rotate in 0.7-20 d (from memory)."""
    n = len(m_h)
    mass = rng.uniform(2.0, 4.0, n)
    logg = rng.uniform(3.7, 4.3, n)
    teff = hot_teff(mass, logg)
    radius = radius_by_gravity(mass, logg)
    return variables_of_radius(
        mass,
        radius,
        teff,
        period=np.clip(rng.lognormal(np.log(3.0), 0.7, n), 0.7, 20),
        amplitude=np.clip(rng.lognormal(np.log(0.025), 0.6, n), 0.004, 0.15),
        m_h=m_h,
        age=lifetime(mass) * main_sequence_share(logg),
    )


def draw_flare_stars(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Young M dwarfs: BY Draconis stars that flare; the period is that of rotation.

    Teff by mass is a line through dwarfs of 0.2 (3,250 K) to 0.55 Msun (3,750 K).
    """
    n = len(m_h)
    mass = rng.uniform(0.2, 0.55, n)
    teff = 3250 + 1430 * (mass - 0.2) + rng.normal(0, 40, n)
    radius = 0.95 * mass**0.9
    return variables_of_radius(
        mass,
        radius,
        teff,
        period=log_uniform((0.3, 12.0), n, rng),
        amplitude=np.clip(rng.lognormal(np.log(0.02), 0.6, n), 0.003, 0.12),
        m_h=m_h,
        age=log_uniform((0.05, 3.0), n, rng),
    )


def draw_be_stars(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """B stars that throw out discs; the period is the usual time between outbursts.

    Outbursts of 0.05-0.4 mag, hundreds of days apart (Keller et al. 2002, from memory).
    """
    n = len(m_h)
    mass = rng.uniform(4.0, 12.0, n)
    logg = rng.uniform(3.5, 4.2, n)
    teff = 0.93 * hot_teff(mass, logg)
    radius = radius_by_gravity(mass, logg)
    return variables_of_radius(
        mass,
        radius,
        teff,
        period=log_uniform((80.0, 900.0), n, rng),
        amplitude=np.clip(rng.lognormal(np.log(0.15), 0.5, n), 0.03, 0.6),
        m_h=m_h,
        age=lifetime(mass) * main_sequence_share(logg),
    )
