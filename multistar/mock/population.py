"""Where the giants of the Milky Way are, how old, of what mass and composition."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from multistar.mock.dust import R_SUN, Z_SUN, DustDisc
from multistar.mock.evolution import COLUMNS, load_evolution

COMPONENTS = ("thin", "thick", "halo")
FRACTIONS = (0.80, 0.17, 0.03)
MAX_DISTANCE = 11.0  # kpc
TEFF_RANGE = (3800.0, 5800.0)  # K; below 3800 K the model atmospheres have far too much TiO
LOGG_RANGE = (0.0, 3.6)
SOLAR_LOGG, SOLAR_TEFF = 4.438, 5772.0


@dataclass
class Population:
    """One row per star: every field is (n,)."""

    component: np.ndarray  # index into COMPONENTS
    age: np.ndarray  # Gyr
    m_h: np.ndarray  # dex
    alpha_m: np.ndarray  # dex
    c_n: np.ndarray  # [C/N], dex
    mass: np.ndarray  # present mass, Msun
    radius: np.ndarray  # Rsun
    teff: np.ndarray  # K
    logg: np.ndarray  # dex (cgs)
    l: np.ndarray  # noqa: E741 - Galactic longitude, rad
    b: np.ndarray  # Galactic latitude, rad
    distance: np.ndarray  # kpc
    ebv: np.ndarray  # mag
    r_v: np.ndarray  # A(V) / E(B-V)

    def __len__(self) -> int:
        return len(self.age)

    def select(self, rows: np.ndarray | slice) -> "Population":
        return Population(**{name: values[rows] for name, values in vars(self).items()})


def draw_ages(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Component index and age [Gyr]: the thin disc formed stars for 10 Gyr with an e-fold of 14 Gyr."""
    component = rng.choice(3, n, p=FRACTIONS)
    since = -14 * np.log(1 - rng.random(n) * (1 - np.exp(-10 / 14)))
    thin = np.clip(10 - since, 0.3, 10)
    thick = np.clip(rng.normal(10.0, 1.2, n), 7, 12.6)
    halo = np.clip(rng.normal(12.0, 0.6, n), 10, 12.6)
    return component, np.choose(component, [thin, thick, halo])


