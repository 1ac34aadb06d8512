"""The Milky Way's stars: which component, how old, where, and of what composition."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.dust import R_SUN, Z_SUN

COMPONENTS = ("thin", "thick", "halo")
FRACTIONS = (0.80, 0.17, 0.03)
SCALE_LENGTH = np.array([2.6, 2.0, 3.5])  # kpc
SECTOR = 0.9  # rad; the Galaxy within this angle of the Sun as seen from its centre
NEARBY = R_SUN * np.sin(SECTOR)  # kpc; a circle around the Sun of this radius lies in the sector
AGE_RANGE = (0.001, 12.6)  # Gyr
M_H_RANGE = (-2.1, 0.5)
# Gyr: ages of the stars that a draw is of, by when they were born. "history" is the Galaxy's own
# but for the last 0.1 Gyr; "newborn" is these, at a constant rate; "young" has equally many per
# factor in age, and so has "clusters", to the age of the disc. The latter three are of the thin disc.
BIRTHS = {
    "history": (0.1, 12.6),
    "newborn": (0.001, 0.1),
    "young": (0.001, 1.0),
    "clusters": (0.001, 10.0),
}
DISC_AGE, DISC_E_FOLD = 10, 14  # Gyr; the thin disc's star formation
ALPHA_SCATTER = 0.025  # dex


@dataclass(frozen=True)
class Places:
    """Where stars are; every array is (n,)."""

    l: np.ndarray  # noqa: E741 - Galactic longitude, rad
    b: np.ndarray  # Galactic latitude, rad
    distance: np.ndarray  # from the Sun, kpc
    radius: np.ndarray  # Galactocentric, kpc


def newborn_share() -> float:
    """Share of the Galaxy's stars that formed in the time of "newborn"."""
    youngest, oldest = BIRTHS["newborn"]
    decline = np.exp(-DISC_AGE / DISC_E_FOLD)
    rate_today = decline / (DISC_E_FOLD * (1 - decline))
    return FRACTIONS[0] * rate_today * (oldest - youngest)


def draw_ages(
    n: int,
    rng: np.random.Generator,
    fractions: tuple[float, float, float] = FRACTIONS,
    born: str = "history",
) -> tuple[np.ndarray, np.ndarray]:
    """Draw components and ages.

    The thin disc formed stars for 10 Gyr with an e-fold of 14 Gyr.

    Parameters
    ----------
    n : int
        Number of stars.
    rng : numpy.random.Generator
        Source of all random numbers.
    fractions : tuple of float
        Shares of COMPONENTS.
    born : str
        When: a key of BIRTHS.

    Returns
    -------
    component : (n,) array
        Index into COMPONENTS.
    age : (n,) array
        Age, Gyr.
    """
    youngest, oldest = BIRTHS[born]
    if born == "newborn":
        return np.zeros(n, int), rng.uniform(youngest, oldest, n)
    if born in ("young", "clusters"):
        return np.zeros(n, int), np.exp(rng.uniform(np.log(youngest), np.log(oldest), n))
    component = rng.choice(len(COMPONENTS), n, p=fractions)
    decline = 1 - np.exp(-DISC_AGE / DISC_E_FOLD)
    formed = rng.random(n) * decline
    since_start = -DISC_E_FOLD * np.log(1 - formed)
    thin = np.clip(DISC_AGE - since_start, youngest, DISC_AGE)
    thick = rng.normal(10.0, 1.2, n)
    thick = np.clip(thick, 7, oldest)
    halo = rng.normal(12.0, 0.6, n)
    halo = np.clip(halo, 10, oldest)
    return component, np.choose(component, [thin, thick, halo])


