"""The mock survey's dust as maps, queried like any map of the package dustmaps."""

import warnings
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from multistar.mock.dust import DustDisc, integrate, smooth_density

with warnings.catch_warnings():
    # dustmaps asks for a configuration file, which only maps on disk need.
    warnings.simplefilter("ignore")
    from dustmaps.map_base import DustMap, ensure_flat_galactic

TO_INFINITY = 30.0  # kpc; beyond, the disc has no dust
# Of the quadrature: six times those of a star, for a path that is some six times as long.
POINTS = 384
# Stars of a survey are seen where there is less dust than on average: their median E(B-V) over that
# of the smooth disc, s [mag], is (1 + 4 s) ** -0.4 in mock surveys limited by magnitude.
SEEN_SCALE, SEEN_POWER = 4.0, -0.4


class MockDustQuery(DustMap):
    """E(B-V) [mag] towards a SkyCoord: to its distance, or without one through the whole Galaxy.

    Mock stars have this reddening times a log-normal scatter of 8 % for dust that the map cannot
    resolve.
    """

    def __init__(self):
        super().__init__()
        self._disc = DustDisc()

    @ensure_flat_galactic
    def query(self, coords: SkyCoord) -> np.ndarray:
        """E(B-V) [mag], with the shape of `coords`."""
        return self._disc.ebv(*_lines_of_sight(coords), points=POINTS)


class DiscQuery(DustMap):
    """E(B-V) [mag] that is typical of stars at a SkyCoord: of the same disc without its lumps.

    It knows how dust thins out with distance from the plane and from the Galactic centre, and
    nothing of clouds: real stars scatter about it by some 45 %.
    """

    @ensure_flat_galactic
    def query(self, coords: SkyCoord) -> np.ndarray:
        """E(B-V) [mag], with the shape of `coords`."""
        mean = integrate(smooth_density, *_lines_of_sight(coords), points=POINTS)
        return mean * (1 + SEEN_SCALE * mean) ** SEEN_POWER


def _lines_of_sight(coords: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Galactic longitude and latitude [rad], and the distance [kpc] to which dust counts."""
    distance = np.full(coords.shape, TO_INFINITY)
    if coords.distance.unit.is_equivalent(u.kpc):
        distance = np.minimum(coords.distance.to_value(u.kpc), TO_INFINITY)
    return coords.l.rad, coords.b.rad, distance
