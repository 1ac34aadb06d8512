"""The Milky Way's stars: which component, how old, where, and of what composition."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.dust import R_SUN, Z_SUN

COMPONENTS = ("thin", "thick", "halo")
FRACTIONS = (0.80, 0.17, 0.03)
SCALE_LENGTH = np.array([2.6, 2.0, 3.5])  # kpc
SECTOR = 0.9  # rad; the Galaxy within this angle of the Sun as seen from its centre
NEARBY = R_SUN * np.sin(SECTOR)  # kpc; a circle around the Sun of this radius lies in the sector
AGE_RANGE = (0.1, 12.6)  # Gyr
M_H_RANGE = (-2.1, 0.5)


@dataclass(frozen=True)
class Places:
    """Galactic l, b [rad], distance from the Sun and Galactocentric radius [kpc], all (n,)."""

    l: np.ndarray  # noqa: E741
    b: np.ndarray
    distance: np.ndarray
    radius: np.ndarray


def draw_ages(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Component index and age [Gyr]: the thin disc formed stars for 10 Gyr with an e-fold of 14 Gyr."""
    component = rng.choice(3, n, p=FRACTIONS)
    since = -14 * np.log(1 - rng.random(n) * (1 - np.exp(-10 / 14)))
    thin = np.clip(10 - since, AGE_RANGE[0], 10)
    thick = np.clip(rng.normal(10.0, 1.2, n), 7, AGE_RANGE[1])
    halo = np.clip(rng.normal(12.0, 0.6, n), 10, AGE_RANGE[1])
    return component, np.choose(component, [thin, thick, halo])


def draw_composition(
    component, age, radius, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """[M/H] with the thin disc's gradient in Galactocentric radius [kpc] and age, and [alpha/M]."""
    n = len(age)
    gradient = 0.10 - 0.045 * (np.clip(radius, 4, 14) - R_SUN) - 0.022 * age
    thin = gradient + rng.normal(size=n) * (0.06 + 0.017 * age)
    thick = rng.normal(-0.55, 0.25, n) - 0.05 * (age - 10)
    halo = rng.normal(-1.5, 0.45, n)
    m_h = np.choose(component, [thin, thick, halo])
    low, high = M_H_RANGE
    m_h = np.clip(
        np.where(m_h < low, 2 * low - m_h, np.where(m_h > high, 2 * high - m_h, m_h)), low, high
    )  # folded back
    thin_alpha = np.clip(0.04 - 0.12 * m_h, -0.05, 0.2)
    thick_alpha = np.clip(0.22 - 0.12 * (m_h + 0.5), 0.05, 0.32)
    alpha_m = np.choose(component, [thin_alpha, thick_alpha, np.full(n, 0.30)])
    return m_h, alpha_m + rng.normal(0, 0.025, n)


def draw_places(component, age, rng: np.random.Generator, reach: float | None) -> Places:
    """Positions from the sector's exponential discs or, with `reach` [kpc], from a cylinder around the Sun.

    In the cylinder the surface density is uniform; `density_ratio` makes up for it. Heights are exponential either way.
    """
    n = len(age)
    height = np.choose(component, [0.10 + 0.035 * age, np.full(n, 0.8), np.full(n, 3.0)])
    z = rng.laplace(0, 1, n) * height - Z_SUN
    if reach is None:
        radius = rng.gamma(2, 1, n) * SCALE_LENGTH[component]
        azimuth = rng.uniform(-SECTOR, SECTOR, n)
        x, y = R_SUN - radius * np.cos(azimuth), radius * np.sin(azimuth)
    else:
        flat, azimuth = reach * np.sqrt(rng.random(n)), rng.uniform(-np.pi, np.pi, n)
        x, y = flat * np.cos(azimuth), flat * np.sin(azimuth)
        radius = np.hypot(R_SUN - x, y)
    distance = np.sqrt(x**2 + y**2 + z**2)
    return Places(np.arctan2(y, x), np.arcsin(z / distance), distance, radius)


def density_ratio(component, radius, reach: float) -> np.ndarray:
    """(n,) surface density of the component at `radius` [kpc] over that of the cylinder's uniform draw.

    The sector's discs have surface density exp(-R / L) / (2 SECTOR L^2), the cylinder's 1 / (pi reach^2).
    """
    if reach > NEARBY:
        raise ValueError(
            f"reach must be at most {NEARBY:.1f} kpc, or the cylinder leaves the sector; got {reach}"
        )
    length = SCALE_LENGTH[component]
    return np.pi * reach**2 * np.exp(-radius / length) / (2 * SECTOR * length**2)
