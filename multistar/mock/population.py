"""Stellar systems of the Milky Way: a star, perhaps an unresolved companion, behind dust."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from multistar.mock.binaries import Orbits, draw_orbits, no_orbits
from multistar.mock.close_pairs import KINDS, draw_close_pairs
from multistar.mock.dust import R_SUN, DustDisc
from multistar.mock.evolution import load_evolution
from multistar.mock.galaxy import (
    COMPONENTS,
    M_H_RANGE,
    density_ratio,
    draw_ages,
    draw_composition,
    draw_places,
    newborn_share,
)
from multistar.mock.phases import Evolved, Stratum, draw_evolved, most_numerous, surface_gravity
from multistar.mock.pulsating import CLASS_NAME, Pulsation, draw_pulsation, no_pulsation
from multistar.mock.variability.pulsators import CLASSES, draw_pulsators

MAX_DISTANCE = 11.0  # kpc
# Surface gravities at which the abundances of a giant change, and how gradually.
LOGG_DREDGE_UP, LOGG_BUMP, LOGG_WIDTH = 3.45, 2.3, 0.08
SOLAR_SETTLED, SOLAR_AGE = 0.087, 4.57  # dex of [M/H]; Gyr
# Scatter of [C/N] at birth, dex. Our choice, and what limits the mass information of a spectrum.
NATAL_SCATTER = 0.05
MEAN_R_V, R_V_SCATTER, R_V_RANGE = 3.1, 0.18, (2.5, 4.1)
UNRESOLVED_DUST = 0.08  # scatter of ln E(B-V) about the map
OLD_ALPHA_M = 0.3  # dex, of pulsators of the halo and the thick disc
ROUGHNESS = {"g": 0.45, "h": 0.25}  # mag: the worst error of `absolute_magnitudes`
# Absolute magnitudes of a star of 1 Lsun by its Teff [K].
ROUGH_TEFF = (2900, 3300, 3800, 4300, 4800, 5500, 6500, 8000, 10000, 14000, 20000, 31000)
ROUGH = {
    "g": (7.54, 6.03, 5.42, 5.04, 4.84, 4.66, 4.59, 4.65, 5.03, 5.77, 6.64, 7.53),
    "h": (1.55, 1.90, 2.23, 2.50, 2.79, 3.19, 3.68, 4.29, 5.05, 6.09, 7.22, 8.39),
}
PAIR = 2.5 * np.log10(2)  # mag by which a companion as bright as the primary raises it


@dataclass
class Population:
    """Stellar systems, one row each: every array is (n,)."""

    component: np.ndarray  # index into galaxy.COMPONENTS
    age: np.ndarray  # Gyr
    m_h: np.ndarray  # dex, at the surface today
    alpha_m: np.ndarray  # dex
    natal_c_n: np.ndarray  # [C/N] at birth, dex
    l: np.ndarray  # noqa: E741 - Galactic longitude, rad
    b: np.ndarray  # Galactic latitude, rad
    distance: np.ndarray  # kpc
    ebv: np.ndarray  # mag
    r_v: np.ndarray  # A(V) / E(B-V)
    star: Evolved  # the primary
    orbits: Orbits  # with the companion, if there is one
    pulsation: Pulsation

    @property
    def c_n(self) -> np.ndarray:
        """[C/N] of the primary, dex."""
        star = self.star
        change = dredge_up(star.mass, self.m_h, star.logg)
        return self.natal_c_n + change

    def __len__(self) -> int:
        return len(self.age)

    def select(self, rows: np.ndarray | slice) -> "Population":
        """The systems of some rows (a mask, indices or a slice)."""
        return _select_rows(self, rows)


def _select_rows(value: Any, rows: np.ndarray | slice) -> Any:
    """Rows of an array, or of every array in a dataclass of arrays and such dataclasses."""
    if isinstance(value, np.ndarray):
        return value[rows]
    fields = {name: _select_rows(field, rows) for name, field in vars(value).items()}
    return type(value)(**fields)


def concatenate(parts: list[Any]) -> Any:
    """Put populations, or any of their fields, end to end."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    fields = {}
    for name in vars(first):
        fields[name] = concatenate([getattr(part, name) for part in parts])
    return type(first)(**fields)


