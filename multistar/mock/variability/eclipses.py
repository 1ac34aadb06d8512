"""Light curves of two spheres on a circular orbit: eclipses, tidal distortion and heating.

Lengths are in units of the orbit's semi-major axis. At t0 star 2 is in front of star 1 (primary
eclipse).
"""

from dataclasses import dataclass

import numpy as np

GRAVITY_DARKENING = 0.32  # Lucy (1967), convective envelopes
ALBEDO = 0.5  # bolometric, convective envelopes: Rucinski (1969), from memory

# Gauss-Legendre quadrature over (0, 1): a limb-darkened star is a stack of uniform discs.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_DISC_RADII = np.sqrt(1 - ((_NODES + 1) / 2) ** 2)
_DISC_WEIGHTS = _WEIGHTS / 2
_STACK_AREA = np.sum(_DISC_WEIGHTS * (1 - ((_NODES + 1) / 2) ** 2))  # 2/3


@dataclass(frozen=True)
class PairGeometry:
    """A circular orbit of two spheres.

    Attributes
    ----------
    period, t0 : float
        Period and time of a primary eclipse, d.
    inclination : float
        Angle between the orbit's axis and the line of sight, deg.
    radius_1, radius_2 : float
        Radii in units of the semi-major axis.

    Raises
    ------
    ValueError
        If the stars overlap (radius_1 + radius_2 >= 1).
    """

    period: float
    t0: float
    inclination: float
    radius_1: float
    radius_2: float

    def __post_init__(self):
        total = self.radius_1 + self.radius_2
        if not total < 1:
            raise ValueError(
                "radii are in units of the semi-major axis and must add up to < 1, "
                f"got {self.radius_1}, {self.radius_2}"
            )

    def phase_angle(self, time: np.ndarray | float) -> np.ndarray:
        """Orbital phase [rad] at `time` [d] (any shape), 0 at a primary eclipse."""
        since = np.asarray(time, float) - self.t0
        return 2 * np.pi / self.period * since


def overlap_area(distance, radius_1, radius_2) -> np.ndarray:
    """Area common to two discs whose centres are `distance` apart; the arguments broadcast."""
    distance, radius_1, radius_2 = np.broadcast_arrays(distance, radius_1, radius_2)
    smaller = np.minimum(radius_1, radius_2)
    larger = np.maximum(radius_1, radius_2)
    within = distance <= larger - smaller
    touching = distance < smaller + larger
    partial = touching & ~within
    whole = np.pi * smaller**2
    area = np.where(within, whole, 0.0)
    area[partial] = _lens_area(distance[partial], larger[partial], smaller[partial])
    return area


