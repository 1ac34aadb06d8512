"""Radially pulsating stars: masses, luminosities, temperatures, periods and amplitudes that belong together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SOLAR_TEFF, SOLAR_LOGG = 5772.0, 4.438


@dataclass(frozen=True)
class Pulsators:
    """One row per star: every field is (n,)."""

    period: np.ndarray  # d
    amplitude: np.ndarray  # peak to peak in G, mag
    mass: np.ndarray  # Msun
    luminosity: np.ndarray  # Lsun
    teff: np.ndarray  # K
    radius: np.ndarray  # Rsun
    m_h: np.ndarray  # dex
    age: np.ndarray  # Gyr


def draw_pulsators(variability_class: str, n: int, rng: np.random.Generator, m_h=None) -> Pulsators:
    """`n` stars of one class: "rrab", "rrc", "cepheid", "delta_scuti" or "lpv".

    m_h: (n,) metallicities [dex]; drawn typical of the class if not given. How many stars of each class there are
    is not said here. Raises ValueError for an unknown class.
    """
    if variability_class not in CLASSES:
        raise ValueError(
            f"unknown variability class {variability_class!r}; known are {sorted(CLASSES)}"
        )
    draw, (mean, scatter) = CLASSES[variability_class]
    metallicity = (
        rng.normal(mean, scatter, n) if m_h is None else np.broadcast_to(np.asarray(m_h, float), n)
    )
    return draw(metallicity, rng)


def radius_of(luminosity, teff) -> np.ndarray:
    """Radius [Rsun] from luminosity [Lsun] and Teff [K]."""
    return np.sqrt(luminosity) * (SOLAR_TEFF / teff) ** 2


def rr_lyrae_period(mass, luminosity, teff) -> np.ndarray:
    """Period [d] of the fundamental mode: van Albada & Baker (1971), from memory. The first overtone: 0.745 times."""
    return 10 ** (
        -1.772 - 0.68 * np.log10(mass) + 0.84 * np.log10(luminosity) + 3.48 * np.log10(6500 / teff)
    )


def _rr_lyrae(
    m_h: np.ndarray, rng: np.random.Generator, cool: float, hot: float
) -> tuple[np.ndarray, ...]:
    """Mass, luminosity and Teff on the horizontal branch.

    The branch is fainter by 0.214 mag per dex (Clementini et al. 2003), M_V = 0.6 at [M/H] = -1.5; masses follow
    horizontal-branch models roughly (all from memory). Stars that have left the branch are up to 0.1 dex brighter.
    """
    n = len(m_h)
    mass = np.clip(0.65 - 0.06 * (m_h + 1.5), 0.52, 0.80) + rng.normal(0, 0.015, n)
    luminosity = 10 ** (1.66 - 0.086 * (m_h + 1.5) + np.minimum(rng.exponential(0.025, n), 0.1))
    return mass, luminosity, rng.uniform(cool, hot, n)


def _rrab(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    mass, luminosity, teff = _rr_lyrae(m_h, rng, 6150, 6850)
    # Bailey's diagram: the hotter, and so the shorter the period, the larger the amplitude
    amplitude = np.clip(0.45 + 0.6 * (teff - 6150) / 700 + rng.normal(0, 0.1, len(m_h)), 0.2, 1.3)
    return Pulsators(
        rr_lyrae_period(mass, luminosity, teff),
        amplitude,
        mass,
        luminosity,
        teff,
        radius_of(luminosity, teff),
        m_h,
        rng.uniform(10, 12.6, len(m_h)),
    )


def _rrc(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    mass, luminosity, teff = _rr_lyrae(m_h, rng, 6700, 7250)
    amplitude = np.clip(rng.normal(0.40, 0.08, len(m_h)), 0.1, 0.6)
    return Pulsators(
        0.745 * rr_lyrae_period(mass, luminosity, teff),
        amplitude,
        mass,
        luminosity,
        teff,
        radius_of(luminosity, teff),
        m_h,
        rng.uniform(10, 12.6, len(m_h)),
    )


def _cepheid(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Fundamental-mode classical Cepheids of 3.5-12 Msun.

    Luminosity: the mass-luminosity relation of blue loops of Bono et al. (2000, solar composition, from memory),
    0.2 dex brighter for mild overshooting. Period: Pilecki et al. (2018). Age: Bono et al. (2005), from memory. The
    line of the strip and the amplitudes, which have their minimum at 10 d, are our own.
    """
    n = len(m_h)
    mass = (3.5**-1.7 + rng.random(n) * (12.0**-1.7 - 3.5**-1.7)) ** (
        -1 / 1.7
    )  # Kroupa-like slope of -2.7
    log_luminosity = 0.93 + 3.35 * np.log10(mass) + rng.normal(0, 0.08, n)
    luminosity, teff = (
        10**log_luminosity,
        10 ** (3.767 - 0.05 * (log_luminosity - 3.3) + rng.uniform(-0.02, 0.02, n)),
    )
    radius = radius_of(luminosity, teff)
    log_period = -1.555 - 0.795 * np.log10(mass) + 1.703 * np.log10(radius)
    typical = (
        0.62 - 0.2 * np.exp(-(((log_period - 1) / 0.08) ** 2)) + 0.4 * np.maximum(log_period - 1, 0)
    )
    amplitude = np.clip(typical + rng.normal(0, 0.12, n), 0.2, 1.4)
    return Pulsators(
        10**log_period,
        amplitude,
        mass,
        luminosity,
        teff,
        radius,
        m_h,
        10 ** (8.31 - 0.67 * log_period - 9),
    )


