"""Rotation with spots, eclipses, tides: what else makes a system's light vary; the same in every light curve of it."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.binaries import is_eclipsing, is_synchronised
from multistar.mock.phases import GIANT_LOGG
from multistar.mock.population import Population
from multistar.mock.variability.rotation import b_minus_v, rotation_period, spot_amplitude

PERIOD_SCATTER = 0.08  # in ln P about the gyrochronology relation
SPOT_SCATTER = 0.7  # in ln amplitude: 0.3 dex
GIANT_SPOTS = 0.02  # amplitude of synchronised giants (RS CVn stars), fraction of flux


@dataclass(frozen=True)
class Activity:
    """All (n,): flags; rotation period [d], NaN if unknown; amplitude of spots [fraction of flux]."""

    eclipsing: np.ndarray
    synchronised: np.ndarray
    rotation_period: np.ndarray
    spot_amplitude: np.ndarray


def draw_activity(stars: Population, rng: np.random.Generator) -> Activity:
    """Single dwarfs spin down with age (gyrochronology); stars in close pairs rotate with the orbit, at any age."""
    star, n = stars.star, len(stars)
    synchronised = is_synchronised(stars.orbits, stars.age, star.logg)
    spun_down = rotation_period(b_minus_v(star.teff, stars.m_h), stars.age) * rng.lognormal(
        0, PERIOD_SCATTER, n
    )
    dwarf = star.logg >= GIANT_LOGG
    period = np.where(synchronised, stars.orbits.period, np.where(dwarf, spun_down, np.nan))
    typical = np.where(dwarf, spot_amplitude(period, star.mass), GIANT_SPOTS)
    spots = np.where(np.isfinite(period), typical * rng.lognormal(0, SPOT_SCATTER, n), 0.0)
    return Activity(
        eclipsing=is_eclipsing(stars.orbits),
        synchronised=synchronised,
        rotation_period=period,
        spot_amplitude=np.minimum(spots, 0.2),
    )
