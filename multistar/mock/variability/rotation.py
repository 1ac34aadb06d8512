"""Rotation of main-sequence stars from colour and age, and the variability that spots cause."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BLUE_LIMIT = 0.495  # B-V [mag]; bluer stars have no convective envelope to brake them
SATURATION = 0.8  # Rossby number below which activity grows no more
SATURATED_AMPLITUDE = 0.010
AMPLITUDE_SLOPE = -2.5
DIFFERENTIAL = 0.2  # fraction by which poles rotate more slowly than the equator; the Sun's value
SPOTS_AT_ONCE = 4
SPOT_LIFETIME = (15, 150)  # d, limits of three rotations
HIGHEST_SPOT = 40  # deg of latitude
DEPTH_SCATTER = 0.4  # in ln
# Puts the 5th-to-95th percentile range of a star seen equator-on at `amplitude`, in the median
# over stars.
SPOT_CONTRAST = 0.36
# Spots are slow: this many values per rotation, linearly interpolated, are right to 0.1 %.
VALUES_PER_ROTATION = 100


def b_minus_v(teff: ArrayLike, m_h: ArrayLike = 0.0) -> np.ndarray:
    """B-V [mag] of dwarfs from Teff [K] and [M/H].

    References
    ----------
    The inverse of Ballesteros (2012, eq. 14); Alonso et al. (1996) give 0.11 mag per dex of
    metallicity at solar colour (from memory), which is added.
    """
    x = 4600 / np.asarray(teff)
    # teff = 4600 (1 / (c + 1.7) + 1 / (c + 0.62)) with c = 0.92 B-V is a quadratic in c
    linear = 2.32 - 2 * x
    constant = 1.7 * 0.62 - 2.32 * x
    half = linear / 2
    discriminant = linear**2 / 4 - constant
    c = np.sqrt(discriminant) - half
    return c / 0.92 + 0.11 * np.asarray(m_h)


def rotation_period(b_v: ArrayLike, age: ArrayLike) -> np.ndarray:
    """Rotation period of main-sequence stars.

    Stars that are not yet on the sequence (younger than about 0.1 Gyr), giants and close binaries
    follow other rules.

    Parameters
    ----------
    b_v, age : array
        Colour B-V [mag] and age [Gyr].

    Returns
    -------
    array
        Period, d; NaN where B-V <= 0.495.

    References
    ----------
    Mamajek & Hillenbrand (2008, eqs. 12-14).
    """
    b_v, age = np.asarray(b_v, float), np.asarray(age)
    redder = b_v - BLUE_LIMIT
    redder = np.where(redder > 0, redder, np.nan)
    age_myr = 1e3 * age
    return 0.407 * redder**0.325 * age_myr**0.566


def convective_turnover(mass: ArrayLike) -> np.ndarray:
    """Convective turnover time [d] of main-sequence stars of 0.09-1.36 Msun.

    References
    ----------
    Wright et al. (2011, eq. 11).
    """
    mass = np.clip(mass, 0.09, 1.36)
    log_mass = np.log10(mass)
    log_time = 1.16 - 1.49 * log_mass - 0.54 * log_mass**2
    return 10**log_time


def spot_amplitude(period: ArrayLike, mass: ArrayLike) -> np.ndarray:
    """Typical spot amplitude from rotation period [d] and mass [Msun].

    One per cent for Rossby numbers below 0.8, falling as Ro^-2.5 above. Real stars scatter about
    it by 0.3 dex.

    Returns
    -------
    array
        Fraction of flux, 5th to 95th percentile; NaN for NaN periods.

    Notes
    -----
    The plateau is that of the periodic variability of McQuillan et al. (2014); the slope is steeper
    than theirs, which lacks quiet stars, and puts the Sun at 0.1 %.
    """
    rossby = np.asarray(period) / convective_turnover(mass)
    beyond_saturation = rossby / SATURATION
    beyond_saturation = np.maximum(beyond_saturation, 1)
    return SATURATED_AMPLITUDE * beyond_saturation**AMPLITUDE_SLOPE


@dataclass(frozen=True)
class _Spots:
    """Spots on one star; every array is (n_spot,)."""

    lifetime: float  # d, full width at half maximum of cos^2, which ends after twice as long
    middle: np.ndarray  # d, when they are largest
    latitude: np.ndarray  # rad
    frequency: np.ndarray  # of rotation, rad/d
    phase: np.ndarray  # rad
    depth: np.ndarray  # fraction of flux


def spot_modulation(
    time: np.ndarray,
    period: float,
    amplitude: float,
    rng: np.random.Generator,
    inclination: float = 90.0,
) -> np.ndarray:
    """Relative change of flux by spots that come and go.

    Spots live for a few rotations (at least two weeks), have latitudes up to 40 degrees and rotate
    more slowly the higher they lie. They are small and dark: no limb darkening, no faculae.

    Parameters
    ----------
    time : (n,) array
        Sorted times, d.
    period : float
        Of rotation at the equator, d.
    amplitude : float
        Range when seen equator-on, fraction of flux.
    rng : numpy.random.Generator
        Source of all random numbers.
    inclination : float
        Of the spin axis, deg.

    Returns
    -------
    (n,) array
        At most zero.
    """
    time = np.asarray(time, float)
    n_coarse = int(VALUES_PER_ROTATION * (time[-1] - time[0]) / period) + 2
    if n_coarse >= len(time):
        return _sum_of_spots(time, _draw_spots(time, period, amplitude, rng), inclination)
    coarse = np.linspace(time[0], time[-1], n_coarse)
    spots = _draw_spots(coarse, period, amplitude, rng)
    return np.interp(time, coarse, _sum_of_spots(coarse, spots, inclination))


def _draw_spots(
    time: np.ndarray, period: float, amplitude: float, rng: np.random.Generator
) -> _Spots:
    """Spots that live within the times, at equal density on the sphere."""
    lifetime = np.clip(3 * period, *SPOT_LIFETIME)
    span = time[-1] - time[0] + 2 * lifetime
    count = rng.poisson(SPOTS_AT_ONCE * span / lifetime)
    middle = time[0] - lifetime + span * rng.random(count)
    highest = np.sin(np.radians(HIGHEST_SPOT))
    latitude = np.arcsin(rng.uniform(-1, 1, count) * highest)
    slower = 1 - DIFFERENTIAL * np.sin(latitude) ** 2
    return _Spots(
        lifetime=lifetime,
        middle=middle,
        latitude=latitude,
        frequency=2 * np.pi / period * slower,
        phase=rng.uniform(0, 2 * np.pi, count),
        depth=SPOT_CONTRAST * amplitude * rng.lognormal(0, DEPTH_SCATTER, count),
    )


def _sum_of_spots(time: np.ndarray, spots: _Spots, inclination: float) -> np.ndarray:
    """Relative change of flux (n,), over the pairs of a spot and a time at which it lives."""
    first = np.searchsorted(time, spots.middle - spots.lifetime)
    last = np.searchsorted(time, spots.middle + spots.lifetime)
    length = np.maximum(last - first, 0)
    spot = np.repeat(np.arange(len(length)), length)
    first_pair = np.cumsum(length) - length
    moment = np.arange(length.sum()) + np.repeat(first - first_pair, length)

    since = time[moment] - spots.middle[spot]
    tilt = np.radians(inclination)
    steady = np.sin(spots.latitude) * np.cos(tilt)
    turning = np.cos(spots.latitude) * np.sin(tilt)
    longitude = spots.frequency[spot] * since + spots.phase[spot]
    facing = steady[spot] + turning[spot] * np.cos(longitude)
    facing = np.maximum(facing, 0)  # on the near side
    life = np.pi / spots.lifetime * since
    strength = 0.5 + 0.5 * np.cos(life)
    hidden = spots.depth[spot] * facing * strength
    return -np.bincount(moment, hidden, len(time))