def settle(mass: np.ndarray, age: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """Metals that have sunk below the surface since a star's birth, dex of [M/H].

    PARSEC's Sun was born with Z = 0.01774, [M/H] = 0.087, and shows 0.0 today (Bressan et al.
    2012). Deep convection keeps cool dwarfs mixed, turbulence hot ones, and the first dredge-up
    brings the metals back; how these set in is our choice.

    Parameters
    ----------
    mass, age, logg : (n,) array
        Mass [Msun], age [Gyr] and surface gravity [cgs dex].

    Returns
    -------
    (n,) array
        Zero or positive; to be taken off the [M/H] at birth.
    """
    thin_envelope = np.clip((mass - 0.6) / 0.3, 0, 1)
    calm = np.clip((1.45 - mass) / 0.3, 0, 1)
    time = np.minimum(age / SOLAR_AGE, 2.0) ** 0.7
    return SOLAR_SETTLED * thin_envelope * calm * time * (1 - _has_passed(logg, LOGG_DREDGE_UP))


def dredge_up(mass: np.ndarray, m_h: np.ndarray, logg: np.ndarray) -> np.ndarray:
    """Change of a star's [C/N] since its birth, dex.

    The first dredge-up is larger in massive giants; extra mixing follows in metal-poor ones. It is
    the only way that a spectrum knows of the mass directly.

    Parameters
    ----------
    mass, m_h, logg : (n,) array
        Mass [Msun], metallicity [dex] and surface gravity [cgs dex].

    Returns
    -------
    (n,) array
        Zero or negative.

    References
    ----------
    The shape follows Salaris et al. (2015) and Martig et al. (2016); the constants are our own.
    """
    excess_mass = np.maximum(mass - 0.85, 0)
    saturation = 1 - np.exp(-excess_mass / 0.55)
    first = 0.10 + 0.50 * saturation
    metal_poor = np.clip(-0.4 - m_h, 0, 1.2)
    extra = 0.35 * metal_poor * _has_passed(logg, LOGG_BUMP)
    return -(first + extra) * _has_passed(logg, LOGG_DREDGE_UP)


def _has_passed(logg: np.ndarray, threshold: float) -> np.ndarray:
    """Smooth step from 0 (higher gravity than `threshold`) to 1 (lower)."""
    above = (logg - threshold) / LOGG_WIDTH
    return 1 / (1 + np.exp(above))


def absolute_magnitudes(luminosity: np.ndarray, teff: np.ndarray) -> dict[str, np.ndarray]:
    """Rough absolute magnitudes in G and H, with which faint stars are dropped early.

    Of our own spectra at ROUGH_TEFF, good to 0.2 and 0.1 mag between them.

    Parameters
    ----------
    luminosity, teff : (n,) array
        Luminosity [Lsun] and effective temperature [K].

    Returns
    -------
    dict of str to (n,) array
        Magnitudes by band ("g", "h").
    """
    light = 2.5 * np.log10(luminosity)
    place = np.log(teff)
    nodes = np.log(ROUGH_TEFF)
    return {band: np.interp(place, nodes, values) - light for band, values in ROUGH.items()}


def distance_modulus(distance: np.ndarray) -> np.ndarray:
    """Apparent less absolute magnitude without dust, from a distance [kpc]."""
    return 5 * np.log10(distance * 100)


def stratum_shares(strata: tuple[Stratum, ...]) -> np.ndarray:
    """How candidates are divided among strata so that all stand for as many stars ever formed.

    Strata of variable stars are divided evenly: how many such stars there are is not modelled.

    Returns
    -------
    (n_strata,) array
        Shares, whose sum is 1.
    """
    if all(stratum.variability or stratum.pairs for stratum in strata):
        return np.full(len(strata), 1 / len(strata))
    stars = []
    for stratum in strata:
        density = 1.0 if stratum.reach is None else _highest_density(stratum.reach)
        formed = newborn_share() if stratum.born == "newborn" else 1.0
        stars.append(most_numerous(stratum) * density * formed)
    return np.array(stars) / sum(stars)


def _highest_density(reach: float) -> float:
    """The largest `density_ratio` in the cylinder: at the point nearest to the Galactic centre."""
    component = np.arange(len(COMPONENTS))
    radius = np.full(len(COMPONENTS), R_SUN - reach)
    ratio = density_ratio(component, radius, reach)
    return float(ratio.max())


def draw_population(
    n: int,
    rng: np.random.Generator,
    dust: DustDisc,
    strata: tuple[Stratum, ...],
    faintest: dict[str, float],
    even: bool = False,
) -> Population:
    """Draw candidates and keep the systems that a survey may see.

    Parameters
    ----------
    n : int
        Number of candidates.
    rng : numpy.random.Generator
        Source of all random numbers.
    dust : DustDisc
        What reddens the stars.
    strata : tuple of Stratum
        Parts of the Hertzsprung-Russell diagram from which candidates are drawn.
    faintest : dict of str to float
        Magnitude limits by band ("g", "h"). Systems that surely are fainter are left out.
    even : bool
        Draw as many candidates from each stratum, instead of as many as the Galaxy has.

    Returns
    -------
    Population
        At most `n` systems, stratum by stratum.
    """
    shares = np.full(len(strata), 1 / len(strata)) if even else stratum_shares(strata)
    boundaries = np.r_[0, np.cumsum(shares)]
    sizes = np.diff(np.round(boundaries * n).astype(int))
    parts = []
    for size, stratum in zip(sizes, strata, strict=True):
        if size == 0:
            continue
        parts.append(_choose_draw(stratum)(size, stratum, rng, faintest))
    stars = concatenate(parts)
    unresolved = rng.lognormal(0, UNRESOLVED_DUST, len(stars))
    stars.ebv = unresolved * dust.ebv(stars.l, stars.b, stars.distance)
    return stars


def _choose_draw(stratum: Stratum) -> Callable[..., Population]:
    """Say how the stars of a stratum are drawn; ValueError for an unknown kind of pairs."""
    if stratum.variability:
        return _draw_pulsators
    if stratum.pairs in KINDS:
        return _draw_close_pairs
    if stratum.pairs not in ("", "detached"):
        known = ["detached", *KINDS]
        raise ValueError(f"unknown kind of pairs {stratum.pairs!r}; known are {known}")
    return _draw_stratum


def _draw_stratum(
    n: int, stratum: Stratum, rng: np.random.Generator, faintest: dict[str, float]
) -> Population:
    """Stars of isochrones, some with companions."""
    component, age = draw_ages(n, rng, stratum.fractions, stratum.born)
    places = draw_places(component, age, rng, stratum.reach)
    inside = places.distance < (stratum.reach or MAX_DISTANCE)
    if stratum.reach is not None:
        density = density_ratio(component, places.radius, stratum.reach)
        inside &= rng.random(n) < density / _highest_density(stratum.reach)
    component = component[inside]
    age = age[inside]
    places = _select_rows(places, inside)

    m_h, alpha_m = draw_composition(component, age, places.radius, rng)
    evolution = load_evolution()
    tracks = evolution.isochrone(age, m_h)
    star, exists = draw_evolved(tracks, stratum, rng, evolution.phases(age))
    keep = exists & _may_be_seen(star, places.distance, faintest)
    star = star.select(keep)
    places = _select_rows(places, keep)
    n_kept = len(places.distance)
    return Population(
        orbits=draw_orbits(
            star, tracks[keep], places.distance, rng, short=stratum.pairs == "detached"
        ),
        component=component[keep],
        age=age[keep],
        m_h=m_h[keep] - settle(star.mass, age[keep], star.logg),
        alpha_m=alpha_m[keep],
        natal_c_n=rng.normal(0.0, NATAL_SCATTER, n_kept),
        l=places.l,
        b=places.b,
        distance=places.distance,
        ebv=np.zeros(n_kept),  # filled in by draw_population
        r_v=_draw_r_v(n_kept, rng),
        star=star,
        pulsation=draw_pulsation(star, rng),
    )


def _draw_pulsators(
    n: int, stratum: Stratum, rng: np.random.Generator, faintest: dict[str, float]
) -> Population:
    """Single stars of one class of variables."""
    drawn = draw_pulsators(stratum.variability, n, rng)
    old = CLASSES[stratum.variability].old
    star = Evolved(
        initial_mass=drawn.mass,
        mass=drawn.mass,
        luminosity=drawn.luminosity,
        teff=drawn.teff,
        logg=surface_gravity(drawn.mass, drawn.luminosity, drawn.teff),
        phase=np.full(n, -1),
    )
    variability = np.full(n, stratum.variability, CLASS_NAME)
    return _place_stars(
        star,
        no_orbits(n),
        Pulsation(variability, drawn.period, drawn.amplitude),
        drawn.age,
        drawn.m_h,
        _Home(old, stratum.reach, faintest),
        rng,
    )


def _draw_close_pairs(
    n: int, stratum: Stratum, rng: np.random.Generator, faintest: dict[str, float]
) -> Population:
    """Contact or semi-detached binaries, of the thin disc."""
    pairs = draw_close_pairs(stratum.pairs, n, rng)
    return _place_stars(
        pairs.primary,
        pairs.orbits,
        no_pulsation(len(pairs.age)),
        pairs.age,
        pairs.m_h,
        _Home(False, stratum.reach, faintest),
        rng,
    )


@dataclass(frozen=True)
class _Home:
    """Where stars without isochrones are: old ones in the halo and the thick disc."""

    old: bool
    reach: float | None
    faintest: dict[str, float]


def _place_stars(
    star: Evolved,
    orbits: Orbits,
    pulsation: Pulsation,
    age: np.ndarray,
    m_h: np.ndarray,
    home: _Home,
    rng: np.random.Generator,
) -> Population:
    """Give stars their places, and leave out those that are too far or too faint."""
    n = len(age)
    component = rng.choice([1, 2], n) if home.old else np.zeros(n, int)
    places = draw_places(component, age, rng, home.reach)
    stars = Population(
        component=component,
        age=age,
        m_h=np.clip(m_h, *M_H_RANGE),
        alpha_m=np.full(n, OLD_ALPHA_M if home.old else 0.0),
        natal_c_n=rng.normal(0.0, NATAL_SCATTER, n),
        l=places.l,
        b=places.b,
        distance=places.distance,
        ebv=np.zeros(n),  # filled in by draw_population
        r_v=_draw_r_v(n, rng),
        star=star,
        orbits=orbits,
        pulsation=pulsation,
    )
    near = stars.distance < (home.reach or MAX_DISTANCE)
    return stars.select(near & _may_be_seen(star, stars.distance, home.faintest))


def _draw_r_v(n: int, rng: np.random.Generator) -> np.ndarray:
    r_v = rng.normal(MEAN_R_V, R_V_SCATTER, n)
    return np.clip(r_v, *R_V_RANGE)


def _may_be_seen(star: Evolved, distance: np.ndarray, faintest: dict[str, float]) -> np.ndarray:
    """False only for stars that no companion as bright as they could lift over the limits."""
    modulus = distance_modulus(distance)
    seen = np.full(len(distance), True)
    absolute = absolute_magnitudes(star.luminosity, star.teff)
    for band, magnitude in absolute.items():
        limit = faintest.get(band, np.inf) + ROUGHNESS[band] + PAIR
        seen &= magnitude + modulus < limit
    return seen
