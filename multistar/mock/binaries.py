"""Companions: how many stars have one, of what mass, on what orbit; eclipses and tides.

Orbits are circular. Multiplicity, periods and mass ratios follow Raghavan et al. (2010) for solar-type
primaries at all masses: 44 % have a companion, log10(P / d) is normal with mean 5.03 and standard
deviation 2.28, and mass ratios are uniform. The companion is the less massive star, born with the primary.
"""

from dataclasses import dataclass

import numpy as np

from multistar.mock.phases import GIANT_LOGG, Evolved, at_initial_mass

FRACTION = 0.44
LOG_PERIOD = (5.03, 2.28)  # mean and standard deviation of log10(P / d)
MASS_RATIO = (0.1, 1.0)
ROCHE = 1.3  # periastron over the sum of the radii below which no detached pair is made
RESOLVED = 0.6  # arcsec; wider pairs are two sources in Gaia (an effective limit, from memory)
SOLAR_RADII_PER_AU = 215.03
GIANT_SHARE = 0.05  # of its age that a giant has had about its present radius


@dataclass(frozen=True)
class Orbits:
    """All (n,), NaN for a star without an unresolved companion: period [d], scaled_axis a / R1,
    inclination [deg], mass_ratio M2 / M1 (present masses), radius_ratio R2 / R1; `companion` holds the companions."""

    period: np.ndarray
    scaled_axis: np.ndarray
    inclination: np.ndarray
    mass_ratio: np.ndarray
    radius_ratio: np.ndarray
    companion: Evolved


def red_dwarf_radius(mass: np.ndarray) -> np.ndarray:
    """Rsun, for masses below 0.5 Msun: nearly proportional (from memory, good to 10 %)."""
    return 0.95 * mass**0.9


def semi_major_axis(period: np.ndarray, total_mass: np.ndarray) -> np.ndarray:
    """Kepler's third law: AU from days and solar masses."""
    return (total_mass * (period / 365.25) ** 2) ** (1 / 3)


def draw_orbits(
    primary: Evolved, tracks: np.ndarray, distance: np.ndarray, rng: np.random.Generator
) -> Orbits:
    """Companions for primaries on the isochrones `tracks` (n, n_eep, 5) at `distance` [kpc].

    A companion lighter than the isochrone's first point (0.45 Msun) gives no light: its state is NaN, its orbit and
    its radius count.
    """
    n = len(distance)
    mass_ratio = rng.uniform(*MASS_RATIO, n)
    companion = at_initial_mass(tracks, primary.initial_mass * mass_ratio)
    bright = np.isfinite(companion.mass)
    mass = np.where(bright, companion.mass, primary.initial_mass * mass_ratio)
    period = 10 ** rng.normal(*LOG_PERIOD, n)
    axis = semi_major_axis(period, primary.mass + mass)
    scaled = axis * SOLAR_RADII_PER_AU / primary.radius
    radius_ratio = np.where(bright, companion.radius, red_dwarf_radius(mass)) / primary.radius
    apart = scaled > ROCHE * (1 + radius_ratio)
    unresolved = axis / (distance * 1000) < RESOLVED
    pair = (rng.random(n) < FRACTION) & apart & unresolved
    inclination = np.degrees(np.arccos(rng.random(n)))

    def only(x: np.ndarray) -> np.ndarray:
        return np.where(pair, x, np.nan)

    companion = Evolved(**{name: only(x) for name, x in vars(companion).items()})
    ratio = only(mass / primary.mass)
    return Orbits(
        only(period), only(scaled), only(inclination), ratio, only(radius_ratio), companion
    )


def no_orbits(n: int) -> Orbits:
    """`n` single stars."""
    nobody = Evolved(**{name: np.full(n, np.nan) for name in Evolved.__dataclass_fields__})
    nothing = np.full(n, np.nan)
    return Orbits(nothing, nothing, nothing, nothing, nothing, nobody)


def is_eclipsing(orbits: Orbits) -> np.ndarray:
    """(n,) True where the discs overlap as seen from here."""
    with np.errstate(invalid="ignore"):
        closest = orbits.scaled_axis * np.cos(np.radians(orbits.inclination))
        return closest < 1 + orbits.radius_ratio


def is_synchronised(orbits: Orbits, age: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """(n,) True where tides have had the time to make the primary rotate once per orbit.

    The time is q^-2 (a / R1)^6 yr for stars with convective envelopes (Zahn 1977, as an order of magnitude).
    """
    available = age * 1e9 * np.where(logg < GIANT_LOGG, GIANT_SHARE, 1.0)
    with np.errstate(invalid="ignore"):
        return orbits.mass_ratio**-2 * orbits.scaled_axis**6 < available
