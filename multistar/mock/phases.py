"""Single stars of given age and composition: which points of an isochrone they are at, and how many there are."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from multistar.mock.evolution import load_evolution
from multistar.mock.galaxy import AGE_RANGE, M_H_RANGE

# K. Below 3800 K the model atmospheres have far too much TiO; above 8000 K there are none.
TEFF_RANGE = (3800.0, 8000.0)
GIANT_TEFF, GIANT_LOGG = 5800.0, 3.6  # red giants are cooler and have lower gravities
LOWEST_LOGG = 0.0
SOLAR_LOGG, SOLAR_TEFF = 4.438, 5772.0


@dataclass(frozen=True)
class Stratum:
    """A part of the Hertzsprung-Russell diagram and how far from the Sun its stars are drawn.

    giants: only red giants (True), all others (False), or all (None); log_luminosity: range;
    reach: radius of a cylinder around the Sun [kpc], or None for the whole sector;
    variability: a pulsation class, whose stars are then drawn instead of those of isochrones.
    """

    giants: bool | None = None
    log_luminosity: tuple[float, float] = (-9.0, 9.0)
    reach: float | None = None
    variability: str = ""


@dataclass(frozen=True)
class Evolved:
    """State of stars, all (n,): masses [Msun], luminosity [Lsun], teff [K], logg [cgs dex]; phase indexes
    evolution.PHASES, -1 for stars that were not taken from an isochrone's points."""

    initial_mass: np.ndarray
    mass: np.ndarray
    luminosity: np.ndarray
    teff: np.ndarray
    logg: np.ndarray
    phase: np.ndarray

    @property
    def radius(self) -> np.ndarray:
        """Rsun"""
        return np.sqrt(self.luminosity) * (SOLAR_TEFF / self.teff) ** 2

    def select(self, rows: np.ndarray | slice) -> "Evolved":
        return Evolved(**{name: values[rows] for name, values in vars(self).items()})


def chabrier(mass: np.ndarray) -> np.ndarray:
    """Chabrier (2003) initial mass function, number per unit mass up to a constant."""
    low = 0.158 / mass * np.exp(-(np.log10(mass / 0.08) ** 2) / (2 * 0.69**2))
    return np.where(mass < 1, low, 0.0443 * mass**-2.3)


def surface_gravity(mass, luminosity, teff) -> np.ndarray:
    """logg [cgs dex] from mass, luminosity [solar] and Teff [K]."""
    return SOLAR_LOGG + np.log10(mass) - np.log10(luminosity) + 4 * np.log10(teff / SOLAR_TEFF)


def state(track_points: np.ndarray, phase: np.ndarray | None = None) -> Evolved:
    """Points of `Evolution.isochrone` (..., 5) as physical quantities."""
    initial, luminosity, teff, ratio = (10 ** track_points[..., i] for i in range(4))
    mass = initial * ratio
    phase = np.broadcast_to(np.int8(-1) if phase is None else phase, mass.shape)
    return Evolved(initial, mass, luminosity, teff, surface_gravity(mass, luminosity, teff), phase)


def is_red_giant(logg: np.ndarray, log_teff: np.ndarray) -> np.ndarray:
    """Cool and of low gravity; log_teff is log10(Teff / K)."""
    return (logg < GIANT_LOGG) & (log_teff < np.log10(GIANT_TEFF))


def weights(tracks: np.ndarray, stratum: Stratum) -> np.ndarray:
    """(n, n_eep) stars per star formed that each point of the isochrones stands for, zero outside the stratum."""
    log_initial, log_luminosity, log_teff, log_ratio, ln_step = np.moveaxis(tracks, -1, 0)
    logg = (
        SOLAR_LOGG
        + log_initial
        + log_ratio
        - log_luminosity
        + 4 * (log_teff - np.log10(SOLAR_TEFF))
    )
    inside = (
        (log_teff > np.log10(TEFF_RANGE[0]))
        & (log_teff < np.log10(TEFF_RANGE[1]))
        & (logg > LOWEST_LOGG)
    )
    if stratum.giants is not None:
        inside &= is_red_giant(logg, log_teff) == stratum.giants
    inside &= (log_luminosity > stratum.log_luminosity[0]) & (
        log_luminosity <= stratum.log_luminosity[1]
    )
    number = np.zeros(inside.shape)
    number[inside] = chabrier(10 ** log_initial[inside]) * np.exp(ln_step[inside])
    return number


@lru_cache(maxsize=16)
def most_numerous(stratum: Stratum) -> float:
    """The most stars per star formed at any age and [M/H]: the scale of `draw_evolved`'s `exists`."""
    grid = np.meshgrid(np.geomspace(*AGE_RANGE, 60), np.linspace(*M_H_RANGE, 14))
    age, m_h = (x.ravel() for x in grid)
    return float(weights(load_evolution().isochrone(age, m_h), stratum).sum(1).max())


def draw_evolved(
    tracks: np.ndarray, stratum: Stratum, rng: np.random.Generator
) -> tuple[Evolved, np.ndarray]:
    """One star on each isochrone of `tracks` (n, n_eep, 5), and (n,) which of them there are at all.

    Points are drawn with the weight of the stars that they stand for (initial mass function times
    mass interval, which is time), then moved a random part of the way to a neighbour in the same phase.
    A row exists with a probability proportional to the stratum's stars per star formed at its age and [M/H].
    """
    phase = load_evolution().phase
    weight = weights(tracks, stratum)
    cumulative = np.cumsum(weight, axis=1)
    total = cumulative[:, -1]
    n, last = len(tracks), tracks.shape[1] - 1
    point = np.minimum(np.sum(cumulative < (rng.random(n) * total)[:, None], axis=1), last)
    neighbour = np.clip(point + rng.choice([-1, 1], n), 0, last)
    rows = np.arange(n)
    same = (phase[neighbour] == phase[point]) & (weight[rows, neighbour] > 0)
    neighbour = np.where(same, neighbour, point)
    step = (rng.random(n) * 0.5)[:, None]
    drawn = tracks[rows, point] * (1 - step) + tracks[rows, neighbour] * step
    return state(drawn, phase[point]), rng.random(n) * most_numerous(stratum) < total


def at_initial_mass(tracks: np.ndarray, initial_mass: np.ndarray) -> Evolved:
    """The star of each initial mass [Msun] (n,) on its isochrone, linear between points; (n,) fields.

    NaN where the isochrone has no such star: it is lighter than the first point, or already a remnant.
    """
    log_mass = np.maximum.accumulate(tracks[..., 0], axis=1)
    target = np.log10(initial_mass)
    right = np.clip(np.sum(log_mass < target[:, None], axis=1), 1, log_mass.shape[1] - 1)
    rows = np.arange(len(tracks))
    low, high = log_mass[rows, right - 1], log_mass[rows, right]
    share = (target - low) / np.maximum(high - low, 1e-9)
    share = np.where((share < 0) | (share > 1), np.nan, share)[:, None]
    return state(tracks[rows, right - 1] * (1 - share) + tracks[rows, right] * share)
