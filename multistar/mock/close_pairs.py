"""Close binaries: pairs that touch (contact), and pairs of which one star fills its lobe."""

from dataclasses import dataclass

import numpy as np

from multistar.mock.binaries import SOLAR_RADII_PER_AU, Orbits, semi_major_axis
from multistar.mock.phases import Evolved, surface_gravity
from multistar.mock.variability.close_binaries import contact_radii, lobe_radius
from multistar.mock.variability.drawn import lifetime, log_uniform, luminosity_of

CONTACT_AGES = (1.0, 10.0)  # Gyr, of contact binaries: they take long to come together
SHORTEST, LONGEST = 0.22, 1.1  # d, of contact binaries
TYPICAL_PERIOD, PERIOD_SCATTER = 0.37, 0.28  # d; in ln
ALGOL_PERIODS = (0.8, 12.0)  # d
EDGE_ON_SHARE, EDGE_ON_COSINE = 0.75, 0.5  # such pairs are the ones that surveys find
LARGEST_FILL = 0.98  # of star 1 within its lobe
NO_PHASE = -1  # of stars that are not from isochrones


@dataclass(frozen=True)
class ClosePairs:
    """Close binaries, one row each; the primary is the more massive star."""

    primary: Evolved
    orbits: Orbits
    age: np.ndarray  # (n,) Gyr
    m_h: np.ndarray  # (n,) dex

    def select(self, rows: np.ndarray) -> "ClosePairs":
        """The pairs of some rows (a mask or indices)."""
        return ClosePairs(
            self.primary.select(rows), self.orbits.select(rows), self.age[rows], self.m_h[rows]
        )


def draw_close_pairs(kind: str, n: int, rng: np.random.Generator) -> ClosePairs:
    """Draw at most n pairs.

    Parameters
    ----------
    kind : str
        A key of KINDS: "contact" (W Ursae Majoris stars) or "semidetached" (Algols).
    n : int
        Number of pairs drawn; those whose stars would overlap are left out.
    rng : numpy.random.Generator
        Source of all random numbers.
    """
    return KINDS[kind](n, rng)


def _draw_contact(n: int, rng: np.random.Generator) -> ClosePairs:
    """Periods of W UMa stars; mass by period (Gazeas & Stepien 2008) and Teff by it, from memory.

    Both stars share an envelope, so that their Teff differ by a few per cent only.
    """
    period = np.clip(rng.lognormal(np.log(TYPICAL_PERIOD), PERIOD_SCATTER, n), SHORTEST, LONGEST)
    mass = 10 ** (0.755 * np.log10(period) + 0.416 + rng.normal(0, 0.04, n))
    mass_ratio = np.clip(rng.beta(1.6, 2.0, n), 0.08, 1.0)
    fill_out = np.clip(rng.beta(1.3, 3.0, n), 0.02, 0.95)
    teff = np.clip(5750 * np.sqrt(period / 0.35) + rng.normal(0, 250, n), 3900, 8800)
    pair = _Pair(
        period=period,
        masses=np.stack([mass, mass_ratio * mass], 1),
        radii=contact_radii(mass_ratio, fill_out),
        teffs=np.stack([teff, teff * rng.uniform(0.95, 1.05, n)], 1),
    )
    return ClosePairs(
        primary=pair.star(0),
        orbits=pair.orbits(fill_out, rng),
        age=rng.uniform(*CONTACT_AGES, n),
        m_h=rng.normal(-0.1, 0.2, n),
    )


def _draw_semidetached(n: int, rng: np.random.Generator) -> ClosePairs:
    """Algols: an A or B star of the main sequence, and a cooler star that lost mass to it.

    Radii by mass, R = M^0.6, and up to 1.8 times that; Teff by mass, from memory of dwarfs. The age
    is that of the star that now is the lighter one, three halves as heavy at birth as star 1 now.
    """
    mass = log_uniform((1.5, 5.0), n, rng)
    mass_ratio = np.clip(rng.beta(2.0, 4.0, n), 0.1, 0.9)
    period = log_uniform(ALGOL_PERIODS, n, rng)
    axis = semi_major_axis(period, mass * (1 + mass_ratio)) * SOLAR_RADII_PER_AU
    radius = mass**0.6 * rng.uniform(1.0, 1.8, n) / axis
    teff = np.clip(5900 * mass**0.57 + rng.normal(0, 300, n), 6300, 15500)
    pair = _Pair(
        period=period,
        masses=np.stack([mass, mass_ratio * mass], 1),
        radii=np.stack([radius, 0.99 * lobe_radius(mass_ratio)], 1),
        teffs=np.stack([teff, np.clip(rng.normal(4900, 500, n), 3900, teff)], 1),
    )
    drawn = ClosePairs(
        primary=pair.star(0),
        orbits=pair.orbits(np.full(n, np.nan), rng),
        age=lifetime(1.5 * mass),
        m_h=rng.normal(0.0, 0.2, n),
    )
    return drawn.select(radius < LARGEST_FILL * lobe_radius(1 / mass_ratio))


@dataclass(frozen=True)
class _Pair:
    """Both stars of n pairs."""

    period: np.ndarray  # (n,) d
    masses: np.ndarray  # (n, 2) Msun
    radii: np.ndarray  # (n, 2), in units of the semi-major axis
    teffs: np.ndarray  # (n, 2) K

    def star(self, which: int) -> Evolved:
        mass, teff = self.masses[:, which], self.teffs[:, which]
        axis = semi_major_axis(self.period, self.masses.sum(1)) * SOLAR_RADII_PER_AU
        luminosity = luminosity_of(self.radii[:, which] * axis, teff)
        return Evolved(
            initial_mass=mass,
            mass=mass,
            luminosity=luminosity,
            teff=teff,
            logg=surface_gravity(mass, luminosity, teff),
            phase=np.full(len(mass), NO_PHASE),
        )

    def orbits(self, fill_out: np.ndarray, rng: np.random.Generator) -> Orbits:
        """Orbits of which at least 3 in 4 are seen from near their planes."""
        n = len(self.period)
        cosine = rng.random(n) * np.where(rng.random(n) < EDGE_ON_SHARE, EDGE_ON_COSINE, 1)
        return Orbits(
            period=self.period,
            scaled_axis=1 / self.radii[:, 0],
            inclination=np.degrees(np.arccos(cosine)),
            mass_ratio=self.masses[:, 1] / self.masses[:, 0],
            radius_ratio=self.radii[:, 1] / self.radii[:, 0],
            fill_out=fill_out,
            companion=self.star(1),
        )


KINDS = {"contact": _draw_contact, "semidetached": _draw_semidetached}
