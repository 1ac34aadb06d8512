"""What is drawn of a variable star, and the relations that all classes share."""

from dataclasses import dataclass

import numpy as np

SOLAR_TEFF, SOLAR_LOGG = 5772.0, 4.438
OLDEST = 12.6  # Gyr


@dataclass(frozen=True)
class Pulsators:
    """Variable stars, one row each: every array is (n,)."""

    period: np.ndarray  # d
    amplitude: np.ndarray  # peak to peak in G, mag
    mass: np.ndarray  # Msun
    luminosity: np.ndarray  # Lsun
    teff: np.ndarray  # K
    radius: np.ndarray  # Rsun
    m_h: np.ndarray  # dex
    age: np.ndarray  # Gyr


def radius_of(luminosity: np.ndarray, teff: np.ndarray) -> np.ndarray:
    """Radius [Rsun] from luminosity [Lsun] and Teff [K]."""
    cooler = SOLAR_TEFF / teff
    return np.sqrt(luminosity) * cooler**2


def luminosity_of(radius: np.ndarray, teff: np.ndarray) -> np.ndarray:
    """Luminosity [Lsun] from radius [Rsun] and Teff [K]."""
    hotter = teff / SOLAR_TEFF
    return radius**2 * hotter**4


def lifetime(mass: np.ndarray) -> np.ndarray:
    """Lifetime [Gyr] of stars by mass [Msun], 10 Gyr M^-2.9, at most the age of the oldest."""
    return np.minimum(10 * mass**-2.9, OLDEST)


def main_sequence_share(logg: np.ndarray) -> np.ndarray:
    """Share of its lifetime that a star of the upper main sequence has behind it, by log g."""
    return np.clip((4.35 - logg) / 0.65, 0.05, 1)


def radius_by_gravity(mass: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """Radius [Rsun] from mass [Msun] and log g [cgs dex]."""
    return np.sqrt(mass * 10 ** (SOLAR_LOGG - logg))


def variables_of_radius(
    mass: np.ndarray,
    radius: np.ndarray,
    teff: np.ndarray,
    *,
    period: np.ndarray,
    amplitude: np.ndarray,
    m_h: np.ndarray,
    age: np.ndarray,
) -> Pulsators:
    """Put variable stars together, whose luminosity follows from radius and Teff."""
    luminosity = luminosity_of(radius, teff)
    return Pulsators(period, amplitude, mass, luminosity, teff, radius, m_h, age)


def log_uniform(limits: tuple[float, float], n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n numbers that are uniform in their logarithms between the limits."""
    low, high = limits
    return np.exp(rng.uniform(np.log(low), np.log(high), n))
