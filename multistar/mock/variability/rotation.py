"""Rotation of main-sequence stars from colour and age, and the brightness variation that their spots cause."""

import numpy as np
from numpy.typing import ArrayLike

BLUE_LIMIT = 0.495  # B-V [mag]; bluer stars have no convective envelope to brake them
SATURATION = 0.8  # Rossby number below which activity grows no more
SATURATED_AMPLITUDE = 0.010
AMPLITUDE_SLOPE = -2.5
DIFFERENTIAL = (
    0.2  # fraction by which the poles rotate more slowly than the equator; the Sun's value
)
SPOTS_AT_ONCE = 4
# Puts the 5th-to-95th percentile range of a star seen equator-on at `amplitude`, in the median over stars.
SPOT_CONTRAST = 0.36


def b_minus_v(teff: ArrayLike, m_h: ArrayLike = 0.0) -> np.ndarray:
    """B-V [mag] of dwarfs from Teff [K] and [M/H].

    The inverse of Ballesteros (2012, eq. 14); Alonso et al. (1996) give 0.11 mag per dex of metallicity at solar
    colour (from memory), which is added.
    """
    x = 4600 / np.asarray(teff)
    # teff = 4600 (1 / (c + 1.7) + 1 / (c + 0.62)) with c = 0.92 B-V is a quadratic in c
    linear, constant = 2.32 - 2 * x, 1.7 * 0.62 - 2.32 * x
    return (np.sqrt(linear**2 / 4 - constant) - linear / 2) / 0.92 + 0.11 * np.asarray(m_h)


def rotation_period(b_v, age) -> np.ndarray:
    """Rotation period [d] of main-sequence stars of colour B-V [mag] and age [Gyr]; NaN where B-V <= 0.495.

    Mamajek & Hillenbrand (2008, eqs. 12-14). Stars that are not yet on the sequence (younger than about 0.1 Gyr),
    giants and close binaries follow other rules.
    """
    reddening = np.asarray(b_v, float) - BLUE_LIMIT
    return (
        0.407
        * np.where(reddening > 0, reddening, np.nan) ** 0.325
        * (1e3 * np.asarray(age)) ** 0.566
    )


def convective_turnover(mass) -> np.ndarray:
    """Convective turnover time [d] of main-sequence stars of 0.09-1.36 Msun: Wright et al. (2011, eq. 11)."""
    x = np.log10(np.clip(mass, 0.09, 1.36))
    return 10 ** (1.16 - 1.49 * x - 0.54 * x**2)


def spot_amplitude(period, mass) -> np.ndarray:
    """Typical spot amplitude (fraction of flux, 5th to 95th percentile) from rotation period [d] and mass [Msun].

    One per cent for Rossby numbers below 0.8, falling as Ro^-2.5 above. The plateau is that of the periodic
    variability of McQuillan et al. (2014); the slope is steeper than theirs, which lacks quiet stars, and
    puts the Sun at 0.1 %. Real stars scatter about it by 0.3 dex. NaN periods give NaN.
    """
    rossby = np.asarray(period) / convective_turnover(mass)
    return SATURATED_AMPLITUDE * np.maximum(rossby / SATURATION, 1) ** AMPLITUDE_SLOPE


def spot_modulation(
    time, period: float, amplitude: float, rng: np.random.Generator, inclination: float = 90.0
):
    """Relative change of flux (n,), at most zero, by spots that come and go.

    time: sorted, (n,) [d]; period: at the equator [d]; amplitude: range when seen equator-on [fraction of flux];
    inclination: of the spin axis [deg]. Spots live for a few rotations (at least two weeks), have latitudes up to
    40 degrees and rotate more slowly the higher they lie. They are small and dark: no limb darkening, no faculae.
    """
    time = np.asarray(time, float)
    nodes = int(100 * (time[-1] - time[0]) / period) + 2
    if nodes < len(
        time
    ):  # spots are slow: 100 values per rotation, linearly interpolated, are right to 0.1 %
        coarse = np.linspace(time[0], time[-1], nodes)
        return np.interp(time, coarse, spot_modulation(coarse, period, amplitude, rng, inclination))
    lifetime = np.clip(
        3 * period, 15, 150
    )  # full width at half maximum of cos^2, which ends after twice as long
    span = time[-1] - time[0] + 2 * lifetime
    count = rng.poisson(SPOTS_AT_ONCE * span / lifetime)
    middle = time[0] - lifetime + span * rng.random(count)
    latitude = np.arcsin(rng.uniform(-1, 1, count) * np.sin(np.radians(40)))
    frequency = 2 * np.pi / period * (1 - DIFFERENTIAL * np.sin(latitude) ** 2)
    phase = rng.uniform(0, 2 * np.pi, count)
    depth = SPOT_CONTRAST * amplitude * rng.lognormal(0, 0.4, count)
    tilt = np.radians(inclination)
    steady, turning = np.sin(latitude) * np.cos(tilt), np.cos(latitude) * np.sin(tilt)
    first, last = np.searchsorted(time, middle - lifetime), np.searchsorted(time, middle + lifetime)
    length = np.maximum(last - first, 0)
    spot = np.repeat(
        np.arange(count), length
    )  # one entry for each pair of a spot and a time at which it lives
    moment = np.arange(length.sum()) + np.repeat(first - np.cumsum(length) + length, length)
    since = time[moment] - middle[spot]
    facing = steady[spot] + turning[spot] * np.cos(frequency[spot] * since + phase[spot])
    strength = 0.5 + 0.5 * np.cos(np.pi / lifetime * since)
    return -np.bincount(moment, depth[spot] * np.maximum(facing, 0) * strength, len(time))