def draw_composition(
    component: np.ndarray, age: np.ndarray, radius: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the composition of stars.

    The thin disc's metallicity has a gradient in Galactocentric radius and age.

    Parameters
    ----------
    component : (n,) array
        Index into COMPONENTS.
    age, radius : (n,) array
        Age [Gyr] and Galactocentric radius [kpc].
    rng : numpy.random.Generator
        Source of all random numbers.

    Returns
    -------
    m_h, alpha_m : (n,) array
        [M/H] and [alpha/M], dex.
    """
    n = len(age)
    outwards = np.clip(radius, 4, 14) - R_SUN
    gradient = 0.10 - 0.045 * outwards - 0.022 * age
    thin_scatter = 0.06 + 0.017 * age
    thin = gradient + rng.normal(size=n) * thin_scatter
    thick = rng.normal(-0.55, 0.25, n) - 0.05 * (age - 10)
    halo = rng.normal(-1.5, 0.45, n)
    m_h = np.choose(component, [thin, thick, halo])
    m_h = _fold_back(m_h, *M_H_RANGE)

    thin_alpha = np.clip(0.04 - 0.12 * m_h, -0.05, 0.2)
    thick_alpha = np.clip(0.22 - 0.12 * (m_h + 0.5), 0.05, 0.32)
    halo_alpha = np.full(n, 0.30)
    alpha_m = np.choose(component, [thin_alpha, thick_alpha, halo_alpha])
    return m_h, alpha_m + rng.normal(0, ALPHA_SCATTER, n)


def _fold_back(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Reflect values at the limits of a range, so that none piles up there."""
    from_high = 2 * high - values
    from_low = 2 * low - values
    folded = np.where(values > high, from_high, values)
    folded = np.where(values < low, from_low, folded)
    return np.clip(folded, low, high)


def draw_places(
    component: np.ndarray, age: np.ndarray, rng: np.random.Generator, reach: float | None
) -> Places:
    """Draw positions from the sector's exponential discs or from a cylinder around the Sun.

    In the cylinder the surface density is uniform; `density_ratio` makes up for it. Heights are
    exponential either way.

    Parameters
    ----------
    component : (n,) array
        Index into COMPONENTS.
    age : (n,) array
        Age, Gyr; older stars of the thin disc are higher.
    rng : numpy.random.Generator
        Source of all random numbers.
    reach : float or None
        Radius of the cylinder, kpc; None draws from the whole sector.
    """
    n = len(age)
    thin = 0.10 + 0.035 * age
    thick = np.full(n, 0.8)
    halo = np.full(n, 3.0)
    scale_height = np.choose(component, [thin, thick, halo])
    z = rng.laplace(0, 1, n) * scale_height - Z_SUN
    if reach is None:
        radius = rng.gamma(2, 1, n) * SCALE_LENGTH[component]
        azimuth = rng.uniform(-SECTOR, SECTOR, n)
        x = R_SUN - radius * np.cos(azimuth)
        y = radius * np.sin(azimuth)
    else:
        share = np.sqrt(rng.random(n))
        from_sun = reach * share
        azimuth = rng.uniform(-np.pi, np.pi, n)
        x = from_sun * np.cos(azimuth)
        y = from_sun * np.sin(azimuth)
        radius = np.hypot(R_SUN - x, y)
    distance = np.sqrt(x**2 + y**2 + z**2)
    longitude = np.arctan2(y, x)
    latitude = np.arcsin(z / distance)
    return Places(longitude, latitude, distance, radius)


def density_ratio(component: np.ndarray, radius: np.ndarray, reach: float) -> np.ndarray:
    """Surface density of a component over that of the cylinder's uniform draw.

    The sector's discs have surface density exp(-R / L) / (2 SECTOR L^2), the cylinder's
    1 / (pi reach^2).

    Parameters
    ----------
    component : (n,) array
        Index into COMPONENTS.
    radius : (n,) array
        Galactocentric radius, kpc.
    reach : float
        Radius of the cylinder, kpc.

    Returns
    -------
    (n,) array
        The ratio at each radius.

    Raises
    ------
    ValueError
        If the cylinder leaves the sector.
    """
    if reach > NEARBY:
        raise ValueError(
            f"reach must be at most {NEARBY:.1f} kpc, or the cylinder leaves the sector; "
            f"got {reach}"
        )
    length = SCALE_LENGTH[component]
    cylinder_area = np.pi * reach**2
    sector_area = 2 * SECTOR * length**2
    return cylinder_area * np.exp(-radius / length) / sector_area
