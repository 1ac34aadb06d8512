"""Single stars of given age and composition: which points of an isochrone they are at, how many."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from multistar.mock.evolution import PHASES, load_evolution
from multistar.mock.galaxy import BIRTHS, FRACTIONS, M_H_RANGE

# K. The grid of spectra is wider, so that no star sits on its edge.
TEFF_RANGE = (3000.0, 30000.0)
GIANT_TEFF, GIANT_LOGG = 5800.0, 3.6  # red giants are cooler and have lower gravities
LOWEST_LOGG = 0.0
SOLAR_LOGG, SOLAR_TEFF = 4.438, 5772.0
CHABRIER_PEAK, CHABRIER_WIDTH = 0.08, 0.69  # Msun, dex
UNKNOWN_PHASE = np.array(-1, np.int8)


@dataclass(frozen=True)
class Stratum:
    """A part of the Hertzsprung-Russell diagram and how far from the Sun its stars are drawn.

    Attributes
    ----------
    giants : bool or None
        Only red giants (True), all others (False), or all (None).
    log_luminosity : tuple of float
        Range of log10(L / Lsun).
    reach : float or None
        Radius of a cylinder around the Sun [kpc], or None for the whole sector.
    variability : str
        A class of variable stars, which are then drawn instead of those of isochrones.
    pairs : str
        A kind of close binaries, which are then drawn instead: "contact" or "semidetached"; or
        "detached", pairs of stars of isochrones on short orbits.
    fractions : tuple of float
        Shares of the Galaxy's components (thin disc, thick disc, halo) among the stars formed.
    born : str
        When: a key of galaxy.BIRTHS.
    """

    giants: bool | None = None
    log_luminosity: tuple[float, float] = (-9.0, 9.0)
    reach: float | None = None
    variability: str = ""
    pairs: str = ""
    fractions: tuple[float, float, float] = FRACTIONS
    born: str = "history"


@dataclass(frozen=True)
class Evolved:
    """State of stars; every array is (n,)."""

    initial_mass: np.ndarray  # Msun
    mass: np.ndarray  # Msun
    luminosity: np.ndarray  # Lsun
    teff: np.ndarray  # K
    logg: np.ndarray  # cgs dex
    phase: np.ndarray  # index into evolution.PHASES; -1 if not from an isochrone's points

    @property
    def radius(self) -> np.ndarray:
        """Radius, Rsun."""
        cooler = SOLAR_TEFF / self.teff
        return np.sqrt(self.luminosity) * cooler**2

    def select(self, rows: np.ndarray | slice) -> "Evolved":
        """The stars of some rows (a mask, indices or a slice)."""
        fields = {name: values[rows] for name, values in vars(self).items()}
        return Evolved(**fields)


def chabrier(mass: np.ndarray) -> np.ndarray:
    """Evaluate the initial mass function of Chabrier (2003).

    Parameters
    ----------
    mass : array
        Initial mass, Msun.

    Returns
    -------
    array
        Number per unit mass, up to a constant.
    """
    from_peak = np.log10(mass / CHABRIER_PEAK)
    exponent = -(from_peak**2) / (2 * CHABRIER_WIDTH**2)
    low = 0.158 / mass * np.exp(exponent)
    high = 0.0443 * mass**-2.3
    return np.where(mass < 1, low, high)


def surface_gravity(mass: np.ndarray, luminosity: np.ndarray, teff: np.ndarray) -> np.ndarray:
    """log g [cgs dex] from mass [Msun], luminosity [Lsun] and Teff [K]."""
    log_mass = np.log10(mass)
    log_luminosity = np.log10(luminosity)
    log_hotter = np.log10(teff / SOLAR_TEFF)
    return SOLAR_LOGG + log_mass - log_luminosity + 4 * log_hotter


def state(track_points: np.ndarray, phase: np.ndarray | None = None) -> Evolved:
    """Turn points of isochrones into physical quantities.

    Parameters
    ----------
    track_points : (..., 5) array
        Points as `Evolution.isochrone` gives them.
    phase : (...) array, optional
        Their phases; -1 (unknown) if not given.
    """
    if phase is None:
        phase = UNKNOWN_PHASE
    log_initial, log_luminosity, log_teff, log_ratio, _ = np.moveaxis(track_points, -1, 0)
    initial_mass = 10**log_initial
    luminosity = 10**log_luminosity
    teff = 10**log_teff
    mass = initial_mass * 10**log_ratio
    return Evolved(
        initial_mass=initial_mass,
        mass=mass,
        luminosity=luminosity,
        teff=teff,
        logg=surface_gravity(mass, luminosity, teff),
        phase=np.broadcast_to(phase, mass.shape),
    )


def is_red_giant(logg: np.ndarray, log_teff: np.ndarray) -> np.ndarray:
    """True for cool stars of low gravity; log_teff is log10(Teff / K)."""
    cool = log_teff < np.log10(GIANT_TEFF)
    return cool & (logg < GIANT_LOGG)


def count_stars(tracks: np.ndarray, stratum: Stratum, phases: np.ndarray) -> np.ndarray:
    """How many stars each point of isochrones stands for.

    Parameters
    ----------
    tracks : (n, n_eep, 5) array
        Isochrones as `Evolution.isochrone` gives them.
    stratum : Stratum
        Points outside it stand for no stars. Stars that still contract are no red giants.
    phases : (n, n_eep) array
        Phases of the points, `Evolution.phases`.

    Returns
    -------
    (n, n_eep) array
        Stars per star formed, up to a constant.
    """
    log_initial, log_luminosity, log_teff, log_ratio, ln_step = np.moveaxis(tracks, -1, 0)
    log_hotter = log_teff - np.log10(SOLAR_TEFF)
    logg = SOLAR_LOGG + log_initial + log_ratio - log_luminosity + 4 * log_hotter
    coolest, hottest = np.log10(TEFF_RANGE)
    faintest, brightest = stratum.log_luminosity
    inside = (log_teff > coolest) & (log_teff < hottest)
    inside &= logg > LOWEST_LOGG
    inside &= (log_luminosity > faintest) & (log_luminosity <= brightest)
    if stratum.giants is not None:
        evolved = phases != PHASES.index("main_sequence")
        inside &= (is_red_giant(logg, log_teff) & evolved) == stratum.giants
    number = np.zeros(inside.shape)
    initial_mass = 10 ** log_initial[inside]
    mass_interval = np.exp(ln_step[inside])
    number[inside] = chabrier(initial_mass) * mass_interval
    return number


@lru_cache(maxsize=64)
def most_numerous(stratum: Stratum) -> float:
    """The most stars per star formed that a stratum has at any age and [M/H].

    It is the scale of the probabilities with which `draw_evolved` says that a star exists.
    """
    ages = np.geomspace(*BIRTHS[stratum.born], 60)
    metallicities = np.linspace(*M_H_RANGE, 14)
    age, m_h = np.meshgrid(ages, metallicities)
    evolution = load_evolution()
    tracks = evolution.isochrone(age.ravel(), m_h.ravel())
    stars = count_stars(tracks, stratum, evolution.phases(age.ravel())).sum(1)
    return float(stars.max())


def draw_evolved(
    tracks: np.ndarray,
    stratum: Stratum,
    rng: np.random.Generator,
    phases: np.ndarray | None = None,
) -> tuple[Evolved, np.ndarray]:
    """Draw one star on each isochrone, and whether it exists.

    Points are drawn with the weight of the stars that they stand for (initial mass function times
    mass interval, which is time), then moved a random part of the way to a neighbour in the same
    phase.

    Parameters
    ----------
    tracks : (n, n_eep, 5) array
        Isochrones as `Evolution.isochrone` gives them.
    stratum : Stratum
        The part of the Hertzsprung-Russell diagram that stars are drawn from.
    rng : numpy.random.Generator
        Source of all random numbers.
    phases : (n, n_eep) array, optional
        Phases of the points, `Evolution.phases`; of isochrones older than 0.1 Gyr if not given.

    Returns
    -------
    star : Evolved
        (n,) stars.
    exists : (n,) array of bool
        True with a probability proportional to the stratum's stars per star formed at the age and
        [M/H] of the isochrone.
    """
    if phases is None:
        phases = np.broadcast_to(load_evolution().phase, tracks.shape[:2])
    weight = count_stars(tracks, stratum, phases)
    cumulative = np.cumsum(weight, axis=1)
    total = cumulative[:, -1]
    n, n_points = weight.shape
    rows = np.arange(n)

    threshold = rng.random(n) * total
    passed = cumulative < threshold[:, None]
    point = np.minimum(np.sum(passed, axis=1), n_points - 1)
    neighbour = point + rng.choice([-1, 1], n)
    neighbour = np.clip(neighbour, 0, n_points - 1)
    same_phase = phases[rows, neighbour] == phases[rows, point]
    usable = same_phase & (weight[rows, neighbour] > 0)
    neighbour = np.where(usable, neighbour, point)
    step = 0.5 * rng.random(n)
    drawn = _interpolate(tracks[rows, point], tracks[rows, neighbour], step)
    exists = rng.random(n) * most_numerous(stratum) < total
    return state(drawn, phases[rows, point]), exists


def at_initial_mass(tracks: np.ndarray, initial_mass: np.ndarray) -> Evolved:
    """Find the star of each initial mass on its isochrone, linearly between points.

    Parameters
    ----------
    tracks : (n, n_eep, 5) array
        Isochrones as `Evolution.isochrone` gives them.
    initial_mass : (n,) array
        Initial masses, Msun.

    Returns
    -------
    Evolved
        (n,) stars; NaN where the isochrone has none, because it is lighter than the first point or
        already a remnant.
    """
    log_mass = np.maximum.accumulate(tracks[..., 0], axis=1)
    target = np.log10(initial_mass)
    right = np.sum(log_mass < target[:, None], axis=1)
    right = np.clip(right, 1, log_mass.shape[1] - 1)
    rows = np.arange(len(tracks))
    below = log_mass[rows, right - 1]
    interval = log_mass[rows, right] - below
    share = (target - below) / np.maximum(interval, 1e-9)
    outside = (share < 0) | (share > 1)
    share = np.where(outside, np.nan, share)
    left_point = tracks[rows, right - 1]
    right_point = tracks[rows, right]
    return state(_interpolate(left_point, right_point, share))


def _interpolate(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n, k) points a `share` (n,) of the way from `one` to `other`."""
    share = share[:, None]
    return one * (1 - share) + other * share
