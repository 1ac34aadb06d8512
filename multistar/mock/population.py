"""Stellar systems drawn from the Milky Way: a star, perhaps an unresolved companion, behind dust."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from multistar.mock.binaries import Orbits, draw_orbits, no_orbits
from multistar.mock.dust import R_SUN, DustDisc
from multistar.mock.evolution import load_evolution
from multistar.mock.galaxy import M_H_RANGE, density_ratio, draw_ages, draw_composition, draw_places
from multistar.mock.phases import Evolved, Stratum, draw_evolved, most_numerous, surface_gravity
from multistar.mock.pulsating import CLASS_NAME, OLD_CLASSES, Pulsation, natural_pulsation
from multistar.mock.variability.pulsators import draw_pulsators

MAX_DISTANCE = 11.0  # kpc
LOGG_DREDGE_UP, LOGG_BUMP = 3.45, 2.3  # where the surface abundances of a giant change
NATAL_SCATTER = 0.05  # dex in [C/N]; our choice, and what limits the mass information of a spectrum


@dataclass
class Population:
    """One row per system: arrays are (n,). `star` is the primary, `orbits.companion` the other star, if any."""

    component: np.ndarray  # index into galaxy.COMPONENTS
    age: np.ndarray  # Gyr
    m_h: np.ndarray  # dex
    alpha_m: np.ndarray  # dex
    natal_c_n: np.ndarray  # [C/N] at birth, dex
    l: np.ndarray  # noqa: E741 - Galactic longitude, rad
    b: np.ndarray  # Galactic latitude, rad
    distance: np.ndarray  # kpc
    ebv: np.ndarray  # mag
    r_v: np.ndarray  # A(V) / E(B-V)
    star: Evolved
    orbits: Orbits
    pulsation: Pulsation

    @property
    def c_n(self) -> np.ndarray:
        """[C/N] of the primary, dex."""
        return self.natal_c_n + dredge_up(self.star.mass, self.m_h, self.star.logg)

    def __len__(self) -> int:
        return len(self.age)

    def select(self, rows: np.ndarray | slice) -> "Population":
        return Population(**{name: _select(value, rows) for name, value in vars(self).items()})


def _select(value: Any, rows) -> Any:
    if isinstance(value, np.ndarray):
        return value[rows]
    return type(value)(**{name: _select(x, rows) for name, x in vars(value).items()})


def concatenate(parts: list[Any]) -> Any:
    """Populations (or any of their fields) end to end."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return type(parts[0])(
        **{name: concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    )


def dredge_up(mass, m_h, logg) -> np.ndarray:
    """Change of [C/N], dex: the first dredge-up, larger in massive giants, then extra mixing in metal-poor ones.

    The shape follows Salaris et al. (2015) and Martig et al. (2016); the constants are our own. It is
    the only way that a spectrum knows of the mass directly.
    """
    first = 0.10 + 0.50 * (1 - np.exp(-np.maximum(mass - 0.85, 0) / 0.55))
    onset = 1 / (1 + np.exp((logg - LOGG_DREDGE_UP) / 0.08))
    above_bump = 1 / (1 + np.exp((logg - LOGG_BUMP) / 0.08))
    return -(first + 0.35 * np.clip(-0.4 - m_h, 0, 1.2) * above_bump) * onset


def absolute_magnitudes(luminosity, teff) -> dict[str, np.ndarray]:
    """Rough absolute G and H (fits to our own spectra, good to 0.4 and 0.2 mag), to drop faint stars early."""
    x = np.log10(np.clip(teff, 3500, 8000) / 4750)
    light = 2.5 * np.log10(luminosity)
    g = 4.856 - 3.353 * x + 17.296 * x**2 - 36.852 * x**3 - light
    h = 2.724 + 6.460 * x + 3.335 * x**2 - 12.446 * x**3 - light
    return {"g": g, "h": h}


ROUGHNESS = {"g": 0.45, "h": 0.25}  # mag: the worst error of `absolute_magnitudes`
PAIR = 2.5 * np.log10(2)  # mag by which a companion as bright as the primary raises it


def shares(strata: tuple[Stratum, ...]) -> np.ndarray:
    """How candidates are divided among strata so that all stand for the same number of stars ever formed.

    Strata of pulsation classes are divided evenly: how many such stars there are is not modelled.
    """
    if all(s.variability for s in strata):
        return np.full(len(strata), 1 / len(strata))
    scale = [most_numerous(s) * (1.0 if s.reach is None else _densest(s.reach)) for s in strata]
    return np.array(scale) / sum(scale)


