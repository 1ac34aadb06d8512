"""Companions: how many stars have one, of what mass, on what orbit; eclipses and tides.

Orbits are circular. Multiplicity, periods and mass ratios follow Raghavan et al. (2010) for
solar-type primaries at all masses: 44 % have a companion, log10(P / d) is normal with mean 5.03
and standard deviation 2.28, and mass ratios are uniform. The companion is the less massive star,
born with the primary.
"""

from dataclasses import dataclass, fields

import numpy as np

from multistar.mock.phases import GIANT_LOGG, Evolved, at_initial_mass
from multistar.mock.variability.drawn import log_uniform

FRACTION = 0.44
LOG_PERIOD = (5.03, 2.28)  # mean and standard deviation of log10(P / d)
MASS_RATIO = (0.1, 1.0)
ROCHE = 1.3  # periastron over the sum of the radii below which no detached pair is made
RESOLVED = 0.6  # arcsec; wider pairs are two sources in Gaia (an effective limit, from memory)
SOLAR_RADII_PER_AU = 215.03
SHORT_PERIODS, ECLIPSING_SHARE = (0.5, 60.0), 0.75  # d; of pairs that are drawn for their curves
GIANT_SHARE = 0.05  # of its age that a giant has had about its present radius


@dataclass(frozen=True)
class Orbits:
    """Orbits of unresolved companions; arrays are (n,), NaN for a star without a companion."""

    period: np.ndarray  # d
    scaled_axis: np.ndarray  # a / R1
    inclination: np.ndarray  # deg
    mass_ratio: np.ndarray  # M2 / M1, present masses
    radius_ratio: np.ndarray  # R2 / R1
    fill_out: np.ndarray  # of contact binaries, 0 (inner lobe) to 1 (outer lobe); else NaN
    companion: Evolved

    def select(self, rows: np.ndarray) -> "Orbits":
        """The orbits of some rows (a mask or indices)."""
        fields = {name: values[rows] for name, values in vars(self).items() if name != "companion"}
        return Orbits(**fields, companion=self.companion.select(rows))


def red_dwarf_radius(mass: np.ndarray) -> np.ndarray:
    """Radius [Rsun] of dwarfs below 0.5 Msun, nearly proportional to `mass` [Msun].

    From memory, good to 10 %.
    """
    return 0.95 * mass**0.9


def semi_major_axis(period: np.ndarray, total_mass: np.ndarray) -> np.ndarray:
    """Semi-major axis [AU] from period [d] and total mass [Msun]: Kepler's third law."""
    years = period / 365.25
    return (total_mass * years**2) ** (1 / 3)


def draw_orbits(
    primary: Evolved,
    tracks: np.ndarray,
    distance: np.ndarray,
    rng: np.random.Generator,
    short: bool = False,
) -> Orbits:
    """Draw companions for some of the primaries.

    A companion lighter than the isochrone's first point (0.45 Msun) gives no light: its state is
    NaN, its orbit and its radius count.

    Parameters
    ----------
    primary : Evolved
        (n,) primaries.
    tracks : (n, n_eep, 5) array
        Their isochrones, as `Evolution.isochrone` gives them.
    distance : (n,) array
        Distance, kpc; it decides which pairs are unresolved.
    rng : numpy.random.Generator
        Source of all random numbers.
    short : bool
        Only pairs in whose curves the orbit is likely to be seen: SHORT_PERIODS, three quarters of
        them eclipsing, where they do not fill their lobes.
    """
    n = len(distance)
    mass_ratio = rng.uniform(*MASS_RATIO, n)
    initial_mass = primary.initial_mass * mass_ratio
    companion = at_initial_mass(tracks, initial_mass)
    bright = np.isfinite(companion.mass)
    mass = np.where(bright, companion.mass, initial_mass)
    radius = np.where(bright, companion.radius, red_dwarf_radius(mass))
    radius_ratio = radius / primary.radius

    period = _draw_periods(n, short, rng)
    axis = semi_major_axis(period, primary.mass + mass)
    scaled_axis = axis * SOLAR_RADII_PER_AU / primary.radius
    detached = scaled_axis > ROCHE * (1 + radius_ratio)
    unresolved = axis / (distance * 1000) < RESOLVED
    pair = detached & unresolved
    if not short:
        pair &= rng.random(n) < FRACTION
    cosine = rng.random(n)
    if short:
        touching = (1 + radius_ratio) / scaled_axis
        # touching may be above 1, but such pairs are not detached
        cosine *= np.where(rng.random(n) < ECLIPSING_SHARE, np.minimum(touching, 1), 1)
    orbits = Orbits(
        period=period,
        scaled_axis=scaled_axis,
        inclination=np.degrees(np.arccos(cosine)),
        mass_ratio=mass / primary.mass,
        radius_ratio=radius_ratio,
        fill_out=np.full(n, np.nan),
        companion=companion,
    )
    return _keep_pairs(orbits, pair)


def _draw_periods(n: int, short: bool, rng: np.random.Generator) -> np.ndarray:
    """Periods (n,) [d]."""
    if short:
        return log_uniform(SHORT_PERIODS, n, rng)
    return 10 ** rng.normal(*LOG_PERIOD, n)


def _keep_pairs(orbits: Orbits, pair: np.ndarray) -> Orbits:
    """NaN everywhere but where `pair` (n,) is True."""
    kept = {}
    for name, value in vars(orbits).items():
        if name != "companion":
            kept[name] = np.where(pair, value, np.nan)
    companion = {}
    for name, value in vars(orbits.companion).items():
        companion[name] = np.where(pair, value, np.nan)
    return Orbits(**kept, companion=Evolved(**companion))


def no_orbits(n: int) -> Orbits:
    """Orbits of `n` single stars: all NaN."""
    nothing = np.full(n, np.nan)
    companion = Evolved(**{field.name: nothing for field in fields(Evolved)})
    return Orbits(nothing, nothing, nothing, nothing, nothing, nothing, companion)


def is_eclipsing(orbits: Orbits) -> np.ndarray:
    """(n,) True where the discs overlap as seen from here."""
    inclination = np.radians(orbits.inclination)
    closest = orbits.scaled_axis * np.cos(inclination)
    with np.errstate(invalid="ignore"):
        return closest < 1 + orbits.radius_ratio


def is_synchronised(orbits: Orbits, age: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """(n,) True where tides have had the time to make the primary rotate once per orbit.

    Parameters
    ----------
    orbits : Orbits
        (n,) orbits.
    age, logg : (n,) array
        Age [Gyr] and surface gravity [cgs dex] of the primary.

    References
    ----------
    The time is q^-2 (a / R1)^6 yr for stars with convective envelopes (Zahn 1977, as an order of
    magnitude).
    """
    share = np.where(logg < GIANT_LOGG, GIANT_SHARE, 1.0)
    available = age * 1e9 * share
    with np.errstate(invalid="ignore"):
        needed = orbits.mass_ratio**-2 * orbits.scaled_axis**6
        return needed < available
