"""Rotation with spots, eclipses and tides: the same in every light curve of a system."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.binaries import is_eclipsing, is_synchronised
from multistar.mock.phases import GIANT_LOGG
from multistar.mock.population import Population
from multistar.mock.variability.rotation import b_minus_v, rotation_period, spot_amplitude

PERIOD_SCATTER = 0.08  # in ln P about the gyrochronology relation
SPOT_SCATTER = 0.7  # in ln amplitude: 0.3 dex
GIANT_SPOTS = 0.02  # amplitude of synchronised giants (RS CVn stars), fraction of flux
LARGEST_SPOTS = 0.2  # fraction of flux


@dataclass(frozen=True)
class Activity:
    """What makes the light of systems vary; every array is (n,)."""

    eclipsing: np.ndarray  # bool
    synchronised: np.ndarray  # bool
    rotation_period: np.ndarray  # d, NaN if unknown
    spot_amplitude: np.ndarray  # fraction of flux


def draw_activity(stars: Population, rng: np.random.Generator) -> Activity:
    """Draw rotation periods and spots.

    Single dwarfs spin down with age (gyrochronology); stars in close pairs rotate with the orbit,
    at any age.
    """
    star = stars.star
    n = len(stars)
    dwarf = star.logg >= GIANT_LOGG
    synchronised = is_synchronised(stars.orbits, stars.age, star.logg)
    typical_period = rotation_period(b_minus_v(star.teff, stars.m_h), stars.age)
    single_period = typical_period * rng.lognormal(0, PERIOD_SCATTER, n)
    single_period = np.where(dwarf, single_period, np.nan)
    period = np.where(synchronised, stars.orbits.period, single_period)

    typical_spots = np.where(dwarf, spot_amplitude(period, star.mass), GIANT_SPOTS)
    spots = typical_spots * rng.lognormal(0, SPOT_SCATTER, n)
    spots = np.where(np.isfinite(period), spots, 0.0)
    return Activity(
        eclipsing=is_eclipsing(stars.orbits),
        synchronised=synchronised,
        rotation_period=period,
        spot_amplitude=np.minimum(spots, LARGEST_SPOTS),
    )