def _densest(reach: float) -> float:
    """The largest `density_ratio` in the cylinder: at the point nearest to the Galactic centre."""
    component = np.arange(3)
    return float(density_ratio(component, np.full(3, R_SUN - reach), reach).max())


def draw_population(
    n: int, rng: np.random.Generator, dust: DustDisc, strata, faintest: dict[str, float]
) -> Population:
    """The systems among `n` candidates that may be brighter than `faintest` [mag] in every band it names (g, h)."""
    sizes = np.diff(np.round(np.r_[0, np.cumsum(shares(strata))] * n).astype(int))
    draws = [_draw_pulsators if s.variability else _draw_stratum for s in strata]
    parts = [
        draw(n, s, rng, faintest) for draw, n, s in zip(draws, sizes, strata, strict=True) if n
    ]
    stars = concatenate(parts)
    unresolved_dust = rng.lognormal(0, 0.08, len(stars))
    stars.ebv = unresolved_dust * dust.ebv(stars.l, stars.b, stars.distance)
    return stars


def _draw_stratum(
    n: int, stratum: Stratum, rng: np.random.Generator, faintest: dict[str, float]
) -> Population:
    component, age = draw_ages(n, rng)
    places = draw_places(component, age, rng, stratum.reach)
    here = places.distance < (stratum.reach or MAX_DISTANCE)
    if stratum.reach is not None:
        ratio = density_ratio(component, places.radius, stratum.reach) / _densest(stratum.reach)
        here &= rng.random(n) < ratio
    component, age = component[here], age[here]
    places = _select(places, here)
    m_h, alpha_m = draw_composition(component, age, places.radius, rng)
    tracks = load_evolution().isochrone(age, m_h)
    star, exists = draw_evolved(tracks, stratum, rng)
    bright = exists & _may_be_seen(star, places.distance, faintest)
    star, m_h, distance = star.select(bright), m_h[bright], places.distance[bright]
    orbits = draw_orbits(star, tracks[bright], distance, rng)
    return Population(
        component=component[bright],
        age=age[bright],
        m_h=m_h,
        alpha_m=alpha_m[bright],
        natal_c_n=rng.normal(0.0, NATAL_SCATTER, len(distance)),
        l=places.l[bright],
        b=places.b[bright],
        distance=distance,
        ebv=np.zeros(len(distance)),
        r_v=np.clip(rng.normal(3.1, 0.18, len(distance)), 2.5, 4.1),
        star=star,
        orbits=orbits,
        pulsation=natural_pulsation(star, rng),
    )


def _draw_pulsators(
    n: int, stratum: Stratum, rng: np.random.Generator, faintest: dict[str, float]
) -> Population:
    """Single stars of one pulsation class: RR Lyrae from the halo and the thick disc, others from the thin disc."""
    drawn = draw_pulsators(stratum.variability, n, rng)
    old = stratum.variability in OLD_CLASSES
    component = rng.choice([1, 2], n) if old else np.zeros(n, int)
    places = draw_places(component, drawn.age, rng, stratum.reach)
    alpha_m = np.full(n, 0.3 if old else 0.0)
    logg = surface_gravity(drawn.mass, drawn.luminosity, drawn.teff)
    star = Evolved(drawn.mass, drawn.mass, drawn.luminosity, drawn.teff, logg, np.full(n, -1))
    stars = Population(
        component=component,
        age=drawn.age,
        m_h=np.clip(drawn.m_h, *M_H_RANGE),
        alpha_m=alpha_m,
        natal_c_n=rng.normal(0.0, NATAL_SCATTER, n),
        l=places.l,
        b=places.b,
        distance=places.distance,
        ebv=np.zeros(n),
        r_v=np.clip(rng.normal(3.1, 0.18, n), 2.5, 4.1),
        star=star,
        orbits=no_orbits(n),
        pulsation=Pulsation(
            np.full(n, stratum.variability, CLASS_NAME), drawn.period, drawn.amplitude
        ),
    )
    near = (places.distance < MAX_DISTANCE) & _may_be_seen(star, places.distance, faintest)
    return stars.select(near)


def _may_be_seen(star: Evolved, distance: np.ndarray, faintest: dict[str, float]) -> np.ndarray:
    """False only for stars that no companion as bright as they could lift over the limits."""
    modulus = 5 * np.log10(distance * 100)
    seen = np.full(len(distance), True)
    for band, magnitude in absolute_magnitudes(star.luminosity, star.teff).items():
        limit = faintest.get(band, np.inf) + ROUGHNESS[band] + PAIR
        seen &= magnitude + modulus < limit
    return seen
