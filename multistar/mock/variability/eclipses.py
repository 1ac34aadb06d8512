"""Light curves of two spheres on a circular orbit: eclipses, and the first-order effects of being close.

Lengths are in units of the orbit's semi-major axis. At t0 star 2 is in front of star 1 (primary eclipse).
"""

import numpy as np

GRAVITY_DARKENING = 0.32  # Lucy (1967), convective envelopes
ALBEDO = 0.5  # bolometric, convective envelopes: Rucinski (1969), from memory
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)


def overlap_area(distance, radius_1, radius_2) -> np.ndarray:
    """Area common to two discs whose centres are `distance` apart; the arguments broadcast."""
    distance, radius_1, radius_2 = np.broadcast_arrays(distance, radius_1, radius_2)
    smaller, larger = np.minimum(radius_1, radius_2), np.maximum(radius_1, radius_2)
    partial = (distance < smaller + larger) & (distance > larger - smaller)
    area = np.where(distance <= larger - smaller, np.pi * smaller**2, 0.0)
    d, r, s = distance[partial], larger[partial], smaller[partial]
    cos_r = (d**2 + r**2 - s**2) / (2 * d * r)
    cos_s = (d**2 + s**2 - r**2) / (2 * d * s)
    kite = (s + r - d) * (d + s - r) * (d + r - s) * (d + s + r)
    angle_r, angle_s = np.arccos(np.clip(cos_r, -1, 1)), np.arccos(np.clip(cos_s, -1, 1))
    area[partial] = r**2 * angle_r + s**2 * angle_s - np.sqrt(np.maximum(kite, 0)) / 2
    return area


def visible_fraction(
    distance, radius: float, occulter: float, limb_darkening: float = 0.0
) -> np.ndarray:
    """Fraction of a star's flux left when a dark disc of radius `occulter` is `distance` (n,) away from its centre.

    A star with linear limb darkening is a stack of uniform discs: mu(r) is the integral over s in (0, 1) of a disc of
    radius sqrt(1 - s^2). Five discs stand for the integral.
    """
    hidden = (1 - limb_darkening) * overlap_area(distance, radius, occulter)
    if limb_darkening:
        discs = radius * np.sqrt(1 - ((_NODES + 1) / 2) ** 2)
        hidden = hidden + limb_darkening * overlap_area(
            np.asarray(distance)[:, None], discs, occulter
        ) @ (_WEIGHTS / 2)
    discs_area = np.sum(_WEIGHTS / 2 * (1 - ((_NODES + 1) / 2) ** 2))  # 2/3
    return 1 - hidden / (np.pi * radius**2 * (1 - limb_darkening + limb_darkening * discs_area))


def visible_fractions(
    time,
    period: float,
    t0: float,
    inclination: float,
    radius_1: float,
    radius_2: float,
    limb_darkening: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of each star's own flux that is seen at `time` [d] (any shape); inclination in degrees.

    Raises ValueError if the stars overlap (radius_1 + radius_2 >= 1).
    """
    if not radius_1 + radius_2 < 1:
        raise ValueError(
            f"radii are in units of the semi-major axis and must add up to < 1, got {radius_1}, {radius_2}"
        )
    angle = 2 * np.pi / period * (np.asarray(time, float) - t0)
    front = np.cos(angle)
    distance = np.sqrt(np.sin(angle) ** 2 + (front * np.cos(np.radians(inclination))) ** 2)
    visible = np.ones((2, *angle.shape))
    for star, (radius, occulter, side) in enumerate(
        ((radius_1, radius_2, 1), (radius_2, radius_1, -1))
    ):
        hidden = (distance < radius_1 + radius_2) & (side * front > 0)
        if hidden.any():
            visible[star][hidden] = visible_fraction(
                distance[hidden], radius, occulter, limb_darkening
            )
    return visible[0], visible[1]


def eclipse_curve(
    time,
    period,
    t0,
    inclination,
    radius_1,
    radius_2,
    flux_ratio: float,
    limb_darkening: float = 0.0,
) -> np.ndarray:
    """Flux of both stars relative to that outside eclipse; flux_ratio: star 2 over star 1, in the observed band."""
    one, two = visible_fractions(time, period, t0, inclination, radius_1, radius_2, limb_darkening)
    return (one + flux_ratio * two) / (1 + flux_ratio)


def proximity_curve(
    time,
    period,
    t0,
    inclination,
    radius_1,
    radius_2,
    mass_ratio: float,
    flux_ratio: float,
    limb_darkening: float = 0.6,
) -> np.ndarray:
    """Relative change of flux (mean 0) by tidal distortion and mutual heating, to first order in both.

    mass_ratio: star 2 over star 1. Distortion: Morris & Naftilan (1993), leading term (from memory);
    heating: each star reflects its Lambert phase curve's first harmonic. No Doppler beaming.
    """
    angle = 2 * np.pi / period * (np.asarray(time, float) - t0)
    sine = np.sin(np.radians(inclination))
    weight = np.array([1, flux_ratio]) / (1 + flux_ratio)
    strength = 0.15 * (15 + limb_darkening) * (1 + GRAVITY_DARKENING) / (3 - limb_darkening)
    distortion = weight @ [mass_ratio * radius_1**3, radius_2**3 / mass_ratio] * strength * sine**2
    # star 1 shines back light of star 2 and is seen lit at phase 0; star 2 that of star 1, at phase 1/2
    heating = ALBEDO / 3 * (weight[1] * radius_1**2 - weight[0] * radius_2**2) * sine
    return heating * np.cos(angle) - distortion * np.cos(2 * angle)
