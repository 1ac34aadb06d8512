"""Radially pulsating stars: masses, temperatures, periods and amplitudes that belong together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SOLAR_TEFF, SOLAR_LOGG = 5772.0, 4.438
OLDEST = 12.6  # Gyr
FIRST_OVERTONE = 0.745  # period of RR Lyrae stars, of the fundamental mode's
# Pulsation constants of the first three radial modes of delta Scuti stars [d] (Breger 1979, from
# memory), and how often each is the strongest.
DELTA_SCUTI_CONSTANTS = [0.033, 0.0252, 0.0204]
DELTA_SCUTI_SHARES = [0.5, 0.3, 0.2]


@dataclass(frozen=True)
class Pulsators:
    """Pulsating stars, one row each: every array is (n,)."""

    period: np.ndarray  # d
    amplitude: np.ndarray  # peak to peak in G, mag
    mass: np.ndarray  # Msun
    luminosity: np.ndarray  # Lsun
    teff: np.ndarray  # K
    radius: np.ndarray  # Rsun
    m_h: np.ndarray  # dex
    age: np.ndarray  # Gyr


def draw_pulsators(
    variability_class: str, n: int, rng: np.random.Generator, m_h: np.ndarray | float | None = None
) -> Pulsators:
    """Draw stars of one class; how many stars of each class there are is not said here.

    Parameters
    ----------
    variability_class : str
        "rrab", "rrc", "cepheid", "delta_scuti" or "lpv".
    n : int
        Number of stars.
    rng : numpy.random.Generator
        Source of all random numbers.
    m_h : (n,) array or float, optional
        Metallicities [dex]; drawn typical of the class if not given.

    Raises
    ------
    ValueError
        For an unknown class.
    """
    if variability_class not in CLASSES:
        raise ValueError(
            f"unknown variability class {variability_class!r}; known are {sorted(CLASSES)}"
        )
    pulsator_class = CLASSES[variability_class]
    if m_h is None:
        m_h = rng.normal(pulsator_class.mean_m_h, pulsator_class.m_h_scatter, n)
    else:
        m_h = np.broadcast_to(np.asarray(m_h, float), n)
    return pulsator_class.draw(m_h, rng)


def radius_of(luminosity: np.ndarray, teff: np.ndarray) -> np.ndarray:
    """Radius [Rsun] from luminosity [Lsun] and Teff [K]."""
    cooler = SOLAR_TEFF / teff
    return np.sqrt(luminosity) * cooler**2


def rr_lyrae_period(mass: np.ndarray, luminosity: np.ndarray, teff: np.ndarray) -> np.ndarray:
    """Period [d] of the fundamental mode of RR Lyrae stars; mass and luminosity in solar units.

    References
    ----------
    van Albada & Baker (1971), from memory.
    """
    log_mass = np.log10(mass)
    log_luminosity = np.log10(luminosity)
    log_cooler = np.log10(6500 / teff)
    log_period = -1.772 - 0.68 * log_mass + 0.84 * log_luminosity + 3.48 * log_cooler
    return 10**log_period


def _rr_lyrae(
    m_h: np.ndarray, rng: np.random.Generator, cool: float, hot: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mass, luminosity and Teff on the horizontal branch.

    The branch is fainter by 0.214 mag per dex (Clementini et al. 2003), M_V = 0.6 at [M/H] = -1.5;
    masses follow horizontal-branch models roughly (all from memory). Stars that have left the
    branch are up to 0.1 dex brighter.
    """
    n = len(m_h)
    richer = m_h + 1.5
    typical_mass = np.clip(0.65 - 0.06 * richer, 0.52, 0.80)
    mass = typical_mass + rng.normal(0, 0.015, n)
    evolved = np.minimum(rng.exponential(0.025, n), 0.1)
    log_luminosity = 1.66 - 0.086 * richer + evolved
    teff = rng.uniform(cool, hot, n)
    return mass, 10**log_luminosity, teff