def delta_scuti_mode(mass, radius, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Period [d] and amplitude [mag] of the strongest mode, one of the first three radial ones.

    Pulsation constants Q = 0.033, 0.0252 and 0.0204 d (Breger 1979, from memory).
    """
    constant = rng.choice([0.033, 0.0252, 0.0204], len(mass), p=[0.5, 0.3, 0.2])
    amplitude = np.clip(rng.lognormal(np.log(0.015), 0.9, len(mass)), 0.002, 0.35)
    return constant * np.sqrt(radius**3 / mass), amplitude


def lpv_mode(mass, radius, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Period [d] and amplitude [mag] of the fundamental mode of a luminous red giant.

    Period: log P = -2.07 + 1.94 log R - 0.9 log M (Vassiliadis & Wood 1993). The amplitudes, which grow
    steeply with period up to those of Miras, are our own.
    """
    period = 10 ** (-2.07 + 1.94 * np.log10(radius) - 0.9 * np.log10(mass))
    return period, np.clip(
        0.16 * (period / 60) ** 1.5 * rng.lognormal(0, 0.35, len(mass)), 0.005, 4.0
    )


def _delta_scuti(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Main-sequence stars of 1.5-2.3 Msun in the strip.

    Teff by mass and log g is a line by eye through models; lifetimes are 10 Gyr M^-2.9.
    """
    n = len(m_h)
    mass, logg = rng.uniform(1.5, 2.3, n), rng.uniform(3.7, 4.25, n)
    teff = np.clip(7700 + 1900 * (mass - 1.8) + 1100 * (logg - 4.0) - 250 * m_h, 6800, 8500)
    radius = np.sqrt(mass * 10 ** (SOLAR_LOGG - logg))
    period, amplitude = delta_scuti_mode(mass, radius, rng)
    luminosity = radius**2 * (teff / SOLAR_TEFF) ** 4
    age = 10 * mass**-2.9 * np.clip((4.35 - logg) / 0.65, 0.05, 1)
    return Pulsators(period, amplitude, mass, luminosity, teff, radius, m_h, age)


def _lpv(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Semi-regular and Mira variables on the asymptotic giant branch; the branch's line is our own."""
    n = len(m_h)
    mass = np.clip(0.8 + rng.exponential(0.45, n), 0.8, 3.0)
    log_luminosity = rng.triangular(2.9, 3.1, 4.0, n)
    teff = (
        3450
        - 650 * (log_luminosity - 3.3)
        + 300 * np.log10(mass)
        - 250 * m_h
        + rng.normal(0, 50, n)
    )
    teff, luminosity = np.clip(teff, 2600, 4000), 10**log_luminosity
    radius = radius_of(luminosity, teff)
    period, amplitude = lpv_mode(mass, radius, rng)
    return Pulsators(
        period, amplitude, mass, luminosity, teff, radius, m_h, np.minimum(10 * mass**-2.9, 12.6)
    )


CLASSES: dict[
    str, tuple[Callable[[np.ndarray, np.random.Generator], Pulsators], tuple[float, float]]
] = {
    "rrab": (_rrab, (-1.4, 0.4)),
    "rrc": (_rrc, (-1.6, 0.4)),
    "cepheid": (_cepheid, (0.05, 0.10)),
    "delta_scuti": (_delta_scuti, (0.0, 0.15)),
    "lpv": (_lpv, (-0.15, 0.25)),
}  # each with the mean and scatter of [M/H] that is typical of it