def _lens_area(d: np.ndarray, r: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Area common to discs of radii r >= s that partly overlap: two sectors less a kite."""
    cos_r = (d**2 + r**2 - s**2) / (2 * d * r)
    cos_s = (d**2 + s**2 - r**2) / (2 * d * s)
    sector_r = r**2 * np.arccos(np.clip(cos_r, -1, 1))
    sector_s = s**2 * np.arccos(np.clip(cos_s, -1, 1))
    product = (s + r - d) * (d + s - r) * (d + r - s) * (d + s + r)  # Heron's formula
    kite = np.sqrt(np.maximum(product, 0)) / 2
    return sector_r + sector_s - kite


def visible_fraction(
    distance: np.ndarray, radius: float, occulter: float, limb_darkening: float = 0.0
) -> np.ndarray:
    """Fraction of a star's flux that is left behind a dark disc.

    A star with linear limb darkening is a stack of uniform discs: mu(r) is the integral over s in
    (0, 1) of a disc of radius sqrt(1 - s^2). Five discs stand for the integral.

    Parameters
    ----------
    distance : (n,) array
        Between the centres of the star and the disc.
    radius, occulter : float
        Radii of the star and of the disc.
    limb_darkening : float
        Linear coefficient u.

    Returns
    -------
    (n,) array
        Fractions.
    """
    overlap = overlap_area(distance, radius, occulter)
    hidden = (1 - limb_darkening) * overlap
    if limb_darkening:
        distance = np.asarray(distance)[:, None]
        discs = radius * _DISC_RADII
        overlaps = overlap_area(distance, discs, occulter)
        hidden = hidden + limb_darkening * overlaps @ _DISC_WEIGHTS
    mean_brightness = 1 - limb_darkening + limb_darkening * _STACK_AREA
    return 1 - hidden / (np.pi * radius**2 * mean_brightness)


def visible_fractions(
    time: np.ndarray | float, pair: PairGeometry, limb_darkening: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of each star's own flux that is seen.

    Parameters
    ----------
    time : array of any shape
        Time, d.
    pair : PairGeometry
        The orbit.
    limb_darkening : float
        Linear coefficient of both stars.

    Returns
    -------
    star_1, star_2 : array
        Fractions, with the shape of `time`.
    """
    angle = pair.phase_angle(time)
    front = np.cos(angle)  # of star 2, towards the observer
    inclination = np.radians(pair.inclination)
    projected = front * np.cos(inclination)
    sideways = np.sin(angle)
    distance = np.sqrt(sideways**2 + projected**2)
    overlap = distance < pair.radius_1 + pair.radius_2

    star_1 = np.ones(angle.shape)
    star_2 = np.ones(angle.shape)
    hidden = overlap & (front > 0)
    if hidden.any():
        star_1[hidden] = visible_fraction(
            distance[hidden], pair.radius_1, pair.radius_2, limb_darkening
        )
    hidden = overlap & (front < 0)
    if hidden.any():
        star_2[hidden] = visible_fraction(
            distance[hidden], pair.radius_2, pair.radius_1, limb_darkening
        )
    return star_1, star_2


def eclipse_curve(
    time: np.ndarray | float, pair: PairGeometry, flux_ratio: float, limb_darkening: float = 0.0
) -> np.ndarray:
    """Flux of both stars relative to that outside eclipse.

    Parameters
    ----------
    time : array of any shape
        Time, d.
    pair : PairGeometry
        The orbit.
    flux_ratio : float
        Star 2 over star 1, in the observed band.
    limb_darkening : float
        Linear coefficient of both stars.
    """
    star_1, star_2 = visible_fractions(time, pair, limb_darkening)
    light = star_1 + flux_ratio * star_2
    return light / (1 + flux_ratio)


def proximity_curve(
    time: np.ndarray | float,
    pair: PairGeometry,
    mass_ratio: float,
    flux_ratio: float,
    limb_darkening: float = 0.6,
) -> np.ndarray:
    """Relative change of flux by tidal distortion and mutual heating, to first order in both.

    Parameters
    ----------
    time : array of any shape
        Time, d.
    pair : PairGeometry
        The orbit.
    mass_ratio, flux_ratio : float
        Star 2 over star 1.
    limb_darkening : float
        Linear coefficient of both stars.

    Returns
    -------
    array
        Change with mean 0, with the shape of `time`. There is no Doppler beaming.

    References
    ----------
    Distortion: Morris & Naftilan (1993), leading term (from memory). Heating: each star reflects
    its Lambert phase curve's first harmonic.
    """
    angle = pair.phase_angle(time)
    sine = np.sin(np.radians(pair.inclination))
    weight = np.array([1, flux_ratio]) / (1 + flux_ratio)

    strength = 0.15 * (15 + limb_darkening) * (1 + GRAVITY_DARKENING) / (3 - limb_darkening)
    tides = [mass_ratio * pair.radius_1**3, pair.radius_2**3 / mass_ratio]
    distortion = weight @ tides * strength * sine**2

    # Star 1 shines back light of star 2 and is seen lit at phase 0; star 2 that of star 1, at 1/2.
    reflected = weight[1] * pair.radius_1**2 - weight[0] * pair.radius_2**2
    heating = ALBEDO / 3 * reflected * sine
    return heating * np.cos(angle) - distortion * np.cos(2 * angle)