def _draw_rrab(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    mass, luminosity, teff = _rr_lyrae(m_h, rng, 6150, 6850)
    # Bailey's diagram: the hotter, and so the shorter the period, the larger the amplitude.
    typical = 0.45 + 0.6 * (teff - 6150) / 700
    amplitude = np.clip(typical + rng.normal(0, 0.1, len(m_h)), 0.2, 1.3)
    return Pulsators(
        period=rr_lyrae_period(mass, luminosity, teff),
        amplitude=amplitude,
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius_of(luminosity, teff),
        m_h=m_h,
        age=rng.uniform(10, OLDEST, len(m_h)),
    )


def _draw_rrc(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    mass, luminosity, teff = _rr_lyrae(m_h, rng, 6700, 7250)
    amplitude = np.clip(rng.normal(0.40, 0.08, len(m_h)), 0.1, 0.6)
    return Pulsators(
        period=FIRST_OVERTONE * rr_lyrae_period(mass, luminosity, teff),
        amplitude=amplitude,
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius_of(luminosity, teff),
        m_h=m_h,
        age=rng.uniform(10, OLDEST, len(m_h)),
    )


def _draw_cepheids(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Fundamental-mode classical Cepheids of 3.5-12 Msun.

    Luminosity: the mass-luminosity relation of blue loops of Bono et al. (2000, solar composition,
    from memory), 0.2 dex brighter for mild overshooting. Period: Pilecki et al. (2018). Age: Bono
    et al. (2005), from memory. The line of the strip and the amplitudes, which have their minimum
    at 10 d, are our own.
    """
    n = len(m_h)
    # A mass function with a Kroupa-like slope of -2.7.
    lightest, heaviest = 3.5**-1.7, 12.0**-1.7
    mass = (lightest + rng.random(n) * (heaviest - lightest)) ** (-1 / 1.7)
    log_luminosity = 0.93 + 3.35 * np.log10(mass) + rng.normal(0, 0.08, n)
    log_teff = 3.767 - 0.05 * (log_luminosity - 3.3) + rng.uniform(-0.02, 0.02, n)
    luminosity = 10**log_luminosity
    teff = 10**log_teff
    radius = radius_of(luminosity, teff)
    log_period = -1.555 - 0.795 * np.log10(mass) + 1.703 * np.log10(radius)
    typical = _typical_cepheid_amplitude(log_period)
    return Pulsators(
        period=10**log_period,
        amplitude=np.clip(typical + rng.normal(0, 0.12, n), 0.2, 1.4),
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        radius=radius,
        m_h=m_h,
        age=10 ** (8.31 - 0.67 * log_period - 9),
    )


def _typical_cepheid_amplitude(log_period: np.ndarray) -> np.ndarray:
    from_ten_days = log_period - 1
    distance = from_ten_days / 0.08
    dip = np.exp(-(distance**2))
    longer = np.maximum(from_ten_days, 0)
    return 0.62 - 0.2 * dip + 0.4 * longer


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


def _draw_delta_scuti(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
    """Main-sequence stars of 1.5-2.3 Msun in the strip.

    Teff by mass and log g is a line by eye through models; lifetimes are 10 Gyr M^-2.9.
    """
    n = len(m_h)
    mass = rng.uniform(1.5, 2.3, n)
    logg = rng.uniform(3.7, 4.25, n)
    teff = 7700 + 1900 * (mass - 1.8) + 1100 * (logg - 4.0) - 250 * m_h
    teff = np.clip(teff, 6800, 8500)
    radius = np.sqrt(mass * 10 ** (SOLAR_LOGG - logg))
    period, amplitude = delta_scuti_mode(mass, radius, rng)
    hotter = teff / SOLAR_TEFF
    lifetime_share = np.clip((4.35 - logg) / 0.65, 0.05, 1)
    return Pulsators(
        period=period,
        amplitude=amplitude,
        mass=mass,
        luminosity=radius**2 * hotter**4,
        teff=teff,
        radius=radius,
        m_h=m_h,
        age=10 * mass**-2.9 * lifetime_share,
    )


def _draw_lpvs(m_h: np.ndarray, rng: np.random.Generator) -> Pulsators:
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
        age=np.minimum(10 * mass**-2.9, OLDEST),
    )


@dataclass(frozen=True)
class PulsatorClass:
    """How the stars of a class are drawn, and the [M/H] [dex] that is typical of it."""

    draw: Callable[[np.ndarray, np.random.Generator], Pulsators]
    mean_m_h: float
    m_h_scatter: float


CLASSES = {
    "rrab": PulsatorClass(_draw_rrab, -1.4, 0.4),
    "rrc": PulsatorClass(_draw_rrc, -1.6, 0.4),
    "cepheid": PulsatorClass(_draw_cepheids, 0.05, 0.10),
    "delta_scuti": PulsatorClass(_draw_delta_scuti, 0.0, 0.15),
    "lpv": PulsatorClass(_draw_lpvs, -0.15, 0.25),
}