def draw_composition(component, age, radius, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """[M/H] with the thin disc's gradient in Galactocentric radius [kpc] and age, and [alpha/M]."""
    n = len(age)
    gradient = 0.10 - 0.045 * (np.clip(radius, 4, 14) - R_SUN) - 0.022 * age
    thin = gradient + rng.normal(size=n) * (0.06 + 0.017 * age)
    thick = rng.normal(-0.55, 0.25, n) - 0.05 * (age - 10)
    halo = rng.normal(-1.5, 0.45, n)
    m_h = np.clip(np.choose(component, [thin, thick, halo]), -2.1, 0.5)
    thin_alpha = np.clip(0.04 - 0.12 * m_h, -0.05, 0.2)
    thick_alpha = np.clip(0.22 - 0.12 * (m_h + 0.5), 0.05, 0.32)
    alpha_m = np.choose(component, [thin_alpha, thick_alpha, np.full(n, 0.30)])
    return m_h, alpha_m + rng.normal(0, 0.025, n)


def draw_positions(component, age, rng: np.random.Generator):
    """Galactic l, b [rad], distance from the Sun and Galactocentric radius [kpc]."""
    n = len(age)
    height = np.choose(component, [0.10 + 0.035 * age, np.full(n, 0.8), np.full(n, 3.0)])
    length = np.array([2.6, 2.0, 3.5])[component]
    radius = rng.gamma(2, 1, n) * length
    azimuth = rng.uniform(-0.9, 0.9, n)  # the sector around the Sun
    x = R_SUN - radius * np.cos(azimuth)
    y = radius * np.sin(azimuth)
    z = rng.laplace(0, 1, n) * height - Z_SUN
    distance = np.sqrt(x**2 + y**2 + z**2)
    return np.arctan2(y, x), np.arcsin(z / distance), distance, radius


def carbon_to_nitrogen(mass, m_h, logg, rng: np.random.Generator) -> np.ndarray:
    """[C/N] after the first dredge-up, lower for massive giants, and after extra mixing when metal-poor.

    The shape follows Salaris et al. (2015) and Martig et al. (2016); the constants are our own, as is
    the natal scatter of 0.05 dex. It is the only way that a spectrum knows of the mass directly.
    """
    dredge_up = 0.10 + 0.50 * (1 - np.exp(-np.maximum(mass - 0.85, 0) / 0.55))
    onset = 1 / (1 + np.exp((logg - 3.45) / 0.08))
    above_bump = 1 / (1 + np.exp((logg - 2.3) / 0.08))
    extra = 0.35 * np.clip(-0.4 - m_h, 0, 1.2) * above_bump
    return rng.normal(0.0, 0.05, len(mass)) - (dredge_up + extra) * onset


def chabrier(mass: np.ndarray) -> np.ndarray:
    """Chabrier (2003) initial mass function, number per unit mass up to a constant."""
    low = 0.158 / mass * np.exp(-(np.log10(mass / 0.08) ** 2) / (2 * 0.69**2))
    return np.where(mass < 1, low, 0.0443 * mass**-2.3)


def draw_evolved(age, m_h, rng: np.random.Generator):
    """Giants of each (age, [M/H]): mass, luminosity [solar], Teff [K], and which rows there are at all.

    EEPs are drawn with the weight of the stars that they stand for (initial mass function times
    mass interval, which is time), then moved a random part of the way to a neighbour in the same phase.
    A row exists with a probability proportional to the giants per star formed at that age and [M/H].
    """
    evolution = load_evolution()
    tracks = evolution.isochrone(age, m_h)
    inside, weight = _giant_weights(tracks)
    cumulative = np.cumsum(weight, axis=1)
    total = cumulative[:, -1]
    last = tracks.shape[1] - 1
    point = np.minimum(np.sum(cumulative < (rng.random(len(age)) * total)[:, None], axis=1), last)
    neighbour = np.clip(point + rng.choice([-1, 1], len(age)), 0, last)
    rows = np.arange(len(age))
    same = (evolution.phase[neighbour] == evolution.phase[point]) & inside[rows, neighbour]
    neighbour = np.where(same, neighbour, point)
    step = (rng.random(len(age)) * 0.5)[:, None]
    drawn = tracks[rows, point] * (1 - step) + tracks[rows, neighbour] * step
    drawn_mass = 10 ** (drawn[:, 0] + drawn[:, 3])
    exists = rng.random(len(age)) * _most_giants() < total
    return drawn_mass, 10 ** drawn[:, 1], 10 ** drawn[:, 2], exists


def _giant_weights(tracks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which points of the isochrones are giants of ours, and how many stars each stands for; (n, n_eep)."""
    initial, luminosity, teff = (10 ** tracks[..., COLUMNS.index(c)] for c in COLUMNS[:3])
    mass = initial * 10 ** tracks[..., COLUMNS.index("log_mass_ratio")]
    logg = surface_gravity(mass, luminosity, teff)
    inside = (teff > TEFF_RANGE[0]) & (teff < TEFF_RANGE[1]) & (logg > LOGG_RANGE[0]) & (logg < LOGG_RANGE[1])
    return inside, np.where(inside, chabrier(initial) * np.exp(tracks[..., COLUMNS.index("ln_mass_step")]), 0)


@lru_cache(maxsize=1)
def _most_giants() -> float:
    """The most giants per star formed at any age and [M/H]: the scale of `exists`."""
    age, m_h = (x.ravel() for x in np.meshgrid(np.geomspace(0.3, 12.6, 60), np.linspace(-2.1, 0.5, 14)))
    return float(_giant_weights(load_evolution().isochrone(age, m_h))[1].sum(1).max())


def surface_gravity(mass, luminosity, teff) -> np.ndarray:
    """logg [cgs dex] from mass, luminosity [solar] and Teff [K]."""
    return SOLAR_LOGG + np.log10(mass) - np.log10(luminosity) + 4 * np.log10(teff / SOLAR_TEFF)


def absolute_h(luminosity, teff) -> np.ndarray:
    """Absolute H magnitude within 0.07 mag (a fit to our own spectra), to drop faint stars early."""
    x = np.log10(teff / 4750)
    return 2.691 + 6.821 * x + 9.348 * x**2 - 2.5 * np.log10(luminosity)


def draw_population(n: int, rng: np.random.Generator, dust: DustDisc, h_limit: float) -> Population:
    """The giants among `n` candidate draws that can be brighter than `h_limit` [mag] in H.

    The yield depends on the selection (about one in five for H < 12.3).
    """
    component, age = draw_ages(n, rng)
    l, b, distance, radius = draw_positions(component, age, rng)  # noqa: E741
    m_h, alpha_m = draw_composition(component, age, radius, rng)
    mass, luminosity, teff, exists = draw_evolved(age, m_h, rng)
    logg = surface_gravity(mass, luminosity, teff)
    c_n = carbon_to_nitrogen(mass, m_h, logg, rng)
    extra_dust, r_v = rng.lognormal(0, 0.08, n), np.clip(rng.normal(3.1, 0.18, n), 2.5, 4.1)
    apparent = absolute_h(luminosity, teff) + 5 * np.log10(distance * 100)
    stars = Population(
        component=component, age=age, m_h=m_h, alpha_m=alpha_m, c_n=c_n, mass=mass,
        radius=np.sqrt(luminosity) * (SOLAR_TEFF / teff) ** 2, teff=teff, logg=logg,
        l=l, b=b, distance=distance, ebv=extra_dust, r_v=r_v,
    ).select(exists & (distance < MAX_DISTANCE) & (apparent < h_limit + 0.1))  # fmt: skip
    stars.ebv = stars.ebv * dust.ebv(stars.l, stars.b, stars.distance)
    return stars
